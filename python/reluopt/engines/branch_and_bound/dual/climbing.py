"""All steps of the ascents of a batch in one call, a few nodes at a time (:mod:`.slots`)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from reluopt.engines.branch_and_bound.dual.products import times, times_transposed
from reluopt.engines.branch_and_bound.dual.slots import (
    ONE,
    SLOTS,
    ZERO,
    Nodes,
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
from reluopt.numerics.arrays import (
    FloatMatrix,
    IntArray,
    SingleArray,
    SingleMatrix,
)
from reluopt.numerics.jit import apart, search_kernel

SLOPE_RATE = 0.25
"""Adam's rate for slopes and shares, which lie in [0, 1]."""

SPLIT_RATE = 0.3
"""Adam's rate for multipliers of splits, relative to the mean coefficient of their layer."""

DECAY = 0.97
"""Factor of the rates from one iteration to the next."""

KEEP_FIRST, KEEP_SECOND, SMALL = np.float32(0.9), np.float32(0.99), np.float32(1e-8)
"""Shares of Adam's moments that are kept from one step to the next, and what keeps it finite."""


@search_kernel
def respond(t: Tables, s: Slots, b: int, start: int, width: int) -> None:
    """Post-activations of the relaxation at its optimum, and the gradient of the multipliers."""
    c, p, q, g = s.coefficients[b], s.free[b], s.phases[b], s.gradient[b]
    pre, post = s.pre[b], s.post[b]
    for i in range(width):
        j = start + i
        a, phase = pre[i], np.float32(q[j])
        over = t.offsets[j] if (phase == ZERO and c[j] < ZERO) else ZERO
        post[i] = a * slope(c[j], p[j], phase, t.slopes[j]) + over
        g[j] = (c[j] * a if c[j] >= ZERO else ZERO) if phase == ZERO else -phase * a


@search_kernel
def respond_with_planes(t: Tables, s: Slots, b: int) -> None:
    """What planes add to :func:`respond`, whose ``post`` holds the triangle's values."""
    width, count, place = t.sizes[0], t.neurons.size, s.phases.shape[1]
    c, g, pre, post = s.coefficients[b], s.gradient[b, place : place + count], s.pre[b], s.post[b]
    for k in range(count):
        i, g[k] = t.neurons[k], ZERO
        if s.phases[b, i] == 0 and c[i] < ZERO:
            g[k] = c[i] * (pre[width + k] + t.edges[k] - post[i])
    for k in range(count):
        i = t.neurons[k]
        if g[k] != ZERO:
            post[i] += s.free[b, place + k] * g[k] / c[i]


@apart
@search_kernel
def respond_all(t: Tables, s: Slots, count: int) -> None:
    """The gradient of all multipliers, from the points where the forms are least."""
    top, place, bias, start = t.sizes.size - 1, 0, t.sizes[0], 0
    times_transposed(s.points, t.stacked, s.pre, count)
    for k in range(top):
        width, behind = t.sizes[k], t.sizes[k + 1]
        for b in range(count):
            for i in range(width):
                s.pre[b, i] += t.biases[bias - width + i]
            respond(t, s, b, start, width)
            if k == 0:
                respond_with_planes(t, s, b)
        if k + 1 < top or t.rhs.size:
            matrix = t.transposed[place : place + width * behind].reshape(width, behind)
            times(s.post, matrix, s.pre, count, 0)
        place, bias, start = place + width * behind, bias + behind, start + width
    first = t.biases.size - t.sizes[top]
    for b in range(count):
        for c in range(t.rhs.size):
            total = t.rhs[c]
            for i in range(t.sizes[top]):
                total -= t.matrix[c, i] * (s.pre[b, i] + t.biases[first + i])
            s.gradient[b, start + t.neurons.size + c] = total


@apart
@search_kernel
def move(t: Tables, s: Slots, b: int, step: int, split_rates: SingleArray) -> None:
    """One step of Adam (Kingma and Ba 2015) upward, then back into the multipliers' limits."""
    scale = np.float32(1.0 / (1.0 - KEEP_SECOND ** (step + 1)))
    rate = np.float32(DECAY**step / (1.0 - KEEP_FIRST ** (step + 1)))
    g, first, second = s.gradient[b], s.first[b], s.second[b]
    for i in range(g.size):
        m = KEEP_FIRST * first[i] + (ONE - KEEP_FIRST) * g[i]
        v = KEEP_SECOND * second[i] + (ONE - KEEP_SECOND) * g[i] * g[i]
        first[i], second[i] = m, v
        g[i] = rate * m / (np.sqrt(v * scale) + SMALL)
    slopes, start = np.float32(SLOPE_RATE), 0
    p, q = s.free[b], s.phases[b]
    for k in range(split_rates.size):
        splits, width = split_rates[k], t.sizes[k]
        for i in range(start, start + width):
            free = q[i] == 0
            x = max(p[i] + (slopes if free else splits) * g[i], ZERO)
            p[i] = min(x, ONE) if free else x
        start += width
    end = start + t.neurons.size
    within_one(p[start:end], g[start:], slopes, t.each)
    add_up_to_one(p[end:], g[end:], slopes)


@search_kernel
def within_one(shares: SingleArray, steps: SingleArray, rate: float, each: int) -> None:
    """Move shares of planes; those of a neuron, ``each`` in a row, add up to <= 1."""
    for u in range(0, shares.size, each):
        total = ZERO
        for k in range(u, u + each):
            shares[k] = max(shares[k] + np.float32(rate) * steps[k], ZERO)
            total += shares[k]
        if total > ONE:
            for k in range(u, u + each):
                shares[k] /= total


@search_kernel
def add_up_to_one(mixture: SingleArray, steps: SingleArray, rate: float) -> None:
    """Move multipliers of conditions, which add up to 1."""
    total = ZERO
    for c in range(mixture.size):
        mixture[c] = max(mixture[c] + np.float32(rate) * steps[c], ZERO)
        total += mixture[c]
    for c in range(mixture.size):
        mixture[c] = mixture[c] / total if total > ZERO else ONE / mixture.size


@apart
@search_kernel
def split_rates(t: Tables, s: Slots, given: Nodes) -> SingleArray:
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
def hand_over(s: Slots, old: int, new: int) -> None:
    """Move what the next step of a node needs from one slot to another."""
    copied(s.free[old], s.free[new], 0)
    copied(s.first[old], s.first[new], 0)
    copied(s.second[old], s.second[new], 0)
    copied(s.coefficients[old], s.coefficients[new], 0)
    copied(s.points[old], s.points[new], 0)
    for i in range(s.phases.shape[1]):
        s.phases[new, i] = s.phases[old, i]


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


@search_kernel
def evaluate(t: Tables, s: Slots, count: int, at: IntArray, steps: IntArray, found: Found) -> None:
    """Bounds of the nodes in the slots; what is better is kept."""
    descend_hidden(t, s, count)
    descend_inputs(t, s, count)
    for slot in range(count):
        b = at[slot]
        if s.values[slot] > found.bounds[b]:
            found.bounds[b] = s.values[slot]
            keep(s, slot, found, b)
        share = (steps[slot] + 1.0) ** 2
        for j in range(found.mean.shape[1]):
            found.mean[b, j] += share * s.points[slot, j]


@search_kernel
def begin(given: Nodes, b: int, s: Slots, slot: int, found: Found) -> None:
    """Put row b into a slot, of which nothing is found yet."""
    load(given, b, s, slot)
    s.first[slot], s.second[slot] = ZERO, ZERO
    found.bounds[b] = -np.inf
    keep(s, slot, found, b)


@search_kernel
def end(s: Slots, slot: int, found: Found, b: int, steps: int) -> None:
    """What is known of row b after its last step: points, and their average."""
    copied(s.points[slot], found.points[b], 0)
    weight = steps * (steps + 1.0) * (2.0 * steps + 1.0) / 6.0
    for j in range(found.mean.shape[1]):
        found.mean[b, j] /= weight


@search_kernel
def ascend(t: Tables, given: Nodes, iterations: int, enough: float, found: Found) -> None:
    """Ascents of all rows; see :func:`.ascent.climb`."""
    rows, neurons = given.phases.shape
    s = empty_slots(t, neurons)
    rates = split_rates(t, s, given)
    at, steps = np.zeros(SLOTS, np.int64), np.zeros(SLOTS, np.int64)
    coming, count = 0, 0
    while coming < rows or count > 0:
        while count < SLOTS and coming < rows:
            begin(given, coming, s, count, found)
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
                    hand_over(s, count, slot)
                    at[slot], steps[slot] = at[count], steps[count]
        respond_all(t, s, count)
        for slot in range(count):
            move(t, s, slot, steps[slot] - 1, rates)
            renew(given, at[slot], s, slot)
