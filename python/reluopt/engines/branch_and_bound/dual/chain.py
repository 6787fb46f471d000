"""A network over a domain (:mod:`.domains`), with the neurons that matter.

Neurons that are inactive over the domain are left out. What is left is kept in float64, for bounds
that are theorems (:mod:`.certificate`), and in float32, for the search.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from reluopt.engines.branch_and_bound.dual.domains import Domain
from reluopt.engines.branch_and_bound.dual.products import flattened
from reluopt.engines.branch_and_bound.dual.sparse import (
    Nonzeros,
    SparseLayers,
    nonzeros,
    product,
    sparse_layers,
)
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import (
    ByteMatrix,
    FloatArray,
    FloatMatrix,
    IntArray,
    SingleArray,
    SingleMatrix,
)
from reluopt.numerics.rounding import ROUNDOFF, gamma

FEW_ENTRIES = 0.2
"""Where more entries of rows are not zero, BLAS is as fast for any matrix."""


@dataclass(frozen=True, eq=False)
class Layer:
    """The neurons of one layer that may be active, or the logits.

    Attributes:
        weight: shape ``(n_k, n_{k-1})``; of the first layer in coordinates of the domain.
        bias: shape ``(n_k,)``; of the first layer its values at their origin.
        magnitudes: at least ``|W| X + |b|`` with X the largest values that the layer reads.
        lower, upper: bounds of the pre-activations; infinite where nothing is known.
        places: which neurons of the network's layer these are.
    """

    weight: FloatMatrix
    bias: FloatArray
    magnitudes: FloatArray
    lower: FloatArray
    upper: FloatArray
    places: np.ndarray[tuple[int], np.dtype[np.intp]]

    @property
    def undecided(self) -> NDArray[np.int64]:
        """Neurons whose bounds have both signs."""
        return np.flatnonzero((self.lower < 0.0) & (self.upper > 0.0))

    @cached_property
    def single(self) -> SingleMatrix:
        """The weights in float32."""
        return np.ascontiguousarray(self.weight, dtype=np.float32)

    @cached_property
    def nonzeros(self) -> Nonzeros | None:
        """Of the weights, where these are sparse."""
        return nonzeros(self.weight)

    def tightened(self, lower: FloatArray, upper: FloatArray) -> Layer:
        """The layer with other bounds; what is known of its weights stays."""
        made = replace(self, lower=lower, upper=upper)
        known = {name: self.__dict__[name] for name in _OF_WEIGHTS if name in self.__dict__}
        made.__dict__.update(known)
        return made

    def below(self, rows: FloatMatrix) -> FloatMatrix:
        """``rows @ weight``, with at most so many roundings as a sum of the layer's size has."""
        found: FloatMatrix
        if self.nonzeros is None or np.count_nonzero(rows) > FEW_ENTRIES * rows.size:
            found = rows @ self.weight
        else:
            found = product(rows, self.nonzeros, self.weight.shape[1])
        return found

    @cached_property
    def single_bias(self) -> SingleArray:
        """The biases in float32."""
        return self.bias.astype(np.float32)


@dataclass(frozen=True, eq=False)
class Step:
    """How some neurons of a layer were bounded: all that it takes to do it again.

    Attributes:
        layer: which, counted from 0.
        neurons: of that layer, shape ``(rows,)``.
        signs: 1 where ``a`` was bounded from below, -1 where ``-a`` was.
        multipliers: shape ``(rows, neurons below)``.
        points: where planes were made, shape ``(rows, planes, inputs)``.
        shares: of a neuron's planes, shape ``(rows, undecided first-layer neurons, planes)``.
    """

    layer: int
    neurons: NDArray[np.int64]
    signs: NDArray[np.int8]
    multipliers: SingleMatrix
    points: NDArray[np.int8]
    shares: NDArray[np.float32]


_OF_WEIGHTS = ("single", "single_bias", "nonzeros")
"""Properties of a layer that do not depend on bounds."""

_SINGLE = ("single_slopes", "single_offsets", "flat")
"""Properties of a chain in float32."""


class Chain:
    """Layers over a domain, bounded from the first one on.

    Attributes:
        domain: where inputs come from.
        layers: those that have been bounded, and the next one.
        errors: how far a pre-activation of the first layer may be from ``weight @ s + bias``.
        steps: how the layers behind the first were bounded, if that is kept.
        whole: bounds of the layers below the last, inactive neurons included, shape ``(2, n_k)``.
    """

    def __init__(
        self,
        network: ReLUNetwork,
        domain: Domain,
        known: Sequence[FloatMatrix] = (),
        *,
        keep: bool = True,
    ) -> None:
        """Args: the network, the domain, bounds of its layers over it (all, or none), and keep."""
        self._network, self.domain, self._keep, self._known = network, domain, keep, known
        first = domain.first_layer(network)
        self.errors = first.errors
        self.layers: list[Layer] = []
        self.steps: list[Step] = []
        self.whole: list[FloatMatrix] = []
        self._append(first.weight, first.bias, first.magnitudes, first.lower, first.upper)

    def _append(
        self,
        weight: FloatMatrix,
        bias: FloatArray,
        magnitudes: FloatArray,
        lower: FloatArray,
        upper: FloatArray,
    ) -> None:
        places = np.arange(bias.size)
        self.layers.append(Layer(weight, bias, magnitudes, lower, upper, places))
        self._forget()

    def _forget(self) -> None:
        """Everything that is computed from all layers is computed anew."""
        for name in ("slopes", "offsets", "phases", "starts", *_SINGLE):
            self.__dict__.pop(name, None)

    @property
    def complete(self) -> bool:
        """Whether the logits are the last layer."""
        return len(self.layers) == len(self._network.affine_layers)

    def advance(self) -> None:
        """Leave out what is inactive in the last layer, and append the next one, unbounded."""
        whole = self.layers.pop()
        known = np.where(np.isfinite(whole.lower), whole.lower, -whole.magnitudes)
        self.whole.append(np.array([known, whole.upper]))
        below = self.restricted(whole)
        self.layers.append(below)
        layer = self._network.affine_layers[len(self.layers)]
        weight = np.ascontiguousarray(np.asarray(layer.weight)[:, below.places])
        bias = np.array(layer.bias)
        largest = np.maximum(below.upper, 0.0)
        share = 1.0 + float(gamma(weight.shape[1] + 8.0))
        magnitudes = (np.abs(weight) @ largest + np.abs(bias)) * share
        unknown = np.full(bias.size, np.inf)
        place = len(self.layers)
        given = place < len(self._known)
        ends = self._known[place] if given else np.array([-unknown, unknown])
        self._append(weight, bias, magnitudes, ends[0], ends[1])

    def restricted(self, layer: Layer) -> Layer:
        """A layer without the neurons that are inactive."""
        alive = ~(layer.upper <= 0.0)  # NaN excludes nothing
        if len(self.layers) == 0:
            self.errors = self.errors[alive]
        rows = (layer.weight[alive], layer.bias[alive], layer.magnitudes[alive])
        return Layer(*rows, layer.lower[alive], layer.upper[alive], layer.places[alive])

    def bound_last(self, step: Step, bounds: FloatArray) -> None:
        """Tighten the bounds of the last layer by what was proven of the rows of a step."""
        if self._keep:
            self.steps.append(step)
        self.tighten_last(step.neurons, step.signs, bounds)

    def tighten_last(
        self, neurons: NDArray[np.int64], signs: NDArray[np.int8], bounds: FloatArray
    ) -> None:
        """The same without a step: no proof of the chain can be kept then.

        Args:
            neurons: of the last layer.
            signs: 1 where ``a`` is at least the bound, -1 where ``-a`` is.
            bounds: proven.
        """
        last = self.layers.pop()
        lower, upper = last.lower.copy(), last.upper.copy()
        low = signs > 0
        np.maximum.at(lower, neurons[low], bounds[low])
        np.minimum.at(upper, neurons[~low], -bounds[~low])
        self.layers.append(last.tightened(lower, upper))
        self._forget()

    @property
    def hidden(self) -> Sequence[Layer]:
        """All layers but the last, which nothing stands behind."""
        return self.layers[:-1]

    @cached_property
    def starts(self) -> list[int]:
        """Where the neurons of each hidden layer begin in vectors over all, and their number."""
        return [0, *np.cumsum([layer.bias.size for layer in self.hidden]).tolist()]

    def _joined(self, parts: Sequence[FloatArray]) -> FloatArray:
        return np.concatenate([np.zeros(0), *parts])

    @cached_property
    def phases(self) -> ByteMatrix:
        """1 for neurons that are active over the domain, 0 for undecided; shape ``(neurons,)``."""
        return (self._joined([layer.lower for layer in self.hidden]) >= 0.0).astype(np.int8)

    @cached_property
    def slopes(self) -> FloatArray:
        """Slopes of the lines above undecided ReLUs, see :func:`~.rounding.chord`; 1 elsewhere."""
        lower = self._joined([layer.lower for layer in self.hidden])
        upper = self._joined([layer.upper for layer in self.hidden])
        undecided = self.phases == 0
        low, high = np.where(undecided, lower, -1.0), np.where(undecided, upper, 1.0)
        return np.where(undecided, high / (high - low), 1.0)

    @cached_property
    def offsets(self) -> FloatArray:
        """Offsets of these lines, never below what the slopes ask for."""
        lower = self._joined([layer.lower for layer in self.hidden])
        upper = self._joined([layer.upper for layer in self.hidden])
        room = np.maximum(-self.slopes * lower, (1.0 - self.slopes) * upper)
        return np.where(self.phases == 0, room * (1.0 + 8.0 * ROUNDOFF), 0.0)

    @cached_property
    def single_slopes(self) -> SingleArray:
        """Slopes for the search."""
        return self.slopes.astype(np.float32)

    @cached_property
    def single_offsets(self) -> SingleArray:
        """Offsets for the search."""
        return self.offsets.astype(np.float32)

    @cached_property
    def flat(
        self,
    ) -> tuple[IntArray, SingleArray, SingleArray, SingleArray, IntArray, SparseLayers]:
        """The layers in float32, as the first fields of :class:`.slots.Tables`."""
        sparse = sparse_layers([layer.nonzeros for layer in self.layers])
        none = np.zeros((0, 0), dtype=np.float32)
        dense = [
            layer.single if begin < 0 else none
            for layer, begin in zip(self.layers, sparse.begins, strict=True)
        ]
        sizes = [0, 0, *(weight.size for weight in dense[1:])]
        places = np.cumsum(sizes[: len(dense)])
        biases = [layer.single_bias for layer in self.layers]
        return (*flattened(dense, biases), places, sparse)
