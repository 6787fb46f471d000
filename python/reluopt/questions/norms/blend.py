r"""Blends of L1 and L2."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reluopt.errors import InputError
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.norms.base import Change, Norm
from reluopt.questions.norms.parts import split_change

if TYPE_CHECKING:
    from reluopt.numerics.linear_programs import ProgramBuilder


@dataclass(frozen=True, repr=False)
class Blend(Norm):
    r"""The elastic net of L1 and L2, :math:`w \|\delta\|_1 + (1 - w) \|\delta\|_2^2`.

    Chen et al. (2018), EAD: Elastic-net attacks to deep neural networks, minimise it by gradients;
    here it is minimised exactly.

    Attributes:
        weight: w, between 0 and 1, both excluded: these are L2 and L1.

    Raises:
        InputError: another weight.

    Example:
        >>> import numpy as np
        >>> import reluopt as ro
        >>> round(ro.Blend(0.25).objective(np.array([0.5, -0.1])), 6)  # 0.25 * 0.6 + 0.75 * 0.26
        0.345
    """

    weight: float
    takes_limits = False

    def __post_init__(self) -> None:
        if not 0.0 < self.weight < 1.0:
            raise InputError(
                f"blend: expected a weight between 0 (which is l2) and 1 (which is l1), found "
                f"{self.weight:g}"
            )

    @property
    def name(self) -> str:  # type: ignore[override]
        """``blend:W``."""
        return f"blend:{float(self.weight)!r}"

    @property
    def label(self) -> str:
        """Its name: it is no norm that has another one."""
        return self.name

    @property
    def costs(self) -> tuple[float, float]:  # type: ignore[override]
        """Weights of ``sum|delta|`` and of ``sum delta^2`` in the objective."""
        return self.weight, 1.0 - self.weight

    def objective(self, delta: FloatArray) -> float:
        return float(self.weight * np.abs(delta).sum() + (1.0 - self.weight) * (delta @ delta))

    def ball(self, objective: float) -> tuple[Norm, float]:
        """Either part alone is at most the whole; the heavier one mostly has the smaller ball."""
        if self.weight >= 0.5:
            return Norm.L1, objective / self.weight
        return Norm.L2, math.sqrt(objective / (1.0 - self.weight))

    def encode_change(
        self, builder: ProgramBuilder, low: FloatArray, high: FloatArray, *, spare: bool = False
    ) -> Change:
        return split_change(builder, low, high, self.costs)
