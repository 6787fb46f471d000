"""All steps of the ascents of a batch in one call, a few nodes at a time (:mod:`.slots`)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from reluopt.engines.branch_and_bound.dual.products import times, times_transposed
from reluopt.engines.branch_and_bound.dual.slots import (
    ONE,
    SLOTS,
    ZERO,
    Batch,
    Slots,
    Tables,
    copied,
    descend_hidden,
    descend_inputs,
    empty_slots,
    load,
    renew,
    slope,
)
from reluopt.engines.branch_and_bound.dual.sparse import sparse_times_transposed
from reluopt.numerics.arrays import (
    BoolArray,
    ByteMatrix,
    FloatMatrix,
    IntArray,
    SingleArray,
    SingleMatrix,
)
from reluopt.numerics.jit import apart, part, search_kernel

SLOPE_RATE = np.float32(0.25)
"""Adam's rate for slopes and shares, which lie in [0, 1]."""

SPLIT_RATE = 0.3
"""Adam's rate for multipliers of splits, relative to the mean coefficient of their layer."""

DECAY = 0.97
"""Factor of the rates from one iteration to the next."""

KEEP_FIRST, KEEP_SECOND, SMALL = np.float32(0.9), np.float32(0.99), np.float32(1e-8)
"""Shares of Adam's moments that are kept from one step to the next, and what keeps it finite."""


@part
def respond(t: Tables, s: Slots, b: int, start: int, biases: SingleArray, seen: Any) -> None:
    """Post-activations of the relaxation at its optimum, and the gradient of the multipliers."""
    stop = start + biases.size
    slopes, offsets = t.slopes[start:stop], t.offsets[start:stop]
    c, p, q = s.coefficients[b, start:stop], s.free[b, start:stop], s.phases[b, start:stop]
    pre, post, g = s.pre[b], s.post[b], s.gradient[b, start:stop]
    for i in range(biases.size):
        a, phase, offset = pre[i] + biases[i], np.float32(q[i]), offsets[i]
        over = offset if c[i] < ZERO else ZERO
        post[i] = a * slope(c[i], p[i], phase, slopes[i]) + (over if phase == ZERO else ZERO)
        gradient = max(c[i], ZERO) * a if phase == ZERO else -phase * a
        g[i] = gradient if seen[start + i] != 0 else ZERO


@part
def respond_with_planes(t: Tables, s: Slots, b: int, layer: int, start: int) -> None:
    """What planes add to :func:`respond`, whose ``post`` holds the triangle's values."""
    first, last, place = t.firsts[layer], t.firsts[layer + 1], s.phases.shape[1]
    c, g, post = s.coefficients[b], s.gradient[b, place : place + t.neurons.size], s.post[b]
    for k in range(first, last):
        i, g[k] = t.neurons[k], ZERO
        if s.phases[b, i] == 0 and c[i] < ZERO:
            g[k] = c[i] * (s.lines[b, k] + t.edges[k] - post[i - start])
    for k in range(first, last):
        i = t.neurons[k]
        if g[k] != ZERO:
            post[i - start] += s.free[b, place + k] * g[k] / c[i]


@apart
@search_kernel
def mark_seen(t: Tables, s: Slots, slot: int, seen: ByteMatrix) -> None:
    """Mark the neurons that a slot's form can see, and those that its node has decided.

    Of a convolution these are few where a form is about one neuron of a layer in the middle. All
    others have no gradient: their values need not be known. Stable neurons have no offset.
    """
    marks, top = seen[slot], t.sizes.size - 1
    behind, start = np.empty(t.sizes[top], np.int8), marks.size
    for j in range(behind.size):
        behind[j] = s.form[slot, j] != ZERO
    for k in range(top, 0, -1):
        width, begin = t.sizes[k - 1], t.sparse.begins[k]
        start -= width
        for i in range(start, start + width):
            whole = begin < 0 or t.rhs.size > 0
            marks[i] = whole or (s.phases[slot, i] != 0 and t.offsets[i] != ZERO)
        for j in range(t.sizes[k] if begin >= 0 else 0):
            if behind[j]:
                for e in range(t.sparse.ends[begin + j], t.sparse.ends[begin + j + 1]):
                    marks[start + t.sparse.columns[e]] = 1
        behind = marks[start : start + width]


@search_kernel
def any_of(seen: ByteMatrix, count: int, start: int, stop: int) -> BoolArray:
    """Neurons that one of the first slots sees."""
    found = np.zeros(stop - start, np.bool_)
    for b in range(count):
        for i in range(start, stop):
            found[i - start] |= seen[b, i] != 0
    return found


@apart
@search_kernel
def respond_all(t: Tables, s: Slots, count: int, seen: ByteMatrix) -> None:
    """The gradient of all multipliers, from the points where the forms are least."""
    top, start = t.sizes.size - 1, 0
    if t.sparse.begins[0] < 0:
        times_transposed(s.points, t.stacked, s.pre, count)
    else:
        width, wanted = t.stacked.shape[1], any_of(seen, count if top else 0, 0, t.sizes[0])
        wanted |= top == 0
        sparse_times_transposed(s.points, t.sparse, 0, wanted, s.pre, count, width)
    for b in range(count):
        copied(s.pre[b, t.sizes[0] : t.sizes[0] + t.neurons.size], s.lines[b], 0)
    for k in range(top):
        width, behind, place = t.sizes[k], t.sizes[k + 1], t.places[k + 1]
        for b in range(count):
            respond(t, s, b, start, t.biases[start : start + width], seen[b])
            respond_with_planes(t, s, b, k, start)
        if k + 1 < top or t.rhs.size:
            if t.sparse.begins[k + 1] < 0:
                matrix = t.transposed[place : place + width * behind].reshape(width, behind)
                times(s.post, matrix, s.pre, count, 0)
            else:
                first, last = start + width, k + 1 == top
                wanted = any_of(seen, 0 if last else count, first, first + behind)
                wanted |= last
                sparse_times_transposed(s.post, t.sparse, k + 1, wanted, s.pre, count, width)
        start += width
    first = t.biases.size - t.sizes[top]
    for b in range(count):
        for c in range(t.rhs.size):
            total = t.rhs[c]
            for i in range(t.sizes[top]):
                total -= t.matrix[c, i] * (s.pre[b, i] + t.biases[first + i])
            s.gradient[b, start + t.neurons.size + c] = total


@search_kernel
def rates_of(iterations: int) -> tuple[SingleArray, SingleArray]:
    """Of each step the rate, and what second moments that began at zero are multiplied by."""
    rates, scales = np.empty(iterations, np.float32), np.empty(iterations, np.float32)
    for step in range(iterations):
        rates[step] = DECAY**step / (1.0 - KEEP_FIRST ** (step + 1))
        scales[step] = 1.0 / (1.0 - KEEP_SECOND ** (step + 1))
    return rates, scales


@apart
@search_kernel
def move(
    t: Tables,
    s: Slots,
    count: int,
    steps: IntArray,
    rates: SingleArray,
    scales: SingleArray,
    splits: SingleArray,
) -> None:
    """One step of Adam (Kingma and Ba 2015) upward, then back into the multipliers' limits."""
    for b in range(count):
        rate, scale = rates[steps[b] - 1], scales[steps[b] - 1]
        p, q, g, first, second = s.free[b], s.phases[b], s.gradient[b], s.first[b], s.second[b]
        for i in range(g.size):
            m = KEEP_FIRST * first[i] + (ONE - KEEP_FIRST) * g[i]
            v = KEEP_SECOND * second[i] + (ONE - KEEP_SECOND) * g[i] * g[i]
            first[i], second[i] = m, v
            g[i] = rate * m / (np.sqrt(v * scale) + SMALL)
        start = 0
        for k in range(splits.size):
            split, stop = splits[k], start + t.sizes[k]
            within_limits(p[start:stop], q[start:stop], g[start:stop], split)
            start = stop
        end = start + t.neurons.size
        within_one(p[start:end], g[start:], t.each)
        add_up_to_one(p[end:], g[end:])


@part
def within_limits(p: SingleArray, q: Any, g: SingleArray, split: Any) -> None:
    """Move the multipliers of one layer: slopes stay in [0, 1], those of splits above 0."""
    for i in range(p.size):
        free = q[i] == 0
        x = max(p[i] + (SLOPE_RATE if free else split) * g[i], ZERO)
        p[i] = min(x, ONE) if free else x


@part
def within_one(shares: SingleArray, steps: SingleArray, each: int) -> None:
    """Move shares of planes; those of a neuron, ``each`` in a row, add up to <= 1."""
    for u in range(0, shares.size, each):
        total = ZERO
        for k in range(u, u + each):
            shares[k] = max(shares[k] + SLOPE_RATE * steps[k], ZERO)
            total += shares[k]
        if total > ONE:
            for k in range(u, u + each):
                shares[k] /= total


@part
def add_up_to_one(mixture: SingleArray, steps: SingleArray) -> None:
    """Move multipliers of conditions, which add up to 1."""
    total = ZERO
    for c in range(mixture.size):
        mixture[c] = max(mixture[c] + SLOPE_RATE * steps[c], ZERO)
        total += mixture[c]
    for c in range(mixture.size):
        mixture[c] = mixture[c] / total if total > ZERO else ONE / mixture.size


@apart
@search_kernel
def split_rates(t: Tables, s: Slots, given: Batch) -> SingleArray:
    """Rates of the multipliers of splits, of each layer: from all coefficients of a batch."""
    sums, count = np.zeros(t.sizes.size - 1, np.float32), given.constants.size
    for b in range(count):
        slot = b % SLOTS
        load(given, b, s, slot)
        if slot < SLOTS - 1 and b < count - 1:
            continue
        descend_hidden(t, s, slot + 1)
        for i in range(slot + 1):
            start = 0
            for k in range(sums.size):
                for j in range(start, start + t.sizes[k]):
                    sums[k] += abs(s.coefficients[i, j])
                start += t.sizes[k]
    for k in range(sums.size):
        sums[k] *= np.float32(SPLIT_RATE / max(count * t.sizes[k], 1))
    return sums


@apart
@search_kernel
def hand_over(s: Slots, old: int, new: int, seen: ByteMatrix) -> None:
    """Move what the next step of a node needs from one slot to another."""
    copied(s.free[old], s.free[new], 0)
    copied(s.first[old], s.first[new], 0)
    copied(s.second[old], s.second[new], 0)
    copied(s.coefficients[old], s.coefficients[new], 0)
    copied(s.points[old], s.points[new], 0)
    for i in range(s.phases.shape[1]):
        s.phases[new, i], seen[new, i] = s.phases[old, i], seen[old, i]


class Found(NamedTuple):
    """Of each row what :class:`.ascent.Climbed` tells; ``mean`` is empty where nobody asks."""

    bounds: SingleArray
    multipliers: SingleMatrix
    shares: SingleMatrix
    mixture: SingleMatrix
    points: SingleMatrix
    mean: FloatMatrix


@search_kernel
def keep(s: Slots, slot: int, found: Found, b: int) -> None:
    """Remember a slot's multipliers as those of row b."""
    neurons, planes = found.multipliers.shape[1], found.shares.shape[1]
    free = s.free[slot]
    copied(free[:neurons], found.multipliers[b], 0)
    copied(free[neurons : neurons + planes], found.shares[b], 0)
    copied(free[neurons + planes :], found.mixture[b], 0)


@part
def evaluate(t: Tables, s: Slots, count: int, at: IntArray, steps: IntArray, found: Found) -> None:
    """Bounds of the nodes in the slots; what is better is kept."""
    descend_hidden(t, s, count)
    descend_inputs(t, s, count)
    for slot in range(count):
        b = at[slot]
        if s.values[slot] > found.bounds[b]:
            found.bounds[b] = s.values[slot]
            keep(s, slot, found, b)
        share = (steps[slot] + 1.0) * (steps[slot] + 1.0)
        for j in range(found.mean.shape[1]):
            found.mean[b, j] += share * s.points[slot, j]


@part
def begin(given: Batch, b: int, s: Slots, slot: int, found: Found) -> None:
    """Put row b into a slot, of which nothing is found yet."""
    load(given, b, s, slot)
    s.first[slot], s.second[slot] = ZERO, ZERO
    found.bounds[b] = -np.inf
    keep(s, slot, found, b)


@part
def end(s: Slots, slot: int, found: Found, b: int, steps: int) -> None:
    """What is known of row b after its last step: points, and their average."""
    copied(s.points[slot], found.points[b], 0)
    weight = steps * (steps + 1.0) * (2.0 * steps + 1.0) / 6.0
    for j in range(found.mean.shape[1]):
        found.mean[b, j] /= weight


@search_kernel
def ascend(t: Tables, given: Batch, iterations: int, enough: float, found: Found) -> None:
    """Ascents of all rows; see :func:`.ascent.climb`."""
    rows, neurons = given.phases.shape
    s = empty_slots(t, neurons)
    splits, seen = split_rates(t, s, given), np.empty((SLOTS, neurons), np.int8)
    rates, scales = rates_of(iterations)
    at, steps = np.zeros(SLOTS, np.int64), np.zeros(SLOTS, np.int64)
    coming, count = 0, 0
    while coming < rows or count > 0:
        while count < SLOTS and coming < rows:
            begin(given, coming, s, count, found)
            mark_seen(t, s, count, seen)
            at[count], steps[count] = coming, 0
            coming, count = coming + 1, count + 1
        evaluate(t, s, count, at, steps, found)
        for slot in range(count - 1, -1, -1):
            b = at[slot]
            steps[slot] += 1
            if steps[slot] == iterations or found.bounds[b] > np.float32(enough):
                end(s, slot, found, b, steps[slot])
                count -= 1
                if slot < count:
                    hand_over(s, count, slot, seen)
                    at[slot], steps[slot] = at[count], steps[count]
        respond_all(t, s, count, seen)
        move(t, s, count, steps, rates, scales, splits)
        for slot in range(count):
            renew(given, at[slot], s, slot)
