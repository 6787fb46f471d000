"""PyTorch files (the extra ``torch``): state dicts in the zip format (PyTorch 1.6 and later).

No object of a file is ever made: ``torch.load(weights_only=True)`` is asked where the tensors lie
(on the device ``meta``, which takes no memory), what it says is compared with the records of the
zip file, and the numbers are read from there. What was read is run beside PyTorch's own functions
on the tensors that ``torch.load`` gives.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from reluopt.errors import InputError, shown
from reluopt.files import open_input
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.readers import ReaderOptions
from reluopt.networks.readers.agreement import Source, verified
from reluopt.networks.readers.architecture import Step, input_shape_of, parse_architecture
from reluopt.networks.readers.archives import stored_members
from reluopt.networks.readers.chain import numbers_of, pair_tensors
from reluopt.networks.readers.frameworks import framework
from reluopt.networks.readers.state_dict import StateDict, read_foreign
from reluopt.networks.tensor_files import FLOAT_BYTES, TensorFile, TensorInfo

_EXPECTED = "a PyTorch file"
_TYPES = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16"}


def read(path: Path, options: ReaderOptions) -> ReLUNetwork:
    """Read a network; see :func:`reluopt.networks.loading.load_network`.

    Raises:
        EngineUnavailableError: PyTorch is not installed.
    """
    torch: Any = framework("torch", "PyTorch files", "torch")
    with open_input(path, _EXPECTED) as (stream, size):
        records = _records(stream, size, path)
        places = _state_dict(torch, stream, "meta", path)
        infos = {name: _info(each, name, records, path) for name, each in places.items()}
    if sum(info.size for info in infos.values()) > size:
        raise InputError(f"{path}: expected tensors that share no numbers, found some that do")
    shapes = {name: info.shape for name, info in infos.items()}
    network = read_foreign(StateDict(path, shapes, TensorFile(path, infos, {}).read), options)
    with open_input(path, _EXPECTED) as (stream, _):
        tensors = _state_dict(torch, stream, "cpu", path)
    try:
        return verified(network, _source(torch, network, tensors))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _records(stream: BinaryIO, size: int, path: Path) -> Mapping[int, int]:
    """Sizes of the records of a file by the byte where each begins."""
    members = stored_members(stream, size, path, _EXPECTED)
    for name, member in members.items():
        stream.seek(member.start)
        if name.endswith("/byteorder") and stream.read(member.size) != b"little":
            raise InputError(f"{path}: expected little-endian numbers, found others")
    return {member.start: member.size for member in members.values()}


def _state_dict(torch: Any, stream: BinaryIO, device: str, path: Path) -> dict[str, Any]:
    """The tensors of a file on a device: its own, or those of the one state dict inside."""
    stream.seek(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of unusual pickles, which are refused or read
            found = torch.load(stream, map_location=device, weights_only=True)
    except Exception as error:  # whatever a damaged pickle makes of itself
        raise InputError(
            f"{path}: expected a state dict, torch.save(module.state_dict(), path), found what "
            f"cannot be read as tensors alone ({type(error).__name__}); reluopt.from_torch takes "
            "the module itself"
        ) from None
    inner = (
        [each for each in found.values() if _is_state_dict(torch, each)]
        if (isinstance(found, dict))
        else []
    )
    if not _is_state_dict(torch, found) and len(inner) == 1:
        found = inner[0]
    if not _is_state_dict(torch, found):
        raise InputError(
            f"{path}: expected a state dict of tensors by name, found "
            f"{shown(type(found).__name__)} with {len(inner)} of them inside"
        )
    return dict(found)


def _is_state_dict(torch: Any, found: Any) -> bool:
    return (
        isinstance(found, dict)
        and len(found) > 0
        and all(isinstance(name, str) for name in found)
        and all(isinstance(each, torch.Tensor) for each in found.values())
    )


def _info(tensor: Any, name: str, records: Mapping[int, int], path: Path) -> TensorInfo:
    """Where the numbers of a tensor lie, if they lie where its file says."""
    label = f"{path}: tensor '{shown(name)}'"
    kind = _TYPES.get(str(tensor.dtype).removeprefix("torch."), str(tensor.dtype))
    if kind not in FLOAT_BYTES:
        raise InputError(f"{label}: expected one of {', '.join(_TYPES)}, found {shown(kind)}")
    try:
        storage = tensor.untyped_storage()
        start, first, contiguous = (
            getattr(storage, "_checkpoint_offset", None),
            tensor.storage_offset() * FLOAT_BYTES[kind],
            tensor.is_contiguous(),
        )
    except (RuntimeError, NotImplementedError, AttributeError):  # sparse, quantised
        contiguous = False
    if not contiguous:
        raise InputError(f"{label}: expected a plain tensor; tensor.contiguous() makes one")
    if start is None:
        raise InputError(
            f"{label}: expected a place in the file, found none: it has no numbers, or PyTorch is "
            "too old to tell (pip install -U torch)"
        )
    length = FLOAT_BYTES[kind] * tensor.numel()
    if records.get(start) != storage.nbytes() or first < 0 or first + length > storage.nbytes():
        raise InputError(f"{label}: expected {length} bytes in the file, found others")
    return TensorInfo(kind, tuple(tensor.shape), start + first, length)


def _source(torch: Any, network: ReLUNetwork, tensors: Mapping[str, Any]) -> Source:
    """PyTorch's functions, one after the other as the architecture says."""
    steps, chosen = _plan(network, tensors)
    image = input_shape_of(steps, network.input_shape)

    def run(inputs: NDArray[np.float32]) -> Any:
        left = list(chosen)
        values = torch.from_numpy(inputs).reshape(-1, *image)
        with torch.no_grad():
            for i, step in enumerate(steps):
                values = _step(torch.nn.functional, step, values, left)
                leaky = i + 1 < len(steps) and steps[i + 1].kind == "leaky"
                if step.kind in ("conv", "fc") and left and not leaky:
                    values = torch.relu(values)
        return values.numpy()

    return Source("PyTorch's functions on the tensors", f"torch {torch.__version__}", run)


def _plan(network: ReLUNetwork, tensors: Mapping[str, Any]) -> tuple[tuple[Step, ...], list[Any]]:
    """Steps of the architecture or of the chain, and weights and biases in this order."""
    recipe = network.metadata.recipe
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    pairs = pair_tensors(shapes, convolutions=True)
    if "inferred" in recipe:
        told = recipe["inferred"]
        bias = dict(pairs.values())
        across = told["orientation"] == "in x out"
        found = [(tensors[w].float(), tensors[bias[w]].float()) for w in told["tensors"]]
        chain = [(w.T if across else w, b) for w, b in found]
        return tuple(Step("fc", tuple(w.shape)[::-1]) for w, _ in chain), chain
    steps = parse_architecture(recipe["architecture"])
    ordered = [pairs[key] for key in sorted(pairs, key=numbers_of)]
    chosen = []
    for step in steps:
        if step.kind in ("conv", "fc"):
            shape = step.sizes if step.kind == "conv" else step.sizes[::-1]
            pair = next(pair for pair in ordered if shapes[pair[0]] == shape)
            ordered.remove(pair)
            chosen.append((tensors[pair[0]].float(), tensors[pair[1]].float()))
    return steps, chosen


def _step(functional: Any, step: Step, values: Any, left: list[Any]) -> Any:
    """One step in PyTorch; what it takes leaves ``left``."""
    match step.kind:
        case "conv":
            weight, bias = left.pop(0)
            values, pads = _padded(functional, values, step, 0.0)
            return functional.conv2d(values, weight, bias, step.stride or 1, pads)
        case "fc":
            weight, bias = left.pop(0)
            return functional.linear(values.flatten(1), weight, bias)
        case "leaky":
            return functional.leaky_relu(values, step.slope)
        case "flatten":
            return values.permute(0, 2, 3, 1).flatten(1) if step.order == "hwc" else values
        case "maxpool":
            values, pads = _padded(functional, values, step, -np.inf)
            return functional.max_pool2d(values, step.sizes[0], step.stride or None, pads)
        case _:  # the mean of what is no padding
            size, stride = step.sizes[0], step.stride or None
            ones = values.new_ones(values.shape)
            (values, pads), (ones, _) = (_padded(functional, v, step, 0.0) for v in (values, ones))
            sums, counts = (functional.avg_pool2d(v, size, stride, pads) for v in (values, ones))
            return sums / counts


def _padded(functional: Any, values: Any, step: Step, fill: float) -> tuple[Any, int]:
    """Values with what ``same`` pads, and what the function itself must pad."""
    if step.padding is not None:
        return values, step.padding
    sizes = step.sizes[2:] or step.sizes * 2
    pads: list[int] = []
    for side, size in zip(values.shape[:1:-1], sizes[::-1], strict=True):
        stride = step.stride or (1 if step.kind == "conv" else size)
        missing = size - (stride if side % stride == 0 else side % stride)
        pads += [max(missing, 0) // 2, max(missing, 0) - max(missing, 0) // 2]
    return functional.pad(values, pads, value=fill), 0
