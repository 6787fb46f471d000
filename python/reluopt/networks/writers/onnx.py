"""ONNX files (the extra ``onnx``), which other tools run and verify.

A file has one input ``input``, of a batch of any size: images are batch x channels x rows x
columns, grey ones with one channel, other inputs batch x values. Its output is ``logits``. Numbers
are float32 where that loses nothing and float64 otherwise; slopes of leaky ReLUs are always
float32. Layers that have no operator of their own are written as the dense layers and ReLUs that
they lower to. What was written is run beside the network before it is handed out.

Source of the operators' meaning: https://onnx.ai/onnx/operators (opset 15).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import permutations
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from reluopt.errors import InputError
from reluopt.install import own_version
from reluopt.networks.layers.base import Affine, Dense, Layer
from reluopt.networks.layers.chain import Chain
from reluopt.networks.layers.conv2d import Conv2d
from reluopt.networks.layers.elementwise import LeakyReLU, Permute, Scale
from reluopt.networks.layers.pooling import AveragePool2d, MaxPool2d
from reluopt.networks.layers.windows import Windows
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.readers.agreement import compare
from reluopt.networks.readers.frameworks import framework
from reluopt.networks.readers.onnx import question_of, source_of
from reluopt.numerics.arrays import FloatArray

OPSET = 15
IR_VERSION = 8
"""What onnx of this opset wrote; tools refuse files of later versions than theirs."""

INPUT, OUTPUT = "input", "logits"


def encode(network: ReLUNetwork) -> bytes:
    """The bytes of a file of a network.

    Raises:
        InputError: the file does not do what the network does; it is then not written.
        EngineUnavailableError: the package ``onnx`` is not installed.
    """
    onnx: Any = framework("onnx", "ONNX files", "onnx")
    model = _Graph(onnx, network).model()
    onnx.checker.check_model(model)
    data, asked = bytes(model.SerializeToString()), question_of(model)
    agreement = compare(network, source_of(data, asked))
    if not agreement.holds:
        raise InputError(
            f"network {network.metadata.name}: expected an ONNX file that agrees, found a "
            f"{agreement}"
        )
    return data


class _Graph:
    """Nodes and constants of a graph that grows layer by layer.

    Attributes:
        shape: of the present values without the batch.
    """

    def __init__(self, onnx: Any, network: ReLUNetwork) -> None:
        tensors = [t for layer in network.layers for t in layer.tensors().values()]
        with np.errstate(over="ignore"):
            exact = all(np.array_equal(tensor.astype(np.float32), tensor) for tensor in tensors)
        self.kind = np.float32 if exact else np.float64
        seen = network.input_shape
        self.shape: tuple[int, ...] = {2: (1, *seen), 3: seen}.get(len(seen), (network.input_size,))
        self._onnx, self._network = onnx, network
        self._given, self._last = self.shape, INPUT
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def model(self) -> Any:
        """The file's content."""
        helper, layers = self._onnx.helper, self._network.layers
        for i, layer in enumerate(layers):
            self.layer(layer)
            if i + 1 < len(layers):
                self.node("Relu")
        self.reshape((self._network.output_size,))
        self.node("Identity", output=OUTPUT)
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(self.kind))
        ends = [
            [helper.make_tensor_value_info(name, kind, ["batch", *shape])]
            for name, shape in ((INPUT, self._given), (OUTPUT, self.shape))
        ]
        graph = helper.make_graph(self._nodes, self._network.metadata.name, *ends, self._constants)
        return helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="reluopt",
            producer_version=own_version(),
        )

    def layer(self, layer: Layer) -> None:
        """Add a layer by its operator, or as what it lowers to."""
        if not _WRITE.get(type(layer), _refuse)(layer, self):
            for i, affine in enumerate(layer.lower()):
                if i > 0:
                    self.node("Relu")
                _dense(affine, self)

    def node(
        self, kind: str, *constants: NDArray[Any], output: str = "", **attributes: Any
    ) -> None:
        """Add a node that reads the present values, and then constants."""
        name = f"{kind.lower()}{len(self._nodes)}"
        names = [f"{name}.{i}" for i in range(len(constants))]
        self._constants += map(self._onnx.numpy_helper.from_array, constants, names)
        made = output or f"{name}.out"
        node = self._onnx.helper.make_node(kind, [self._last, *names], [made], name, **attributes)
        self._nodes.append(node)
        self._last = made

    def numbers(self, values: FloatArray) -> NDArray[Any]:
        """A constant of the file's type."""
        return values.astype(self.kind)

    def reshape(self, shape: tuple[int, ...]) -> None:
        """The same values in another shape, unless they have it."""
        if shape == self.shape:
            return
        if len(shape) == 1:
            self.node("Flatten", axis=1)
        else:
            self.node("Reshape", np.array([-1, *shape], dtype=np.int64))
        self.shape = shape


Write: TypeAlias = Callable[[Any, _Graph], bool]
"""Adds a layer to a graph, or gives False where it has no operator."""


def _refuse(layer: Layer, graph: _Graph) -> bool:
    return False


def _dense(layer: Affine, graph: _Graph) -> bool:
    graph.reshape((layer.input_size,))
    graph.node("Gemm", graph.numbers(layer.matrix), graph.numbers(layer.bias), transB=1)
    graph.shape = (layer.output_size,)
    return True


def _chain(layer: Chain, graph: _Graph) -> bool:
    for part in layer.parts:
        graph.layer(part)
    return True


def _window_attributes(windows: Windows) -> dict[str, Any]:
    """Of a convolution or pool; windows that do not fit are made to fit by padding behind them."""
    pads = list(windows.padding)
    for axis, count in enumerate(windows.output_sides):
        reach = windows.dilation[axis] * (windows.kernel[axis] - 1) + 1
        end = (count - 1) * windows.stride[axis] + reach
        missing = end - windows.input_shape[1 + axis] - pads[axis] - pads[2 + axis]
        pads[2 + axis] += max(missing, 0)
    return {
        "kernel_shape": list(windows.kernel),
        "strides": list(windows.stride),
        "pads": pads,
        "dilations": list(windows.dilation),
    }


def _conv2d(layer: Conv2d, graph: _Graph) -> bool:
    graph.reshape(layer.windows.input_shape)
    weight, bias = graph.numbers(layer.weight), graph.numbers(layer.bias)
    graph.node("Conv", weight, bias, group=layer.groups, **_window_attributes(layer.windows))
    graph.shape = layer.output_shape
    return True


def _max_pool2d(layer: MaxPool2d, graph: _Graph) -> bool:
    graph.reshape(layer.windows.input_shape)
    graph.node("MaxPool", **_window_attributes(layer.windows))
    graph.shape = (layer.windows.input_shape[0], *layer.windows.output_sides)
    return True


def _average_pool2d(layer: AveragePool2d, graph: _Graph) -> bool:
    attributes = _window_attributes(layer.windows)
    if attributes.pop("dilations") != [1, 1]:
        return False
    graph.reshape(layer.windows.input_shape)
    graph.node("AveragePool", count_include_pad=int(layer.counts_padding), **attributes)
    graph.shape = (layer.windows.input_shape[0], *layer.windows.output_sides)
    return True


def _scale(layer: Scale, graph: _Graph) -> bool:
    for kind, values, usual in (("Mul", layer.scale, 1.0), ("Add", layer.shift, 0.0)):
        if (values != usual).any():
            graph.node(kind, graph.numbers(_narrow(values.reshape(1, *graph.shape))))
    return True


def _narrow(values: FloatArray) -> FloatArray:
    """A constant without the axes along which it is the same."""
    for axis in range(values.ndim):
        first = values.take([0], axis)
        values = first if (values == first).all() else values
    return values


def _leaky_relu(layer: LeakyReLU, graph: _Graph) -> bool:
    graph.node("LeakyRelu", alpha=float(layer.slope))
    return True


def _permute(layer: Permute, graph: _Graph) -> bool:
    """Axes in another order, or any order of flat values."""
    numbers = np.arange(math.prod(graph.shape)).reshape(graph.shape)
    for axes in permutations(range(len(graph.shape))):
        if np.array_equal(numbers.transpose(axes).ravel(), layer.order):
            if list(axes) != sorted(axes):
                graph.node("Transpose", perm=[0, *(axis + 1 for axis in axes)])
                graph.shape = tuple(graph.shape[axis] for axis in axes)
            return True
    graph.reshape((layer.input_size,))
    graph.node("Gather", layer.order, axis=1)
    return True


_WRITE: Mapping[type[Layer], Write] = {
    Dense: _dense,
    Chain: _chain,
    Conv2d: _conv2d,
    MaxPool2d: _max_pool2d,
    AveragePool2d: _average_pool2d,
    Scale: _scale,
    LeakyReLU: _leaky_relu,
    Permute: _permute,
}
