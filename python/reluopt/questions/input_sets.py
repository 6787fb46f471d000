"""Input sets {ball and box} of a question, as kernels take them."""

from __future__ import annotations

import numpy as np

from reluopt.errors import InputError
from reluopt.numerics.arrays import FloatArray
from reluopt.numerics.flat import FlatNetwork
from reluopt.numerics.input_sets import (
    BOX_ONLY,
    L1_BALL,
    L2_BALL,
    FlatInputSet,
    difference,
    make_flat_input_set,
)
from reluopt.numerics.rounding import ROUNDOFF
from reluopt.questions.problems import Box, Norm


def flat_input_set(
    flat: FlatNetwork,
    box: Box,
    center: FloatArray | None = None,
    norm: Norm = Norm.LINF,
    radius: float = np.inf,
) -> FlatInputSet:
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


def _region_around(
    flat: FlatNetwork,
    lower: FloatArray,
    upper: FloatArray,
    center: FloatArray,
    norm: int,
    radius: float,
) -> FlatInputSet:
    """Fill in the limits of ``delta`` and what the first layer needs."""
    low = difference(lower, center, -np.inf)
    high = difference(upper, center, np.inf)
    region: FlatInputSet = make_flat_input_set(
        flat, np.array(center), low, high, norm, float(radius)
    )
    return region
