"""Planes are above their unit over the whole set, and touch its envelope where they were made."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from reluopt.engines.branch_and_bound.envelopes.patches import Changes, Patch
from reluopt.engines.branch_and_bound.envelopes.planes import planes_at


def unit_of(random, size, pieces):
    """A patch of random pieces, zero the last one, and a set of changes."""
    weights = np.vstack([random.normal(size=(pieces, size)), np.zeros(size)])
    constants = np.append(random.normal(size=pieces) - 0.3, 0.0)
    patch = Patch(np.arange(size), weights, constants, 0.0, 10.0, 0.0)
    radius = float(random.choice([0.7, 1.5, np.inf]))
    rooms = random.random(size) + 0.1
    return patch, Changes(np.zeros(size), np.arange(size), np.ones(size), rooms, radius)


def point_of(random, changes):
    """A point of the set, some changes of which are at an end."""
    shares = np.clip(random.random(changes.rooms.size) * 3.0 - 1.0, 0.0, 1.0)
    point = shares * changes.rooms
    return point * min(1.0, changes.radius / max(float(point.sum()), 1e-9))


def exact_maximum(form, rooms, radius):
    """The fractional knapsack in rational numbers."""
    left, total = radius, Fraction(0)
    for value, room in sorted(zip(form, rooms, strict=True), reverse=True):
        if value <= 0 or (left is not None and left <= 0):
            break
        taken = room if left is None else min(room, left)
        left = None if left is None else left - taken
        total += value * taken
    return total


def envelope_at(patch, changes, point):
    """The envelope by the program that defines it, nothing eliminated."""
    count, size = patch.weights.shape
    wide = count * (size + 1)
    cost = np.concatenate([patch.constants, patch.weights.ravel()])
    rows, limits = [], []
    for q in range(count):
        own = count + q * size + np.arange(size)
        for j in range(size):
            row = np.zeros(wide)
            row[own[j]], row[q] = 1.0, -changes.rooms[j]
            rows.append(row)
            limits.append(0.0)
        if changes.radius < np.inf:
            row = np.zeros(wide)
            row[own], row[q] = 1.0, -changes.radius
            rows.append(row)
            limits.append(0.0)
    sums = np.zeros((size + 1, wide))
    sums[0, :count] = 1.0
    for j in range(size):
        sums[j + 1, count + j + size * np.arange(count)] = 1.0
    found = linprog(-cost, np.array(rows), limits, sums, np.append(1.0, point))
    assert found.status == 0
    return -found.fun


@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 4))
@settings(max_examples=150, deadline=None)
def test_a_plane_touches_the_envelope_and_is_above_every_piece(seed, size, pieces):
    random = np.random.default_rng(seed)
    patch, changes = unit_of(random, size, pieces)
    point = point_of(random, changes)
    (slopes,) = planes_at(changes, [(patch, np.array(patch.pieces))], point, 60.0)
    heights = patch.heights(changes, slopes)
    rooms = [Fraction(room) for room in changes.rooms]
    radius = None if changes.radius == np.inf else Fraction(changes.radius)
    for weight, constant, height in zip(patch.weights, patch.constants, heights, strict=True):
        form = [Fraction(a) - Fraction(b) for a, b in zip(weight, slopes, strict=True)]
        assert Fraction(constant) + exact_maximum(form, rooms, radius) <= Fraction(height)
    shown = float(slopes @ point) + heights.max()
    assert shown == pytest.approx(envelope_at(patch, changes, point), abs=1e-6)


@given(st.integers(0, 10**6))
@settings(max_examples=50, deadline=None)
def test_planes_of_many_units_are_those_of_each(seed):
    random = np.random.default_rng(seed)
    patch, changes = unit_of(random, 4, 2)
    other = Patch(np.array([2, 0]), random.normal(size=(2, 2)), random.normal(size=2), 0, 1, 0)
    point = point_of(random, changes)
    given_ = [(patch, np.array([0, 2])), (other, np.array([0, 1])), (patch, np.array([1]))]
    together = planes_at(changes, given_, point, 60.0)
    for pair, slopes in zip(given_, together, strict=True):
        (alone,) = planes_at(changes, [pair], point, 60.0)
        heights = [pair[0].heights(changes, own)[pair[1]].max() for own in (alone, slopes)]
        places = pair[0].columns
        assert alone @ point[places] + heights[0] == pytest.approx(
            slopes @ point[places] + heights[1], abs=1e-7
        )


def test_nothing_is_asked_of_no_units():
    random = np.random.default_rng(0)
    _, changes = unit_of(random, 3, 1)
    assert planes_at(changes, [], np.zeros(3), 60.0) == []
