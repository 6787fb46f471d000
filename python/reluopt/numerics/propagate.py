r"""Pre-activation bounds over an input set: exact first layer, then intervals and CROWN.

Bounds of all neurons live in two vectors ``lower`` and ``upper`` (layout: see
:mod:`reluopt.numerics.flat`) that are only ever tightened. They may already hold the phases that a
branch-and-bound tree has fixed (``lower >= 0`` active, ``upper <= 0`` inactive): everything below
is valid for the inputs of the set that have these phases.

The linear form (Zhang et al. 2018, CROWN, Theorem 3.2; Singh et al. 2019, DeepPoly). To bound
:math:`v^\top a^k` from above, put :math:`a^k = W x^{k-1} + b` and replace every ReLU by a line that
is above (below) it where its coefficient is positive (negative):

.. math:: y \le \frac{u}{u-l}(a - l), \qquad y \ge \alpha a,\ \alpha = 1 \text{ if } u > -l
          \text{ else } 0,

down to the input, where :func:`~reluopt.numerics.maxima.linear_maximum` finishes.

Why the result is a theorem
---------------------------
The coefficients computed in floating point are taken as *given numbers*; what must be bounded is
what they neglect. With :math:`X` the largest post-activations of the layer below (for the first
layer: largest :math:`|x|`), every pre-activation and everything summed to it is at most
:math:`m = |W| X + |b|` in absolute value. One step replaces

* the exact :math:`v^\top W` by its rounded value :math:`\hat u`, an error of at most
  :math:`\gamma_n |v|^\top |W| X \le \gamma_n |v|^\top m` in the form;
* :math:`v^\top b`, error :math:`\le \gamma_n |v|^\top |b| \le \gamma_n |v|^\top m`;
* the slope times coefficient by its rounded value :math:`v'`, error
  :math:`\le u |v'|^\top m'` with the magnitudes of the layer below;
* the chord by the line :math:`\hat s a + \hat t` with :math:`\hat s = fl(u/(u-l))` and
  :math:`\hat t \ge \max(-\hat s l, (1-\hat s) u)`: a valid line for *every*
  :math:`\hat s` in [0, 1], since it is above the convex ReLU at both ends.

So the error of the whole form is at most :math:`\gamma_N` times the sum of :math:`|v|^\top m` over
the layers and of :math:`|\hat u_j| \hat t_j` over the chords, N exceeding the longest chain of
roundings; :func:`~reluopt.numerics.rounding.gamma` doubles it. Interval arithmetic: at most
:math:`\gamma_{n+2} m`. First layer: see :class:`~reluopt.numerics.input_sets.FlatInputSet`,
:math:`W c + b` has error :math:`\le \gamma_{n+1} m`.
"""

from __future__ import annotations

import numpy as np

from reluopt.numerics.arrays import FloatArray, FloatMatrix
from reluopt.numerics.flat import FlatNetwork
from reluopt.numerics.input_sets import FlatInputSet
from reluopt.numerics.jit import apart, kernel
from reluopt.numerics.maxima import linear_maximum
from reluopt.numerics.products import add_ranges, add_rows, add_sizes, copy_row, reads_zeros
from reluopt.numerics.rounding import TINY, chord, gamma
from reluopt.numerics.vectors import copy_vector


@kernel
def rounding_chain(flat: FlatNetwork) -> float:
    """N of the module's derivation: roundings on the way of any term to the result."""
    return 2.0 * (np.sum(flat.sizes) + 16.0 * flat.sizes.size)


@kernel
def _line(coefficient: float, low: float, high: float) -> tuple[float, float]:
    """Coefficient of the pre-activation, and constant >= 0, that replace one of a ReLU."""
    if high <= 0.0 or coefficient == 0.0:
        return 0.0, 0.0
    if low >= 0.0:
        return coefficient, 0.0
    if coefficient > 0.0:
        slope, offset = chord(low, high)
        return coefficient * slope, coefficient * offset
    return (0.0 if high <= -low else coefficient), 0.0


@apart
@kernel
def linear_form_maximum(
    flat: FlatNetwork,
    inputs: FlatInputSet,
    lower: FloatArray,
    upper: FloatArray,
    magnitudes: FloatArray,
    layer: int,
    form: FloatArray,
    scratch: FloatMatrix,
) -> float:
    """Upper bound on ``form @ a`` for the pre-activations ``a`` of ``layer`` over an input set.

    Args:
        flat: the network.
        inputs: the input set.
        lower: valid lower bounds of all layers before ``layer``.
        upper: valid upper bounds of the same.
        magnitudes: ``|W| X + |b|`` of all layers up to ``layer``, see :func:`layer_magnitudes`.
        layer: index from 0.
        form: coefficients, shape ``(n_{layer+1},)``.
        scratch: shape ``(3, n_0)``.

    Returns:
        A number not below the exact maximum (NaN when something overflows).
    """
    current = form.copy()
    constant, size_of_all = 0.0, 0.0
    for k in range(layer, 0, -1):
        start, below_start = flat.neuron_offsets[k], flat.neuron_offsets[k - 1]
        size = flat.sizes[k]
        for i in range(current.size):
            constant += current[i] * flat.biases[start + i]
            size_of_all += abs(current[i]) * magnitudes[start + i]
        below = np.zeros(size)
        add_rows(flat, k, current, below)
        for j in range(size):
            line, offset = _line(below[j], lower[below_start + j], upper[below_start + j])
            below[j] = line
            constant += offset
            size_of_all += offset
        current = below
    for i in range(current.size):
        constant += current[i] * inputs.values[i]
        size_of_all += abs(current[i]) * magnitudes[i]
    g = scratch[0]
    g[:] = 0.0
    add_rows(flat, 0, current, g)
    reach = linear_maximum(inputs, g, scratch[1], scratch[2])
    error = gamma(rounding_chain(flat)) * (size_of_all + abs(reach))
    return constant + reach + error + TINY


@apart
@kernel
def layer_magnitudes(
    flat: FlatNetwork, inputs: FlatInputSet, upper: FloatArray, layer: int, magnitudes: FloatArray
) -> None:
    """Write ``|W| X + |b|`` of one layer, given upper bounds of the layer below."""
    start, stop = flat.neuron_offsets[layer], flat.neuron_offsets[layer + 1]
    if layer == 0:
        copy_vector(inputs.magnitudes, magnitudes[start:stop])
        return
    out = magnitudes[start:stop]
    for i in range(out.size):
        out[i] = abs(flat.biases[start + i])
    below = flat.neuron_offsets[layer - 1]
    add_sizes(flat, layer, upper[below : below + flat.sizes[layer]], out)


@kernel
def first_layer(
    flat: FlatNetwork,
    inputs: FlatInputSet,
    lower: FloatArray,
    upper: FloatArray,
    scratch: FloatArray,
) -> None:
    """Tighten the first layer by its exact range over the input set."""
    size = flat.sizes[0]
    factor = gamma(size + 16.0)
    g = scratch[0]
    for i in range(flat.sizes[1]):
        error = factor * inputs.magnitudes[i] + TINY
        copy_row(flat, 0, i, g)
        reach = linear_maximum(inputs, g, scratch[1], scratch[2])
        bound = inputs.values[i] + reach + (error + factor * abs(reach))
        if bound < upper[i]:
            upper[i] = bound
        for q in range(size):
            g[q] = -g[q]
        reach = linear_maximum(inputs, g, scratch[1], scratch[2])
        bound = inputs.values[i] - reach - (error + factor * abs(reach))
        if bound > lower[i]:
            lower[i] = bound


@kernel
def interval_layer(
    flat: FlatNetwork, lower: FloatArray, upper: FloatArray, magnitudes: FloatArray, layer: int
) -> None:
    """Tighten one layer behind the first by interval arithmetic.

    What reads nothing but zeros is its bias, which is 0 where the magnitude is; and what has no
    negative (positive) term is not negative (positive), whatever was rounded.
    """
    start, stop = flat.neuron_offsets[layer], flat.neuron_offsets[layer + 1]
    below, size = flat.neuron_offsets[layer - 1], flat.sizes[layer]
    high = flat.biases[start:stop].copy()
    low = high.copy()
    largest, smallest = np.empty(size), np.empty(size)
    for j in range(size):
        largest[j], smallest[j] = max(upper[below + j], 0.0), max(lower[below + j], 0.0)
    add_ranges(flat, layer, smallest, largest, low, high)
    factor = gamma(size + 8.0)
    for i in range(high.size):
        error = factor * magnitudes[start + i] + TINY
        if magnitudes[start + i] == 0.0 and reads_zeros(flat, layer, i, largest):
            error = 0.0
        top, bottom = high[i] + error, low[i] - error
        if flat.signs[start + i] > 0 and bottom < 0.0:
            bottom = 0.0
        if flat.signs[start + i] < 0 and top > 0.0:
            top = 0.0
        if top < upper[start + i]:
            upper[start + i] = top
        if bottom > lower[start + i]:
            lower[start + i] = bottom


@kernel
def linear_layer(
    flat: FlatNetwork,
    inputs: FlatInputSet,
    lower: FloatArray,
    upper: FloatArray,
    magnitudes: FloatArray,
    layer: int,
    every: bool,
    scratch: FloatMatrix,
) -> None:
    """Tighten one layer behind the first by linear forms; unstable neurons only, or ``every``."""
    start, stop = flat.neuron_offsets[layer], flat.neuron_offsets[layer + 1]
    form = np.zeros(stop - start)
    for i in range(stop - start):
        if not every and (lower[start + i] >= 0.0 or upper[start + i] <= 0.0):
            continue
        form[i] = 1.0
        bound = linear_form_maximum(flat, inputs, lower, upper, magnitudes, layer, form, scratch)
        if bound < upper[start + i]:
            upper[start + i] = bound
        if every or upper[start + i] > 0.0:
            form[i] = -1.0
            bound = -linear_form_maximum(
                flat, inputs, lower, upper, magnitudes, layer, form, scratch
            )
            if bound > lower[start + i]:
                lower[start + i] = bound
        form[i] = 0.0


@kernel
def tighten(
    flat: FlatNetwork,
    inputs: FlatInputSet,
    lower: FloatArray,
    upper: FloatArray,
    magnitudes: FloatArray,
    start_layer: int,
    stop_layer: int,
    every: bool,
) -> bool:
    """Tighten ``lower`` and ``upper`` in place, layer after layer.

    Args:
        flat: the network.
        inputs: the input set.
        lower: lower bounds of all neurons, shape ``(neurons,)``; -inf to start from nothing (then
            ``start_layer`` must be 0), or bounds valid for the inputs of interest.
        upper: upper bounds, likewise.
        magnitudes: filled for the layers below ``stop_layer``, shape ``(neurons,)``.
        start_layer: layers before it keep their bounds (1 when only phases have changed).
        stop_layer: layers from it on are left alone: ``K`` includes the logits, ``K - 1`` not.
        every: whether stable neurons get linear forms too.

    Returns:
        False when some lower bound exceeds its upper bound: proof that no input is left.
    """
    if inputs.radius < 0.0:
        lower[:], upper[:] = np.inf, -np.inf
        return False
    scratch = np.empty((3, flat.sizes[0]))
    for layer in range(stop_layer):
        layer_magnitudes(flat, inputs, upper, layer, magnitudes)
        if layer >= start_layer:
            if layer == 0:
                first_layer(flat, inputs, lower, upper, scratch)
            else:
                interval_layer(flat, lower, upper, magnitudes, layer)
                linear_layer(flat, inputs, lower, upper, magnitudes, layer, every, scratch)
        for i in range(flat.neuron_offsets[layer], flat.neuron_offsets[layer + 1]):
            if lower[i] > upper[i]:
                return False
    return True


@kernel
def tighten_intervals(
    flat: FlatNetwork, inputs: FlatInputSet, lower: FloatArray, upper: FloatArray
) -> bool:
    """Like :func:`tighten` for all layers, by interval arithmetic behind the first layer."""
    if inputs.radius < 0.0:
        lower[:], upper[:] = np.inf, -np.inf
        return False
    scratch = np.empty((3, flat.sizes[0]))
    magnitudes = np.empty(lower.size)
    for layer in range(flat.weight_offsets.size):
        layer_magnitudes(flat, inputs, upper, layer, magnitudes)
        if layer == 0:
            first_layer(flat, inputs, lower, upper, scratch)
        else:
            interval_layer(flat, lower, upper, magnitudes, layer)
    return not np.any(lower > upper)


@kernel
def condition_maxima(
    flat: FlatNetwork,
    inputs: FlatInputSet,
    lower: FloatArray,
    upper: FloatArray,
    magnitudes: FloatArray,
    matrix: FloatMatrix,
    rhs: FloatArray,
    maxima: FloatArray,
) -> bool:
    """Upper bounds on the slacks ``matrix @ logits - rhs`` over an input set, by linear forms.

    Args:
        flat: the network.
        inputs: the input set.
        lower: valid lower bounds of all hidden neurons.
        upper: valid upper bounds of the same.
        magnitudes: as :func:`tighten` left them for the hidden layers; the logits' are set here.
        matrix: shape ``(conditions, n_K)``.
        rhs: shape ``(conditions,)``.
        maxima: receives the bounds, shape ``(conditions,)``.

    Returns:
        False when some bound is negative: proof that no input meets the conditions.
    """
    scratch = np.empty((3, flat.sizes[0]))
    last = flat.weight_offsets.size - 1
    layer_magnitudes(flat, inputs, upper, last, magnitudes)
    feasible = True
    for c in range(rhs.size):
        bound = linear_form_maximum(
            flat, inputs, lower, upper, magnitudes, last, matrix[c], scratch
        )
        error = gamma(8.0) * (abs(bound) + abs(rhs[c]))
        maxima[c] = bound - rhs[c] + error
        if maxima[c] < 0.0:
            feasible = False
    return feasible
