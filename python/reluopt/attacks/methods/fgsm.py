"""FGSM, the fast gradient sign method (Goodfellow, Shlens and Szegedy 2015)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from reluopt.attacks.methods.gradient_method import GradientMethod
from reluopt.numerics.arrays import FloatArray


@dataclass(frozen=True)
class Fgsm(GradientMethod):
    """One step of length eps: ``x + eps sign(gradient of the loss)`` in Linf, its like elsewhere.

    It has no settings.
    """

    name = "fgsm"

    def plan(self, eps: float, images: FloatArray) -> dict[str, Any]:
        """A single step from the image."""
        del eps, images
        return {"steps": 1, "step_size": 1.0, "random_start": False}
