"""What becomes of each ONNX operator (https://onnx.ai/onnx/operators, opset 7 and later)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from reluopt.errors import InputError, shown
from reluopt.networks.readers.assembly import Assembly, Padding
from reluopt.numerics.arrays import FloatArray


@dataclass(frozen=True)
class Node:
    """A node with its attributes and constants.

    Attributes:
        name: as messages call it.
        attributes: by name.
        constants: constant inputs by place; the place of the present values is missing.
        place: of the present values among the inputs.
    """

    name: str
    attributes: Mapping[str, Any]
    constants: Mapping[int, FloatArray]
    place: int = 0

    def constant(self, place: int) -> FloatArray:
        """A constant input that must be there."""
        if place not in self.constants:
            raise InputError(f"expected a constant as input {place}, found none")
        return self.constants[place]

    def refuse_unless(self, attribute: str, usual: Any) -> None:
        """Refuse another value of an attribute than the one that can be represented."""
        value = self.attributes.get(attribute, usual)
        if value != usual:
            raise InputError(f"{attribute}: expected {usual}, found {shown(value)}")

    def pair(self, attribute: str, default: tuple[int, int]) -> tuple[int, int]:
        """Two whole numbers."""
        values = self.attributes.get(attribute, default)
        if len(values) != 2:
            raise InputError(f"{attribute}: expected two numbers, found {shown(values)}")
        return int(values[0]), int(values[1])

    @property
    def padding(self) -> Padding:
        """Of a convolution or pool: ONNX gives all begins, then all ends, as we do."""
        automatic = self.attributes.get("auto_pad", b"NOTSET")
        if automatic not in (b"NOTSET", b"VALID"):
            raise InputError(f"auto_pad: expected explicit pads, found {shown(automatic)}")
        pads = [int(pad) for pad in self.attributes.get("pads", (0, 0, 0, 0))]
        if len(pads) != 4:
            raise InputError(f"pads: expected four numbers, found {shown(pads)}")
        return pads[0], pads[1], pads[2], pads[3]


Operator: TypeAlias = Callable[[Node, Assembly], None]


def _gemm(node: Node, assembly: Assembly) -> None:
    node.refuse_unless("transA", 0)
    if node.place != 0:
        raise InputError("expected the present values as its first input")
    weight, alpha = node.constant(1), node.attributes.get("alpha", 1.0)
    weight = weight if alpha == 1.0 else weight * alpha
    weight = weight if node.attributes.get("transB", 0) else weight.T
    bias = node.constants.get(2)
    if bias is not None:
        bias = np.broadcast_to(bias * node.attributes.get("beta", 1.0), (1, len(weight)))[0]
    assembly.dense(weight, bias)


def _matmul(node: Node, assembly: Assembly) -> None:
    weight = node.constant(1 - node.place)
    if weight.ndim != 2:
        raise InputError(f"expected a matrix, found shape {weight.shape}")
    assembly.dense(weight.T if node.place == 0 else weight)


def _arithmetic(sign: str) -> Operator:
    """``Add``, ``Sub``, ``Mul`` and ``Div`` by a constant."""
    return lambda node, assembly: assembly.combine(
        sign, node.constant(1 - node.place), node.place == 0
    )


def _conv(node: Node, assembly: Assembly) -> None:
    bias, groups = node.constants.get(2), int(node.attributes.get("group", 1))
    stride, dilation = node.pair("strides", (1, 1)), node.pair("dilations", (1, 1))
    assembly.conv(node.constant(1), bias, stride, node.padding, dilation, groups)


def _max_pool(node: Node, assembly: Assembly) -> None:
    node.refuse_unless("storage_order", 0)
    kernel, stride = node.pair("kernel_shape", (0, 0)), node.pair("strides", (1, 1))
    dilation, ceil = node.pair("dilations", (1, 1)), bool(node.attributes.get("ceil_mode", 0))
    assembly.max_pool(kernel, stride, node.padding, dilation, ceil)


def _average_pool(node: Node, assembly: Assembly) -> None:
    node.refuse_unless("ceil_mode", 0)
    if node.pair("dilations", (1, 1)) != (1, 1):
        raise InputError("dilations: expected 1, found others")
    kernel, stride = node.pair("kernel_shape", (0, 0)), node.pair("strides", (1, 1))
    counts = bool(node.attributes.get("count_include_pad", 0))
    assembly.average_pool(kernel, stride, node.padding, counts_padding=counts)


def _global_average_pool(node: Node, assembly: Assembly) -> None:
    del node
    rows, columns = assembly.image_shape[1:]
    assembly.average_pool((rows, columns), (1, 1))


def _batch_normalisation(node: Node, assembly: Assembly) -> None:
    factor, shift, mean, variance = (node.constant(place) for place in (1, 2, 3, 4))
    scale = factor / np.sqrt(variance + node.attributes.get("epsilon", 1e-5))
    axes = (-1, *[1] * (len(assembly.shape) - 1))
    assembly.scale(scale.reshape(axes), (shift - scale * mean).reshape(axes))


def _flatten(node: Node, assembly: Assembly) -> None:
    node.refuse_unless("axis", 1)
    assembly.reshape((assembly.size,))


def _reshape(node: Node, assembly: Assembly) -> None:
    target = [int(length) for length in node.constant(1).ravel()]
    if len(target) < 2 or target[0] not in (1, -1, 0) or 0 in target[1 + len(assembly.shape) :]:
        raise InputError(f"expected a shape that keeps the batch axis, found {target}")
    rest = [assembly.shape[i] if length == 0 else length for i, length in enumerate(target[1:])]
    if rest.count(-1) == 1:
        known = math.prod(length for length in rest if length != -1)
        rest[rest.index(-1)] = assembly.size // max(known, 1)
    elif target[0] == -1 and -1 in rest:
        raise InputError(f"expected one length to find, found {target}")
    assembly.reshape(tuple(rest))


def _transpose(node: Node, assembly: Assembly) -> None:
    axes = list(node.attributes.get("perm", ()))
    if sorted(axes) != list(range(len(assembly.shape) + 1)) or axes[0] != 0:
        raise InputError(f"perm: expected an order that keeps the batch axis, found {axes}")
    assembly.transpose(tuple(int(axis) - 1 for axis in axes[1:]))


def _gather(node: Node, assembly: Assembly) -> None:
    """All of flat values, in another order."""
    if node.place != 0 or node.attributes.get("axis", 0) not in (1, -1):
        raise InputError("axis: expected that of the values, 1, found another")
    assembly.permute(node.constant(1))


def _softmax(kind: str) -> Operator:
    """``Softmax`` and ``LogSoftmax``."""

    def apply(node: Node, assembly: Assembly) -> None:
        if node.attributes.get("axis", -1) not in (1, -1):
            raise InputError("axis: expected that of the classes, 1")
        assembly.softmax(kind)

    return apply


def _nothing(node: Node, assembly: Assembly) -> None:
    """What changes nothing when a network answers."""


OPERATORS: Mapping[str, Operator] = {
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Add": _arithmetic("+"),
    "Sub": _arithmetic("-"),
    "Mul": _arithmetic("*"),
    "Div": _arithmetic("/"),
    "Conv": _conv,
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "GlobalAveragePool": _global_average_pool,
    "BatchNormalization": _batch_normalisation,
    "Relu": lambda node, assembly: assembly.relu(),
    "LeakyRelu": lambda node, assembly: assembly.leaky_relu(node.attributes.get("alpha", 0.01)),
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Transpose": _transpose,
    "Gather": _gather,
    "Softmax": _softmax("softmax"),
    "LogSoftmax": _softmax("log-softmax"),
    "Identity": _nothing,
    "Dropout": _nothing,
}
"""What becomes of each operator; ``Constant`` nodes are kept for those that read them."""
