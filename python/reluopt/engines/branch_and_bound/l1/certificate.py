r"""Safe bounds: every prune of the tree is a theorem about the float64 weights.

Whatever a relaxation computed, and with whatever tolerances, only its dual multipliers are
believed, and a lower bound is recomputed from them and from the *original* network, with outward
rounding (in the spirit of Neumaier and Shcherbina 2004, Safe bounds in linear and mixed-integer
programming).

The bound
---------
A node knows valid pre-activation bounds :math:`L_h \le a_h \le U_h` of the hidden neurons. An
input :math:`x^0 = \bar x + \delta` of the node, with :math:`l \le \delta \le u`, gives
:math:`x_h - s_h = a_h`, where :math:`(x_h, s_h) = (\max(a_h, 0), \max(-a_h, 0))` lies in the hull
:math:`T_h` of

* :math:`(0,0), (U_h, 0), (0, -L_h)` for an undecided neuron,
* :math:`(\max(L_h, 0), 0), (U_h, 0)` for an active one (:math:`L_h \ge 0`),
* :math:`(0, -U_h), (0, -L_h)` for an inactive one (:math:`U_h \le 0`),

and meets :math:`C a^K \ge d`. For *any* :math:`\pi` and any :math:`\mu \ge 0`, with
:math:`v^K = C^\top \mu`, :math:`v^k = \pi^k` (k < K) and
:math:`\hat u^{k} = (W^{k+1})^\top v^{k+1}`,

.. math::

   f(\delta) \ge{}& f(\delta) + \mu^\top (d - C a^K) + \sum_h \pi_h (x_h - s_h - a_h) \\
     \ge{}& \mu^\top d - \sum_k v^k \cdot b^k
       + \min_{l \le \delta \le u} \bigl[ f(\delta) - \hat u^0 \cdot (\bar x + \delta) \bigr]
       + \sum_h \min_{(x, s) \in T_h} \bigl[ (\pi_h - \hat u_h)\, x - \pi_h s \bigr] .

There may be more rows, :math:`x_i \le g_i + \sum_j c^+_{ij} p^+_j + c^-_{ij} p^-_j` with
:math:`\delta = p^+ - p^-` (:mod:`ball`). With multipliers :math:`\tau_i \ge 0` they add
:math:`-\tau_i g_i` to the constant, :math:`\tau_i` to the coefficient of :math:`x_i`, and
:math:`-\sum_i \tau_i c^\pm_{ij}` to the cost of moving pixel j up or down.

The last line is what is computed. The triangles need no multipliers: the minimum over
:math:`T_h` is attained in one of its three corners. With :math:`f = \|\delta\|_1` the other minimum
splits into pixels, each of which stays or goes to one of its ends.

*Emptiness.* Leave :math:`f` out. If the last line is positive, then no input of the node meets the
conditions: a Farkas certificate.

Rounding
--------
Every :math:`v^k` is taken as the floating-point vector it is; only :math:`v^K` and the
:math:`\hat u^k` carry an error, and they multiply exact post-activations :math:`x \le X` and
pre-activations :math:`|a| \le m := |W| X + |b|`. All of :math:`v \cdot b`, the error of
:math:`W^\top v` and that of :math:`C^\top\mu` are therefore at most :math:`\gamma_N` times
:math:`|v|^\top m` (:math:`\mu^\top |C| m` at the top). The corners and the pixel terms are sums of
products; each is computed with relative error of a few u with respect to its absolute terms. So

.. math:: |computed - exact| \le \gamma_N \cdot (\text{sum of all absolute terms}),

N exceeding the longest chain of roundings; :func:`~reluopt.numerics.rounding.gamma` holds a factor
of two for the rounding of the error term itself. Limits of :math:`\delta` are rounded outward
before (:class:`~reluopt.numerics.input_sets.FlatInputSet`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from reluopt.engines.branch_and_bound.frame import Frame
from reluopt.engines.branch_and_bound.l1.ball import BallRows, RowBall
from reluopt.numerics.arrays import FloatArray, FloatMatrix
from reluopt.numerics.flat import FlatNetwork
from reluopt.numerics.input_sets import FlatInputSet
from reluopt.numerics.jit import apart, kernel, part
from reluopt.numerics.products import add_rows, add_scaled_rows
from reluopt.numerics.propagate import layer_magnitudes, rounding_chain
from reluopt.numerics.rounding import TINY, gamma
from reluopt.questions.problems import LogitConditions

NO_OBJECTIVE, L1_OBJECTIVE = 0.0, 1.0
"""Factor of :math:`f`: nothing (Farkas) or ``sum|delta|``."""


class L1Setting(NamedTuple):
    """What a safe bound is about, apart from bounds and multipliers.

    Attributes:
        flat: the network.
        inputs: image and box (its ball is not used).
        matrix, rhs: the conditions ``C @ logits >= d``.
        magnitudes: ``|W| X + |b|`` of every layer, logits included, valid for the whole search.
        balls: additional rows of the ball.
    """

    flat: FlatNetwork
    inputs: FlatInputSet
    matrix: FloatMatrix
    rhs: FloatArray
    magnitudes: FloatArray
    balls: BallRows


def make_setting(frame: Frame, conditions: LogitConditions, ball: RowBall) -> L1Setting:
    """The setting of one alternative over a ball."""
    magnitudes = np.empty(frame.flat.biases.size)
    for layer in range(frame.flat.weight_offsets.size):
        layer_magnitudes(frame.flat, frame.inputs, ball.upper, layer, magnitudes)
    matrix, rhs = np.array(conditions.matrix), np.array(conditions.rhs)
    return L1Setting(frame.flat, frame.inputs, matrix, rhs, magnitudes, ball.rows)


@apart
@kernel
def safe_bound(
    setting: L1Setting,
    lower: FloatArray,
    upper: FloatArray,
    neurons: FloatArray,
    conditions: FloatArray,
    balls: FloatArray,
    objective: float,
) -> float:
    r"""The lower bound of the module's derivation, for any multipliers.

    ``lower`` and ``upper`` bound (at least) all hidden neurons, ``neurons`` are :math:`\pi`,
    ``conditions`` :math:`\mu` and ``balls`` :math:`\tau`, whose negative entries count as 0.
    ``objective`` is ``L1_OBJECTIVE`` or ``NO_OBJECTIVE``.

    Returns:
        A number not above the exact value, -inf when something overflows. With ``NO_OBJECTIVE`` a
        positive number proves that the node holds no input that meets the conditions.
    """
    flat, depth = setting.flat, setting.flat.weight_offsets.size
    current = np.zeros(flat.sizes[depth])
    value, size_of_all = _condition_terms(setting, conditions, current)
    shares, taus = np.zeros(neurons.size), np.empty(balls.size)
    for b in range(taus.size):
        taus[b] = 0.0 if balls[b] <= 0.0 else balls[b]  # NaN stays NaN
        shares[setting.balls.neurons[b]] = taus[b]
        value -= taus[b] * setting.balls.offset[b]
        size_of_all += taus[b] * setting.balls.offset[b]
    for k in range(depth - 1, -1, -1):
        start, size = flat.neuron_offsets[k], flat.sizes[k]
        for i in range(current.size):
            value -= current[i] * flat.biases[start + i]
            size_of_all += abs(current[i]) * setting.magnitudes[start + i]
        below = np.zeros(size)
        add_rows(flat, k, current, below)
        if k > 0:
            first = flat.neuron_offsets[k - 1]
            for j in range(size):
                pi, h = neurons[first + j], first + j
                gain, room = _corner(pi - below[j] + shares[h], pi, lower[h], upper[h])
                value += gain
                size_of_all += room
                below[j] = pi
        current = below
    pixels, size_of_pixels = _pixel_terms(setting, current, taus, objective)
    value += pixels
    size_of_all += size_of_pixels
    chain = rounding_chain(flat) + 8.0 * (setting.rhs.size + taus.size)
    result = value - gamma(chain) * size_of_all - TINY
    return result if result < np.inf else -np.inf  # NaN, too


@part
def _condition_terms(
    setting: L1Setting, conditions: FloatArray, current: FloatArray
) -> tuple[float, float]:
    """``mu @ d`` and the sum of the absolute terms; ``current`` becomes ``C^T mu``."""
    value, size = 0.0, 0.0
    top = setting.magnitudes.size - current.size
    for c in range(setting.rhs.size):
        mu = conditions[c]
        if mu > 0.0:
            value += mu * setting.rhs[c]
            size += mu * abs(setting.rhs[c])
            for i in range(current.size):
                current[i] += mu * setting.matrix[c, i]
                size += mu * abs(setting.matrix[c, i]) * setting.magnitudes[top + i]
    return value, size


@kernel
def _corner(p: float, pi: float, low: float, high: float) -> tuple[float, float]:
    """``min over T_h of p x - pi s`` and the sum of the absolute terms."""
    if low >= 0.0:
        return min(p * low, p * high), abs(p) * high
    if high <= 0.0:
        return min(pi * high, pi * low), abs(pi) * -low
    return min(0.0, min(p * high, pi * low)), abs(p) * high + abs(pi) * -low


@kernel
def _pixel_terms(
    setting: L1Setting, u: FloatArray, taus: FloatArray, objective: float
) -> tuple[float, float]:
    """Minimum of everything that depends on the pixels, and the sum of its absolute terms."""
    inputs = setting.inputs
    rise, fall = np.zeros(u.size), np.zeros(u.size)
    add_scaled_rows(setting.balls.rise, 0, u.size, taus, rise)
    add_scaled_rows(setting.balls.fall, 0, u.size, taus, fall)
    largest = 0.0
    value, size = 0.0, 0.0
    for b in range(taus.size):
        largest += taus[b] * setting.balls.largest[b]
    for j in range(u.size):
        low, high, slope = inputs.low[j], inputs.high[j], u[j]
        value -= slope * inputs.center[j]
        up = objective - slope - rise[j]  # cost of one unit upward, and downward
        down = objective + slope - fall[j]
        value += min(up * high, 0.0) + min(-down * low, 0.0)
        reach = max(high, -low)
        size += abs(slope) * (abs(inputs.center[j]) + reach) + (objective + largest) * reach
    return value, size
