"""Ascents of a few nodes at a time are those of whole batches, written out with numpy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.boxes import random_network
from reluopt.engines.branch_and_bound.dual import climbing
from reluopt.engines.branch_and_bound.dual.ascent import Conditions, Model, children, climb
from reluopt.engines.branch_and_bound.dual.domains import BoxDomain
from reluopt.engines.branch_and_bound.dual.layers import bounded_chain
from reluopt.engines.branch_and_bound.dual.slots import Batch

RATES = (float(climbing.SLOPE_RATE), climbing.SPLIT_RATE, climbing.DECAY)


def problem(seed, sizes, size, each, count):
    """A model with planes and conditions, and nodes, some of whose neurons are decided."""
    generator = np.random.default_rng(seed)
    lower = generator.uniform(-1.0, 0.5, sizes[0])
    upper = lower + generator.choice([0.2, 0.6], sizes[0])
    chain = bounded_chain(random_network(generator, sizes), BoxDomain(lower, upper))

    def single(*shape):
        return generator.normal(size=shape).astype(np.float32)

    matrix = single(count, sizes[-1])
    model = Model.of(chain, conditions=Conditions(matrix, single(count)))
    neurons = np.repeat(np.flatnonzero(chain.phases == 0), each)
    planes = single(neurons.size, chain.domain.columns)
    model = model.with_planes(neurons, max(each, 1), single(neurons.size), planes)
    phases = np.repeat(chain.phases[None], size, axis=0)
    decided = (phases == 0) & (generator.random(phases.shape) < 0.3)
    phases[decided] = generator.choice([-1, 1], int(decided.sum()))
    multipliers = generator.random(phases.shape).astype(np.float32)
    shares = generator.random((size, neurons.size)).astype(np.float32) / max(each, 1)
    mixture = np.full((size, count), 1.0 / max(count, 1), dtype=np.float32)
    return model, Batch(single(size, sizes[-1]), single(size), phases, multipliers, shares, mixture)


def own_planes(t, part):
    """Planes of one layer's neurons."""
    return np.flatnonzero((t.neurons >= part.start) & (t.neurons < part.stop))


def descended(model, batch, free):
    """Coefficients of each layer, bounds and the points where they are taken, in float64."""
    chain, t = model.chain, model.tables
    multipliers, shares, mixture = free
    form = batch.rows - mixture @ t.matrix if t.rhs.size else batch.rows.astype(float)
    values = batch.constants + mixture @ t.rhs
    coefficients, total = [], np.zeros((batch.size, chain.domain.columns))
    for k in range(model.top, 0, -1):
        layer = chain.layers[k]
        part = slice(chain.starts[k - 1], chain.starts[k])
        p, q = multipliers[:, part], batch.phases[:, part]
        values = values + form @ layer.bias
        c = form @ layer.weight
        slopes = np.where(q == 0, np.where(c >= 0, p, chain.slopes[part]), (1 + q) / 2)
        form = c * slopes - q * p
        values = values + np.where((q == 0) & (c < 0), c * chain.offsets[part], 0.0).sum(axis=1)
        coefficients.insert(0, c)
        which = own_planes(t, part)
        own = c[:, t.neurons[which] - part.start]
        open_ = (batch.phases[:, t.neurons[which]] == 0) & (own < 0)
        moved = np.where(open_, own * shares[:, which], 0.0)
        values = values + moved @ t.edges[which] - moved @ chain.offsets[t.neurons[which]]
        for j, i in enumerate(t.neurons[which]):
            form[:, i - part.start] -= moved[:, j] * chain.slopes[i]
        total = total + moved @ t.stacked[chain.layers[0].bias.size :][which]
    first = chain.layers[0]
    total = total + form @ first.weight
    values = values + form @ first.bias - np.abs(total).sum(axis=1)
    return coefficients, values, np.where(total > 0, -1.0, 1.0)


def gradients(model, batch, free, coefficients, points):
    """By multipliers, shares and mixture."""
    chain, t = model.chain, model.tables
    by_multiplier, by_share = np.zeros(batch.phases.shape), np.zeros(free[1].shape)
    below = points
    for k, c in enumerate(coefficients):
        layer, part = chain.layers[k], slice(chain.starts[k], chain.starts[k + 1])
        a, p, q = below @ layer.weight.T + layer.bias, free[0][:, part], batch.phases[:, part]
        line = chain.slopes[part] * a + chain.offsets[part]
        post = np.where(q == 0, np.where(c >= 0, p * a, line), (1 + q) / 2 * a)
        by_multiplier[:, part] = np.where(q == 0, np.where(c >= 0, c * a, 0.0), -q * a)
        which = own_planes(t, part)
        places = t.neurons[which] - part.start
        planes = points @ t.stacked[chain.layers[0].bias.size :][which].T + t.edges[which]
        gain = c[:, places] * (planes - post[:, places])
        gain = np.where((q[:, places] == 0) & (c[:, places] < 0), gain, 0.0)
        by_share[:, which] = gain
        for j, i in enumerate(places):
            divisor = np.where(gain[:, j] != 0, c[:, i], 1.0)
            post[:, i] += free[1][:, which][:, j] * gain[:, j] / divisor
        below = post
    last = chain.layers[model.top]
    by_mixture = t.rhs - (below @ last.weight.T + last.bias) @ t.matrix.T if t.rhs.size else free[2]
    return by_multiplier, by_share, by_mixture


def ascended(model, batch, iterations):
    """The best bounds of an ascent of the whole batch."""
    slope_rate, split_rate, decay = RATES
    free = [part.astype(float) for part in batch.free]
    moments = [[np.zeros(part.shape) for part in free] for _ in range(2)]
    best, rates = np.full(batch.size, -np.inf), None
    each = model.tables.each
    for step in range(iterations):
        coefficients, values, points = descended(model, batch, free)
        best = np.maximum(best, values)
        if rates is None:
            means = [split_rate * np.abs(c).mean() for c in coefficients]
            rates = np.concatenate(
                [np.full(c.shape[1], m) for c, m in zip(coefficients, means, strict=True)]
            )
        moves = []
        for i, g in enumerate(gradients(model, batch, free, coefficients, points)):
            moments[0][i] = 0.9 * moments[0][i] + 0.1 * g
            moments[1][i] = 0.99 * moments[1][i] + 0.01 * g * g
            scale = decay**step / (1 - 0.9 ** (step + 1))
            moves.append(
                scale * moments[0][i] / (np.sqrt(moments[1][i] / (1 - 0.99 ** (step + 1))) + 1e-8)
            )
        undecided = batch.phases == 0
        moved = np.maximum(free[0] + np.where(undecided, slope_rate, rates) * moves[0], 0.0)
        free[0] = np.where(undecided, np.minimum(moved, 1.0), moved)
        shares = np.maximum(free[1] + slope_rate * moves[1], 0.0)
        sums = shares.reshape(batch.size, -1, each).sum(axis=2)
        free[1] = shares / np.maximum(np.repeat(sums, each, axis=1), 1.0)
        if free[2].shape[1]:
            mixture = np.maximum(free[2] + slope_rate * moves[2], 0.0)
            free[2] = mixture / mixture.sum(axis=1, keepdims=True)
    return best


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.integers(0, 10**6),
    st.sampled_from([(6, 9, 4), (5, 7, 6, 3), (20, 9, 8, 7, 5)]),
    st.integers(1, 11),
    st.integers(0, 2),
    st.sampled_from([0, 3]),
)
def test_ascents_are_those_of_whole_batches(seed, sizes, size, each, count):
    model, batch = problem(seed, sizes, size, each, count)
    for iterations in (1, 2, 4):
        found = climb(model, batch, iterations)
        np.testing.assert_allclose(
            found.bounds, ascended(model, batch, iterations), rtol=1e-4, atol=1e-4
        )
        again = climb(model, batch.with_free(found.free), 1)
        np.testing.assert_allclose(again.bounds, found.bounds, rtol=1e-4, atol=1e-4)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.integers(1, 11))
def test_rows_that_are_good_enough_end(seed, size):
    model, batch = problem(seed, (6, 9, 7, 4), size, 1, 0)
    whole = climb(model, batch, 6, averages=True)
    first = climb(model, batch, 1)
    enough = float(np.median(first.bounds))
    found = climb(model, batch, 6, enough)
    ended = first.bounds > np.float32(enough)
    np.testing.assert_array_equal(found.bounds[ended], first.bounds[ended])
    np.testing.assert_array_equal(found.points[ended], first.points[ended])
    assert (found.bounds[~ended] >= first.bounds[~ended]).all()
    assert (np.abs(whole.points) == 1.0).all()
    assert whole.mean is not None
    assert (np.abs(whole.mean) <= 1.0 + 1e-12).all()


def test_children_are_nodes_with_one_neuron_decided():
    model, batch = problem(3, (6, 9, 7, 4), 5, 1, 0)
    node, neuron = np.nonzero(batch.phases == 0)
    phase = np.where(np.arange(node.size) % 2 == 0, 1, -1)
    bounds = children(model, batch, node, neuron, phase)
    each = batch.chosen(node)
    each.phases[np.arange(node.size), neuron] = phase
    each.multipliers[np.arange(node.size), neuron] = 0.0
    assert bounds == pytest.approx(climb(model, each, 1).bounds, rel=1e-5)


def test_no_nodes_are_no_work():
    model, batch = problem(3, (6, 9, 7, 4), 1, 1, 0)
    none = batch.chosen(np.zeros(0, dtype=np.int64))
    assert climb(model, none, 3).bounds.size == 0
