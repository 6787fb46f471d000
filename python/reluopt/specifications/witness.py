"""Counterexamples as the competition checks them: float32 inputs, outputs by onnxruntime."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluopt.networks.network import ReLUNetwork
from reluopt.networks.readers.agreement import IMPORTED
from reluopt.numerics.arrays import FloatArray
from reluopt.specifications.normal_form import Region
from reluopt.specifications.specification import Specification

LEAD = 1e-5
"""Lead of outputs that is sought, relative to the largest of them: float32 sums of a thousand terms
differ by this much between versions and settings of onnxruntime."""

PUSHES = (0.0, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
"""Steps towards more slack that are tried, relative to the width of the box in each input."""


@dataclass(frozen=True, eq=False)
class Replay:
    """What computes the outputs that count.

    Attributes:
        kind: floating-point type of its inputs.
        outputs: shape ``(n_K,)`` of inputs ``(n_0,)`` of that type.
    """

    kind: type[np.floating[Any]]
    outputs: Callable[[NDArray[Any]], FloatArray]


def replay_of(network: ReLUNetwork, path: Path) -> Replay:
    """The ONNX file that a network was read from, else the network on float32 inputs."""
    if network.metadata.recipe.get(IMPORTED, {}).get("from") == "the ONNX file":
        from reluopt.networks.readers.onnx import replay

        return Replay(*replay(path))
    return Replay(np.float32, network.forward)


@dataclass(frozen=True, eq=False)
class Witness:
    """A counterexample, or what the replay does not confirm as one.

    Attributes:
        inputs: shape ``(n_0,)``, as they are told.
        outputs: shape ``(n_K,)``, of the replay on these inputs in its own type.
        exact: whether all comparisons hold of both, without any tolerance. If not, they hold of the
            float64 network's outputs alone.
    """

    inputs: FloatArray
    outputs: FloatArray
    exact: bool


def witness(
    specification: Specification,
    region: Region,
    network: ReLUNetwork,
    replay: Replay,
    image: FloatArray,
) -> Witness | None:
    """A counterexample at ``image`` or near it, else one of the float64 network alone, or None.

    Args:
        specification: what must hold.
        region: where ``image`` lies.
        network: the network that is replayed.
        replay: what computes the outputs.
        image: shape ``(n_0,)``; it meets an alternative of the region, perhaps up to rounding.
    """
    exact = close = None
    for point in _pushed(region, network, image):
        inputs = _representable(point, region, replay.kind)
        seen = inputs.astype(replay.kind)
        outputs = np.ravel(replay.outputs(seen)).astype(np.float64)
        lead = LEAD * float(np.abs(outputs).max())
        both = (seen.astype(np.float64), inputs)  # differ where the box holds no float32 number
        if any(specification.holds(each, outputs, lead=lead) for each in both):
            return Witness(inputs, outputs, True)
        if exact is None and any(specification.holds(each, outputs) for each in both):
            exact = Witness(inputs, outputs, True)
        if close is None and any(
            specification.holds(each, network.forward(each)) for each in (inputs, point)
        ):
            close = Witness(inputs, outputs, False)
    return exact or close


def _pushed(region: Region, network: ReLUNetwork, image: FloatArray) -> Iterator[FloatArray]:
    """The image, then steps along the gradient of the smallest slack of its best alternative."""
    box = region.box
    yield box.clip(image)
    logits = network.forward(image)
    slacks = [each.slack(logits) for each in region.alternatives]
    best = int(np.argmax([slack.min(initial=np.inf) for slack in slacks]))
    if not slacks[best].size:
        return
    row = region.alternatives[best].matrix[int(np.argmin(slacks[best]))]
    direction = np.sign(network.gradient(image, row)) * (box.upper - box.lower)
    for size in PUSHES[1:]:
        yield box.clip(image + size * direction)


def _representable(point: FloatArray, region: Region, kind: type[np.floating[Any]]) -> FloatArray:
    """The nearest numbers of a type that lie in the box; where it holds none, of float64."""
    lower, upper = region.box.lower, region.box.upper
    near = point.astype(kind)
    near = np.where(near.astype(np.float64) < lower, np.nextafter(near, kind(np.inf)), near)
    near = np.where(near.astype(np.float64) > upper, np.nextafter(near, kind(-np.inf)), near)
    values = near.astype(np.float64)
    return np.where((lower <= values) & (values <= upper), values, point)
