"""Nearest inputs of forests, against all inputs that could be nearest."""

from itertools import product

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

from reluopt.answers.solution import Status
from reluopt.engines.options import EngineOptions
from reluopt.errors import InputError
from reluopt.forests.forest import Forest, Values
from reluopt.forests.nearest import LEAD, nearest_otherwise
from reluopt.questions.problems import Norm

LEVELS = 12


def fitted(seed, trees=3, depth=3):
    """A small forest (or tree) whose inputs are multiples of 1/12, and an image."""
    rng = np.random.default_rng(seed)
    inputs = rng.integers(0, LEVELS + 1, (60, 3)) / LEVELS
    labels = rng.integers(0, 3, 60)
    labels[:3] = range(3)
    how = {"max_depth": depth, "random_state": seed}
    model = DecisionTreeClassifier(**how) if trees == 1 else RandomForestClassifier(trees, **how)
    forest = Forest.of(model.fit(inputs.astype(np.float32), labels))
    return forest, (rng.integers(0, LEVELS + 1, 3) / LEVELS).astype(np.float32).astype(float)


def by_brute_force(forest, image, norm, values):
    """The least distance over all combinations of values just beyond thresholds."""
    choices = []
    for name in range(image.size):
        cuts = np.concatenate([t.threshold[t.feature == name] for t in forest.trees])
        above = values.above(cuts)
        ends = np.concatenate([[image[name]], above, values.below(above)])
        choices.append(np.unique(ends[(ends >= 0.0) & (ends <= 1.0)]))
    points = np.array(list(product(*choices)))
    shares = forest.model.predict_proba(points.astype(np.float32)) * len(forest.trees)
    label = int(forest.predict(image[None])[0])
    others = np.delete(shares, label, axis=1).max(axis=1) - shares[:, label]
    sizes = np.abs(points - image)
    lengths = sizes.sum(axis=1) if norm is Norm.L1 else sizes.max(axis=1)
    return lengths[others >= LEAD].min(initial=np.inf)


@pytest.mark.parametrize("norm", [Norm.L1, Norm.LINF])
@pytest.mark.parametrize("values", [Values(), Values(LEVELS)])
@pytest.mark.parametrize("seed", range(12))
def test_nothing_is_nearer(seed, values, norm):
    forest, image = fitted(seed, trees=1 + seed % 4)
    found = nearest_otherwise(forest, image, norm, values)
    expected = by_brute_force(forest, image, norm, values)
    if not np.isfinite(expected):
        assert found.status is Status.INFEASIBLE
        return
    assert found.status is Status.OPTIMAL
    assert found.distance == pytest.approx(expected, rel=1e-6)
    assert found.bound <= found.distance
    assert forest.model.predict(found.image[None].astype(np.float32))[0] == found.target
    assert found.target != forest.predict(image[None])[0]
    if values.levels:
        assert np.allclose(found.image * LEVELS, np.round(found.image * LEVELS), atol=1e-6)


def test_a_forest_of_one_answer_has_no_nearest_input():
    _, image = fitted(0, trees=1, depth=1)
    constant = DecisionTreeClassifier(max_depth=1).fit(np.eye(3, dtype=np.float32), [0, 0, 1])
    constant.tree_.value[:, 0] = [0.9, 0.1]
    found = nearest_otherwise(Forest.of(constant), image, Norm.L1)
    assert (found.status, found.image, found.target) == (Status.INFEASIBLE, None, None)
    assert found.bound == np.inf


def test_without_time_there_is_a_bound_and_no_more():
    forest, image = fitted(3, trees=4)
    found = nearest_otherwise(forest, image, Norm.L1, options=EngineOptions(1e-9))
    assert found.status is Status.TIME_LIMIT
    assert found.image is None
    assert found.bound <= by_brute_force(forest, image, Norm.L1, Values())


@pytest.mark.parametrize(
    ("image", "norm", "engine", "words"),
    [
        ([0.0, 0.5], Norm.L1, "highs", "expected 3 values"),
        ([0.0, 0.5, 1.5], Norm.L1, "highs", r"in \[0, 1\]"),
        ([0.0, 0.5, float("nan")], Norm.L1, "highs", r"in \[0, 1\]"),
        ([0.0, 0.5, 1.0], Norm.L2, "highs", "L1 or Linf"),
        ([0.0, 0.5, 1.0], Norm.L1, "bnb", "a solver"),
    ],
)
def test_what_does_not_fit_is_refused(image, norm, engine, words):
    forest, _ = fitted(0)
    with pytest.raises(InputError, match=words):
        nearest_otherwise(forest, np.array(image), norm, engine=engine)
