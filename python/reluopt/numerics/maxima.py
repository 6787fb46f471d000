r"""The largest value of a linear form over {ball ∩ box}.

:func:`linear_maximum` returns a number that is *not below* the maximum of ``g @ delta`` over a
:class:`~reluopt.numerics.input_sets.FlatInputSet` in exact arithmetic.

Why the result is a theorem
---------------------------
Weak duality. For every multiplier :math:`\mu \ge 0`

.. math:: \max_{\|\delta\|_1 \le r,\ l \le \delta \le h} g^\top\delta
          \le \mu r + \sum_i \max_{l_i \le d \le h_i} (g_i d - \mu |d|),

.. math:: \max_{\|\delta\|_2 \le r,\ l \le \delta \le h} g^\top\delta
          \le \mu r^2 + \sum_i \max_{l_i \le d \le h_i} (g_i d - \mu d^2),

with equality for the best one (convex problems; for a set of one point the limit of large
multipliers gives the value). How :math:`\mu` was found, and in which precision, is therefore
irrelevant; only the evaluation of the right-hand side must be rounded outward.

*L1.* With :math:`l \le 0 \le h` the inner maximum is :math:`c_i (|g_i| - \mu)_+` where
:math:`c_i` is :math:`h_i` for :math:`g_i > 0` and :math:`-l_i` otherwise: the dual of a fractional
knapsack. All terms are >= 0 and each is computed with relative error at most :math:`\gamma_2`; a
sum of at most n + 1 of them adds :math:`\gamma_n`. The result is multiplied by
:math:`1 + 2 \gamma_{n+8}`.

*L2.* The inner maximum is :math:`g_i^2 / 4\mu` when :math:`g_i / 2\mu` lies inside the limits (an
upper bound wherever it lies), else :math:`e (g_i - \mu e)` at the end ``e`` it lies beyond. If
rounding picks an end although the maximiser lies inside by a relative :math:`3u`, the value lost is
at most :math:`\mu (3 u e)^2`, far below the error allowed for. The error of the evaluation is at
most :math:`\gamma_{n+16} (\mu r^2 + \sum_i |g_i e_i| + \mu e_i^2)`; twice that is added.

*Tilted L2* (:class:`~reluopt.numerics.input_sets.FlatInputSet`). A tilt :math:`k > 0`, with limits
:math:`l \ge 0`, makes the ball an elastic net (:mod:`reluopt.bridges.lifting`),

.. math:: \|\delta\|_2^2 + 2 k \textstyle\sum_i \delta_i \le r^2 .

It is the L2 ball of squared radius :math:`r^2 + n k^2` around a point outside the box, with every
:math:`\delta_i = -k`; evaluated as it stands, nothing large cancels. Weak duality gives

.. math:: \max g^\top \delta \le \mu r^2
          + \sum_i \max_{l_i \le d \le h_i} \bigl[(g_i - 2 \mu k) d - \mu d^2\bigr] .

With :math:`t = 1 / 2\mu` and :math:`s_i = g_i - k / t` the inner maximum is
:math:`\tfrac t2 s_i^2` when :math:`d_i = t g_i - k` lies inside the limits (an upper bound wherever
it lies), else the value at the end it lies beyond. The computed :math:`s_i` is wrong by at most
:math:`4u (|g_i| + k/t)`, which changes :math:`\tfrac t2 s_i^2` by at most
:math:`4u (|g_i d_i| + 2\mu k |d_i|)` up to second order; an end picked although the maximiser lies
inside by a rounding costs the square of that. The error of the whole is at most
:math:`\gamma_{n+24} (\mu r^2 + \sum_i |g_i d_i| + \mu d_i^2 + 2 \mu k |d_i|)`; twice that is
added. Since :math:`\delta \ge 0`, the set is part of the L2 ball of radius r, which gives the
Cauchy-Schwarz bound where no multiplier is usable.

Here :math:`\gamma_n = n u / (1 - n u)` and :math:`u = 2^{-53}` (Higham, Accuracy and Stability of
Numerical Algorithms, 2002, Lemma 3.1), which holds for every order of summation and with fused
multiply-add. Underflow is covered by adding ``TINY``.
"""

from __future__ import annotations

import numpy as np

from reluopt.numerics.arrays import FloatArray
from reluopt.numerics.input_sets import L1_BALL, L2_BALL, FlatInputSet
from reluopt.numerics.jit import apart, kernel, search_kernel
from reluopt.numerics.rounding import ROUNDOFF, TINY, gamma, pairwise_sum

MAX_MULTIPLIER_STEPS = 60
"""Limit on the search for the L2 multiplier; 4 to 10 are usual, and any multiplier is valid."""


@kernel
def box_maximum(g: FloatArray, low: FloatArray, high: FloatArray, buffer: FloatArray) -> float:
    """Upper bound on ``max g @ delta`` over ``low <= delta <= high``."""
    size = g.size
    for i in range(size):
        buffer[i] = max(g[i] * low[i], g[i] * high[i])
    total = pairwise_sum(buffer, size)
    for i in range(size):
        buffer[i] = max(abs(g[i] * low[i]), abs(g[i] * high[i]))
    return total + gamma(size + 8.0) * pairwise_sum(buffer, size) + TINY


@apart
@kernel
def _select_multiplier(
    gains: FloatArray, rooms: FloatArray, count: int, budget: float
) -> tuple[int, float]:
    """Fractional knapsack by partial selection.

    Reorders the pairs so that the first ``taken`` have the largest gains and fill the budget.

    Returns:
        ``taken`` and the multiplier: every gain behind the first ``taken`` is at most that.
    """
    first, last = 0, count
    ceiling = 0.0  # no gain at or behind `last` exceeds it
    while first < last:
        # Three places are enough for a pivot: a bad one costs time only.
        a, b, c = gains[first], gains[(first + last) // 2], gains[last - 1]
        pivot = max(min(a, b), min(max(a, b), c))
        i, j, filled = first, last - 1, 0.0
        while True:
            while i <= j and gains[i] > pivot:
                filled += rooms[i]
                i += 1
            while i <= j and gains[j] <= pivot:
                j -= 1
            if i > j:
                break
            gains[i], gains[j] = gains[j], gains[i]
            rooms[i], rooms[j] = rooms[j], rooms[i]
        if filled >= budget:
            last, ceiling = i, pivot
            continue
        # All gains above the pivot fit. Next come those equal to it.
        budget -= filled
        same = i
        for q in range(i, last):
            if gains[q] == pivot:
                gains[q], gains[same] = gains[same], gains[q]
                rooms[q], rooms[same] = rooms[same], rooms[q]
                budget -= rooms[same]
                same += 1
        if budget <= 0.0:
            return i, pivot
        first = same
    return first, ceiling


@apart
@kernel
def l1_maximum(
    g: FloatArray,
    low: FloatArray,
    high: FloatArray,
    radius: float,
    gains: FloatArray,
    rooms: FloatArray,
) -> float:
    """Upper bound on ``max g @ delta`` over an L1 ball and ``low <= delta <= high``.

    ``low <= 0 <= high``; ``gains`` and ``rooms`` are buffers of the size of ``g``.
    """
    if radius < 0.0:
        return -np.inf
    undefined = 0
    for i in range(g.size):
        undefined += 1 if g[i] != g[i] else 0
    if undefined:
        return np.nan
    count = 0
    for i in range(g.size):
        room = high[i] if g[i] > 0.0 else -low[i]
        gains[count] = abs(g[i])
        rooms[count] = room
        count += 1 if room > 0.0 else 0
    taken, multiplier = _select_multiplier(gains, rooms, count, radius)
    total = multiplier * radius if multiplier > 0.0 else 0.0
    for i in range(taken):
        total += rooms[i] * (gains[i] - multiplier)
    return total * (1.0 + gamma(taken + 8.0)) + TINY


@search_kernel
def _clipped_norms(
    g: FloatArray, low: FloatArray, high: FloatArray, scale: float
) -> tuple[float, float]:
    """Squared length of the clipped and ``|g|^2`` of the free coordinates of ``clip(scale g)``."""
    clipped, free = 0.0, 0.0
    for i in range(g.size):
        wish = scale * g[i]
        end = min(max(wish, low[i]), high[i])
        inside = wish == end
        clipped += 0.0 if inside else end * end
        free += g[i] * g[i] if inside else 0.0
    return clipped, free


@kernel
def _at_ends(g: FloatArray, low: FloatArray, high: FloatArray, tilt: float, scale: float) -> bool:
    """Whether ``clip(scale g - tilt)`` is the maximiser of ``g`` over the box."""
    for i in range(g.size):
        wish = scale * g[i] - tilt
        if (g[i] > 0.0 and wish < high[i]) or (g[i] < 0.0 and wish > low[i]):
            return False
    return True


@search_kernel
def _find_scale(g: FloatArray, low: FloatArray, high: FloatArray, radius: float) -> float:
    """``t`` with ``|clip(t g)| = radius``, infinity when the box lies within reach.

    From below: the free coordinates fill what the clipped ones leave, which clips more of them.
    The bracket only matters for boxes that exclude the center, where a step may go too far.
    """
    square = radius * radius
    below, above = 0.0, np.inf
    total = 0.0
    for i in range(g.size):
        total += g[i] * g[i]
    if total == 0.0:
        return np.inf
    scale = radius / np.sqrt(total)
    for _ in range(MAX_MULTIPLIER_STEPS):
        clipped, free = _clipped_norms(g, low, high, scale)
        length = clipped + scale * scale * free
        if abs(length - square) <= 4e-16 * square:
            return float(scale)
        if length < square:
            below = scale
        else:
            above = scale
        if free == 0.0 and length < square:
            step = 2.0 * scale
            # Everything that can still move is at its end.
            if above == np.inf and _at_ends(g, low, high, 0.0, scale):
                return np.inf
        else:
            step = np.sqrt(max(square - clipped, 0.0) / free) if free > 0.0 else 0.5 * scale
        if not (below < step < above):
            step = 0.5 * (below + above) if above < np.inf else 2.0 * scale
        if step == scale:
            return float(scale)
        scale = step
    return float(scale)


@kernel
def _cauchy_schwarz(g: FloatArray, radius: float, buffer: FloatArray) -> float:
    """Above ``|g| radius``, whatever the box."""
    size = g.size
    for i in range(size):
        buffer[i] = g[i] * g[i]
    length = np.sqrt(pairwise_sum(buffer, size))
    return float(radius * length * (1.0 + gamma(size + 16.0)) + TINY)


@apart
@kernel
def l2_maximum(
    g: FloatArray,
    low: FloatArray,
    high: FloatArray,
    radius: float,
    buffer: FloatArray,
    errors: FloatArray,
) -> float:
    """Upper bound on ``max g @ delta`` over an L2 ball and ``low <= delta <= high``."""
    if radius < 0.0:
        return -np.inf
    scale = _find_scale(g, low, high, radius)
    box = box_maximum(g, low, high, buffer)
    size = g.size
    if not (1e-150 < scale < 1e150):  # radius 0, or the box lies in the ball
        return min(box, _cauchy_schwarz(g, radius, buffer))
    multiplier = 0.5 / scale
    half = 0.5 * scale
    for i in range(size):
        wish = scale * g[i]
        end = min(max(wish, low[i]), high[i])
        linear, bend = g[i] * end, multiplier * end * end
        inside = wish == end
        buffer[i] = half * g[i] * g[i] * (1.0 + 8.0 * ROUNDOFF) if inside else linear - bend
        errors[i] = abs(linear) + bend
    own = multiplier * radius * radius
    total = own + pairwise_sum(buffer, size)
    bound = total + gamma(size + 16.0) * (own + pairwise_sum(errors, size)) + TINY
    return min(bound, box)


@search_kernel
def _tilted_squares(
    g: FloatArray, low: FloatArray, high: FloatArray, tilt: float, scale: float
) -> tuple[float, float, int]:
    """What ``clip(scale g - tilt)`` spends at its ends, ``|g|^2`` of the rest, and its count."""
    clipped, free, count = 0.0, 0.0, 0
    for i in range(g.size):
        wish = scale * g[i] - tilt
        end = min(max(wish, low[i]), high[i])
        if wish == end:
            free += g[i] * g[i]
            count += 1
        else:
            clipped += end * (end + 2.0 * tilt)
    return clipped, free, count


@search_kernel
def _find_tilted_scale(
    g: FloatArray, low: FloatArray, high: FloatArray, radius: float, tilt: float
) -> float:
    """``t`` at which ``clip(t g - tilt)`` uses up the ball; infinity when the box is within reach.

    Newton steps between brackets: free coordinates spend ``t^2 |g|^2 - count tilt^2``.
    """
    square = radius * radius
    below, above = 0.0, np.inf
    steepest, total = 0.0, 0.0
    for i in range(g.size):
        steepest = max(steepest, g[i])
        total += g[i] * g[i]
    if steepest <= 0.0:
        return np.inf
    scale = max(tilt / steepest, radius / np.sqrt(total))
    for _ in range(MAX_MULTIPLIER_STEPS):
        clipped, free, count = _tilted_squares(g, low, high, tilt, scale)
        spent = clipped + scale * scale * free - count * tilt * tilt
        if abs(spent - square) <= 1e-15 * square:
            return float(scale)
        if spent < square:
            below = scale
            if _at_ends(g, low, high, tilt, scale):
                return np.inf
        else:
            above = scale
        wanted = square - clipped + count * tilt * tilt
        step = np.sqrt(wanted / free) if free > 0.0 and wanted > 0.0 else -1.0
        if not (below < step < above):
            step = 0.5 * (below + above) if above < np.inf else 2.0 * scale
        if step == scale:
            return float(scale)
        scale = step
    return float(scale)


@apart
@kernel
def tilted_maximum(
    g: FloatArray,
    low: FloatArray,
    high: FloatArray,
    radius: float,
    tilt: float,
    buffer: FloatArray,
    errors: FloatArray,
) -> float:
    """Upper bound on ``max g @ delta`` over a tilted ball and ``low <= delta <= high``.

    ``low >= 0`` and ``tilt > 0``; ``buffer`` and ``errors`` are scratch of the size of ``g``.
    """
    if radius < 0.0:
        return -np.inf
    size = g.size
    scale = _find_tilted_scale(g, low, high, radius, tilt)
    box = box_maximum(g, low, high, buffer)
    if not (1e-150 < scale < 1e150):
        return min(box, _cauchy_schwarz(g, radius, buffer))
    multiplier, half = 0.5 / scale, 0.5 * scale
    for i in range(size):
        wish = scale * g[i] - tilt
        end = min(max(wish, low[i]), high[i])
        linear, bend = g[i] * end, multiplier * end * end
        lift = 2.0 * multiplier * tilt * end
        slope = g[i] - tilt / scale
        square = half * slope * slope * (1.0 + 8.0 * ROUNDOFF)
        buffer[i] = square if wish == end else linear - bend - lift
        errors[i] = abs(linear) + bend + abs(lift)
    own = multiplier * radius * radius
    total = own + pairwise_sum(buffer, size)
    bound = total + gamma(size + 24.0) * (own + pairwise_sum(errors, size)) + TINY
    return min(bound, box)


@apart
@kernel
def linear_maximum(
    inputs: FlatInputSet, g: FloatArray, buffer: FloatArray, other_buffer: FloatArray
) -> float:
    """Upper bound, valid in exact arithmetic, on ``g @ delta`` over the set; see the module.

    Args:
        inputs: the input set.
        g: shape ``(n_0,)``.
        buffer: scratch of shape ``(n_0,)``.
        other_buffer: more of it.
    """
    if inputs.norm == L1_BALL:
        return l1_maximum(g, inputs.low, inputs.high, inputs.radius, buffer, other_buffer)
    if inputs.norm == L2_BALL and inputs.tilt > 0.0:
        return tilted_maximum(
            g, inputs.low, inputs.high, inputs.radius, inputs.tilt, buffer, other_buffer
        )
    if inputs.norm == L2_BALL:
        return l2_maximum(g, inputs.low, inputs.high, inputs.radius, buffer, other_buffer)
    return box_maximum(g, inputs.low, inputs.high, buffer)
