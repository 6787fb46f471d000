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

from dataclasses import replace
from pathlib import Path

from reluopt.errors import InputError, shown
from reluopt.files import open_input
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.readers import ReaderOptions
from reluopt.networks.readers.agreement import NOTHING, told
from reluopt.networks.readers.architecture import Step
from reluopt.networks.readers.mat5 import read_arrays
from reluopt.networks.readers.state_dict import StateDict, read_foreign
from reluopt.numerics.arrays import FloatArray

_EXPECTED = "a MATLAB file"


def read(path: Path, options: ReaderOptions) -> ReLUNetwork:
    """Read a network; see :func:`reluopt.networks.loading.load_network`."""
    with open_input(path, _EXPECTED) as (stream, _):
        try:
            arrays = {name: _ordered(name, a) for name, a in read_arrays(stream.read()).items()}
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
    source = StateDict(path, {n: a.shape for n, a in arrays.items()}, lambda: arrays)
    network = read_foreign(source, options, _as_mipverify)
    return told(network, "a MATLAB file", NOTHING)


def _ordered(name: str, array: FloatArray) -> FloatArray:
    """A matrix out x in, filters channels out x in x rows x columns, or a vector."""
    if array.ndim == 4:
        return array.transpose(3, 2, 0, 1)
    if array.ndim != 2:
        raise InputError(
            f"variable '{shown(name)}': expected two or four axes, found shape {array.shape}"
        )
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
