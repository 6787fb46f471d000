"""BIM, the basic iterative method (Kurakin, Goodfellow and Bengio 2017)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from reluopt.attacks.methods.base import refuse_below, refuse_step
from reluopt.attacks.methods.gradient_method import GradientMethod, share_of
from reluopt.numerics.arrays import FloatArray

GREY_LEVEL = 1.0 / 255.0
"""The published step, in pixel units."""

ROUNDING = 1e-9
"""Whole numbers of grey levels, divided by 255 and multiplied again, are no whole ones."""


@dataclass(frozen=True)
class Bim(GradientMethod):
    """Steps of one length from the image on, each brought back into ball and box.

    Attributes:
        steps: how many, >= 1; None means ``min(e + 4, 1.25 e)``, rounded up, for a radius of e
            grey levels, as published.
        step_size: length of each in pixel units, > 0; the published one is a grey level, 1/255.
    """

    steps: int | None = None
    step_size: float = GREY_LEVEL
    name = "bim"

    def __post_init__(self) -> None:
        refuse_below("steps", 1, self.steps)
        refuse_step(self.step_size)

    def plan(self, eps: float, images: FloatArray) -> dict[str, Any]:
        """Steps from the image."""
        del images
        levels = eps / GREY_LEVEL
        usual = max(1, math.ceil(min(levels + 4.0, 1.25 * levels) - ROUNDING))
        steps = usual if self.steps is None else self.steps
        return {"steps": steps, "step_size": share_of(self.step_size, eps), "random_start": False}
