"""Folded networks: what is left of a network over a ball computes the same, and so do searches."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.convolutions import folded_question
from reluopt.answers.solution import Incumbent, Status
from reluopt.deadline import Deadline
from reluopt.engines.branch_and_bound import growth
from reluopt.engines.branch_and_bound.ball import bare_ball, folded
from reluopt.engines.branch_and_bound.driver import BranchAndBoundEngine
from reluopt.engines.branch_and_bound.dual import deciding, distance, growing, programs
from reluopt.engines.branch_and_bound.dual.decision import Decision
from reluopt.engines.branch_and_bound.folding import fold, is_folded
from reluopt.engines.branch_and_bound.frame import make_frame
from reluopt.engines.branch_and_bound.norm_search import norm_search
from reluopt.engines.branch_and_bound.proof import replay
from reluopt.engines.branch_and_bound.proof_file import proof_bytes, read_proof
from reluopt.engines.options import EngineOptions
from reluopt.errors import InputError
from reluopt.method import Method
from reluopt.networks.layers import base
from reluopt.networks.layers.base import Dense
from reluopt.networks.layers.chain import Chain
from reluopt.networks.layers.conv2d import Conv2d
from reluopt.networks.layers.pooling import MaxPool2d
from reluopt.networks.layers.windows import Windows
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.input_sets import with_radius
from reluopt.pipeline import solve
from reluopt.questions.norms.blend import Blend
from reluopt.questions.problems import AbsoluteMargin, AnyTarget, MinimalPerturbation, Norm

SIDE = 5
PIXELS = SIDE * SIDE


@pytest.fixture(autouse=True)
def sparse_maps(monkeypatch):
    """Small networks have sparse maps, too, so that they are folded."""
    monkeypatch.setattr(base, "SMALL", 0)
    monkeypatch.setattr(base, "SPARSE_SHARE", 1.0)


def convolutional(seed):
    """A convolution, a pool and two dense layers."""
    random = np.random.default_rng(seed)
    conv = Conv2d(
        random.normal(size=(2, 1, 3, 3)), random.normal(size=2), Windows((1, SIDE, SIDE), (3, 3))
    )
    pool = MaxPool2d(Windows((2, 3, 3), (2, 2), (1, 1)))
    first = Dense(random.normal(size=(6, 8)), random.normal(size=6))
    last = Dense(random.normal(size=(3, 6)), random.normal(size=3))
    return ReLUNetwork((conv, Chain((pool, first)), last))


def question(network, seed, norm, margin=0.01):
    image = np.random.default_rng(seed).random(PIXELS)
    label = int(network.predict(image))
    return MinimalPerturbation(image, label, AnyTarget(), norm, AbsoluteMargin(margin))


@given(
    st.integers(0, 10**6), st.sampled_from([Norm.L1, Norm.L2]), st.sampled_from([0.01, 0.3, 2.0])
)
@settings(max_examples=60, deadline=None)
def test_a_folded_network_computes_the_same_within_its_ball(seed, norm, radius):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base, "SMALL", 0)
        patch.setattr(base, "SPARSE_SHARE", 1.0)
        network = convolutional(seed)
        task = question(network, seed, norm).task(network)
        frame = make_frame(network, task)
        assert is_folded(frame.network)
        lower, upper = (np.full(frame.flat.biases.size, end) for end in (-np.inf, np.inf))
        assert frame.tighten(radius, lower, upper, 0)
        ball = with_radius(frame.inputs, radius)
        small, weaker, bounds = fold(frame.network, frame.task, ball, lower, upper)
    undecided = np.count_nonzero(frame.undecided(lower, upper))
    assert sum(small.hidden_sizes) >= undecided
    assert [ends.shape[1] for ends in bounds] == list(small.hidden_sizes)
    random = np.random.default_rng(seed)
    room = [
        old.conditions.rhs - new.conditions.rhs
        for old, new in zip(frame.task.alternatives, weaker.alternatives, strict=True)
    ]
    assert 0.0 < min(map(np.min, room)) <= max(map(np.max, room)) < 1e-9
    for _ in range(20):
        change = random.normal(size=PIXELS) * (random.random(PIXELS) < 0.5)
        change *= random.random() * radius / max(norm.lengths(change[None])[0], 1e-9)
        point = task.box.clip(task.image + change)
        difference = small.forward(point) - frame.network.forward(point)
        assert np.abs(difference).max() < 1e-11
        values = point
        for layer, (low, high) in zip(small.affine_layers, bounds, strict=False):
            values = layer.forward(values)
            assert (values >= low - 1e-12).all()
            assert (values <= high + 1e-12).all()
            values = np.maximum(values, 0.0)


def test_a_ball_without_undecided_neurons_leaves_one_affine_map():
    network = convolutional(3)
    frame = make_frame(network, question(network, 3, Norm.L1).task(network))
    assert len(folded(frame, bare_ball(frame, 1e-9)).network.affine_layers) == 1


def test_layers_that_a_deadline_leaves_get_interval_bounds():
    """Each look at the clock takes a second; layers one by one are those at once."""
    network = convolutional(3)
    frame = make_frame(network, question(network, 3, Norm.L1).task(network))
    hidden, spans = slice(frame.hidden), []
    for seconds in (0.5, 1.5, 99.0):
        ball = bare_ball(frame, 0.3, Deadline(seconds, itertools.count().__next__))
        spans.append(ball.upper[hidden] - ball.lower[hidden])
        assert not ball.empty
    whole = bare_ball(frame, 0.3)
    assert np.array_equal(spans[-1], whole.upper[hidden] - whole.lower[hidden])
    assert all((more >= less - 1e-12).all() for more, less in itertools.pairwise(spans))
    assert spans[0].sum() > 1.001 * spans[-1].sum()


@pytest.mark.parametrize("norm", [Norm.L1, Norm.L2, Blend(0.3)], ids=str)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("light", [0, 250], ids=["growing balls", "one ball"])
def test_folded_searches_find_what_others_find(norm, seed, light, monkeypatch):
    monkeypatch.setattr(growth, "LIGHT", light)
    network = convolutional(seed)
    asked = question(network, seed, norm)
    options = EngineOptions(gap=1e-4)
    found = solve(network, asked, Method("bnb", options=options))
    other = solve(network, asked, Method("highs" if norm is Norm.L1 else "scip", options=options))
    assert found.proven, found.message
    assert other.proven, other.message
    assert found.objective == pytest.approx(other.objective, rel=2e-4)
    assert found.bound <= other.objective * (1.0 + 1e-9)


@pytest.mark.parametrize("norm", [Norm.L1, Norm.L2], ids=str)
@pytest.mark.parametrize("light", [0, 250], ids=["growing balls", "one ball"])
def test_proofs_of_folded_searches_are_replayed(norm, light, monkeypatch, tmp_path):
    monkeypatch.setattr(growth, "LIGHT", light)
    network = convolutional(1)
    asked = question(network, 1, norm)
    options = EngineOptions(extra={"proof": True})
    found = solve(network, asked, Method("bnb", options=options))
    assert found.proven
    (tmp_path / "proof").write_bytes(proof_bytes(found.proof))
    proof, task = read_proof(tmp_path / "proof"), asked.task(network)
    assert proof.fold_radius >= proof.radius
    bound = BranchAndBoundEngine().replay(proof, network, task)
    assert bound == pytest.approx(found.bound, rel=1e-9)
    assert found.objective * (1 - 2e-6) <= bound <= found.objective
    with pytest.raises(InputError, match="expected a radius up to"):
        replay(replace(proof, radius=2.0 * proof.fold_radius), network, task)
    with pytest.raises(InputError, match="over which the network is folded"):
        replay(replace(proof, fold_radius=np.inf), network, task)


def test_a_search_that_ends_early_leaves_the_largest_proven_ball(monkeypatch):
    monkeypatch.setattr(growth, "LIGHT", 0)
    monkeypatch.setattr(growth, "norm_search", lambda norm: replace(norm_search(norm), heavy=0))
    monkeypatch.setattr(growth.enveloped, "takes", lambda frame: False)
    network = convolutional(2)
    asked = question(network, 2, Norm.L1)
    found = solve(network, asked, Method("bnb"))
    exact = solve(network, asked, Method("highs"))
    assert 0.0 < found.bound < exact.objective <= found.objective * (1.0 + 1e-6)
    assert "neurons are undecided in the next ball: too many" in found.message


@pytest.mark.parametrize("norm", [Norm.L1, Norm.L2], ids=str)
@pytest.mark.parametrize("heavy", [0, 6])
def test_the_proof_of_a_search_that_ends_early_is_about_its_ball(norm, heavy, monkeypatch):
    network = convolutional(2)
    asked = question(network, 2, norm)
    exact = solve(network, asked, Method("bnb", options=EngineOptions(gap=1e-4)))
    monkeypatch.setattr(growth, "LIGHT", 0)
    monkeypatch.setattr(growth, "norm_search", lambda n: replace(norm_search(n), heavy=heavy))
    found = solve(network, asked, Method("bnb", options=EngineOptions(extra={"proof": True})))
    assert exact.proven
    assert 0.0 < found.bound < exact.objective
    replayed = BranchAndBoundEngine().replay(found.proof, network, asked.task(network))
    assert replayed == pytest.approx(found.bound, rel=1e-9)


@pytest.mark.parametrize("norm", [Norm.L1, Norm.L2], ids=str)
def test_a_task_that_nothing_meets_is_proven_infeasible(norm, monkeypatch):
    """Balls grow until one holds the whole box; there is no incumbent on the way."""
    monkeypatch.setattr(growth, "LIGHT", 0)
    network = convolutional(100)
    found = solve(network, question(network, 100, norm, 1e4), Method("bnb"))
    assert found.status is Status.INFEASIBLE, found.message


def test_a_folded_frame_is_not_asked_about_a_larger_ball():
    network = convolutional(3)
    whole = make_frame(network, question(network, 3, Norm.L1).task(network))
    frame = folded(whole, bare_ball(whole, 0.1))
    bounds = np.full(frame.flat.biases.size, -np.inf), np.full(frame.flat.biases.size, np.inf)
    assert frame.tighten(0.1, *bounds, 0)
    with pytest.raises(ValueError, match="folded over radius"):
        frame.tighten(0.2, *bounds, 0)


@pytest.mark.parametrize("seed", [1, 3])
def test_small_networks_with_pools_are_proven_by_linear_programs(seed, monkeypatch):
    """Dual bounds alone leave a tenth of 50,000 nodes open, in a minute."""
    linear, shown = programs.linear, []

    def noted(*given):
        shown.append(linear(*given))
        return shown[-1]

    monkeypatch.setattr(programs, "linear", noted)
    monkeypatch.setattr(deciding, "takes", lambda network: False)  # envelopes would do, too
    network, asked, _ = folded_question(seed, Norm.LINF)
    found = solve(network, asked, Method("bnb", options=EngineOptions(time_limit=30.0)))
    exact = solve(network, asked, Method("highs"))
    assert found.status is exact.status is Status.OPTIMAL
    assert found.objective == pytest.approx(exact.objective, rel=1e-5)
    assert found.bound <= exact.objective * (1.0 + 1e-9)
    assert any(each.empty for each in shown)
    assert max(each.nodes for each in shown) < 100


@pytest.mark.parametrize("seed", range(4))
def test_boxes_grow_to_the_nearest_image_in_linf(seed, monkeypatch):
    radii = []
    decide = distance.DistanceSearch._decide

    def noted(self, radius, *rest):
        radii.append(radius)
        return decide(self, radius, *rest)

    monkeypatch.setattr(distance.DistanceSearch, "_decide", noted)
    random = np.random.default_rng(seed)
    conv = Conv2d(
        random.normal(size=(2, 1, 3, 3)), random.normal(size=2), Windows((1, SIDE, SIDE), (3, 3))
    )
    network = ReLUNetwork((conv, Dense(random.normal(size=(3, 18)), random.normal(size=3))))
    asked = question(network, seed, Norm.LINF)
    grown = solve(network, asked, Method("bnb"))
    exact = solve(network, asked, Method("highs"))
    assert grown.status is exact.status is Status.OPTIMAL
    assert grown.objective == pytest.approx(exact.objective, rel=1e-5)
    assert radii[-1] == pytest.approx(grown.bound, rel=1e-9)
    rising = np.diff([radius for radius in radii if radius < 0.999 * grown.objective])
    assert (rising > 0.0).all()


def left_open(monkeypatch, boxes):
    """The first boxes of some radii stay open; returns all radii."""
    radii, decide = [], distance.DistanceSearch._decide

    def noted(self, radius, *rest):
        radii.append(radius)
        if len(boxes) and radius >= boxes[0]:
            boxes.pop(0)
            return Decision()
        return decide(self, radius, *rest)

    monkeypatch.setattr(distance.DistanceSearch, "_decide", noted)
    return radii


def test_a_nearer_image_below_an_open_box_begins_anew(monkeypatch):
    network = convolutional(0)
    asked = question(network, 0, Norm.LINF)
    exact = solve(network, asked, Method("bnb"))
    monkeypatch.setattr(growing, "WIDER", 8.0)  # from an eighth of the radius to the whole box
    task, far = asked.task(network), 1.5 * exact.objective
    search = distance.DistanceSearch(network, task, 1e-6, Deadline.after(60.0), 0)
    search.best = Incumbent(exact.image, far, 0)
    radii = left_open(monkeypatch, [0.999 * far] * 2)
    search.run()
    assert search.objective == pytest.approx(exact.objective, rel=1e-5)
    assert search.bound >= search.cutoff
    assert radii[-1] == search.bound


def test_an_open_box_without_an_image_is_followed_by_smaller_ones(monkeypatch):
    network = convolutional(0)
    asked = question(network, 0, Norm.LINF, margin=1e3)
    monkeypatch.setattr(distance, "starting_points", lambda *_, **__: [])
    radii = left_open(monkeypatch, [0.0] * 2)
    found = solve(network, asked, Method("bnb"))
    assert found.status is Status.INFEASIBLE
    assert radii[0] == np.inf
    assert np.isfinite(radii[2:-1]).all()
