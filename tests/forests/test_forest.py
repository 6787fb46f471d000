"""Forests as arrays: the same shares as their source, and which values lie beside thresholds."""

import math

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

from reluopt.errors import EngineUnavailableError, InputError
from reluopt.forests.forest import Forest, Values, leaves_of

RNG = np.random.default_rng(5)
INPUTS, LABELS = RNG.random((80, 4)).astype(np.float32), np.arange(80) % 3


def test_shares_of_leaves_are_those_of_scikit_learn():
    model = RandomForestClassifier(5, max_depth=4, random_state=1).fit(INPUTS, LABELS)
    forest = Forest.of(model, "five")
    # On thresholds themselves, and one float32 beside them.
    cuts = np.concatenate([tree.threshold[tree.feature >= 0] for tree in forest.trees])
    near = cuts.astype(np.float32)
    probes = RNG.choice(np.concatenate([near, np.nextafter(near, np.float32(2))]), (300, 4))
    assert np.allclose(forest.shares(probes), model.predict_proba(probes), atol=1e-12)
    assert (forest.predict(probes) == model.predict(probes)).all()
    assert sum(len(each.shares) for each in leaves_of(forest, Values())) == sum(
        tree.n_leaves for tree in forest.trees
    )


@pytest.mark.parametrize("values", [Values(), Values(255), Values(4)])
def test_values_beside_a_threshold_are_neighbours(values):
    cuts = np.concatenate([RNG.random(200), np.arange(256) / 255.0, [0.0, 0.25, 0.5]])
    above = values.above(cuts)
    below = values.below(above)
    assert (above > cuts).all()
    assert (below <= cuts).all()
    inside = np.isfinite(above)
    assert (np.float32(above[inside]) == above[inside]).all()  # scikit-learn sees the same
    if values.levels is None:
        assert (np.nextafter(np.float32(below), np.float32(2)) == above).all()
    else:
        steps = np.round(above[inside] * values.levels) - np.round(below[inside] * values.levels)
        assert (steps == 1).all()


def test_beyond_the_last_level_there_is_nothing():
    assert Values(4).above(np.array([1.0]))[0] == math.inf
    assert Values(4).below(np.array([0.0]))[0] == -math.inf


@pytest.mark.parametrize(
    "model",
    [
        DecisionTreeClassifier(),
        GradientBoostingClassifier(n_estimators=2).fit(INPUTS, LABELS),
        DecisionTreeClassifier().fit(INPUTS, LABELS + 1),
        DecisionTreeClassifier().fit(INPUTS, np.stack([LABELS, LABELS], axis=1)),
    ],
)
def test_others_are_refused(model):
    with pytest.raises(InputError, match="forest: expected"):
        Forest.of(model)


def test_without_scikit_learn_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sklearn.ensemble", None)
    with pytest.raises(EngineUnavailableError, match=r"not installed: pip install .*train"):
        Forest.of(None)


def test_fingerprints_tell_forests_apart():
    one, other = (DecisionTreeClassifier(max_depth=d).fit(INPUTS, LABELS) for d in (2, 3))
    assert Forest.of(one).fingerprint == Forest.of(one).fingerprint != Forest.of(other).fingerprint
