r"""What every bounding method takes and gives.

Pre-activation bounds are numbers :math:`L^k \le a^k \le U^k` that hold for every input of an
:class:`InputSet`. They become the big-M constants of the program and decide which neurons are
*stable* (``L >= 0`` or ``U <= 0``) and need no binary.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from reluopt.errors import InputError
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import BoolArray, FloatArray, frozen_array
from reluopt.questions.problems import Box, ChangeLimits, Norm


@dataclass(frozen=True, eq=False)
class InputSet:
    r"""The inputs over which bounds must hold: ``{x : ||x - center|| <= radius} ∩ box``.

    Attributes:
        box: elementwise limits.
        center: shape ``(n_0,)``; None means that only the box counts.
        norm: norm of the ball (L2 radii are lengths, not squares).
        radius: radius of the ball; infinity means that only the box counts.
        limits: limits on the change ``x - center``; only ``lp`` makes use of them.
    """

    box: Box
    center: FloatArray | None = None
    norm: Norm = Norm.LINF
    radius: float = math.inf
    limits: ChangeLimits | None = None

    def __post_init__(self) -> None:
        if self.limits is not None and self.center is None:
            raise InputError("region: expected a center that limits count from, found none")
        if math.isnan(self.radius) or self.radius < 0.0:
            raise InputError(f"radius: expected a number >= 0, found {self.radius}")
        if self.center is not None and self.center.shape != self.box.lower.shape:
            raise InputError(
                f"center: expected shape {self.box.lower.shape}, found {self.center.shape}"
            )

    @property
    def has_ball(self) -> bool:
        """Whether a ball limits the inputs besides the box."""
        return self.center is not None and math.isfinite(self.radius)


@dataclass(frozen=True, eq=False)
class PreActivationBounds:
    """Bounds ``lower[k] <= a <= upper[k]`` of every layer, the logits last.

    Attributes:
        lower: K arrays of shape ``(n_k,)``.
        upper: K arrays of shape ``(n_k,)``.
        method: name of what computed them.
    """

    lower: tuple[FloatArray, ...]
    upper: tuple[FloatArray, ...]
    method: str

    def __post_init__(self) -> None:
        lower = tuple(frozen_array(values) for values in self.lower)
        upper = tuple(frozen_array(values) for values in self.upper)
        if [values.shape for values in lower] != [values.shape for values in upper]:
            raise InputError("bounds: expected lower and upper of the same shapes")
        if any(bool(np.isnan(values).any()) for values in (*lower, *upper)):
            raise InputError(f"bounds {self.method}: expected numbers, found NaN")
        object.__setattr__(self, "lower", lower)
        object.__setattr__(self, "upper", upper)

    @property
    def empty(self) -> bool:
        """Whether some lower bound exceeds its upper bound: no input of the region exists."""
        return any(bool((low > up).any()) for low, up in zip(self.lower, self.upper, strict=True))

    @property
    def unstable(self) -> tuple[BoolArray, ...]:
        """Which hidden neurons are unstable (``L < 0 < U``), one array for each hidden layer."""
        pairs = list(zip(self.lower, self.upper, strict=True))[:-1]
        return tuple((low < 0.0) & (up > 0.0) for low, up in pairs)

    @property
    def unstable_count(self) -> int:
        """Number of unstable hidden neurons: the binaries of the program."""
        return int(sum(np.count_nonzero(mask) for mask in self.unstable))

    def intersect(
        self, other: PreActivationBounds, method: str | None = None
    ) -> PreActivationBounds:
        """The tighter of two valid bounds, elementwise."""
        return PreActivationBounds(
            tuple(np.maximum(a, b) for a, b in zip(self.lower, other.lower, strict=True)),
            tuple(np.minimum(a, b) for a, b in zip(self.upper, other.upper, strict=True)),
            method or self.method,
        )


class BoundingMethod(Protocol):
    """A way to compute pre-activation bounds."""

    def __call__(self, network: ReLUNetwork, region: InputSet) -> PreActivationBounds:
        """Bounds valid for every input of ``region``."""
        ...
