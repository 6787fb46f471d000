"""Whatever the multipliers are, no point of the node lies below its bound."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.boxes import random_network
from reluopt.engines.branch_and_bound.dual.ascent import Model, climb
from reluopt.engines.branch_and_bound.dual.certificate import Forms, lower_bounds, mixed
from reluopt.engines.branch_and_bound.dual.cutting import bound_last_with_planes, hull_cut
from reluopt.engines.branch_and_bound.dual.domains import BoxDomain
from reluopt.engines.branch_and_bound.dual.layers import bound_last, bounded_chain, root_batch
from reluopt.engines.branch_and_bound.dual.planes import kept_point, mixed_planes
from reluopt.questions.problems import LogitConditions

QUICK = settings(max_examples=40, deadline=None, derandomize=True)


def sample(network, chain, lower, upper, generator, count=3000):
    """Points of the box with the phases of the chain's hidden neurons, and the logits."""
    points = generator.uniform(lower, upper, (count, lower.size))
    corners = generator.integers(0, 2, (count, lower.size))
    points = np.vstack([points, np.where(corners == 1, upper, lower)])
    values = network.pre_activations(points)
    hidden = [v[:, layer.places] for v, layer in zip(values[:-1], chain.hidden, strict=True)]
    return np.concatenate([np.zeros((len(points), 0)), *hidden], axis=1), values[-1]


def problem(seed, sizes=(4, 6, 5, 3)):
    generator = np.random.default_rng(seed)
    network = random_network(generator, sizes)
    lower = generator.uniform(-1.0, 0.5, sizes[0])
    upper = lower + generator.choice([0.0, 0.2, 1.0], sizes[0])
    return generator, network, lower, upper, bounded_chain(network, BoxDomain(lower, upper))


@QUICK
@given(st.integers(0, 10**6))
def test_layers_hold_all_pre_activations(seed):
    generator, network, lower, upper, chain = problem(seed)
    hidden, _ = sample(network, chain, lower, upper, generator)
    low = np.concatenate([layer.lower for layer in chain.hidden])
    high = np.concatenate([layer.upper for layer in chain.hidden])
    assert (hidden >= low).all()
    assert (hidden <= high).all()


@QUICK
@given(st.integers(0, 10**6), st.sampled_from([1.0, 1e-3, 1e6, np.nan]))
def test_no_point_of_a_node_lies_below_its_bound(seed, size):
    generator, network, lower, upper, chain = problem(seed)
    hidden, logits = sample(network, chain, lower, upper, generator)
    neurons = chain.starts[-1]
    phases = np.repeat(chain.phases[None], 5, axis=0)
    undecided = np.flatnonzero(chain.phases == 0)
    for row in phases[1:]:
        some = generator.random(undecided.size) < 0.4
        row[undecided[some]] = generator.choice([-1, 1], int(some.sum()))
    multipliers = (size * generator.normal(size=(5, neurons))).astype(np.float32)
    first = np.flatnonzero(chain.phases[: chain.layers[0].bias.size] == 0)
    point = kept_point(generator.uniform(-1.0, 1.0, chain.domain.columns).astype(np.float32))
    planes = mixed_planes(chain, first, [point], np.ones((first.size, 1), dtype=np.float32))
    shares = generator.uniform(-0.5, 1.5, (5, first.size)).astype(np.float32)
    rows = generator.normal(size=(5, 3))
    found = lower_bounds(chain, Forms(2, rows, np.zeros(5)), phases, multipliers, shares, planes)
    for bound, row, phase in zip(found, rows, phases, strict=True):
        inside = ((phase == 0) | (phase * hidden >= 0.0)).all(axis=1)
        assert bound <= (logits[inside] @ row).min(initial=np.inf)


@QUICK
@given(st.integers(0, 10**6))
def test_mixtures_hold_where_conditions_are_met(seed):
    generator, network, lower, upper, chain = problem(seed)
    _, logits = sample(network, chain, lower, upper, generator)
    conditions = LogitConditions(generator.normal(size=(2, 3)), generator.normal(size=2))
    rows = generator.normal(size=(1, 3))
    mixture = np.abs(generator.normal(size=(1, 2))).astype(np.float32)
    batch = root_batch(chain, rows.astype(np.float32), np.zeros(1))
    forms = mixed(Forms(2, rows, np.zeros(1)), conditions, mixture, chain)
    bound = lower_bounds(chain, forms, batch.phases, batch.multipliers, batch.shares)[0]
    met = (conditions.slack(logits) >= 0.0).all(axis=1)
    assert bound <= (logits[met] @ rows[0]).min(initial=np.inf)


@QUICK
@given(st.integers(0, 10**6))
def test_planes_lie_above_their_relus(seed):
    generator, _, _, _, chain = problem(seed, (5, 6, 3))
    first = chain.layers[0]
    neurons = np.flatnonzero((first.lower < 0.0) & (first.upper > 0.0))
    count = chain.domain.columns
    points = [kept_point(generator.uniform(-1, 1, count).astype(np.float32)) for _ in range(3)]
    shares = generator.random((neurons.size, 3)).astype(np.float32)
    planes = mixed_planes(chain, neurons, points, shares)
    corners = np.array(list(itertools.product((-1.0, 1.0), repeat=count))).reshape(-1, count)
    post = np.maximum(corners @ first.weight[neurons].T + first.bias[neurons], 0.0)
    assert (post <= corners @ planes.matrix.T + planes.edges).all()


def test_an_ascent_raises_bounds_and_planes_raise_them_further():
    _, _, _, _, chain = problem(11, (20, 30, 4))
    rows = np.zeros((1, 4), dtype=np.float32)
    rows[0, 0] = 1.0
    batch, model = root_batch(chain, rows, np.zeros(1)), Model.of(chain)
    plain = climb(model, batch, 1).bounds[0]
    better = climb(model, batch, 30).bounds[0]
    assert better > plain
    made = hull_cut(model, batch, 3, 20)
    assert made is not None
    assert made.bound > better
    free = made.batch.free
    proven = lower_bounds(
        chain, Forms(1, rows.astype(float), np.zeros(1)), batch.phases, *free[:2], made.planes
    )[0]
    assert proven == pytest.approx(made.bound, abs=1e-3)


def test_planes_tighten_the_layer_behind():
    _, network, lower, upper, done = problem(5, (20, 15, 12, 3))
    chain = type(done)(network, BoxDomain(lower, upper))
    chain.advance()
    bound_last(chain)
    before = chain.layers[-1]
    undecided = np.flatnonzero((before.lower < 0.0) & (before.upper > 0.0))
    bound_last_with_planes(chain, undecided, 2, 10)
    after = chain.layers[-1]
    assert (after.lower >= before.lower).all()
    assert (after.upper <= before.upper).all()
    assert (after.upper - after.lower).sum() < (before.upper - before.lower).sum()
