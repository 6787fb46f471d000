"""Which inputs are allowed: a box, a ball cut by a box, with limits on the change."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reluopt.errors import InputError
from reluopt.numerics.arrays import FloatArray, frozen_array
from reluopt.questions.change_limits import ChangeLimits
from reluopt.questions.norms.base import Norm

if TYPE_CHECKING:  # what is compiled takes its time to load
    from reluopt.numerics.flat import FlatNetwork
    from reluopt.numerics.input_sets import FlatInputSet


@dataclass(frozen=True, eq=False)
class Box:
    """Inputs allowed by ``lower <= x0 <= upper``, elementwise; both of shape ``(n_0,)``.

    Raises:
        InputError: shapes differ, a bound is not finite, or a lower bound exceeds its upper bound.

    Example:
        >>> import numpy as np
        >>> import reluopt as ro
        >>> box = ro.Box(np.zeros(2), np.ones(2))
        >>> box.clip(np.array([-0.5, 0.25]))
        array([0.  , 0.25])
    """

    lower: FloatArray
    upper: FloatArray

    def __post_init__(self) -> None:
        lower, upper = frozen_array(self.lower), frozen_array(self.upper)
        if lower.ndim != 1 or lower.shape != upper.shape:
            raise InputError(
                f"box: expected two vectors of one length, found {lower.shape} and {upper.shape}"
            )
        if not (np.isfinite(lower).all() and np.isfinite(upper).all()):
            raise InputError("box: expected finite bounds, found NaN or infinity")
        if (lower > upper).any():
            worst = int(np.argmax(lower - upper))
            raise InputError(
                f"box: expected lower <= upper, found {lower[worst]} > {upper[worst]} "
                f"at input {worst}"
            )
        object.__setattr__(self, "lower", lower)
        object.__setattr__(self, "upper", upper)

    @classmethod
    def unit(cls, size: int) -> Box:
        """The box [0, 1]^size of images."""
        return cls(np.zeros(size), np.ones(size))

    def violation(self, point: FloatArray) -> float:
        """How far ``point`` lies outside, in its worst coordinate (0 inside)."""
        outside = np.maximum(self.lower - point, point - self.upper)
        return float(np.maximum(outside, 0.0).max(initial=0.0))

    def clip(self, point: FloatArray) -> FloatArray:
        """The point of the box that is nearest to ``point``."""
        return np.clip(point, self.lower, self.upper)


@dataclass(frozen=True, eq=False)
class InputSet:
    r"""``{x in box : ||x - center|| <= radius}``, with limits on the change ``x - center``.

    Attributes:
        box: elementwise limits.
        center: shape ``(n_0,)``; None means that only the box counts.
        norm: norm of the ball; None means Linf (L2 radii are lengths, not squares).
        radius: radius of the ball; infinity means that only the box counts.
        limits: limits on the change; kernels leave them out, and ``lp`` bounds make use of them.

    Raises:
        InputError: limits have no center, the center does not fit, or the radius is no number >= 0.

    Example:
        >>> import numpy as np
        >>> import reluopt as ro
        >>> center = np.array([0.5, 0.25])
        >>> ball = ro.InputSet(ro.Box(np.zeros(2), np.ones(2)), center, ro.Norm.L1, radius=0.25)
        >>> ball.radius
        0.25
    """

    box: Box
    center: FloatArray | None = None
    norm: Norm | None = None
    radius: float = math.inf
    limits: ChangeLimits | None = None

    def __post_init__(self) -> None:
        if self.limits is not None and self.center is None:
            raise InputError("input set: expected a center that limits count from, found none")
        if math.isnan(self.radius) or self.radius < 0.0:
            raise InputError(f"radius: expected a number >= 0, found {self.radius}")
        if self.center is not None and self.center.shape != self.box.lower.shape:
            raise InputError(
                f"center: expected shape {self.box.lower.shape}, found {self.center.shape}"
            )

    @property
    def ball_norm(self) -> Norm | None:
        """Norm of the ball; None where only the box counts."""
        if self.center is None or not math.isfinite(self.radius):
            return None
        return Norm.LINF if self.norm is None else self.norm

    @property
    def ends(self) -> tuple[FloatArray, FloatArray]:
        """Ends of a box that holds the set: the box, cut by how far the ball reaches.

        Rounded outward. Limits are not read; a lower end exceeds its upper one only where the set
        is empty.
        """
        lower, upper = self.box.lower, self.box.upper
        if self.center is None or self.ball_norm is None:
            return lower, upper
        from reluopt.numerics.input_sets import difference

        radius = np.full_like(lower, self.radius)
        least = difference(self.center, radius, -np.inf)
        most = difference(self.center, -radius, np.inf)
        return np.maximum(lower, least), np.minimum(upper, most)

    def length(self, point: FloatArray) -> float:
        """How far ``point`` is from the center, in the ball's norm; 0 where there is no ball."""
        norm = self.ball_norm
        if norm is None or self.center is None:
            return 0.0
        return norm.distance_of(norm.objective(point - self.center))

    def brought_in(self, point: FloatArray) -> FloatArray:
        """A point that lies outside by rounding alone, within box and ball up to float64's own.

        It is clipped to the box, and its change is scaled to the radius.
        """
        clipped = self.box.clip(point)
        length = self.length(clipped)
        if self.center is None or not length > self.radius:
            return clipped
        return self.box.clip(self.center + (clipped - self.center) * (self.radius / length))

    def flat(self, flat: FlatNetwork) -> FlatInputSet:
        """The set without its limits as kernels take it, everything rounded outward.

        Raises:
            InputError: the box does not have one entry for each input of the network.
        """
        ends = self.box.lower, self.box.upper
        if ends[0].shape != (flat.sizes[0],):
            raise InputError(f"box: expected {flat.sizes[0]} inputs, found shape {ends[0].shape}")
        norm = self.ball_norm
        if norm is not None and self.center is not None:
            return norm.flat_ball(flat, ends, self.center, float(self.radius))
        from reluopt.numerics.input_sets import BOX_ONLY, around

        middle = np.clip(ends[0] + 0.5 * (ends[1] - ends[0]), *ends)
        return around(flat, ends, middle, BOX_ONLY, math.inf)
