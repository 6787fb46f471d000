"""Over an L1 ball: no point above a plane, none below a bound, whatever multipliers there are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.boxes import random_network
from reluopt.engines.branch_and_bound.dual.ascent import Model, climb
from reluopt.engines.branch_and_bound.dual.certificate import Forms, lower_bounds
from reluopt.engines.branch_and_bound.dual.chain import Chain
from reluopt.engines.branch_and_bound.dual.cutting import bound_last_with_planes, cut
from reluopt.engines.branch_and_bound.dual.domains import SimplexDomain
from reluopt.engines.branch_and_bound.dual.goals import Goal
from reluopt.engines.branch_and_bound.dual.layers import bounded_chain, root_batch
from reluopt.engines.branch_and_bound.dual.vertices import all_planes, first_planes

QUICK = settings(max_examples=40, deadline=None, derandomize=True)


def ball(seed, sizes=(4, 6, 5, 5, 3)):
    generator = np.random.default_rng(seed)
    network = random_network(generator, sizes)
    lower = generator.uniform(-1.0, 0.0, sizes[0])
    upper = lower + generator.choice([0.0, 0.3, 1.0], sizes[0])
    center = np.where(generator.random(sizes[0]) < 0.5, lower, generator.uniform(lower, upper))
    domain = SimplexDomain(lower, upper, center, float(generator.choice([0.1, 0.5, 2.0])))
    return generator, network, domain


def tightened(chain):
    bound_last_with_planes(chain, chain.layers[-1].undecided)


def points_of(domain, generator, count=2000):
    """Points of the simplex, corners and edges among them."""
    sparse = generator.random((count, domain.columns)) ** generator.choice([1.0, 8.0], (count, 1))
    sparse[generator.random(sparse.shape) < 0.5] = 0.0
    total = np.maximum(sparse.sum(axis=1, keepdims=True), 1e-9)
    budget = np.where(generator.random((count, 1)) < 0.5, 1.0, generator.random((count, 1)))
    # Caps are rounded up, and what stands for inputs outside the box is clipped.
    return np.minimum(sparse / np.maximum(total, 1.0) * budget, domain.high * (1.0 - 1e-6))


def reached(network, chain, domain, points):
    """Inputs, pre-activations of the chain's hidden neurons, and logits."""
    values = network.pre_activations(np.array([domain.inputs(point) for point in points]))
    hidden = [v[:, layer.places] for v, layer in zip(values, chain.hidden, strict=False)]
    return np.concatenate(hidden, axis=1), values[-1]


def test_coordinates_stand_for_inputs_of_the_ball():
    for seed in range(20):
        generator, _, domain = ball(seed)
        for point in points_of(domain, generator, 50):
            image = domain.inputs(point)
            assert np.abs(image - domain.center).sum() <= domain.radius * (1 + 1e-9)
        corner = np.zeros(domain.columns)
        if domain.columns:
            corner[0] = domain.high[0]
            moved = domain.inputs(corner) - domain.center
            assert moved[domain.pixels[0]] == pytest.approx(
                domain.signs[0] * domain.radius * domain.high[0], abs=1e-6
            )


def test_a_ball_beyond_the_box_is_the_least_that_holds_it():
    _, network, _ = ball(3)
    lower, upper, center = (
        np.zeros(4),
        np.array([1.0, 0.5, 0.0, 2.0]),
        np.array([0.2, 0.5, 0.0, 0.0]),
    )
    domains = [SimplexDomain(lower, upper, center, radius) for radius in (3.3, 1e6, 1e300)]
    assert [each.radius for each in domains] == pytest.approx([3.3, 3.3, 3.3], rel=1e-5)
    ends = [bounded_chain(network, each).layers[0].upper for each in domains]
    for each in ends:
        assert each == pytest.approx(ends[0], rel=1e-5)


def test_a_node_without_undecided_neurons_has_no_planes():
    _, network, domain = ball(4)
    chain = bounded_chain(network, domain)
    batch = root_batch(chain, np.ones((1, 3), dtype=np.float32), np.zeros(1))
    batch.phases[:] = 1
    assert cut(Model.of(chain), batch) is None


@QUICK
@given(st.integers(0, 10**6))
def test_reach_is_the_largest_value_over_the_simplex(seed):
    generator, _, domain = ball(seed)
    rows = generator.normal(size=(3, domain.columns))
    found, _ = domain.reach(rows)
    assert (-(points_of(domain, generator) @ rows.T) <= found + 1e-12).all()
    for row, value in zip(rows, found, strict=True):  # and it is taken: fill the best columns
        left, total = 1.0, 0.0
        for j in np.argsort(row):
            take = min(domain.high[j], left) if row[j] < 0.0 else 0.0
            left, total = left - take, total - take * row[j]
        assert value == pytest.approx(total, abs=1e-12)


@QUICK
@given(st.integers(0, 10**6))
def test_planes_and_layers_hold_all_neurons(seed):
    generator, network, domain = ball(seed)
    chain = bounded_chain(
        network, domain, lambda c: bound_last_with_planes(c, c.layers[-1].undecided)
    )
    points = points_of(domain, generator)
    hidden, _ = reached(network, chain, domain, points)
    low = np.concatenate([layer.lower for layer in chain.hidden])
    high = np.concatenate([layer.upper for layer in chain.hidden])
    assert (hidden >= low).all()
    assert (hidden <= high).all()
    phases = chain.phases.copy()
    some = np.flatnonzero((phases == 0) & (generator.random(phases.size) < 0.3))
    phases[some] = np.where(generator.random(some.size) < 0.5, 1, -1)
    planes = all_planes(chain, phases, points[0])
    inside = ((phases >= 0) | (hidden <= 0.0)).all(axis=1) & ((phases <= 0) | (hidden >= 0.0)).all(
        axis=1
    )
    post = np.maximum(hidden[inside][:, planes.neurons], 0.0)
    assert (post <= points[inside] @ planes.matrix.T + planes.edges).all()


@QUICK
@given(st.integers(0, 10**6), st.sampled_from([1.0, 1e-3, 1e6]))
def test_no_point_lies_below_a_bound(seed, size):
    generator, network, domain = ball(seed)
    chain = bounded_chain(network, domain)
    points = points_of(domain, generator)
    _, logits = reached(network, chain, domain, points)
    rows = generator.normal(size=(4, 3))
    planes = all_planes(chain, chain.phases, points[0])
    phases = np.repeat(chain.phases[None], 4, axis=0)
    multipliers = size * generator.random(phases.shape)
    shares = generator.random((4, planes.count))
    forms = Forms(len(chain.layers) - 1, rows, np.zeros(4))
    found = lower_bounds(chain, forms, phases, multipliers, shares, planes)
    assert (logits @ rows.T >= found).all()


def test_planes_raise_bounds_and_ascents_agree_with_their_certificate():
    generator = np.random.default_rng(3)
    network = random_network(generator, (30, 20, 20, 3))
    center = generator.random(30) * (generator.random(30) < 0.3)
    domain = SimplexDomain(np.zeros(30), np.ones(30), center, 2.0)
    chain = bounded_chain(network, domain)
    rows = np.array([[1.0, -1.0, 0.0]])
    goal = Goal(rows, np.zeros(1))
    plain = climb(Model.of(chain), root_batch(chain, rows.astype(np.float32), np.zeros(1)), 60)
    made = cut(Model.of(chain), goal.root(chain))
    assert made is not None
    assert made.recipe is None
    assert made.bound > plain.bounds[0] + 0.05 * abs(plain.bounds[0])
    free = made.batch.free
    safe = goal.bounds(chain, made.planes, np.array([0]), made.batch.phases, free)
    assert safe[0] == pytest.approx(made.bound, rel=1e-4)


def test_planes_are_exact_where_nothing_changes_and_at_corners():
    _, network, domain = ball(12, (4, 6, 3))
    chain = Chain(network, domain)
    neurons = chain.layers[0].undecided
    planes = first_planes(chain, neurons)
    first = chain.layers[0]
    for corner in (np.zeros(domain.columns), *np.eye(domain.columns)):
        exact = np.maximum(first.weight[neurons] @ corner + first.bias[neurons], 0.0)
        assert planes.matrix @ corner + planes.edges == pytest.approx(exact, abs=1e-9)
