"""ONNX files (the extra ``onnx``): chains of the operators in :data:`OPERATORS`.

The file is read without external data, its constants are folded, and the nodes are followed from
the input to the output; whatever is no chain, or another operator, is refused by the node's name.
What was read is run beside the ONNX reference implementation on random inputs: outputs that differ
by more than :data:`AGREEMENT` are refused.

Source of the operators' meaning: https://onnx.ai/onnx/operators (opset 7 and later).
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from reluopt.errors import EngineUnavailableError, InputError, shown
from reluopt.files import MAX_FILE_BYTES, open_input
from reluopt.install import install_command
from reluopt.networks.metadata import NetworkMetadata
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.readers import ReaderOptions
from reluopt.networks.readers.assembly import Assembly, Padding
from reluopt.numerics.arrays import FloatArray

AGREEMENT = 1e-4
"""Largest difference from the reference's outputs, relative to the largest of them: it computes in
float32, whose unit is 6e-8, over sums of up to some thousand terms."""

MODERN = 15
"""Version of the operators to which older files are converted for the reference implementation: it
normalises batches of versions below 14 as in training."""

TRIALS = 8
"""Random inputs on which both are run."""

_EXPECTED = "an ONNX file"


def read(path: Path, options: ReaderOptions) -> ReLUNetwork:
    """Read a network; see :func:`reluopt.networks.loading.load_network`.

    Raises:
        EngineUnavailableError: the package ``onnx`` is not installed.
    """
    if options.architecture is not None:
        raise InputError(f"{path}: architecture: expected none, since the file tells its own")
    onnx = _onnx()
    with open_input(path, _EXPECTED) as (stream, _):
        data = stream.read()
    if data.startswith(b"\x1f\x8b"):
        data = _unpacked(data, path)
    with _library(path):
        model = onnx.load_model_from_string(data)
        onnx.checker.check_model(model)
        network = _Graph(model, path.name.split(".")[0], options.input_shape).network()
        difference = compare(model, network)
    if not difference <= AGREEMENT:
        raise InputError(
            f"{path}: expected the outputs of the ONNX reference implementation, found a "
            f"difference of {difference:.1e}"
        )
    return network


@contextmanager
def _library(path: Path) -> Iterator[None]:
    """Errors of ours name the file; libraries raise whatever they meet in a damaged one."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except Exception as error:
        found = shown(str(error).strip().partition("\n")[0] or type(error).__name__)
        raise InputError(f"{path}: expected {_EXPECTED}, found: {found}") from error


def compare(model: Any, network: ReLUNetwork) -> float:
    """Largest relative difference of a network's outputs from those of the ONNX reference."""
    from onnx.reference import ReferenceEvaluator
    from onnx.version_converter import convert_version

    if min(each.version for each in model.opset_import) < MODERN:
        model = convert_version(model, MODERN)
    evaluator: Any = ReferenceEvaluator(model)
    value = _input_of(model.graph)
    shape = [dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim]
    inputs = np.random.default_rng(0).random((TRIALS, network.input_size)).astype(np.float32)
    expected = [
        np.ravel(evaluator.run(None, {value.name: row.reshape(shape)})[0]) for row in inputs
    ]
    found = network.forward(inputs.astype(np.float64))
    largest = max(float(np.abs(expected).max()), 1e-30)
    return float(np.abs(found - np.array(expected, dtype=np.float64)).max()) / largest


def _onnx() -> Any:
    try:
        import onnx
    except ImportError as error:
        raise EngineUnavailableError(
            f"ONNX files need the package onnx, found it not installed: {install_command('onnx')}"
        ) from error
    return onnx


def _unpacked(data: bytes, path: Path) -> bytes:
    """The content of a gzip file, of bounded size."""
    import io

    try:
        with gzip.open(io.BytesIO(data)) as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except (OSError, EOFError) as error:
        raise InputError(f"{path}: expected {_EXPECTED}, found a damaged gzip file") from error
    if len(content) > MAX_FILE_BYTES:
        raise InputError(f"{path}: expected at most {MAX_FILE_BYTES} bytes unpacked, found more")
    return content


def _input_of(graph: Any) -> Any:
    """The one input that is no constant."""
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise InputError(
            f"graph: expected one input and one output, found {len(inputs)} and {len(graph.output)}"
        )
    return inputs[0]


@dataclass(frozen=True)
class _Node:
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
        for attribute, usual in (("auto_pad", b"NOTSET"),):
            if self.attributes.get(attribute, usual) not in (usual, b"VALID"):
                raise InputError(f"{attribute}: expected explicit pads, found {attribute}")
        pads = [int(pad) for pad in self.attributes.get("pads", (0, 0, 0, 0))]
        if len(pads) != 4:
            raise InputError(f"pads: expected four numbers, found {shown(pads)}")
        return pads[0], pads[1], pads[2], pads[3]


class _Graph:
    """A graph that is followed from its input to its output."""

    def __init__(self, model: Any, name: str, input_shape: tuple[int, ...] | None) -> None:
        import onnx

        self._to_array = onnx.numpy_helper.to_array
        self._attribute = onnx.helper.get_attribute_value
        self._graph = model.graph
        self._name = name
        value = _input_of(model.graph)
        self._present = value.name
        dims = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        self._shape = tuple(dims[1:]) if len(dims) > 1 else tuple(dims)
        if not self._shape or min(self._shape) < 1 or (len(dims) > 1 and dims[0] > 1):
            raise InputError(
                f"input '{shown(value.name)}': expected a batch axis and fixed sizes, found {dims}"
            )
        self._input_shape = input_shape
        self._constants: dict[str, FloatArray] = {}
        for tensor in model.graph.initializer:
            self._keep(tensor.name, tensor)

    def network(self) -> ReLUNetwork:
        """The network that the graph describes."""
        assembly = Assembly(self._shape)
        for node in self._graph.node:
            self._follow(node, assembly)
        if self._present != self._graph.output[0].name:
            raise InputError(
                f"output '{shown(self._graph.output[0].name)}': expected the end of the chain, "
                f"found that it ends in '{shown(self._present)}'"
            )
        picture = self._shape[1:] if self._shape[0] == 1 and len(self._shape) > 1 else self._shape
        side = math.isqrt(math.prod(picture))
        if len([length for length in picture if length > 1]) < 2:
            square = side * side == math.prod(picture) and side >= 8
            picture = (side, side) if square else (math.prod(picture),)
        shape = self._input_shape or picture
        return assembly.finish(NetworkMetadata(name=self._name, input_shape=shape))

    def _follow(self, node: Any, assembly: Assembly) -> None:
        """Take one node."""
        label = f"node '{shown(node.name or node.output[0])}' ({shown(node.op_type)})"
        try:
            if node.op_type == "Constant":
                attributes = {each.name: self._attribute(each) for each in node.attribute}
                self._keep(node.output[0], attributes.get("value"))
                return
            places = [i for i, name in enumerate(node.input) if name == self._present]
            unknown = [
                name
                for name in node.input
                if name and name != self._present and name not in self._constants
            ]
            if len(places) != 1 or unknown:
                raise InputError(
                    "expected a chain in which every node reads what the one before it gave, "
                    f"found inputs {', '.join(shown(name) for name in node.input)}"
                )
            if node.op_type not in OPERATORS:
                raise InputError(f"expected one of {', '.join(OPERATORS)}")
            constants = {
                i: self._constants[name]
                for i, name in enumerate(node.input)
                if name in self._constants and i not in places
            }
            attributes = {each.name: self._attribute(each) for each in node.attribute}
            OPERATORS[node.op_type](_Node(label, attributes, constants, places[0]), assembly)
        except InputError as error:
            raise InputError(f"{label}: {error}") from error
        self._present = node.output[0]

    def _keep(self, name: str, tensor: Any) -> None:
        """Remember a constant."""
        if tensor is None or not hasattr(tensor, "data_location") or tensor.data_location == 1:
            raise InputError(f"constant '{shown(name)}': expected numbers inside the file")
        try:
            array = self._to_array(tensor)
        except (TypeError, ValueError) as error:
            raise InputError(f"constant '{shown(name)}': found: {shown(error)}") from error
        if array.dtype.kind not in "fiu":
            raise InputError(f"constant '{shown(name)}': expected numbers, found {array.dtype}")
        self._constants[name] = array.astype(np.float64)


Operator: TypeAlias = Callable[[_Node, Assembly], None]


def _gemm(node: _Node, assembly: Assembly) -> None:
    node.refuse_unless("transA", 0)
    if node.place != 0:
        raise InputError("expected the present values as its first input")
    weight = node.constant(1) * node.attributes.get("alpha", 1.0)
    weight = weight if node.attributes.get("transB", 0) else weight.T
    bias = node.constants.get(2)
    if bias is not None:
        bias = np.broadcast_to(bias * node.attributes.get("beta", 1.0), (1, len(weight)))[0]
    assembly.dense(weight, bias)


def _matmul(node: _Node, assembly: Assembly) -> None:
    weight = node.constant(1 - node.place)
    if weight.ndim != 2:
        raise InputError(f"expected a matrix, found shape {weight.shape}")
    assembly.dense(weight.T if node.place == 0 else weight)


def _arithmetic(sign: float, *, multiplies: bool) -> Operator:
    """``Add``, ``Sub``, ``Mul`` and ``Div`` by a constant."""

    def apply(node: _Node, assembly: Assembly) -> None:
        constant = _without_batch(node.constant(1 - node.place), assembly.shape)
        if multiplies and sign < 0.0:
            if node.place != 0 or (constant == 0.0).any():
                raise InputError("expected a division by a constant other than zero")
            constant = 1.0 / constant
        if multiplies:
            assembly.scale(constant, 0.0)
        elif sign < 0.0 and node.place == 1:
            assembly.scale(-1.0, constant)
        else:
            assembly.scale(1.0, sign * constant)

    return apply


def _without_batch(constant: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """A constant without its batch axis."""
    batched = constant.ndim == len(shape) + 1 and constant.shape[0] == 1
    return np.asarray(constant[0]) if batched else constant


def _conv(node: _Node, assembly: Assembly) -> None:
    bias, groups = node.constants.get(2), int(node.attributes.get("group", 1))
    stride, dilation = node.pair("strides", (1, 1)), node.pair("dilations", (1, 1))
    assembly.conv(node.constant(1), bias, stride, node.padding, dilation, groups)


def _max_pool(node: _Node, assembly: Assembly) -> None:
    node.refuse_unless("storage_order", 0)
    kernel, stride = node.pair("kernel_shape", (0, 0)), node.pair("strides", (1, 1))
    dilation, ceil = node.pair("dilations", (1, 1)), bool(node.attributes.get("ceil_mode", 0))
    assembly.max_pool(kernel, stride, node.padding, dilation, ceil)


def _average_pool(node: _Node, assembly: Assembly) -> None:
    node.refuse_unless("ceil_mode", 0)
    if node.pair("dilations", (1, 1)) != (1, 1):
        raise InputError("dilations: expected 1, found others")
    kernel, stride = node.pair("kernel_shape", (0, 0)), node.pair("strides", (1, 1))
    counts = bool(node.attributes.get("count_include_pad", 0))
    assembly.average_pool(kernel, stride, node.padding, counts_padding=counts)


def _global_average_pool(node: _Node, assembly: Assembly) -> None:
    del node
    rows, columns = assembly.image_shape[1:]
    assembly.average_pool((rows, columns), (1, 1))


def _batch_normalisation(node: _Node, assembly: Assembly) -> None:
    factor, shift, mean, variance = (node.constant(place) for place in (1, 2, 3, 4))
    scale = factor / np.sqrt(variance + node.attributes.get("epsilon", 1e-5))
    axes = (-1, *[1] * (len(assembly.shape) - 1))
    assembly.scale(scale.reshape(axes), (shift - scale * mean).reshape(axes))


def _flatten(node: _Node, assembly: Assembly) -> None:
    node.refuse_unless("axis", 1)
    assembly.reshape((assembly.size,))


def _reshape(node: _Node, assembly: Assembly) -> None:
    target = [int(length) for length in node.constant(1).ravel()]
    if len(target) < 2 or target[0] not in (1, -1, 0):
        raise InputError(f"expected a shape that keeps the batch axis, found {target}")
    rest = [assembly.shape[i] if length == 0 else length for i, length in enumerate(target[1:])]
    if rest.count(-1) == 1:
        known = math.prod(length for length in rest if length != -1)
        rest[rest.index(-1)] = assembly.size // max(known, 1)
    elif target[0] == -1 and -1 in rest:
        raise InputError(f"expected one length to find, found {target}")
    assembly.reshape(tuple(rest))


def _transpose(node: _Node, assembly: Assembly) -> None:
    axes = list(node.attributes.get("perm", ()))
    if sorted(axes) != list(range(len(assembly.shape) + 1)) or axes[0] != 0:
        raise InputError(f"perm: expected an order that keeps the batch axis, found {axes}")
    assembly.transpose(tuple(int(axis) - 1 for axis in axes[1:]))


def _nothing(node: _Node, assembly: Assembly) -> None:
    """What changes nothing when a network answers."""


OPERATORS: Mapping[str, Operator] = {
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Add": _arithmetic(1.0, multiplies=False),
    "Sub": _arithmetic(-1.0, multiplies=False),
    "Mul": _arithmetic(1.0, multiplies=True),
    "Div": _arithmetic(-1.0, multiplies=True),
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
    "Identity": _nothing,
    "Dropout": _nothing,
}
"""What becomes of each operator; ``Constant`` nodes are folded."""
