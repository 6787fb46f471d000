r"""Safe bounds for the L2 relaxation: a theorem whatever the interior point method computed.

Let :math:`\ell_f` be the forms of a node (:mod:`model`), :math:`\ell_f \ge 0` at every input of
the node that meets the conditions, and
:math:`\hat\ell_f = f^\top x + p^\top(W^1\delta + \hat y) + c` their floating-point versions,
:math:`|\ell_f - \hat\ell_f| \le \epsilon_f`. For any :math:`z \ge 0`, any :math:`\psi_k` for the
ReLU terms :math:`x_i s_i = 0` and any :math:`\psi_k \le 0` for the products
:math:`x_i \ell \ge 0`,

.. math::

   \|\delta\|^2 \ge \|\delta\|^2 + \sum_k \psi_k x_{i(k)} \ell_{f(k)} - \sum_f z_f \ell_f
   \ge \underbrace{\|\delta\|^2 + \sum_k \psi_k x_{i(k)} \hat\ell_{f(k)}
       - \sum_f z_f \hat\ell_f}_{\hat L(\delta, x)}
       - \sum_k |\psi_k| U_{i(k)} \epsilon_{f(k)} - \sum_f z_f \epsilon_f .

:math:`\hat L` is a quadratic function whose coefficients are given numbers. With
:math:`G = \sum_k \psi_k e_{i(k)} p_{f(k)}^\top`, :math:`K = \sum_k \psi_k
(e_{i(k)} f_{f(k)}^\top + f_{f(k)} e_{i(k)}^\top)` and
:math:`M = K - \tfrac12 G W^1 W^{1\top} G^\top`, its second-order part at :math:`(d, e)` is
:math:`\|d\|^2 + e^\top G W^1 d + \tfrac12 e^\top K e \ge \tfrac12 e^\top M e`. So if
:math:`M \succeq -\kappa I`, then for *any* point :math:`(\delta_0, x_0)` within the limits

.. math::

   \hat L(\delta, x) \ge \hat L(\delta_0, x_0)
     + \sum_j \min_{l_j \le \delta_j \le u_j} \partial_j \hat L\, (\delta_j - \delta_{0j})
     + \sum_i \min_{0 \le x_i \le U_i} \partial_i \hat L\, (x_i - x_{0i})
     - \tfrac\kappa2 \sum_i \max(x_{0i}, U_i - x_{0i})^2 .

*Sides.* Where a form is 0, as :math:`x_i` is where a neuron is inactive and :math:`s_i` where it is
active, its multiplier may have any sign, and :math:`|z_f| \epsilon_f` is subtracted.

*Emptiness* needs no proof of its own: a bound above
:math:`\sum_j \max(l_j^2, u_j^2)` says that the node is empty.

*Tilt.* Where the input set has a tilt k, :math:`\|\delta\|^2` stands for
:math:`\|\delta\|^2 + 2 k \sum_j \delta_j` throughout: a linear function more in
:math:`\hat L`, and nothing else changes (:func:`~reluopt.numerics.input_sets.largest_square` takes
the place of the sum above).

Rounding
--------
With :math:`\omega_f = \sum_{f(k)=f} \psi_k x_{0,i(k)} - z_f` the value at the point is
:math:`\|\delta_0\|^2 + \sum_f \omega_f \hat\ell_f`, the gradients are
:math:`2\delta_0 + W^{1\top} \sum_f \omega_f p_f` and
:math:`\sum_f \omega_f f_f + \sum_k \psi_k \hat\ell_{f(k)} e_{i(k)}`. Everything is a sum of
products of given numbers, so its error is at most :math:`\gamma_N` times the same sum of absolute
values, N exceeding the number of roundings on the way of any term. :math:`|W^1| |\delta|`,
:math:`|\hat y|` and half of :math:`|W^1|(u - l)` are at most :math:`m`, the input set's magnitudes.

:math:`M` is computed with entrywise error at most :math:`\gamma_N (\bar K + \tfrac12 h h^\top)`,
where :math:`\bar K` has absolute values for terms and :math:`h_i = \sum_a \bar G_{ia} \|w_a\|`
(Cauchy-Schwarz), hence with spectral error at most
:math:`\gamma_N(\|\bar K\|_\infty + \tfrac12 \|h\|^2)`. If the floating-point Cholesky factorisation
of a symmetric A of order u runs to its end, then
:math:`\lambda_{min}(A) \ge -\gamma_{u+1}/(1-\gamma_{u+1})\, tr(A)` (Rump 2006, Verification of
positive definiteness, Theorem 2.3).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from reluopt.engines.branch_and_bound.l2.model import Model
from reluopt.numerics.arrays import FloatArray, FloatMatrix, IntArray
from reluopt.numerics.flat import FlatNetwork
from reluopt.numerics.input_sets import FlatInputSet
from reluopt.numerics.jit import apart, kernel, part
from reluopt.numerics.products import add_columns, add_rows
from reluopt.numerics.rounding import ROUNDOFF, TINY, gamma

NO_FORM = -1
"""No form is known to be 0."""

SHIFTS = 12
"""Powers of ten of the rounding unit tried as a shift of M before giving up."""


class Witness(NamedTuple):
    """What proves a bound; together with network, image, box, conditions and node bounds.

    Attributes:
        delta, x: the point of tangency.
        z: multipliers of the forms, shape ``(F,)``; negative entries count as 0.
        psi: coefficients of the terms; positive entries of products count as 0.
        term_at, term_form: variable and form of each term; the first u are the ReLU terms.
    """

    delta: FloatArray
    x: FloatArray
    z: FloatArray
    psi: FloatArray
    term_at: IntArray
    term_form: IntArray


class FirstLayer(NamedTuple):
    """Products of the first layer's weight vectors, for M.

    Attributes:
        products: ``fl(W W^T)``, shape ``(n_1, n_1)``.
        lengths: upper bounds on the lengths of the rows of W, shape ``(n_1,)``.
    """

    products: FloatMatrix
    lengths: FloatArray


def first_layer(flat: FlatNetwork) -> FirstLayer:
    """Prepare :class:`FirstLayer`; once for each network."""
    n, width = flat.sizes[0], flat.sizes[1]
    weight = flat.weights[: width * n].reshape((width, n))
    products = weight @ weight.T
    squares = np.diagonal(products) * (1.0 + gamma(n + 8.0)) + TINY
    return FirstLayer(products, np.sqrt(squares) * (1.0 + 4.0 * ROUNDOFF))


@kernel
def safe_quadratic_bound(
    flat: FlatNetwork, inputs: FlatInputSet, first: FirstLayer, model: Model, witness: Witness
) -> float:
    """The bound of the module's derivation; never above the exact one, -inf if there is none."""
    kappa = negative_curvature(inputs, first, model, witness)
    spread = form_spread(inputs, model)
    result: float = bound_by_tangent(flat, inputs, model, spread, witness, kappa, NO_FORM)
    return result


@apart
@kernel
def form_spread(inputs: FlatInputSet, model: Model) -> FloatArray:
    """Bounds on what all forms can differ from their constants by, the same for all witnesses.

    Returns:
        ``|f| U + 2 |p| m`` for each form, shape ``(F,)``, rounded to the nearest.
    """
    spread = np.zeros(model.constant.size)
    for f in range(spread.size):
        for i in range(model.cap.size):
            spread[f] += abs(model.on_x[f, i]) * model.cap[i]
        for a in range(inputs.magnitudes.size):
            spread[f] += 2.0 * abs(model.on_a[f, a]) * inputs.magnitudes[a]
    return spread


@kernel
def bound_by_tangent(
    flat: FlatNetwork,
    inputs: FlatInputSet,
    model: Model,
    spread: FloatArray,
    witness: Witness,
    kappa: float,
    zero: int,
) -> float:
    """The bound for a kappa with ``M >= -kappa I``, which depends on ``psi`` alone.

    The form ``zero`` must be 0 wherever the bound is used: its multiplier may have any sign.
    ``spread`` is what :func:`form_spread` says.
    """
    u, width = model.neuron.size, flat.sizes[1]
    forms, terms = model.constant.size, witness.term_at.size
    rounding = _rounding(inputs, model, witness, width)
    delta = np.minimum(np.maximum(witness.delta, inputs.low), inputs.high)
    x = np.minimum(np.maximum(witness.x, 0.0), model.cap)
    first = inputs.values.copy()
    add_columns(flat, 0, delta, first)
    values = model.constant + np.dot(model.on_x, x) + np.dot(model.on_a, first)
    sizes = np.abs(model.constant) + spread
    omega, heavy = np.zeros(forms), np.zeros(forms)
    on_x, slack, total = np.zeros(u), 0.0, 0.0
    for f in range(forms):
        z = witness.z[f] if f == zero else max(witness.z[f], 0.0)
        omega[f], heavy[f] = -z, abs(z)
        slack += abs(z) * model.error[f]
    for k in range(terms):
        i, f = witness.term_at[k], witness.term_form[k]
        psi = _psi(witness, k, u)
        omega[f] += psi * x[i]
        heavy[f] += abs(psi) * x[i]
        on_x[i] += psi * values[f]
        slack += abs(psi) * model.cap[i] * model.error[f]
        total += abs(psi) * sizes[f] * model.cap[i]
    value = np.sum(omega * values)
    total += np.sum(heavy * (sizes + spread))
    on_x += np.dot(omega, model.on_x)
    on_a = np.dot(omega, model.on_a)
    value, total = _pixel_terms(flat, inputs, on_a, delta, value, total)
    bend = 0.0
    for i in range(u):
        value += min(-on_x[i] * x[i], on_x[i] * (model.cap[i] - x[i]))
        bend += max(x[i], model.cap[i] - x[i]) ** 2
    result: float = value - (0.5 * kappa * bend + slack + rounding * total) * (1.0 + 1e-9) - TINY
    return result if result < np.inf else -np.inf  # NaN, too


@kernel
def _rounding(inputs: FlatInputSet, model: Model, witness: Witness, width: int) -> float:
    """Relative error of every sum."""
    numbers = inputs.center.size + width + model.neuron.size
    return gamma(2.0 * (numbers + model.constant.size + witness.term_at.size) + 64.0)


@part
def _pixel_terms(
    flat: FlatNetwork,
    inputs: FlatInputSet,
    on_a: FloatArray,
    delta: FloatArray,
    value: float,
    total: float,
) -> tuple[float, float]:
    """Add what depends on the pixels to the bound and to the sum of absolute terms."""
    gradient = np.zeros(delta.size)
    add_rows(flat, 0, on_a, gradient)
    for j in range(delta.size):
        slope = gradient[j] + 2.0 * (delta[j] + inputs.tilt)
        value += delta[j] * (delta[j] + 2.0 * inputs.tilt)
        value += min(slope * (inputs.low[j] - delta[j]), slope * (inputs.high[j] - delta[j]))
        reach = max(abs(inputs.low[j]), abs(inputs.high[j]))
        total += abs(delta[j]) * (abs(delta[j]) + 4.0 * reach)
        total += 2.0 * inputs.tilt * (abs(delta[j]) + 2.0 * reach)
    return value, total


@kernel
def _psi(witness: Witness, k: int, u: int) -> float:
    """Coefficient of a term, of the sign that its kind allows."""
    psi = float(witness.psi[k])
    return psi if k < u else min(psi, 0.0)


@apart
@kernel
def negative_curvature(
    inputs: FlatInputSet, first: FirstLayer, model: Model, witness: Witness
) -> float:
    """A number kappa with ``M >= -kappa I``, infinite if none is found."""
    u, width = model.neuron.size, first.lengths.size
    if u == 0:
        return 0.0
    rounding = _rounding(inputs, model, witness, width)
    matrix, heavy = np.zeros((u, u)), np.zeros((u, u))
    cross, height = np.zeros((u, width)), np.zeros(u)
    for k in range(witness.term_at.size):
        i, f, psi = witness.term_at[k], witness.term_form[k], _psi(witness, k, u)
        if psi == 0.0:
            continue
        for j in range(u):
            value = psi * model.on_x[f, j]
            matrix[i, j] += value
            matrix[j, i] += value
            heavy[i, j] += abs(value)
            heavy[j, i] += abs(value)
        for a in range(width):
            cross[i, a] += psi * model.on_a[f, a]
            height[i] += abs(psi * model.on_a[f, a]) * first.lengths[a]
    half = np.dot(cross, first.products)
    matrix -= 0.5 * np.dot(half, cross.T)
    wrong, trace = 0.0, 0.0
    for i in range(u):
        wrong = max(wrong, np.sum(heavy[i]))
        trace += heavy[i, i] + height[i] * height[i]
        for j in range(i):
            matrix[i, j] = matrix[j, i]
    wrong = rounding * (wrong + 0.5 * np.sum(height * height))
    unit = 2.0 * gamma(u + 2.0) * trace
    shift = 0.0
    for _ in range(SHIFTS):
        shifted = matrix.copy()
        largest = 0.0
        for i in range(u):
            shifted[i, i] += shift
            largest = max(largest, abs(shifted[i, i]))
        if _factorises(shifted):
            room = unit + 2.0 * gamma(u + 2.0) * u * shift + 2.0 * ROUNDOFF * largest
            return (shift + room + wrong) * (1.0 + 1e-9) + TINY
        shift = unit if shift == 0.0 else 10.0 * shift
    return np.inf


@kernel
def _factorises(matrix: FloatArray) -> bool:
    """Cholesky in strict IEEE arithmetic, in place, lower triangle."""
    size = matrix.shape[0]
    for j in range(size):
        for k in range(j):
            scale = matrix[j, k]
            for i in range(j, size):
                matrix[i, j] -= matrix[i, k] * scale
        if not matrix[j, j] > 0.0:
            return False
        root = np.sqrt(matrix[j, j])
        for i in range(j, size):
            matrix[i, j] /= root
    return True
