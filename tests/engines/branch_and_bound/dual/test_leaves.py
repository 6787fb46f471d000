"""Linear programs of leaves: multipliers that prove what they can."""

import numpy as np

from reluopt.answers.solution import Status
from reluopt.engines.branch_and_bound.dual import leaves, programs
from reluopt.engines.branch_and_bound.dual.domains import BoxDomain
from reluopt.engines.branch_and_bound.dual.goals import Goal
from reluopt.engines.branch_and_bound.dual.layers import bounded_chain
from reluopt.engines.options import EngineOptions
from reluopt.method import Method
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.pipeline import solve
from reluopt.questions.problems import MinimalPerturbation, Norm


def badly_scaled(seed):
    """A network whose neurons differ by up to eight powers of ten, and an image."""
    generator = np.random.default_rng(seed)
    layers = []
    for below, above in ((4, 6), (6, 5), (5, 3)):
        scale = 10.0 ** generator.uniform(-4, 4, (above, 1))
        weight = generator.normal(size=(above, below)) * scale
        layers.append(Dense(weight, generator.normal(size=above) * 0.5 * scale[:, 0]))
    return ReLUNetwork(tuple(layers)), generator.random(4)


def test_where_one_solver_proves_nothing_the_other_is_asked(monkeypatch):
    """Without semidefinite programs the first solver's multipliers leave leaves open here."""
    monkeypatch.setattr(programs, "fit", lambda _: False)
    network, image = badly_scaled(18)
    asked = MinimalPerturbation(image, int(network.predict(image)), norm=Norm.LINF)
    method = Method("bnb", options=EngineOptions(time_limit=20.0))
    assert solve(network, asked, method).status is Status.INFEASIBLE
    monkeypatch.setattr(leaves, "_by_highs", lambda *_: iter(()))
    assert solve(network, asked, method).status is not Status.INFEASIBLE


def test_the_second_solver_is_left_alone_until_it_is_needed(monkeypatch):
    network = ReLUNetwork((Dense(np.eye(2), np.zeros(2)), Dense(np.eye(2), np.zeros(2))))
    chain = bounded_chain(network, BoxDomain(-np.ones(2), np.ones(2)))
    goal, phases = Goal(np.array([[1.0, -1.0]]), np.zeros(1)), np.array([1, -1], dtype=np.int8)
    calls = []
    solved = leaves._solve
    monkeypatch.setattr(leaves, "_solve", lambda *args: calls.append(1) or solved(*args))
    trials = leaves.leaf_trials(chain, goal, 0, phases)
    first = next(trials)
    assert not calls
    second = next(trials)
    assert calls
    for trial in (first, second):
        assert trial.point[0] >= 0.0 >= trial.point[1]
        assert np.maximum(trial.point, 0.0) @ goal.rows[0] < 1e-8
