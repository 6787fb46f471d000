"""Linear maxima over ball and box: never below the exact maximum, and tight."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import linprog

from reluopt.networks.flattening import flatten
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.maxima import (
    box_maximum,
    l1_maximum,
    l2_maximum,
    linear_maximum,
    tilted_maximum,
)
from reluopt.questions.input_sets import InputSet
from reluopt.questions.problems import Box, Norm

Vector = NDArray[np.float64]


def instance(seed: int, size: int, contains_zero: bool = True) -> tuple[Vector, Vector, Vector]:
    """A linear form and limits of ``delta``; ties, zeros and inputs without room are common."""
    generator = np.random.default_rng(seed)
    g = generator.normal(size=size) * (generator.random(size) < 0.8)
    if seed % 3 == 0:
        g = np.round(2.0 * g)
    low = -generator.random(size) * (generator.random(size) < 0.7)
    high = generator.random(size) * (generator.random(size) < 0.7)
    if not contains_zero:
        shift = 0.3 * generator.normal(size=size)
        low, high = low + shift, high + shift
    return g, low, high


def exact_knapsack(g: Vector, low: Vector, high: Vector, radius: float) -> Fraction:
    """The L1 maximum in rational arithmetic."""
    items = sorted(
        (
            (abs(Fraction(a)), Fraction(h if a > 0 else -b))
            for a, b, h in zip(g, low, high, strict=True)
        ),
        reverse=True,
    )
    budget, total = Fraction(radius), Fraction(0)
    for gain, room in items:
        used = min(room, budget)
        total += gain * used
        budget -= used
    return total


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.integers(1, 60), share=st.floats(0.0, 1.2))
def test_l1_is_exact_up_to_rounding_and_never_below(seed: int, size: int, share: float) -> None:
    g, low, high = instance(seed, size)
    radius = share * float(np.maximum(high, -low).sum())
    found = l1_maximum(g, low, high, radius, np.empty(size), np.empty(size))
    exact = exact_knapsack(g, low, high, radius)
    assert Fraction(found) >= exact
    assert found <= float(exact) * (1.0 + 1e-12) + 1e-12


@pytest.mark.parametrize("seed", range(20))
def test_l1_agrees_with_a_general_solver(seed: int) -> None:
    g, low, high = instance(seed, 25)
    radius = 0.1 + 0.2 * seed
    reference = linprog(
        np.concatenate([-g, g]),
        A_ub=np.ones((1, 50)),
        b_ub=[radius],
        bounds=[*((0.0, h) for h in high), *((0.0, -b) for b in low)],
    )
    found = l1_maximum(g, low, high, radius, np.empty(25), np.empty(25))
    assert found == pytest.approx(-reference.fun, abs=1e-9)


def clipped_reference(g: Vector, low: Vector, high: Vector, radius: float) -> Vector:
    """A feasible, nearly optimal point of the L2 problem by plain bisection."""
    inside, outside = 0.0, 1.0
    while np.linalg.norm(np.clip(outside * g, low, high)) < radius and outside < 1e9:
        outside *= 2.0
    for _ in range(200):
        middle = 0.5 * (inside + outside)
        if np.linalg.norm(np.clip(middle * g, low, high)) <= radius:
            inside = middle
        else:
            outside = middle
    return np.clip(inside * g, low, high)


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    size=st.integers(1, 60),
    share=st.floats(1e-6, 1.2),
    contains_zero=st.booleans(),
)
def test_l2_is_tight_and_never_below(
    seed: int, size: int, share: float, contains_zero: bool
) -> None:
    g, low, high = instance(seed, size, contains_zero)
    nearest = float(np.linalg.norm(np.clip(0.0, low, high)))
    radius = nearest + share * float(np.linalg.norm(np.maximum(np.abs(low), np.abs(high))))
    found = l2_maximum(g, low, high, radius, np.empty(size), np.empty(size))
    point = clipped_reference(g, low, high, radius)
    # Exactly inside the ball: scaled toward the nearest point of the box only by a hair.
    reached = sum(Fraction(a) * Fraction(d) for a, d in zip(g, point, strict=True))
    squares = sum(Fraction(d) ** 2 for d in point)
    if squares <= Fraction(radius) ** 2:
        assert Fraction(found) >= reached
    scale = 1.0 + float(np.abs(g).sum())
    assert found == pytest.approx(float(g @ point), abs=1e-8 * scale)


def elastic_reference(g: Vector, low: Vector, high: Vector, square: float, tilt: float) -> Vector:
    """A feasible, nearly optimal point of the tilted problem by plain bisection."""

    def point(scale: float) -> Vector:
        return np.clip(scale * g - tilt, low, high)

    def spent(delta: Vector) -> float:
        return float(delta @ delta + 2.0 * tilt * delta.sum())

    inside, outside = 0.0, 1.0
    while spent(point(outside)) < square and outside < 1e9:
        outside *= 2.0
    for _ in range(200):
        middle = 0.5 * (inside + outside)
        if spent(point(middle)) <= square:
            inside = middle
        else:
            outside = middle
    return point(inside)


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    size=st.integers(1, 60),
    share=st.floats(1e-6, 1.2),
    tilt=st.floats(1e-3, 1e4),
    shifted=st.booleans(),
)
def test_tilted_is_tight_and_never_below(
    seed: int, size: int, share: float, tilt: float, shifted: bool
) -> None:
    """Elastic nets: compared in rational arithmetic with points of the region."""
    g, low, high = instance(seed, size)
    high, low = high - low, np.zeros(size)
    if shifted:
        low, high = low + 0.1, high + 0.1

    def spent(delta: Vector) -> Fraction:
        exact = [Fraction(d) for d in delta]
        return sum((d * d + 2 * Fraction(tilt) * d for d in exact), Fraction(0))

    least, most = float(spent(low)), float(spent(high))
    radius = float(np.sqrt(least + share * (most - least))) * (1.0 + 1e-12)
    found = tilted_maximum(g, low, high, radius, tilt, np.empty(size), np.empty(size))
    point = elastic_reference(g, low, high, radius * radius, tilt)
    generator = np.random.default_rng(seed)
    others = [low + s * (high - low) * generator.random(size) for s in (0.01, 0.1, 1.0)]
    for delta in (point, low, high, *others):
        if spent(delta) <= Fraction(radius) ** 2:
            reached = sum(Fraction(a) * Fraction(d) for a, d in zip(g, delta, strict=True))
            assert Fraction(found) >= reached
    scale = 1.0 + float(np.abs(g).sum())
    assert found == pytest.approx(float(g @ point), abs=1e-7 * scale)


def test_tilted_maximum_over_degenerate_regions() -> None:
    g, low, high = instance(5, 12)
    high, low = high - low, np.zeros(12)
    buffers = np.empty(12), np.empty(12)
    box = box_maximum(g, low, high, np.empty(12))
    assert tilted_maximum(g, low, high, 0.0, 2.0, *buffers) == pytest.approx(0.0, abs=1e-200)
    assert tilted_maximum(g, low, high, 1e9, 2.0, *buffers) == pytest.approx(box, rel=1e-12)
    assert tilted_maximum(g, low, high, -1.0, 2.0, *buffers) == -np.inf
    falling = tilted_maximum(-np.abs(g), low, high, 1.0, 2.0, *buffers)
    assert 0.0 <= falling < 1e-12
    nan = np.full(12, np.nan)
    assert not tilted_maximum(nan, low, high, 1.0, 2.0, *buffers) < box


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.integers(1, 60), contains_zero=st.booleans())
def test_box_is_never_below(seed: int, size: int, contains_zero: bool) -> None:
    g, low, high = instance(seed, size, contains_zero)
    exact = sum(
        max(Fraction(a) * Fraction(b), Fraction(a) * Fraction(h))
        for a, b, h in zip(g, low, high, strict=True)
    )
    found = box_maximum(g, low, high, np.empty(size))
    assert Fraction(found) >= exact
    assert found <= float(exact) + 1e-12 * (1.0 + float(np.abs(g).sum()))


@pytest.mark.parametrize("function", [l1_maximum, l2_maximum])
def test_degenerate_balls(function: object) -> None:
    g, low, high = instance(5, 12)
    buffers = np.empty(12), np.empty(12)
    box = box_maximum(g, low, high, np.empty(12))
    assert function(g, low, high, 0.0, *buffers) == pytest.approx(0.0, abs=1e-200)  # type: ignore[operator]
    assert function(g, low, high, np.inf, *buffers) == pytest.approx(box, rel=1e-12)  # type: ignore[operator]
    assert function(g, low, high, -1.0, *buffers) == -np.inf  # type: ignore[operator]
    zero = np.zeros(12)
    assert function(zero, low, high, 1.0, *buffers) == pytest.approx(0.0, abs=1e-200)  # type: ignore[operator]
    nan = np.full(12, np.nan)
    assert not function(nan, low, high, 1.0, *buffers) < box  # type: ignore[operator]


def one_layer(size: int) -> ReLUNetwork:
    return ReLUNetwork((Dense(np.ones((1, size)), np.zeros(1)),))


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 10**6), norm=st.sampled_from(list(Norm)))
def test_regions_with_any_center_hold_their_points(seed: int, norm: Norm) -> None:
    """Centers outside the box, on its border or inside; boxes of any sign."""
    generator = np.random.default_rng(seed)
    size = int(generator.integers(1, 12))
    lower = generator.normal(size=size)
    upper = lower + generator.random(size) * (generator.random(size) < 0.8)
    center = np.clip(generator.normal(size=size), lower, upper)
    if seed % 3 == 0:
        center = generator.normal(size=size)
    radius = float(generator.random() * 2.0)
    region = InputSet(Box(lower, upper), center, norm, radius).flat(flatten(one_layer(size)))
    g = generator.normal(size=size)
    bound = linear_maximum(region, g, np.empty(size), np.empty(size))
    for _ in range(50):
        point = np.clip(center + generator.normal(size=size) * radius, lower, upper)
        if generator.random() < 0.5:
            point = np.where(g > 0.0, upper, lower)
        change = point - center
        size_of = {
            Norm.L1: np.abs(change).sum(),
            Norm.L2: np.sqrt((change * change).sum()),
            Norm.LINF: np.abs(change).max(),
        }[norm]
        if size_of <= radius:
            assert g @ (point - region.center) <= bound + 1e-12


@pytest.mark.parametrize("norm", list(Norm))
def test_ball_that_misses_the_box_is_empty(norm: Norm) -> None:
    box = Box(np.full(3, 1.0), np.full(3, 2.0))
    region = InputSet(box, np.zeros(3), norm, 0.5).flat(flatten(one_layer(3)))
    assert region.radius < 0.0
