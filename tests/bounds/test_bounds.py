"""Every method's bounds hold for sampled inputs, and each method is as tight as it says."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import linprog

from reluopt.bounds import BOUNDING_METHODS
from reluopt.bounds.base import PreActivationBounds
from reluopt.bounds.constant import Constant
from reluopt.bounds.interval import Interval
from reluopt.bounds.linear import Linear
from reluopt.bounds.lp import OBBT
from reluopt.deadline import Deadline
from reluopt.errors import InputError
from reluopt.images.mnist import Dataset
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.input_sets import InputSet
from reluopt.questions.problems import Box, Norm

Vector = NDArray[np.float64]
MakeNetwork = Callable[[tuple[int, ...], int], ReLUNetwork]
VALID = ("interval", "linear", "lp")


def odd_network(seed: int, depth: int) -> ReLUNetwork:
    """Random sizes; zero rows, dead and duplicated neurons, whole-number weights now and then."""
    generator = np.random.default_rng(seed)
    sizes = [int(size) for size in generator.integers(1, 8, depth + 1)]
    layers = []
    for inputs, outputs in itertools.pairwise(sizes):
        weight, bias = generator.normal(size=(outputs, inputs)), generator.normal(size=outputs)
        if generator.random() < 0.3:
            weight, bias = np.round(2 * weight), np.round(bias)
        if generator.random() < 0.3:
            weight[generator.integers(outputs)] = 0.0
        if generator.random() < 0.3:
            bias[generator.integers(outputs)] = -100.0
        if generator.random() < 0.3:
            weight[-1], bias[-1] = weight[0], bias[0]
        layers.append(Dense(weight, bias))
    return ReLUNetwork(tuple(layers))


def odd_region(seed: int, size: int) -> InputSet:
    """Any norm; radius 0 and infinity; boxes with fixed inputs; centers on the border."""
    generator = np.random.default_rng(seed)
    lower = generator.normal(size=size)
    upper = lower + 2.0 * generator.random(size) * (generator.random(size) < 0.8)
    center = np.clip(generator.normal(size=size), lower, upper)
    radius = (0.0, math.inf, 0.3, 1.5)[seed % 4]
    norm = list(Norm)[seed % 3]
    return InputSet(Box(lower, upper), center if seed % 5 else None, norm, radius)


def sample(region: InputSet, count: int, seed: int) -> Vector:
    """Points of the region, many of them on its border or at corners of the box."""
    generator = np.random.default_rng(seed)
    lower, upper = region.box.lower, region.box.upper
    points = generator.uniform(lower, upper, (count, lower.size))
    corner = generator.random(count) < 0.4
    sides = np.where(generator.random((count, lower.size)) < 0.5, lower, upper)
    points[corner] = sides[corner]
    if region.center is None or not np.isfinite(region.radius):
        return points
    change = points - region.center
    length = {
        Norm.L1: np.abs(change).sum(axis=1),
        Norm.L2: np.sqrt((change * change).sum(axis=1)),
        Norm.LINF: np.abs(change).max(axis=1),
    }[region.norm]
    # Scaling toward a center inside the box stays inside the box.
    scale = np.minimum(1.0, region.radius / np.maximum(length, 1e-300))
    return np.clip(region.center + scale[:, None] * change, lower, upper)


def assert_holds(network: ReLUNetwork, bounds: PreActivationBounds, points: Vector) -> None:
    """Every pre-activation of every point is within the bounds, up to a forward pass' rounding."""
    for low, values, up in zip(
        bounds.lower, network.pre_activations(points), bounds.upper, strict=True
    ):
        slack = 1e-12 * (1.0 + np.abs(values).max())
        assert (low - slack <= values).all()
        assert (values <= up + slack).all()


def assert_within(tight: PreActivationBounds, loose: PreActivationBounds) -> None:
    """``tight`` is nowhere worse than ``loose``."""
    assert all((a >= b).all() for a, b in zip(tight.lower, loose.lower, strict=True))
    assert all((a <= b).all() for a, b in zip(tight.upper, loose.upper, strict=True))


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 10**6), depth=st.integers(1, 4))
def test_bounds_hold_and_are_ordered(seed: int, depth: int) -> None:
    network = odd_network(seed, depth)
    region = odd_region(seed, network.input_size)
    points = sample(region, 200, seed)
    found = {name: BOUNDING_METHODS.get(name).compute(network, region) for name in VALID}
    for name, bounds in found.items():
        assert bounds.method == name
        assert not bounds.empty
        assert_holds(network, bounds, points)
    assert_within(found["linear"], found["interval"])
    assert_within(found["lp"], found["linear"])


@pytest.mark.parametrize("norm", list(Norm))
@pytest.mark.parametrize("radius", [0.0, 0.05, 2.0, math.inf])
def test_bounds_hold_on_the_thesis_network(
    thesis: ReLUNetwork, test_images: Dataset, norm: Norm, radius: float
) -> None:
    image = np.asarray(test_images.images[3], dtype=np.float64).reshape(-1)
    region = InputSet(Box.unit(784), image, norm, radius)
    linear, interval = Linear().compute(thesis, region), Interval().compute(thesis, region)
    assert_within(linear, interval)
    points = sample(region, 300, 1)
    for bounds in (linear, interval):
        assert_holds(thesis, bounds, points)
    if radius == 0.0:
        widths = [up - low for low, up in zip(linear.lower, linear.upper, strict=True)]
        assert max(float(width.max()) for width in widths) < 1e-9


def test_the_first_layer_is_reached(thesis: ReLUNetwork, test_images: Dataset) -> None:
    """The first layer's bounds are attained by a point of the region, to 1e-9."""
    image = np.asarray(test_images.images[0], dtype=np.float64).reshape(-1)
    box = Box.unit(784)
    weight, bias = thesis.layers[0].weight, thesis.layers[0].bias
    for radius in (0.7, 6.0):
        upper = Linear().compute(thesis, InputSet(box, image, Norm.L1, radius)).upper[0]
        for i in range(0, 32, 8):
            rooms = np.where(weight[i] > 0.0, 1.0 - image, image)
            point, budget = image.copy(), radius
            for j in np.argsort(-np.abs(weight[i])):
                step = min(rooms[j], budget)
                point[j] += step * np.sign(weight[i, j])
                budget -= step
            assert upper[i] == pytest.approx(float(weight[i] @ point + bias[i]), abs=1e-9)


def test_linear_bounds_beat_intervals_where_it_matters(
    thesis: ReLUNetwork, test_images: Dataset
) -> None:
    image = np.asarray(test_images.images[0], dtype=np.float64).reshape(-1)
    region = InputSet(Box.unit(784), image, Norm.L1, 6.0)
    linear, interval = Linear().compute(thesis, region), Interval().compute(thesis, region)
    box = Linear().compute(thesis, InputSet(Box.unit(784)))
    assert linear.unstable_count < interval.unstable_count < box.unstable_count
    deep = [float((each.upper[1] - each.lower[1]).sum()) for each in (linear, interval)]
    assert deep[0] < 0.6 * deep[1]


def test_linear_bounds_are_exact_without_unstable_neurons(make_network: MakeNetwork) -> None:
    network = make_network((6, 5, 4, 3), 1)
    point = np.full(6, 0.5)
    region = InputSet(Box(np.zeros(6), np.ones(6)), point, Norm.LINF, 1e-3)
    bounds = Linear().compute(network, region)
    assert bounds.unstable_count == 0
    slope, offset = network.region_map(network.activation_pattern(point))[-1]
    reach = 1e-3 * np.abs(slope).sum(axis=1)
    np.testing.assert_allclose(bounds.upper[-1], slope @ point + offset + reach, rtol=1e-10)
    np.testing.assert_allclose(bounds.lower[-1], slope @ point + offset - reach, rtol=1e-10)


def test_lecture_example(lecture: ReLUNetwork) -> None:
    """y = max(5 x1 - 4 x2 + 3, 0), z = max(-2 y + 50, 0); x1 in [-10, 10], x2 in [-5, 5]."""
    region = InputSet(Box(np.array([-10.0, -5.0]), np.array([10.0, 5.0])))
    bounds = Interval().compute(lecture, region)
    np.testing.assert_allclose([bounds.lower[0][0], bounds.upper[0][0]], [-67.0, 73.0])
    np.testing.assert_allclose([bounds.lower[1][0], bounds.upper[1][0]], [-96.0, 50.0])


def test_lp_bound_is_the_optimum_of_the_triangle_relaxation(make_network: MakeNetwork) -> None:
    network = make_network((4, 5, 3), 3)
    box = Box(-np.ones(4), np.ones(4))
    first = Linear().compute(network, InputSet(box))
    found = OBBT().compute(network, InputSet(box))
    low, up = first.lower[0], first.upper[0]
    weight, bias = network.layers[0].weight, network.layers[0].bias
    assert ((low < 0.0) & (up > 0.0)).sum() >= 2
    for i in range(3):
        out, constant = network.layers[1].weight[i], network.layers[1].bias[i]
        # Columns x and y: y >= 0, y >= a, y <= u (a - l) / (u - l) where unstable.
        rows, rhs, limits = [], [], [(-1.0, 1.0)] * 4
        for j in range(5):
            unit = np.eye(5)[j]
            rows.append(np.append(weight[j], -unit))
            rhs.append(-bias[j])
            slope = up[j] / (up[j] - low[j]) if low[j] < 0.0 < up[j] else float(low[j] >= 0.0)
            shift = -slope * low[j] if low[j] < 0.0 < up[j] else 0.0
            rows.append(np.append(-slope * weight[j], unit))
            rhs.append(slope * bias[j] + shift)
            limits.append((0.0, None))
        best = linprog(np.append(np.zeros(4), -out), np.array(rows), np.array(rhs), bounds=limits)
        assert found.upper[1][i] == pytest.approx(constant - best.fun, abs=1e-6)


def test_lp_bounds_tighten_the_thesis_network(thesis: ReLUNetwork, test_images: Dataset) -> None:
    image = np.asarray(test_images.images[0], dtype=np.float64).reshape(-1)
    region = InputSet(Box.unit(784), image, Norm.L1, 6.0)
    linear, found = Linear().compute(thesis, region), OBBT().compute(thesis, region)
    assert_within(found, linear)
    assert (found.upper[2] - found.lower[2]).sum() < 0.95 * (
        linear.upper[2] - linear.lower[2]
    ).sum()
    assert_holds(thesis, found, sample(region, 300, 2))


def test_lp_bounds_stay_valid_without_time(thesis: ReLUNetwork) -> None:
    region = InputSet(Box.unit(784))
    linear = Linear().compute(thesis, region)
    hurried = OBBT(lp_time_limit=1e-4).compute(thesis, region)
    assert_within(hurried, linear)
    assert_holds(thesis, hurried, sample(region, 200, 3))
    stopped = OBBT().compute(thesis, region, deadline=Deadline.after(0.0))
    for a, b in zip(stopped.upper, linear.upper, strict=True):
        np.testing.assert_array_equal(a, b)


def test_lp_bounds_in_two_processes_are_the_same(make_network: MakeNetwork) -> None:
    network = make_network((5, 6, 6, 4), 7)
    region = InputSet(Box(-np.ones(5), np.ones(5)))
    alone, shared = OBBT().compute(network, region), OBBT(workers=2).compute(network, region)
    for a, b in zip(alone.upper + alone.lower, shared.upper + shared.lower, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9)


def test_constant_bounds(thesis: ReLUNetwork) -> None:
    region = InputSet(Box.unit(784))
    bounds = BOUNDING_METHODS.get("thesis").compute(thesis, region)
    assert [(-values == 1000.0).all() for values in bounds.lower] == [True] * 3
    assert [values.shape for values in bounds.upper] == [(32,), (16,), (10,)]
    assert Constant(50.0).compute(thesis, region).upper[0][0] == 50.0
    with pytest.raises(InputError, match="big-M"):
        Constant(0.0)


def test_a_ball_that_misses_the_box_is_empty(make_network: MakeNetwork) -> None:
    network = make_network((3, 4, 2), 0)
    region = InputSet(Box(np.full(3, 2.0), np.full(3, 3.0)), np.zeros(3), Norm.L2, 1.0)
    for name in VALID:
        assert BOUNDING_METHODS.get(name).compute(network, region).empty


def test_bad_input_is_named(make_network: MakeNetwork) -> None:
    network = make_network((4, 2), 0)
    with pytest.raises(InputError, match="expected one of thesis, interval, linear, lp"):
        BOUNDING_METHODS.get("crown").compute(network, InputSet(Box.unit(4)))
    for name in VALID:
        assert name in BOUNDING_METHODS.names
        with pytest.raises(InputError, match=r"box: expected 4 inputs, found shape \(3,\)"):
            BOUNDING_METHODS.get(name).compute(network, InputSet(Box.unit(3)))


def test_bounds_that_are_no_numbers_are_refused() -> None:
    """NaN compares as false with everything: such a bound would contradict nothing."""
    with pytest.raises(InputError, match="bounds own: expected numbers, found NaN"):
        PreActivationBounds((np.array([np.nan]),), (np.array([1.0]),), "own")
