r"""How the size of a change is measured: a norm, or a blend of L1 and L2."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import numpy as np

from reluopt.errors import InputError
from reluopt.numerics.arrays import FloatArray

BLEND = "blend:"
"""What the names of blends start with; the weight follows."""


class Norm(StrEnum):
    """How the size of a change ``delta = x0 - image`` is measured."""

    L1 = "l1"
    L2 = "l2"
    LINF = "linf"

    def objective(self, delta: FloatArray) -> float:
        """What the program minimises: ``sum|delta|``, ``sum delta^2`` or ``max|delta|``."""
        if self is Norm.L1:
            return float(np.abs(delta).sum())
        if self is Norm.L2:
            return float(delta @ delta)
        return float(np.abs(delta).max(initial=0.0))

    def distance_of(self, objective: float) -> float:
        """Length of the change whose objective is given (the root of it for L2)."""
        return float(np.sqrt(objective)) if self is Norm.L2 else float(objective)

    def ball(self, objective: float) -> tuple[Norm, float]:
        """A norm and the radius of its ball that holds all changes of at most this objective."""
        return self, self.distance_of(objective)

    @property
    def costs(self) -> tuple[float, float]:
        """Weights of ``sum|delta|`` and of ``sum delta^2`` in the objective."""
        return float(self is Norm.L1), float(self is Norm.L2)

    @property
    def label(self) -> str:
        """What it is called in tables and captions."""
        return {Norm.L1: "L1", Norm.L2: "L2", Norm.LINF: "Linf"}[self]


@dataclass(frozen=True)
class Blend:
    r"""The elastic net of L1 and L2, :math:`w \|\delta\|_1 + (1 - w) \|\delta\|_2^2`.

    Chen et al. (2018), EAD: Elastic-net attacks to deep neural networks, minimise it by gradients;
    here it is minimised exactly.

    Attributes:
        weight: w, between 0 and 1, both excluded: these are L2 and L1.

    Raises:
        InputError: another weight.
    """

    weight: float

    def __post_init__(self) -> None:
        if not 0.0 < self.weight < 1.0:
            raise InputError(
                f"blend: expected a weight between 0 (which is l2) and 1 (which is l1), found "
                f"{self.weight:g}"
            )

    def objective(self, delta: FloatArray) -> float:
        """What the program minimises."""
        return float(self.weight * np.abs(delta).sum() + (1.0 - self.weight) * (delta @ delta))

    def distance_of(self, objective: float) -> float:
        """The objective itself: a blend has no length."""
        return float(objective)

    def ball(self, objective: float) -> tuple[Norm, float]:
        """A norm and the radius of its ball that holds all changes of at most this objective.

        Either part alone is at most the whole; the heavier one gives the smaller ball as a rule.
        """
        if self.weight >= 0.5:
            return Norm.L1, objective / self.weight
        return Norm.L2, math.sqrt(objective / (1.0 - self.weight))

    @property
    def costs(self) -> tuple[float, float]:
        """Weights of ``sum|delta|`` and of ``sum delta^2`` in the objective."""
        return self.weight, 1.0 - self.weight

    @property
    def label(self) -> str:
        """What it is called in tables and captions."""
        return str(self)

    def __str__(self) -> str:
        return f"{BLEND}{float(self.weight)!r}"


Measure: TypeAlias = Norm | Blend
"""What a perturbation task minimises."""


def parse_norm(text: str) -> Measure:
    """Read ``l1``, ``l2``, ``linf`` or ``blend:W``, W being the weight of L1.

    Raises:
        InputError: anything else.
    """
    if text in set(Norm):
        return Norm(text)
    if text.startswith(BLEND):
        try:
            weight = float(text.removeprefix(BLEND))
        except ValueError:
            weight = math.nan
        if not math.isnan(weight):
            return Blend(weight)
    raise InputError(
        f"norm: expected {', '.join(Norm)} or blend:W with 0 < W < 1, found {str(text)!r}"
    )
