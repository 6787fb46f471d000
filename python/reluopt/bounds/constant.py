"""Constant bounds: one big-M for every neuron, as in the thesis (Linkola 2023)."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np

from reluopt.bounds.base import BoundingMethod, PreActivationBounds
from reluopt.bounds.interval import Interval
from reluopt.deadline import NEVER, Deadline
from reluopt.errors import InputError, UnsupportedProblemError
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.input_sets import Box, InputSet

THESIS_MAGNITUDE = 1000.0
"""The thesis' ``L = -1000`` and ``U = 1000``, the same for every neuron."""


@dataclass(frozen=True)
class Constant(BoundingMethod):
    """Bounds ``-magnitude <= a <= magnitude`` for every neuron, the logits included.

    They are a convention and no theorem: nothing is computed, so they hold only where
    :meth:`refuse_untrue` passes. MNIST-sized networks on [0, 1] stay far below 1000.

    Attributes:
        magnitude: the big-M constant, > 0.

    Raises:
        InputError: ``magnitude`` is not a positive number.
    """

    name = "thesis"
    magnitude: float = THESIS_MAGNITUDE

    def __post_init__(self) -> None:
        if not (math.isfinite(self.magnitude) and self.magnitude > 0.0):
            raise InputError(f"big-M: expected a number > 0, found {self.magnitude}")

    def _bounds(
        self, network: ReLUNetwork, inputs: InputSet, deadline: Deadline
    ) -> PreActivationBounds:
        upper = tuple(np.full(size, self.magnitude) for size in network.sizes[1:])
        return PreActivationBounds(tuple(-values for values in upper), upper, self.name)

    def refuse_untrue(self, network: ReLUNetwork, box: Box, deadline: Deadline = NEVER) -> None:
        """Refuse the constant where it is not proven; proofs are kept by network and box.

        Raises:
            UnsupportedProblemError: a pre-activation may leave the bounds, or the deadline passed
                before it was proven that none does.
            InputError: interval bounds overflow.
        """
        exceeding = self.exceeding(network, box, deadline)
        if exceeding:
            late = ", or a longer time limit (it ran out)" if deadline.passed else ""
            hint = "use other bounds (--bounds interval, linear or lp)"
            raise UnsupportedProblemError(f"{exceeding}; {hint}{late}")

    def exceeding(self, network: ReLUNetwork, box: Box, deadline: Deadline = NEVER) -> str:
        """Why the constant is not proven over a box; an empty text if it is.

        Raises:
            InputError: interval bounds overflow.
        """
        digest = hashlib.sha256(box.lower.tobytes() + box.upper.tobytes()).hexdigest()
        key = (network.fingerprint, digest, self.magnitude)
        if key not in _EXCEEDING:
            found = self._exceeding(network, InputSet(box), deadline)
            if found and deadline.passed:
                return found
            _EXCEEDING[key] = found
        return _EXCEEDING[key]

    def _exceeding(self, network: ReLUNetwork, inputs: InputSet, deadline: Deadline) -> str:
        """Why the constant is not valid over ``inputs``; an empty text if it is."""
        proven = Interval().compute(network, inputs, deadline=deadline)
        if not self._exceeded(proven):
            return ""
        from reluopt.bounds.lp import bounds_within  # loads HiGHS and scipy

        return self._exceeded(bounds_within(network, inputs, self.magnitude, deadline=deadline))

    def _exceeded(self, proven: PreActivationBounds) -> str:
        """Which bounds exceed the constant, the first layer's widest; an empty text if none do."""
        for k, (low, up) in enumerate(zip(proven.lower, proven.upper, strict=True), start=1):
            reach = np.maximum(-low, up)
            worst = int(np.argmax(reach))
            if not reach[worst] <= self.magnitude:
                return (
                    f"bounds {self.name}: expected pre-activations within ±{self.magnitude:g}, "
                    f"found that neuron {worst} of layer {k} may reach "
                    f"[{low[worst]:.6g}, {up[worst]:.6g}]"
                )
        return ""


_EXCEEDING: dict[tuple[str, str, float], str] = {}
"""Why a constant does not hold, by network, box and constant; an empty text where it does."""
