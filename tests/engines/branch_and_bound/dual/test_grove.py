"""Trees whose hard nodes get planes of their own."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.boxes import brute_slack, random_network
from reluopt.deadline import NEVER, Deadline
from reluopt.engines.branch_and_bound.dual import grove, tree, verdict
from reluopt.engines.branch_and_bound.dual.domains import BoxDomain
from reluopt.engines.branch_and_bound.dual.grove import Pace
from reluopt.engines.branch_and_bound.dual.proof import made_proof, replay
from reluopt.engines.branch_and_bound.dual.verdict import DomainSearch
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.problems import Verification

SIZES, LARGER = (3, 4, 3, 3), (5, 12, 8, 3)
CLOSE = 1e-6
"""How far the brute force may be from the truth."""


@pytest.fixture
def eager(monkeypatch):
    """Planes for every node that a tree has, from the first alternative on."""
    monkeypatch.setattr(verdict, "PLAIN_NODES", 0)
    for name, value in {"WORTH": 1.001, "SPREAD": 2, "FIRST": 1, "PATIENCE": 0.0}.items():
        monkeypatch.setattr(grove, name, value)
    monkeypatch.setattr(grove, "TELLING", 1)


def ball(seed, sizes):
    """A ball of a random network."""
    generator = np.random.default_rng(seed)
    network = random_network(generator, sizes)
    image = generator.random(sizes[0])
    return network, Verification(image, int(network.predict(image)), 0.25).task(network)


def search(network, task, deadline=NEVER, **options):
    """A search without attacks."""
    center = task.inputs.center
    ends = np.maximum(center - 0.25, 0.0), np.minimum(center + 0.25, 1.0)
    return DomainSearch(network, BoxDomain(*ends), task.alternatives, deadline, **options).run()


def test_empty_boxes_are_proven_and_no_others(eager):
    for seed in range(12):
        network, task = ball(seed, SIZES)
        found, exact = search(network, task), brute_slack(network, task)
        assert found.empty == (exact < 0.0)
        assert found.slack >= exact - CLOSE


def test_planes_of_many_nodes_are_kept(eager):
    planes = 0
    for seed in range(12):
        network, task = ball(seed, LARGER)
        found = search(network, task, keep=True)
        if found.empty:
            proof = made_proof(network, task, 0.25, [0] * len(task.alternatives), found)
            assert replay(proof, network, task) == pytest.approx(found.slack, abs=1e-9)
            planes += sum(np.unique(tree.cuts).size > 1 for tree in proof.trees)
    assert planes > 0


def test_bounds_hold_whenever_time_is_over(eager):
    left = 0
    for seed in range(8):
        network, task = ball(seed, LARGER)
        center = task.inputs.center
        inside = np.clip(center + np.random.default_rng(0).uniform(-0.25, 0.25, (500, 5)), 0.0, 1.0)
        seen = max(
            alternative.conditions.slack(logits).min()
            for logits in network.forward(inside)
            for alternative in task.alternatives
        )
        for steps in (5, 10, 20, 40, 80):
            clock = itertools.count()
            deadline = Deadline(steps, lambda clock=clock: float(next(clock)))
            found = search(network, task, deadline)
            assert found.slack >= seen
            left += seen < 0.0 <= found.slack < np.inf
    assert left > 0


def test_the_rate_of_trees_is_learned():
    pace = Pace()
    assert not pace.hard(np.array([100.0])).any()
    for lack in (2.0, 3.0, 4.0) * 8:
        pace.learn(np.array([lack]), round(np.exp(2.0 * lack)), finished=True, little=0.0)
    assert pace.rate == pytest.approx(2.0, rel=0.05)
    assert pace.expected(np.array([1.0, 2.0])) == pytest.approx(np.e**2 + np.e**4, rel=0.3)
    assert pace.hard(np.array([1.0, 5.0, np.inf])).tolist() == [False, True, False]


def test_a_tree_that_is_not_finished_only_raises_the_rate():
    pace = Pace()
    pace.learn(np.array([2.0]), 1000, finished=False, little=0.0)
    rate = pace.rate
    assert rate == pytest.approx(np.log(1000.0) / 2.0, rel=1e-6)
    pace.learn(np.array([20.0]), 1000, finished=False, little=0.0)
    assert pace.rate == rate


def test_trees_that_say_nothing_change_nothing():
    pace = Pace()
    pace.learn(np.array([1.0]), 3, finished=True, little=0.0)
    pace.learn(np.array([np.inf]), 3000, finished=True, little=0.0)
    assert pace.rate == 0.0


NUMBERS = st.sampled_from([-np.inf, -1e308, -1.0, 0.0, 1e-300, 0.3, 1e3, 1e308, np.inf, np.nan])


@settings(deadline=None, derandomize=True, max_examples=300)
@given(
    st.lists(
        st.tuples(
            st.lists(NUMBERS, min_size=1, max_size=4), st.integers(1, 10**9), st.booleans(), NUMBERS
        ),
        max_size=4,
    ),
    st.lists(NUMBERS, min_size=1, max_size=5),
)
@pytest.mark.filterwarnings("error")
def test_whatever_roots_lack_the_rate_is_a_number_and_every_tree_may_grow(told, lacks):
    pace = Pace()
    for each, nodes, finished, little in told:
        pace.learn(np.array(each), nodes, finished, little)
        assert 0.0 <= pace.rate < np.inf
    asked = np.array(lacks)
    assert 0.0 <= pace.expected(asked) <= grove.WORTH * asked.size * (1.0 + 1e-9)
    assert not pace.hard(asked)[~np.isfinite(asked)].any()


def test_roots_that_lack_next_to_nothing_make_no_rate():
    pace = Pace()
    pace.learn(np.array([1e-9]), 1000, finished=False, little=0.02)
    assert pace.rate == pytest.approx(np.log(1000.0) / 0.02)


@pytest.mark.parametrize("limit", [300, 700])
def test_one_tree_keeps_to_the_limit_of_nodes(monkeypatch, limit):
    """However many it is expected to take, and were it the only one."""
    monkeypatch.setattr(Pace, "expected", lambda self, lacks: np.inf)
    network, task = ball(3, (8, 30, 30, 3))
    ends = task.inputs.center - 0.6, task.inputs.center + 0.6
    clock = itertools.count()
    deadline = Deadline(500, lambda: float(next(clock)))
    searched = DomainSearch(network, BoxDomain(*ends), task.alternatives, deadline)
    searched._grow_all(searched._chain(planes=True), Pace(), limit)
    assert limit <= searched.decision.nodes <= limit + 2 * tree.NODES


def test_networks_beyond_float32_end():
    """Bounds in float32 overflow: trees whose roots lack infinitely much grow all the same."""
    generator = np.random.default_rng(3)
    layers = [
        Dense(
            generator.normal(size=(a, b)) * 1e15, generator.normal(size=a) * 0.5 * 1e15 ** (k + 1)
        )
        for k, (b, a) in enumerate([(6, 9), (9, 9), (9, 3)])
    ]
    image = generator.random((5, 6))[4]
    network = ReLUNetwork(tuple(layers))
    task = Verification(image, int(network.predict(image)), 0.3).task(network)
    ends = task.inputs.ends
    clock = itertools.count()
    deadline = Deadline(20_000, lambda: float(next(clock)))
    with np.errstate(all="ignore"):
        found = DomainSearch(network, BoxDomain(*ends), task.alternatives, deadline).run()
    assert next(clock) < 20_000
    assert found.empty


def test_bounds_of_open_nodes_are_no_proof_to_keep(monkeypatch):
    """They may show a box to be empty where time ends before its tree is closed."""
    monkeypatch.setattr(tree.Tree, "proven", lambda self: np.ones(self.least.size))
    monkeypatch.setattr(tree.Tree, "open_forms", lambda self: np.arange(self.least.size))
    network, task = ball(3, LARGER)
    assert search(network, task, Deadline(0.0)).empty
    assert not search(network, task, Deadline(0.0), keep=True).empty
