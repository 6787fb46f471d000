"""ONNX files (the extra ``onnx``): chains of :data:`~.onnx_operators.OPERATORS`.

The file is read without external data, and its nodes are followed from
the input to the output; whatever is no chain, or another operator, is refused by the node's name.
What was read is run beside onnxruntime, or the ONNX reference implementation where that is not
installed, on random inputs (:mod:`.agreement`).

Source of the operators' meaning: https://onnx.ai/onnx/operators (opset 7 and later).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluopt.errors import InputError, shown
from reluopt.files import MAX_FILE_BYTES, open_input, unpacked
from reluopt.networks.metadata import NetworkMetadata, picture_shape
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.readers import ReaderOptions
from reluopt.networks.readers.agreement import Source, before, verified
from reluopt.networks.readers.assembly import Assembly
from reluopt.networks.readers.frameworks import framework
from reluopt.networks.readers.onnx_operators import OPERATORS, Node
from reluopt.numerics.arrays import FloatArray

MODERN = 15
"""Version of the operators to which older files are converted for the reference implementation: it
normalises batches of versions below 14 as in training."""

FREE_BYTES = 2**26
"""Bytes that any file may unpack to, beyond three times its own."""

MAX_SHARED = 1_000
"""Largest constant that several nodes may read: copies of larger ones would fill the memory."""

_EXPECTED = "an ONNX file"


def read(path: Path, options: ReaderOptions) -> ReLUNetwork:
    """Read a network; see :func:`reluopt.networks.loading.load_network`.

    Raises:
        EngineUnavailableError: the package ``onnx`` is not installed.
    """
    if options.architecture is not None:
        raise InputError(f"{path}: architecture: expected none, since the file tells its own")
    onnx: Any = framework("onnx", "ONNX files", "onnx")
    data = _content(path)
    with _library(path):
        onnx.checker.check_model(data)
        model = onnx.load_model_from_string(data)
        name = re.sub(r"(\.onnx)?(\.gz)?$", "", path.name, flags=re.IGNORECASE)
        network, end = _Graph(model, name, options.input_shape).network()
        asked = question_of(model)
        del model  # as large as the file, which is parsed once more
        return verified(network, before(end, source_of(data, asked)))


def _content(path: Path) -> bytes:
    """The bytes of a file, plain or gzipped."""
    with open_input(path, _EXPECTED) as (stream, _):
        data = stream.read()
    if not data.startswith(b"\x1f\x8b"):
        return data
    return unpacked(data, path, _EXPECTED, min(MAX_FILE_BYTES, 3 * len(data) + FREE_BYTES))


def replay(path: Path) -> tuple[type[np.floating[Any]], Callable[[NDArray[Any]], FloatArray]]:
    """What runs a file that has been read: the type of its inputs, and outputs of flat inputs.

    It is onnxruntime, or the reference implementation where that is not installed.
    """
    data = _content(path)
    with _library(path):
        asked = question_of(import_module("onnx").load_model_from_string(data))
        source = source_of(data, asked)
    return asked.kind.type, lambda inputs: np.asarray(source.run(inputs[None])[0], dtype=np.float64)


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


@dataclass(frozen=True)
class Question:
    """How a model is asked: name, type and shape of its input, batch included, and its version."""

    name: str
    kind: Any
    shape: tuple[int, ...]
    version: int


def question_of(model: Any) -> Question:
    """How a model is asked for one input."""
    from onnx.helper import tensor_dtype_to_np_dtype

    value = _input_of(model.graph)
    tensor = value.type.tensor_type
    shape = tuple(dim.dim_value or 1 for dim in tensor.shape.dim)
    version = min(each.version for each in model.opset_import)
    return Question(value.name, tensor_dtype_to_np_dtype(tensor.elem_type), shape, version)


def source_of(data: bytes, asked: Question) -> Source:
    """The bytes of a file as what a network is compared with."""
    tool, run = _runner(data, asked)

    def outputs(inputs: NDArray[np.float32]) -> Any:
        rows = (row.reshape(asked.shape).astype(asked.kind) for row in inputs)
        return [np.ravel(run(None, {asked.name: row})[0]) for row in rows]

    return Source("the ONNX file", tool, outputs)


def _runner(data: bytes, asked: Question) -> tuple[str, Callable[..., Any]]:
    """What runs a model, with its version, and how."""
    import onnx
    from onnx.reference import ReferenceEvaluator
    from onnx.version_converter import convert_version

    with suppress(Exception):  # not installed, or one that does not know what the file holds
        runtime = import_module("onnxruntime")
        options = runtime.SessionOptions()
        options.log_severity_level, options.intra_op_num_threads = 4, 1
        options.add_session_config_entry("session.disable_prepacking", "1")  # a copy of the weights
        session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        return f"onnxruntime {runtime.__version__}", session.run
    model = onnx.load_model_from_string(data)
    if asked.version < MODERN:
        model = convert_version(model, MODERN)
    evaluator: Any = ReferenceEvaluator(model)
    return f"the reference of onnx {onnx.__version__}", evaluator.run


def _input_of(graph: Any) -> Any:
    """The one input that is no constant."""
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise InputError(
            f"graph: expected one input and one output, found {len(inputs)} and {len(graph.output)}"
        )
    return inputs[0]


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
        self._constants: dict[str, NDArray[Any]] = {}
        for tensor in model.graph.initializer:
            self._keep(tensor.name, tensor)

    def network(self) -> tuple[ReLUNetwork, str]:
        """The network that the graph describes, and what it left out at the end."""
        assembly = Assembly(self._shape)
        for node in self._graph.node:
            self._follow(node, assembly)
        if self._present != self._graph.output[0].name:
            raise InputError(
                f"output '{shown(self._graph.output[0].name)}': expected the end of the chain, "
                f"found that it ends in '{shown(self._present)}'"
            )
        shape = self._input_shape or picture_shape(self._shape)
        network = assembly.finish(NetworkMetadata(name=self._name, input_shape=shape))
        return network, assembly.end

    def _follow(self, node: Any, assembly: Assembly) -> None:
        """Take one node."""
        label = f"node '{shown(node.name or node.output[0])}' ({shown(node.op_type)})"
        try:
            if node.op_type == "Constant":
                attributes = {each.name: self._attribute(each) for each in node.attribute}
                if "value" not in attributes:
                    raise InputError(f"expected a tensor, found {', '.join(attributes)}")
                self._keep(node.output[0], attributes["value"])
                return
            places = [i for i, name in enumerate(node.input) if name == self._present]
            unknown = [
                name
                for name in node.input
                if name and name != self._present and name not in self._constants
            ]
            if len(places) != 1 or unknown:
                found = ", ".join(shown(name) for name in node.input)
                raise InputError(
                    "expected a chain in which every node reads what the one before it gave, and "
                    f"large constants of its own, found inputs {found}"
                )
            if node.op_type not in OPERATORS:
                raise InputError(f"expected one of {', '.join(OPERATORS)}")
            constants = {
                i: self._take(name)
                for i, name in enumerate(node.input)
                if name in self._constants and i not in places
            }
            attributes = {each.name: self._attribute(each) for each in node.attribute}
            OPERATORS[node.op_type](Node(label, attributes, constants, places[0]), assembly)
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
        if array.dtype.kind not in "fi" or (array.dtype.kind == "i" and array.itemsize < 4):
            raise InputError(
                f"constant '{shown(name)}': expected floats, or whole numbers of 32 or "
                f"64 bits, found {array.dtype}"
            )
        self._constants[name] = array

    def _take(self, name: str) -> FloatArray:
        """A constant in float64; a large one is gone then."""
        array = self._constants[name]
        if array.size > MAX_SHARED:
            del self._constants[name]
        return array.astype(np.float64)
