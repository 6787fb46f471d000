"""Least slacks and their gradients: the worst condition, and layers of every kind."""

import itertools

import numpy as np
import pytest

from reluopt import Dense, ReLUNetwork
from reluopt.engines.branch_and_bound.dual.gradients import (
    Asked,
    _AnyLayers,
    _DenseLayers,
    move,
    worst_conditions,
)


def test_the_worst_condition_of_each_alternative():
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(5, 4)).astype(np.float32)
    matrix, rhs = generator.normal(size=(6, 4)), generator.normal(size=6)
    first, which = np.array([0, 1, 4, 6]), np.array([2, 1, 0, 1, 2])
    slacks, rows = np.empty(5), np.empty((5, 4), dtype=np.float32)
    worst_conditions(logits, which, first, matrix, rhs, slacks, rows)
    for b, alternative in enumerate(which):
        chosen = slice(first[alternative], first[alternative + 1])
        found = matrix[chosen] @ logits[b] - rhs[chosen]
        np.testing.assert_allclose(slacks[b], found.min(), rtol=1e-6)
        np.testing.assert_allclose(rows[b], matrix[chosen][found.argmin()], rtol=1e-6)


def test_nan_is_the_worst():
    slacks, rows = np.empty(1), np.empty((1, 2), dtype=np.float32)
    logits = np.array([[np.nan, 0.0]], dtype=np.float32)
    matrix = np.array([[0.0, 1.0], [1.0, 0.0]])
    which, first = np.zeros(1, dtype=np.int64), np.array([0, 2])
    worst_conditions(logits, which, first, matrix, np.zeros(2), slacks, rows)
    assert np.isnan(slacks[0])


@pytest.mark.parametrize("sizes", [(5, 3), (7, 4, 3), (30, 9, 6, 5), (21, 8, 11, 5, 4)])
def test_dense_layers_are_any_layers(sizes):
    generator = np.random.default_rng(sum(sizes))
    pairs = itertools.pairwise(sizes)
    layers = [Dense(generator.normal(size=(m, n)), generator.normal(size=m)) for n, m in pairs]
    network = ReLUNetwork(tuple(layers))
    matrix = generator.normal(size=(4, sizes[-1]))
    asked = Asked(np.array([0, 1, 4]), matrix, generator.normal(size=4))
    for count in range(7):
        points = generator.normal(size=(count, sizes[0])).astype(np.float32)
        which = generator.integers(0, 2, count)
        low, high = (np.full(sizes[0], end, dtype=np.float32) for end in (-2.0, 2.0))
        for length in (0.1, 0.05, 0.02):
            found = [
                layers.slacks(points, which, asked)
                for layers in (_AnyLayers(network), _DenseLayers(network))
            ]
            for one, other in zip(*found, strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
            move(points, found[0][1], np.full(sizes[0], length, dtype=np.float32), low, high)


def test_points_move_along_signs_within_the_box():
    points = np.array([[0.5, 0.5, 0.5], [0.0, 1.0, 0.25]], dtype=np.float32)
    gradient = np.array([[2.0, -3.0, 0.0], [-1.0, 1.0, 1.0]], dtype=np.float32)
    low, high, steps = (np.full(3, value, dtype=np.float32) for value in (0.0, 1.0, 0.25))
    move(points, gradient, steps, low, high)
    np.testing.assert_array_equal(points, [[0.75, 0.25, 0.5], [0.0, 1.0, 0.5]])
