"""PyTorch modules (the extra ``torch``): chains of :data:`~.torch_operations.OPERATIONS`.

The module's forward is traced by ``torch.fx`` (https://pytorch.org/docs/stable/fx.html), so that it
may be written in any way that does not depend on the values: a Sequential, or calls of modules,
functions and methods. What only concerns constants and shapes (``x.size(0)``, ``1 / self.std``) is
computed, and the rest followed from the input to the output. A copy of the module in eval mode is
traced and run; the module itself is left as it is.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluopt.errors import InputError, shown
from reluopt.networks.metadata import NetworkMetadata, picture_shape
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.readers.agreement import Source, before, verified
from reluopt.networks.readers.assembly import Assembly
from reluopt.networks.readers.frameworks import framework, input_shape_told
from reluopt.networks.readers.torch_operations import MODULES, OPERATIONS, numbers

_SHAPES = ("flatten", "view", "reshape", "unflatten", "squeeze", "unsqueeze")
_SHAPE_MODULES = ("Flatten", "Unflatten")
_QUERIES = ("size", "dim", "shape", "ndim", "dtype", "device")
_NOTHING = ("contiguous", "detach", "clone", "float", "double", "to")
_ARITHMETIC: Mapping[str, str] = {
    "add": "+",
    "sub": "-",
    "subtract": "-",
    "mul": "*",
    "multiply": "*",
    "div": "/",
    "divide": "/",
    "truediv": "/",
}
_ENDS = {"Softmax": "softmax", "LogSoftmax": "log_softmax"}


def from_torch(module: Any, input_shape: Sequence[int], *, name: str | None = None) -> ReLUNetwork:
    """Read a network from a PyTorch module.

    Args:
        module: a ``torch.nn.Module`` with parameters in float32 or float64, whose forward takes a
            batch and is a chain. A softmax or log-softmax at its end is left out, since it keeps
            the order of the classes; ``network.metadata.recipe["imported"]["notes"]`` says so.
        input_shape: shape of one input, without the batch: ``(784,)``, or channels, rows, columns.
        name: of the network; the module's class unless told.

    Returns:
        The network, in float64 numbers. It was run beside the module on random inputs, and
        ``network.metadata.recipe["imported"]["agreement"]`` says how well it agreed.

    Raises:
        InputError: the module is no chain, holds a step that cannot be represented (the message
            names it), or its outputs differ from the network's.
        EngineUnavailableError: PyTorch is not installed.

    Warns:
        NoteWarning: a softmax was left out.

    Example:
        >>> from torch import nn
        >>> import reluopt as ro
        >>> module = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> ro.from_torch(module, input_shape=(4,)).sizes
        (4, 3, 2)
    """
    torch: Any = framework("torch", "PyTorch modules", "torch")
    if not isinstance(module, torch.nn.Module):
        raise InputError(
            f"module: expected a torch.nn.Module, found {shown(type(module).__name__)}"
        )
    shape = input_shape_told(input_shape)
    label = f"module {shown(type(module).__name__)}"
    try:
        twin = copy.deepcopy(module)
        for part in twin.modules():
            part.training = False
        traced = torch.fx.symbolic_trace(twin)
    except Exception as error:  # a forward may raise whatever it likes
        found = shown(str(error).strip().partition("\n")[0], 200)
        raise InputError(
            f"{label}: expected a forward that can be traced, found: {found}"
        ) from None
    assembly = Assembly(shape)
    walk = _Walk(torch, traced, assembly)
    with torch.no_grad():
        for node in traced.graph.nodes:
            walk.follow(node)
    metadata = NetworkMetadata(name or type(module).__name__, picture_shape(shape))
    network = assembly.finish(metadata)
    try:
        return verified(network, before(assembly.end, _source(torch, twin, shape)))
    except InputError as error:
        raise InputError(f"{label}: {error}") from error


def _source(torch: Any, module: Any, shape: tuple[int, ...]) -> Source:
    """The module as what the network is compared with."""
    tensors = (*module.parameters(), *module.buffers())
    first = next((tensor for tensor in tensors if tensor.is_floating_point()), None)
    kind, device = (torch.float32, "cpu") if first is None else (first.dtype, first.device)

    def run(inputs: NDArray[np.float32]) -> Any:
        with torch.no_grad():
            outputs = module(torch.from_numpy(inputs).to(device, kind).reshape(-1, *shape))
        return outputs.to("cpu", torch.float64).numpy()

    return Source("the PyTorch module", f"torch {torch.__version__}", run)


@dataclass(frozen=True)
class _Values:
    """The values that the chain has at a node, of this shape without the batch."""

    shape: tuple[int, ...]


class _Walk:
    """A traced forward that is followed from its input to its output."""

    def __init__(self, torch: Any, traced: Any, assembly: Assembly) -> None:
        self._torch, self._traced, self._assembly = torch, traced, assembly
        self._found: dict[Any, Any] = {}
        self._last: Any = None

    def follow(self, node: Any) -> None:
        """Take one node of the graph.

        Raises:
            InputError: it cannot be represented.
        """
        if node.op == "placeholder":
            self._placeholder(node)
        elif node.op == "get_attr":
            self._found[node] = operator.attrgetter(node.target)(self._traced)
        elif node.op == "output":
            if node.args[0] is not self._last:
                raise InputError(
                    "output: expected the end of the chain alone, found something else"
                )
        else:
            try:
                self._found[node] = self._call(node)
            except (InputError, TypeError, ValueError, RuntimeError, KeyError) as error:
                found = str(error).partition("\n")[0]
                raise InputError(
                    f"node '{shown(node.name)}' ({self._word(node)}): {found}"
                ) from error

    def _placeholder(self, node: Any) -> None:
        """The input comes first; other arguments have their defaults."""
        if self._last is None:
            self._last, self._found[node] = node, _Values(self._assembly.shape)
        elif node.args:
            self._found[node] = node.args[0]
        else:
            raise InputError(f"forward: expected one argument, found '{shown(node.name)}' as well")

    def _call(self, node: Any) -> Any:
        """What a call gives: a constant, or the values one step on."""
        name = _name_of(node, self._traced)
        used = [each for each in node.all_input_nodes if isinstance(self._found[each], _Values)]
        if not used:
            return self._computed(node, lambda each: self._found[each])
        if name in _QUERIES or (name == "getattr" and node.args[1] in _QUERIES):
            return self._computed(node, self._stand_in)
        if used != [self._last]:
            raise InputError(
                "expected a chain in which every step reads what the one before it gave; a branch "
                "or a sum of two branches cannot be read"
            )
        self._step(node, name)
        self._last = node
        return _Values(self._assembly.shape)

    def _step(self, node: Any, name: str) -> None:
        """Add what a node does to the assembly."""
        if name in _SHAPES or name in _SHAPE_MODULES:
            made = self._computed(node, self._stand_in)
            if made.dim() < 2 or made.shape[0] != 1:
                raise InputError("expected a shape that keeps the batch axis")
            self._assembly.reshape(tuple(made.shape[1:]))
        elif name in _ARITHMETIC or name == "neg":
            self._arithmetic(name, node)
        elif name in _ENDS.values():
            self._softmax(node, name)
        elif name in OPERATIONS:
            OPERATIONS[name].apply(self._settings(node, name), self._assembly)
        elif name not in _NOTHING:
            known = ", ".join((*MODULES, *_SHAPE_MODULES, *_ENDS))
            raise InputError(
                f"expected one of {known} or their functions; replace it by some of them"
            )

    def _settings(self, node: Any, name: str) -> dict[str, Any]:
        """Settings of a module by its attributes, of a call by its arguments."""
        names = OPERATIONS[name].names
        if node.op == "call_module":
            module = self._traced.get_submodule(node.target)
            extra = ("padding", "padding_mode", "value")
            return {key: getattr(module, key) for key in (*names, *extra) if hasattr(module, key)}
        args, kwargs = self._arguments(node)
        rest = args[1:]
        if name == "permute" and rest and isinstance(rest[0], int):
            rest = [rest]
        return {**dict(zip(names, rest, strict=False)), **kwargs}

    def _arithmetic(self, name: str, node: Any) -> None:
        """The values and a constant."""
        if name == "neg":
            return self._assembly.combine("*", np.array(-1.0))
        args, kwargs = self._arguments(node)
        args += [kwargs[key] for key in ("other",) if key in kwargs]
        if kwargs.get("rounding_mode") is not None or kwargs.get("alpha", 1) != 1 or len(args) != 2:
            raise InputError("expected plain arithmetic with one constant")
        first = isinstance(args[0], _Values)
        return self._assembly.combine(_ARITHMETIC[name], numbers(args[1 if first else 0]), first)

    def _softmax(self, node: Any, name: str) -> None:
        """Only at the end, over all values."""
        if node.op == "call_module":
            axis = self._traced.get_submodule(node.target).dim
        else:
            args, kwargs = self._arguments(node)
            axis = kwargs.get("dim", args[1] if len(args) > 1 else None)
        if axis not in (1, -1, None):
            raise InputError(f"dim: expected 1, the classes, found {shown(axis)}")
        self._assembly.softmax(name.replace("_", "-"))

    def _arguments(self, node: Any) -> tuple[list[Any], dict[str, Any]]:
        """Arguments with constants in place of nodes; the values come first unless told."""
        args, kwargs = (
            self._mapped(each, lambda n: self._found[n]) for each in (node.args, node.kwargs)
        )
        first = [kwargs.pop("input")] if "input" in kwargs else []
        return [*first, *args], kwargs

    def _mapped(self, values: Any, change: Any) -> Any:
        return self._torch.fx.node.map_arg(values, change)

    def _stand_in(self, node: Any) -> Any:
        """A constant, or a tensor without numbers, of a batch of one, for the values."""
        found = self._found[node]
        if not isinstance(found, _Values):
            return found
        return self._torch.empty((1, *found.shape), device="meta")

    def _computed(self, node: Any, change: Any) -> Any:
        """What PyTorch computes at a node."""
        args, kwargs = self._mapped(node.args, change), self._mapped(node.kwargs, change)
        if node.op == "call_method":
            return getattr(args[0], node.target)(*args[1:], **kwargs)
        target = (
            self._traced.get_submodule(node.target) if node.op == "call_module" else node.target
        )
        return target(*args, **kwargs)

    def _word(self, node: Any) -> str:
        """What a node calls, as its module says it."""
        if node.op == "call_module":
            return shown(type(self._traced.get_submodule(node.target)).__name__)
        return shown(getattr(node.target, "__name__", node.target))


def _name_of(node: Any, traced: Any) -> str:
    """Name of the operation of a node, or what it is called where there is none."""
    if node.op == "call_method":
        return str(node.target).rstrip("_")
    if node.op == "call_function":
        return _functions().get(node.target, "")
    kind = type(traced.get_submodule(node.target))
    if not kind.__module__.startswith("torch.nn."):
        return ""
    return MODULES.get(kind.__name__, _ENDS.get(kind.__name__, kind.__name__))


@cache
def _functions() -> dict[Any, str]:
    """Names of operations by the functions of PyTorch and Python that do them."""
    torch: Any = import_module("torch")
    plain = ("relu", *_ARITHMETIC, "neg", *_SHAPES, *_ENDS.values(), "permute", "conv2d")
    places = {
        torch: plain,
        operator: (*_ARITHMETIC, "neg"),
        torch.nn.functional: (*OPERATIONS, *plain),
    }
    found: dict[Any, str] = {getattr: "getattr", torch.true_divide: "div"}
    for place, names in places.items():
        for name in names:
            for spelled in (name, f"{name}_", f"i{name}"):
                if hasattr(place, spelled):
                    found[getattr(place, spelled)] = name
    return found
