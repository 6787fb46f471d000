"""Gradient steps in boxes: the least slack, its row, and how many steps a look may make."""

import itertools

import numpy as np
import pytest

from reluopt import Dense, ReLUNetwork
from reluopt.engines.branch_and_bound.dual.attack import STEPS, BoxAttack
from reluopt.engines.branch_and_bound.dual.gradients import (
    Asked,
    _AnyLayers,
    _DenseLayers,
    worst_conditions,
)
from reluopt.questions.problems import AnyTarget, MinimalPerturbation, Norm


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


def test_first_looks_are_short(thesis, test_images, monkeypatch):
    question = MinimalPerturbation(
        test_images.image(0), test_images.label(0), AnyTarget(), Norm.LINF
    )
    task = question.task(thesis)
    lower, upper = (np.clip(task.image + each, 0.0, 1.0) for each in (-1e-3, 1e-3))
    attack = BoxAttack(thesis, task.alternatives, lower, upper, 0, rising=(1, 2))
    calls = []
    whole = attack._gradients.slacks
    monkeypatch.setattr(attack._gradients, "slacks", lambda *a: calls.append(1) or whole(*a))
    for steps in (1, 2, STEPS, STEPS):
        calls.clear()
        assert attack.run(*attack.starts([0], 1)) is None
        assert len(calls) == steps


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
        for one, other in zip(
            _AnyLayers(network).slacks(points, which, asked),
            _DenseLayers(network).slacks(points, which, asked),
            strict=True,
        ):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
