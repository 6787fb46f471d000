"""Imports are run beside what they come from, and disagreement is an error.

Half of the random inputs lie in the box of usual inputs (pixels from 0 to 1), where questions are
asked, and half around it, where a wrong sign, a clipped value or a lost padding shows up that the
box may hide. The two halves are judged apart, since outputs far outside are larger.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from reluopt.errors import InputError, NoteWarning
from reluopt.networks.layers.base import Layer
from reluopt.networks.layers.chain import Chain
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray

AGREEMENT = 1e-4
"""Largest difference from the source's outputs, relative to the largest of them: it computes in
float32, whose unit is 6e-8, over sums of up to some thousand terms."""

INPUTS = 64
"""Random inputs on which both are run."""

CHUNK_VALUES = 2**21
"""Values (inputs times the most values of a layer) that are run at once, 16 MB."""

IMPORTED = "imported"
"""Where a network's recipe says what it was read from, and how well it agreed."""

NOTHING = "nothing to compare with"
"""In place of an agreement, where there is no model that could be run."""

Run: TypeAlias = Callable[[NDArray[np.float32]], Any]
"""Outputs, shape ``(batch, ...)``, of inputs ``(batch, n_0)`` in float32 numbers."""


@dataclass(frozen=True)
class Agreement:
    """How well a network agrees with its source.

    Attributes:
        difference: largest difference of two outputs.
        largest: largest output there.
        inputs: how many inputs were tried.
        framework: what was run beside it, with its version.
    """

    difference: float
    largest: float
    inputs: int
    framework: str

    @property
    def holds(self) -> bool:
        """Whether both are the same up to float32 rounding; NaN and infinity are no agreement."""
        small = self.difference <= AGREEMENT * max(self.largest, 1e-30)
        return small and math.isfinite(self.largest)

    def __str__(self) -> str:
        return (
            f"largest difference {self.difference:.1e} of outputs up to {self.largest:.3g}, "
            f"{self.inputs} random inputs, {self.framework}"
        )


@dataclass(frozen=True)
class Source:
    """What a network was read from.

    Attributes:
        kind: in words, such as "a PyTorch module".
        framework: what runs it, with its version.
        run: its outputs.
        centre, spread: middle and half width of the box of usual inputs, for each input or for all.
        finish: what stands behind the network's logits in the source, such as a softmax; applied to
            the logits, it must give what the source gives.
        notes: what was left out or made different without changing an answer.
    """

    kind: str
    framework: str
    run: Run
    centre: FloatArray | float = 0.5
    spread: FloatArray | float = 0.5
    finish: Callable[[FloatArray], FloatArray] = np.asarray
    notes: tuple[str, ...] = ()


def verified(network: ReLUNetwork, source: Source) -> ReLUNetwork:
    """The network, with its agreement told in its recipe (:data:`IMPORTED`).

    Raises:
        InputError: it does not agree with its source.

    Warns:
        NoteWarning: of every note of the source.
    """
    agreement = compare(network, source)
    if not agreement.holds:
        raise InputError(f"expected the outputs of {source.kind}, found a {agreement}")
    for note in source.notes:
        warnings.warn(NoteWarning(note), stacklevel=2)
    return told(network, source.kind, str(agreement), source.notes)


def told(
    network: ReLUNetwork, kind: str, agreement: str, notes: tuple[str, ...] = ()
) -> ReLUNetwork:
    """The network, with a recipe that says what it was read from, and compared with what."""
    about = {"from": kind, "agreement": agreement, "notes": list(notes)}
    recipe = {**network.metadata.recipe, IMPORTED: about}
    return replace(network, metadata=replace(network.metadata, recipe=recipe))


def compare(network: ReLUNetwork, source: Source) -> Agreement:
    """Run both on random inputs.

    Returns:
        The worse of the agreements inside and outside of the box.
    """
    random = np.random.default_rng(0)
    inside = random.uniform(-1.0, 1.0, (INPUTS // 2, network.input_size))
    around = random.normal(0.0, 3.0, inside.shape)
    worst = None
    for rows in (inside, around):
        inputs = (source.centre + source.spread * rows).astype(np.float32)
        difference = largest = 0.0
        for expected, found in _outputs(network, source, inputs):
            # `maximum` keeps NaN, which `max` may lose.
            difference = float(np.maximum(difference, np.abs(found - expected).max()))
            largest = float(np.maximum(largest, np.abs(expected).max()))
        agreement = Agreement(difference, largest, INPUTS, source.framework)
        if not agreement.holds:
            return agreement
        if worst is None or difference * worst.largest > worst.difference * largest:
            worst = agreement
    assert worst is not None
    return worst


def _outputs(
    network: ReLUNetwork, source: Source, inputs: NDArray[np.float32]
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Outputs of both, a few inputs at a time.

    Raises:
        InputError: the source gives another number of outputs.
    """
    count = max(1, CHUNK_VALUES // max(map(_most_values, network.layers)))
    for start in range(0, len(inputs), count):
        chunk = inputs[start : start + count]
        with np.errstate(all="ignore"):  # what is no number fails by itself
            expected = np.asarray(source.run(chunk), dtype=np.float64).reshape(len(chunk), -1)
            found = source.finish(network.forward(chunk.astype(np.float64)))
        if expected.shape != found.shape:
            raise InputError(
                f"expected {expected.shape[1]} outputs as {source.kind} gives, found "
                f"{found.shape[1]}"
            )
        yield expected, found


def _most_values(layer: Layer) -> int:
    """The most values that a layer has at once for an input."""
    if isinstance(layer, Chain):
        return max(map(_most_values, layer.parts))
    windows = getattr(layer, "windows", None)
    taken = 0 if windows is None else math.prod((*windows.kernel, *windows.output_sides))
    taken *= 1 if windows is None else windows.input_shape[0]
    return max(layer.input_size, layer.output_size, taken)


def before(end: str, source: Source) -> Source:
    """A source whose last step is left out of the network: logarithms are compared.

    Args:
        end: ``softmax``, ``log-softmax``, or nothing.
        source: with outputs behind it.
    """
    if not end:
        return source
    logs, run = _LOGS[end], source.run
    return replace(
        source,
        run=lambda inputs: logs(np.asarray(run(inputs), dtype=np.float64)),
        finish=_log_probabilities,
        notes=(*source.notes, NOTE.format(end)),
    )


NOTE = (
    "the {} at the end is left out: it keeps the order of the classes, so that answers are the "
    "same; margins are of logits"
)


def left_out(network: ReLUNetwork) -> str | None:
    """What a reader left out behind the network's logits: ``softmax``, ``log-softmax`` or None."""
    notes = network.metadata.recipe.get(IMPORTED, {}).get("notes", ())
    return next((end for end in _LOGS if NOTE.format(end) in notes), None)


LEAST_LOG = -60.0
"""Logarithms of probabilities below this are not compared: float32 ends at -87."""


def _log_probabilities(logits: FloatArray) -> FloatArray:
    """Logarithms of the probabilities that a softmax makes of logits."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return _cut_off(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def _cut_off(logs: FloatArray) -> FloatArray:
    return np.asarray(np.maximum(logs, LEAST_LOG))


def _logs(probabilities: FloatArray) -> FloatArray:
    return np.asarray(np.log(np.maximum(probabilities, np.exp(LEAST_LOG))))


_LOGS: Mapping[str, Callable[[FloatArray], FloatArray]] = {
    "softmax": _logs,
    "log-softmax": _cut_off,
}
