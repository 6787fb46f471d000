"""The search region {ball ∩ box}: ``x = center + delta`` with limits on ``delta``."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from reluopt.errors import InputError
from reluopt.kernels.flat import FlatNetwork, forward
from reluopt.kernels.jit import kernel
from reluopt.kernels.rounding import ROUNDOFF, TINY, gamma
from reluopt.network import FloatArray
from reluopt.problems import Box, Norm

BOX_ONLY, L1_BALL, L2_BALL = 0, 1, 2
"""Codes of :attr:`Region.norm`."""


class Region(NamedTuple):
    r"""``{center + delta : low <= delta <= high, ||delta|| <= radius}`` as kernels take it.

    Made by :func:`build_region`; :func:`with_radius` shrinks the ball of an L1 or L2 region.

    Attributes:
        center: shape ``(n_0,)``.
        low, high: shape ``(n_0,)``, rounded outward; ``low <= 0 <= high`` for L1.
        norm: ``BOX_ONLY``, ``L1_BALL`` or ``L2_BALL``.
        radius: length of the ball's radius (ignored for ``BOX_ONLY``); negative when the region is
            empty.
        values: pre-activations of the first layer at the center, shape ``(n_1,)``.
        errors: above what each of ``values`` is wrong by, shape ``(n_1,)``:
            :math:`\gamma_N (|W| |center| + |b|)`, N counting the inputs other than zero, since the
            others add nothing and round nothing.
        magnitudes: ``|W| (|center| + max|delta|) + |b|`` of the first layer, for error bounds.
        tilt: k >= 0 adds ``2 k sum(delta)`` to the square that an L2 ball limits, see
            :mod:`~reluopt.kernels.maxima`; ``low >= 0`` then.
    """

    center: FloatArray
    low: FloatArray
    high: FloatArray
    norm: int
    radius: float
    values: FloatArray
    errors: FloatArray
    magnitudes: FloatArray
    tilt: float


@kernel
def make_region(
    flat: FlatNetwork,
    center: FloatArray,
    low: FloatArray,
    high: FloatArray,
    norm: int,
    radius: float,
) -> Region:
    """Complete a region by what the first layer needs."""
    size, width = flat.sizes[0], flat.sizes[1]
    values = np.empty(flat.biases.size)
    forward(flat, center, values)
    magnitudes, errors = np.empty(width), np.empty(width)
    for i in range(width):
        magnitudes[i] = errors[i] = abs(flat.biases[i])
    count = 0
    for j in range(size):
        here = abs(center[j])
        count += 1 if here != 0.0 else 0
        reach = here + max(abs(low[j]), abs(high[j]))
        column = flat.columns[j * width : (j + 1) * width]
        for i in range(width):
            magnitudes[i] += abs(column[i]) * reach
            errors[i] += abs(column[i]) * here
    share = gamma(count + 8.0)
    for i in range(width):
        errors[i] = share * errors[i] + TINY
    return Region(center, low, high, norm, radius, values[:width].copy(), errors, magnitudes, 0.0)


def build_region(
    flat: FlatNetwork,
    box: Box,
    center: FloatArray | None = None,
    norm: Norm = Norm.LINF,
    radius: float = np.inf,
) -> Region:
    """The region {x in box : ||x - center|| <= radius}, every limit rounded outward.

    Args:
        flat: the network.
        box: limits of the inputs.
        center: shape ``(n_0,)``, inside the box or not; None leaves the box alone.
        norm: norm of the ball; L2 radii are lengths, not squares.
        radius: radius of the ball; infinity leaves the box alone.

    Raises:
        InputError: box or center do not have one entry for each input.
    """
    lower, upper = box.lower, box.upper
    for name, values in (("box", lower), ("center", lower if center is None else center)):
        if values.shape != (flat.sizes[0],):
            raise InputError(f"{name}: expected {flat.sizes[0]} inputs, found shape {values.shape}")
    reach = float(radius)
    if center is None or not np.isfinite(reach):
        middle = np.clip(lower + 0.5 * (upper - lower), lower, upper)
        return _region_around(flat, lower, upper, middle, BOX_ONLY, np.inf)
    if norm is Norm.LINF:
        lower = np.maximum(lower, difference(center, np.full_like(center, reach), -np.inf))
        upper = np.minimum(upper, difference(center, np.full_like(center, -reach), np.inf))
        middle = np.clip(center, lower, np.maximum(lower, upper))
        empty = bool((lower > upper).any())
        return _region_around(flat, lower, upper, middle, BOX_ONLY, -1.0 if empty else reach)
    nearest = np.clip(center, lower, upper)
    gap = np.abs(nearest - center)
    rounding = 1.0 + 4.0 * (gap.size + 4) * ROUNDOFF
    if norm is Norm.L1:
        # Beyond its nearest point of the box every move counts fully: |delta| = |gap| + |rest|.
        rest = reach - float(gap.sum()) / rounding
        return _region_around(flat, lower, upper, nearest, L1_BALL, np.nextafter(rest, np.inf))
    if float(np.sqrt((gap * gap).sum())) > reach * rounding:
        reach = -1.0
    return _region_around(flat, lower, upper, np.array(center), L2_BALL, reach)


def with_radius(region: Region, radius: float) -> Region:
    """The region with a smaller ball; for L1 and L2 balls whose center lies in the box."""
    return region._replace(radius=float(radius))


def largest_square(region: Region) -> float:
    """Above any ``|delta|^2 + 2 tilt sum(delta)`` within the limits of a region."""
    ends = np.maximum(np.abs(region.low), np.abs(region.high))
    largest = float(ends @ ends) + 2.0 * region.tilt * float(ends.sum())
    return largest * (1.0 + 1e-9) + 1e-9


def difference(left: FloatArray, right: FloatArray, direction: float) -> FloatArray:
    """``left - right``, moved by one unit in the last place where it is not exact (TwoSum)."""
    result = left - right
    part = result - left
    error = (left - (result - part)) - (right + part)
    return np.where(error == 0.0, result, np.nextafter(result, direction))


def _region_around(
    flat: FlatNetwork,
    lower: FloatArray,
    upper: FloatArray,
    center: FloatArray,
    norm: int,
    radius: float,
) -> Region:
    """Fill in the limits of ``delta`` and what the first layer needs."""
    low = difference(lower, center, -np.inf)
    high = difference(upper, center, np.inf)
    region: Region = make_region(flat, np.array(center), low, high, norm, float(radius))
    return region
