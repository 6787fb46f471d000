"""MATLAB files (version 5 to 7) with the weights of a network, as MIPVerify.jl keeps them.

Variables are called ``fc1/weight``, ``fc1/bias``, ``conv1/weight``, ``logits/bias`` and the like.
Matrices are in x out, filters rows x columns x channels in x channels out; biases may have a first
axis of length 1. An architecture (:mod:`.architecture`) puts them together; dense layers alone need
none. What MIPVerify calls

* ``Conv2d`` with ``SamePadding()``, its default, is ``psame``, ``ValidPadding()`` is no padding;
* ``MaxPool((1, 2, 2, 1))`` is ``maxpool2``; a last window that does not fit counts, as there;
* ``Flatten(4)`` is ``flatten-hwc``, and ``Flatten([1, 3, 2, 4])``, which networks from PyTorch
  need, ``flatten-chw``: Julia runs through the first axis first. Which one it is must be told where
  an image of several channels is flattened.

Pixels of images are rows, then columns, in both. Source: ``src/utils/import_weights.jl``,
``src/net_components/layers`` and ``src/utils/import_example_nets.jl`` of
https://github.com/vtjeng/MIPVerify.jl.
"""

from __future__ import annotations

import io
import math
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from reluopt.errors import InputError, shown
from reluopt.files import open_input
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.readers import ReaderOptions
from reluopt.networks.readers.agreement import NOTHING, told
from reluopt.networks.readers.architecture import Step
from reluopt.networks.readers.state_dict import StateDict, read_foreign
from reluopt.numerics.arrays import FloatArray

FREE_BYTES = 2**24
"""Bytes that any file may unpack to, beyond three times its own."""

_EXPECTED = "a MATLAB file"
_NUMBERS = ("double", "single", "int8", "uint8", "int16", "uint16", "int32", "uint32")
_HEADER = 128
"""Bytes before the first variable; bytes 124 and 125 hold the version."""


def read(path: Path, options: ReaderOptions) -> ReLUNetwork:
    """Read a network; see :func:`reluopt.networks.loading.load_network`."""
    with open_input(path, _EXPECTED) as (stream, _):
        try:
            arrays = _arrays(stream.read())
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
    source = StateDict(path, {n: a.shape for n, a in arrays.items()}, lambda: arrays)
    network = read_foreign(source, options, _as_mipverify)
    return told(network, "a MATLAB file", NOTHING)


def _arrays(data: bytes) -> dict[str, FloatArray]:
    """The variables, in the order of axes that networks have here."""
    reader: Any = import_module("scipy.io")
    if len(data) < _HEADER or data[124:126] not in (b"\0\1", b"\1\0"):
        raise InputError("expected a MATLAB file of version 5 to 7; save('net.mat', '-v7') is one")
    try:
        listed = reader.whosmat(io.BytesIO(data))
    except Exception as error:  # whatever a damaged file leads to
        raise _damaged(error) from None
    names = [name for name, _, _ in listed]
    for name, shape, kind in listed:
        if kind not in _NUMBERS or len(set(names)) != len(names):
            raise InputError(
                f"variable '{shown(name)}': expected one array of numbers, found {shown(kind)}"
            )
        if len(shape) not in (2, 4) or 0 in shape:
            raise InputError(
                f"variable '{shown(name)}': expected two or four axes, found shape {shape}"
            )
    if sum(8 * math.prod(shape) for _, shape, _ in listed) > 3 * len(data) + FREE_BYTES:
        raise InputError(f"expected numbers of {len(data)} bytes, found claims of far more")
    try:
        found = reader.loadmat(io.BytesIO(data), variable_names=names, struct_as_record=True)
    except Exception as error:
        raise _damaged(error) from None
    del data
    return {name: _ordered(name, found.pop(name)) for name in names if name in found}


def _damaged(error: Exception) -> InputError:
    found = shown(str(error).strip().partition("\n")[0] or type(error).__name__)
    return InputError(f"expected {_EXPECTED}, found a damaged one: {found}")


def _ordered(name: str, values: Any) -> FloatArray:
    """A matrix out x in, filters channels out x in x rows x columns, or a vector."""
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiu":
        raise InputError(f"variable '{shown(name)}': expected real numbers, found others")
    array = values.astype(np.float64)
    if array.ndim == 4:
        return array.transpose(3, 2, 0, 1)
    if name.rpartition("/")[2] == "bias":
        return array.ravel() if 1 in array.shape else array
    return array.T


def _as_mipverify(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Steps as MIPVerify means them.

    Raises:
        InputError: the order in which an image is flattened is not told.
    """
    channels, flattened = 1, False
    for step in steps:
        if step.kind == "conv":
            channels = step.sizes[0]
        flattened |= step.kind == "flatten"
        if step.kind == "fc" and channels > 1 and not flattened:
            raise InputError(
                "architecture: expected flatten-hwc, MIPVerify's Flatten(4), or flatten-chw, its "
                "Flatten([1, 3, 2, 4]), before the first dense layer, found neither"
            )
    return tuple(replace(step, ceil=step.kind == "maxpool") for step in steps)
