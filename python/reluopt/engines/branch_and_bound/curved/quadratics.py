r"""The largest values of convex quadratic functions over L2 balls, rounded outward.

*Sums of squares* :math:`\sum_d w_d (g_d \delta + o_d)^2 \le (\sigma r + \beta)^2` by the triangle
inequality, where :math:`\sigma^2` is the largest eigenvalue of :math:`Q = \sum_d w_d g_d g_d^\top`
and :math:`\beta^2 = \sum_d w_d o_d^2`. Of few pixels
:math:`\sigma^2 \le \|Q^4\|_F^{1/4}`, which exceeds it by a fifth at most for 500 pixels, mostly far
less. Of many an eigenvalue is estimated, and proven by a Cholesky factor of
:math:`\sigma^2 I - Q`.

*Over a ball*, for any :math:`\lambda` with :math:`B = \lambda I - Q \succeq \mu I` and
:math:`\mu > 0`,

.. math:: \max_{\|\delta\| \le r} G \delta + \delta^\top Q \delta \le \lambda r^2
    + \max_\delta (G \delta - \delta^\top B \delta) \le \lambda r^2
    + G \hat\delta - \hat\delta^\top B \hat\delta + \frac{\|G - 2 B \hat\delta\|^2}{4 \mu}

for any :math:`\hat\delta`; the best :math:`\lambda` makes that an equality (Shor's relaxation of a
single constraint is exact).

*Rounding.* Q is computed with entrywise error at most :math:`\gamma_N |A|^\top |A|` for
:math:`A = \mathrm{diag}(\sqrt w) g`, hence with spectral error at most :math:`\gamma_N tr(Q)`. If a
floating-point Cholesky factorisation of a symmetric A of order n runs to its end,
:math:`\lambda_{min}(A) \ge -\gamma_{n+1} / (1 - \gamma_{n+1}) tr(A)` (Rump 2006, Verification of
positive definiteness, Theorem 2.3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reluopt.numerics.arrays import FloatArray, FloatMatrix
from reluopt.numerics.rounding import TINY, gamma

if TYPE_CHECKING:
    import scipy.sparse as sp

ABOVE = 1.02
"""What is claimed of an eigenvalue that is estimated, relative to the estimate."""

TOLERANCE = 8e-3
"""Relative tolerance of estimates: a third of the room above them."""

SMALL = 64
"""Orders up to which all eigenvalues are computed in place of an estimate."""

SEPARATION = 1e-6
"""How far above the largest eigenvalue the multiplier of a ball stays, relative to it."""

ROOM = 1.0 + 1e-9
"""Covers the rounding of the few operations on a bound that is proven."""


def gram(directions: sp.csr_array, weights: FloatArray) -> FloatMatrix:
    """Q of some directions, a row each."""
    import scipy.sparse as sp

    used = np.flatnonzero(weights > 0.0)
    scaled = sp.csr_array(sp.diags_array(np.sqrt(weights[used])) @ directions[used])
    if scaled.nnz > 0.2 * max(scaled.shape[0] * scaled.shape[1], 1):
        matrix = scaled.toarray()
        return np.asarray(matrix.T @ matrix)
    product = np.asarray((scaled.T @ scaled).toarray())
    return np.asarray(0.5 * (product + product.T))


def local_spectrum(directions: sp.csr_array, weights: FloatArray) -> float:
    """At least the largest eigenvalue of Q, for few pixels."""
    matrix = directions.toarray()
    matrix = matrix[:, matrix.any(axis=0)] * np.sqrt(weights)[:, None]
    small = matrix.T @ matrix if matrix.shape[1] <= matrix.shape[0] else matrix @ matrix.T
    trace = float(np.trace(small)) * ROOM
    if trace == 0.0:
        return TINY
    small = small / trace  # of eighth powers none is lost
    square = small @ small
    fourth = square @ square
    share = float(gamma(4.0 * (sum(matrix.shape) + 8.0)))
    norm = float(np.sqrt((fourth * fourth).sum())) + share
    return float(trace * (norm**0.25 * ROOM + share) * ROOM + TINY)


def estimated_spectrum(directions: sp.csr_array, weights: FloatArray) -> float:
    """Mostly more than the largest eigenvalue of Q, by a percent; infinite where that fails."""
    from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

    if directions.shape[1] <= SMALL:
        return ABOVE * max(float(np.linalg.eigvalsh(gram(directions, weights))[-1]), 0.0) + TINY

    turned, size = directions.T.tocsr(), directions.shape[1]

    def times(vector: FloatArray) -> FloatArray:
        found: FloatArray = turned @ (weights * (directions @ vector))
        return found

    operator = LinearOperator((size, size), matvec=times, dtype=np.float64)
    start = np.ones(size)  # the same answer each time
    try:
        found = eigsh(operator, k=1, which="LA", tol=TOLERANCE, v0=start, return_eigenvectors=False)
    except ArpackError:  # of zero, for one
        return np.inf
    return ABOVE * float(found[0]) + TINY


def is_below(matrix: FloatMatrix, largest: float, terms: float) -> bool:
    """Whether all eigenvalues are proven to be at most ``largest``.

    Args:
        matrix: Q as it was computed.
        largest: what is claimed.
        terms: of its sums.
    """
    size, trace = matrix.shape[0], float(np.trace(matrix)) * ROOM
    left = size * largest + trace
    share = float(gamma(size + 2.0) + gamma(8.0))
    return is_definite(matrix, largest - share * left - float(gamma(terms)) * trace)


def is_definite(matrix: FloatMatrix, multiplier: float) -> bool:
    """Whether ``multiplier * I - matrix`` has a Cholesky factor in floating point."""
    shifted = -matrix
    shifted[np.diag_indices_from(shifted)] += multiplier
    if not np.isfinite(shifted).all():
        return False
    try:
        np.linalg.cholesky(shifted)
    except np.linalg.LinAlgError:
        return False
    return True


def largest_over_ball(
    slopes: FloatArray, matrix: FloatMatrix, radius: float
) -> tuple[float, FloatArray, float]:
    """About the largest ``slopes @ delta + delta @ matrix @ delta``, where, and the multiplier."""
    values, vectors = np.linalg.eigh(matrix)
    turned = vectors.T @ slopes
    least = max(float(values[-1]), 0.0) * (1.0 + SEPARATION) + TINY
    low = max(least, float((values + np.abs(turned) / (2.0 * radius)).max()))
    high = max(low, least + float(np.linalg.norm(slopes)) / (2.0 * radius))

    def excess(multiplier: float) -> float:
        """By how much the point of a multiplier lies beyond the radius."""
        return float(np.linalg.norm(turned / (2.0 * (multiplier - values)))) - radius

    if excess(low) > 0.0:
        for _ in range(60):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if excess(middle) > 0.0 else (low, middle)
        low = high
    point = vectors @ (turned / (2.0 * (low - values)))
    value = low * radius**2 + 0.5 * float(slopes @ point)
    return value, point, low


def proven_over_ball(slopes: FloatArray, matrix: FloatMatrix, radius: float, terms: float) -> float:
    """At least the largest value over the ball; infinite where nothing is proven.

    Args:
        slopes: G.
        matrix: Q as it was computed.
        radius: of the ball.
        terms: of the sums of Q.
    """
    size, trace = matrix.shape[0], float(np.trace(matrix)) * ROOM
    _, point, multiplier = largest_over_ball(slopes, matrix, radius)
    multiplier *= 1.0 + SEPARATION
    definite = 0.25 * SEPARATION * multiplier  # mu
    share = float(gamma(size + 16.0))
    room = share * (size * multiplier + trace) + float(gamma(terms)) * trace
    if not is_definite(matrix, multiplier - definite - room):
        return np.inf
    product = multiplier * point - matrix @ point
    sizes = multiplier * np.abs(point) + np.abs(matrix) @ np.abs(point)
    rest = slopes - 2.0 * product
    wrong = share * (np.abs(slopes) + 2.0 * sizes)
    left = float(np.linalg.norm(np.abs(rest) + wrong)) * ROOM
    value = multiplier * radius**2 + float(slopes @ point - point @ product)
    whole = multiplier * radius**2 + float(np.abs(slopes) @ np.abs(point) + np.abs(point) @ sizes)
    lost = 4.0 * share * whole + float(gamma(terms)) * trace * radius**2
    return value + lost * ROOM + left**2 / (4.0 * definite) * ROOM + TINY
