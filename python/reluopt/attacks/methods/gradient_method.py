"""Methods that climb the loss by gradients: one, or several, of the steps of PGD."""

from __future__ import annotations

import math
import sys
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from reluopt.attacks.criteria import Misclassification
from reluopt.attacks.gradient import pgd
from reluopt.attacks.methods.base import AttackMethod
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.input_sets import Box
from reluopt.questions.norms.base import Norm


def share_of(step_size: float, eps: float) -> float:
    """A length as a share of a radius > 0, and finite: of a tiny radius any step is long enough."""
    return min(step_size / eps, sys.float_info.max)


@dataclass(frozen=True)
class GradientMethod(AttackMethod):
    """:func:`~reluopt.attacks.gradient.pgd` with settings that depend on eps."""

    @abstractmethod
    def plan(self, eps: float, images: FloatArray) -> dict[str, Any]:
        """Arguments of :func:`~reluopt.attacks.gradient.pgd`, where steps are shares of eps.

        Args:
            eps: a finite radius > 0.
            images: shape ``(batch, n_0)``.
        """

    def __call__(
        self,
        network: ReLUNetwork,
        images: ArrayLike,
        criterion: Misclassification,
        eps: float,
        *,
        norm: Norm = Norm.LINF,
        box: Box | None = None,
    ) -> FloatArray:
        """See :class:`~reluopt.attacks.methods.base.AttackMethod`."""
        flat, _ = network.flat_inputs(images)
        plan = self.plan(eps, flat) if 0.0 < eps < math.inf else {}  # pgd refuses what is no radius
        found = pgd(network, images, criterion, eps, norm=norm, box=box, **plan)
        return np.asarray(found.clipped)
