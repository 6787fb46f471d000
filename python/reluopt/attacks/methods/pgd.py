"""PGD, projected gradient descent from random starts (Madry et al. 2018)."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

from reluopt.attacks.gradient import TOTAL_TRAVEL
from reluopt.attacks.methods.base import refuse_below, refuse_step
from reluopt.attacks.methods.gradient_method import GradientMethod, share_of
from reluopt.errors import InputError
from reluopt.numerics.arrays import FloatArray


@dataclass(frozen=True)
class Pgd(GradientMethod):
    """Steps of one length from random points of the ball, each brought back into ball and box.

    The starts of an image depend on the seed and its pixels, not on what is attacked with it.

    Attributes:
        steps: of one run, >= 1.
        step_size: length of each in pixel units, > 0; None means 2.5 eps / steps.
        restarts: runs, >= 1; images already fooled are left alone.
        seed: of the random starts, from 0 to 2^32 - 1.
    """

    steps: int = 50
    step_size: float | None = None
    restarts: int = 1
    seed: int = 0
    name = "pgd"

    def __post_init__(self) -> None:
        for setting, least in (("steps", 1), ("restarts", 1), ("seed", 0)):
            refuse_below(setting, least, getattr(self, setting))
        refuse_step(self.step_size)
        if self.seed >= 1 << 32:
            raise InputError(f"seed: expected less than 2^32, found {self.seed}")

    def plan(self, eps: float, images: FloatArray) -> dict[str, Any]:
        """Steps from random starts."""
        own = self.step_size
        share = TOTAL_TRAVEL / self.steps if own is None else share_of(own, eps)
        seeds = [zlib.crc32(image.tobytes(), self.seed) for image in images]
        runs = {"restarts": self.restarts, "seed": seeds}
        return {"steps": self.steps, "step_size": share, **runs}
