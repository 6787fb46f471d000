"""Layers of few nonzeros: the same products, bounds and ascents as of the dense ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.boxes import random_network
from reluopt.engines.branch_and_bound.dual import sparse
from reluopt.engines.branch_and_bound.dual.ascent import Conditions, Model, children, climb
from reluopt.engines.branch_and_bound.dual.domains import BoxDomain
from reluopt.engines.branch_and_bound.dual.layers import bounded_chain
from reluopt.engines.branch_and_bound.dual.products import MOST_ROWS
from reluopt.engines.branch_and_bound.dual.slots import Batch
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork

QUICK = settings(max_examples=60, deadline=None, derandomize=True)


def few(generator, *shape):
    """A matrix of which a quarter is not zero."""
    return generator.normal(size=shape) * (generator.random(shape) < 0.25)


def test_only_large_matrices_of_few_nonzeros_are_sparse():
    matrix = np.zeros((100, 100))
    matrix[:, :15] = 1.0
    found = sparse.nonzeros(matrix)
    assert found is not None
    assert (found.ends == 15 * np.arange(101)).all()
    assert sparse.nonzeros(matrix[:, :99]) is None
    matrix[0, 15] = 1.0
    assert sparse.nonzeros(matrix) is None


@QUICK
@given(
    st.tuples(st.integers(1, MOST_ROWS), st.integers(1, 9), st.integers(1, 12)),
    st.integers(0, 3),
    st.integers(0, 10**6),
)
def test_products_are_those_of_numpy(shape, spare, seed):
    rows, size, width = shape
    generator = np.random.default_rng(seed)
    matrices = [few(generator, size, width), generator.normal(size=(2, 3)), few(generator, 4, size)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sparse, "LEAST", 0)
        patch.setattr(sparse, "FEW", 1.0)
        parts = [sparse.nonzeros(matrix) for matrix in matrices]
    t = sparse.sparse_layers([parts[0], None, parts[2]])
    assert t.begins[1] == -1
    left = few(generator, MOST_ROWS, size + spare).astype(np.float32)
    out = np.full((MOST_ROWS, width + 2 * spare), np.float32(7.0))
    sparse.sparse_times(left, t, 0, size, out, rows, spare, width)
    inside = (slice(rows), slice(spare, spare + width))
    expected = np.full(out.shape, 7.0)
    expected[inside] = left[:rows, :size] @ matrices[0]
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-4)

    wanted, out = generator.random(4) < 0.7, np.empty((MOST_ROWS, 4), np.float32)
    sparse.sparse_times_transposed(left, t, 2, wanted, out, rows, size)
    expected = np.where(wanted, left[:rows, :size] @ matrices[2].T, 0.0)
    np.testing.assert_allclose(out[:rows], expected, rtol=1e-4, atol=1e-4)

    whole = few(generator, 5, size)
    found = sparse.product(whole, parts[0], width)
    np.testing.assert_allclose(found, whole @ matrices[0], rtol=1e-12, atol=1e-12)


def bounded(network, ends, patch, share):
    """A network's chain over a box, its layers sparse up to some share of nonzeros."""
    patch.setattr(sparse, "LEAST", 0)
    patch.setattr(sparse, "FEW", share)
    chain = bounded_chain(network, BoxDomain(*ends))
    assert all((layer.nonzeros is None) == (share < 0.0) for layer in chain.layers)
    return chain


@QUICK
@given(st.integers(0, 10**6), st.sampled_from([(5, 3), (5, 8, 3), (4, 9, 7, 3)]), st.integers(0, 2))
def test_chains_ascents_and_children_are_those_of_dense_layers(seed, sizes, count):
    generator = np.random.default_rng(seed)
    dense = random_network(generator, sizes)
    layers = [
        Dense(few(generator, *layer.weight.shape), layer.bias) for layer in dense.affine_layers
    ]
    lower = generator.uniform(-1.0, 0.5, sizes[0])
    ends = lower, lower + generator.choice([0.2, 1.0], sizes[0])
    rows = generator.normal(size=(6, sizes[-1])).astype(np.float32)
    asked = generator.normal(size=(count, sizes[-1] + 1)).astype(np.float32)
    draws, found = generator.random((6, sum(sizes[1:-1]))), []
    for share in (-1.0, 1.0):
        with pytest.MonkeyPatch.context() as patch:
            chain = bounded(ReLUNetwork(tuple(layers)), ends, patch, share)
            model = Model.of(chain, conditions=Conditions(asked[:, 1:].copy(), asked[:, 0].copy()))
        phases = np.repeat(chain.phases[None], 6, axis=0)
        decided = (phases == 0) & (draws[:, : phases.shape[1]] < 0.3)
        phases[decided] = np.where(draws[:, : phases.shape[1]] < 0.15, 1, -1)[decided]
        multipliers = np.repeat(np.float32(0.5) * (chain.phases == 0)[None], 6, axis=0)
        mixture = np.full((6, count), np.float32(0.5))
        none = np.zeros((6, 0), np.float32)
        batch = Batch(rows, np.zeros(6, np.float32), phases, multipliers, none, mixture)
        climbed = climb(model, batch, 5)
        parts = [climbed.bounds, *(layer.lower for layer in chain.hidden)]
        open_ = np.argwhere(phases == 0)
        if open_.size:
            node, neuron = open_.T
            parts.append(children(model, batch, node, neuron, np.ones(node.size, np.int64)))
        found.append(parts)
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)
