"""CROWN and interval kernels: valid in exact arithmetic, also below fixed phases."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from reluopt.images.mnist import Dataset
from reluopt.networks.flattening import flatten
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.flat import FlatNetwork
from reluopt.numerics.input_sets import FlatInputSet, with_radius
from reluopt.numerics.passes import forward
from reluopt.numerics.propagate import condition_maxima, tighten, tighten_intervals
from reluopt.questions.input_sets import InputSet
from reluopt.questions.problems import Box, MinimalPerturbation, Norm

Vector = NDArray[np.float64]


def nothing(flat: FlatNetwork) -> tuple[Vector, Vector, Vector]:
    """Bounds that say nothing, and room for magnitudes."""
    count = flat.biases.size
    return np.full(count, -np.inf), np.full(count, np.inf), np.empty(count)


def exact_values(network: ReLUNetwork, point: Vector) -> list[Fraction]:
    """All pre-activations in rational arithmetic."""
    values, result = [Fraction(v) for v in point], []
    for layer in network.layers:
        values = [
            sum((Fraction(w) * v for w, v in zip(row, values, strict=True)), Fraction(b))
            for row, b in zip(layer.weight, layer.bias, strict=True)
        ]
        result += values
        values = [max(v, Fraction(0)) for v in values]
    return result


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), depth=st.integers(1, 4), norm=st.sampled_from(list(Norm)))
def test_one_point_is_enclosed_in_exact_arithmetic(seed: int, depth: int, norm: Norm) -> None:
    """A ball of radius 0: weights that cancel over twelve orders of magnitude."""
    generator = np.random.default_rng(seed)
    sizes = generator.integers(1, 8, depth + 1)
    layers = []
    for inputs, outputs in itertools.pairwise(sizes):
        scale = 10.0 ** generator.integers(-6, 7, size=(outputs, inputs))
        layers.append(
            Dense(scale * generator.normal(size=(outputs, inputs)), generator.normal(size=outputs))
        )
    network = ReLUNetwork(tuple(layers))
    flat = flatten(network)
    point = generator.random(network.input_size)
    region = InputSet(Box.unit(point.size), point, norm, 0.0).flat(flat)
    for every in (False, True):
        lower, upper, magnitudes = nothing(flat)
        assert tighten(flat, region, lower, upper, magnitudes, 0, depth, every)
        exact = exact_values(network, point)
        assert all(
            Fraction(a) <= v <= Fraction(b) for a, v, b in zip(lower, exact, upper, strict=True)
        )
        assert ((upper - lower) <= 1e-9 * (1.0 + magnitudes)).all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), depth=st.integers(2, 4), norm=st.sampled_from(list(Norm)))
def test_bounds_below_fixed_phases_hold_where_the_phases_do(
    seed: int, depth: int, norm: Norm
) -> None:
    """What a tree does: fix phases, tighten the layers behind; points with other phases go."""
    generator = np.random.default_rng(seed)
    sizes = [int(s) for s in generator.integers(2, 8, depth + 1)]
    network = ReLUNetwork(
        tuple(
            Dense(generator.normal(size=(b, a)), generator.normal(size=b))
            for a, b in itertools.pairwise(sizes)
        )
    )
    flat = flatten(network)
    center = generator.random(sizes[0])
    region = InputSet(Box.unit(sizes[0]), center, norm, 0.8).flat(flat)
    lower, upper, magnitudes = nothing(flat)
    tighten(flat, region, lower, upper, magnitudes, 0, depth, False)
    hidden = int(flat.neuron_offsets[depth - 1])
    open_neurons = np.flatnonzero((lower[:hidden] < 0.0) & (upper[:hidden] > 0.0))
    chosen = generator.permutation(open_neurons)[:2]
    active = generator.random(chosen.size) < 0.5
    before = lower.copy(), upper.copy()
    lower[chosen[active]] = 0.0
    upper[chosen[~active]] = 0.0
    feasible = tighten(flat, region, lower, upper, magnitudes, 1, depth, False)
    assert (lower >= before[0]).all()
    assert (upper <= before[1]).all()
    values = np.empty(flat.biases.size)
    for _ in range(100):
        point = sample(generator, center, norm, 0.8)
        forward(flat, point, values)
        if (values[chosen[active]] >= 0.0).all() and (values[chosen[~active]] <= 0.0).all():
            assert feasible
            assert (lower - 1e-12 <= values).all()
            assert (values <= upper + 1e-12).all()


def sample(generator: np.random.Generator, center: Vector, norm: Norm, radius: float) -> Vector:
    """A point of the ball and of [0, 1], often on a border."""
    change = generator.normal(size=center.size) * (generator.random(center.size) < 0.6)
    length = {
        Norm.L1: np.abs(change).sum(),
        Norm.L2: np.sqrt((change * change).sum()),
        Norm.LINF: np.abs(change).max(),
    }[norm]
    if length > 0.0:
        change *= radius * min(1.0, 1.5 * generator.random()) / length
    return np.clip(center + change, 0.0, 1.0)


def thesis_region(
    network: ReLUNetwork, image: Vector, radius: float
) -> tuple[FlatNetwork, FlatInputSet]:
    flat = flatten(network)
    return flat, InputSet(Box.unit(784), image, Norm.L1, radius).flat(flat)


def test_conditions_prove_small_balls_safe(thesis: ReLUNetwork, test_images: Dataset) -> None:
    image = np.asarray(test_images.images[0], dtype=np.float64).reshape(-1)
    label = int(test_images.labels[0])
    conditions = MinimalPerturbation(image, label).task(thesis).alternatives[0].conditions
    matrix, rhs = np.array(conditions.matrix), np.array(conditions.rhs)
    results = []
    for radius in (0.1, 1000.0):
        flat, region = thesis_region(thesis, image, radius)
        lower, upper, magnitudes = nothing(flat)
        assert tighten(flat, region, lower, upper, magnitudes, 0, 2, False)
        maxima = np.empty(rhs.size)
        results.append(
            condition_maxima(flat, region, lower, upper, magnitudes, matrix, rhs, maxima)
        )
        generator = np.random.default_rng(1)
        for _ in range(200):
            logits = thesis.forward(sample(generator, image, Norm.L1, radius))
            assert (conditions.slack(logits) <= maxima + 1e-9).all()
    assert results == [False, True]


def test_smaller_radius_is_tighter_and_replaces_the_region(thesis: ReLUNetwork) -> None:
    flat, region = thesis_region(thesis, np.full(784, 0.3), 8.0)
    widths = []
    for radius in (8.0, 2.0):
        lower, upper, magnitudes = nothing(flat)
        tighten(flat, with_radius(region, radius), lower, upper, magnitudes, 0, 3, False)
        widths.append(upper - lower)
    assert (widths[1][:32] <= widths[0][:32]).all()
    assert widths[1].sum() < 0.5 * widths[0].sum()


def test_contradicting_phases_are_found(thesis: ReLUNetwork) -> None:
    flat, region = thesis_region(thesis, np.full(784, 0.3), 2.0)
    lower, upper, magnitudes = nothing(flat)
    assert tighten(flat, region, lower, upper, magnitudes, 0, 3, False)
    sure = int(np.argmax(lower[32:48]))
    if lower[32 + sure] <= 0.0:
        pytest.fail("expected a second-layer neuron that is always active")
    upper[32 + sure] = 0.0
    assert not tighten(flat, region, lower, upper, magnitudes, 1, 3, False)


def test_empty_region_is_reported() -> None:
    network = ReLUNetwork((Dense(np.ones((2, 2)), np.zeros(2)),))
    flat = flatten(network)
    region = InputSet(Box(np.ones(2), np.full(2, 2.0)), np.zeros(2), Norm.L2, 0.1).flat(flat)
    lower, upper, magnitudes = nothing(flat)
    assert not tighten(flat, region, lower, upper, magnitudes, 0, 1, True)
    assert (lower > upper).all()
    assert not tighten_intervals(flat, region, *nothing(flat)[:2])
