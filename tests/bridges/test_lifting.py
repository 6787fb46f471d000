"""Blends as tilted L2 problems of a lifted network: equal values, rounded the safe way."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reluopt.answers.solution import Incumbent
from reluopt.bridges.lifting import lift
from reluopt.errors import InputError
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.problems import (
    Alternative,
    Blend,
    Box,
    LogitConditions,
    Norm,
    Task,
)


def problem(
    seed: int, weight: float, size: int = 5
) -> tuple[ReLUNetwork, Task, np.random.Generator]:
    """A network and a task whose image touches the box here and there."""
    generator = np.random.default_rng(seed)
    network = ReLUNetwork(
        (
            Dense(generator.normal(size=(4, size)), generator.normal(size=4)),
            Dense(generator.normal(size=(2, 4)), generator.normal(size=2)),
        )
    )
    lower = generator.normal(size=size)
    upper = lower + generator.random(size) * (generator.random(size) < 0.8)
    image = np.clip(lower + generator.uniform(-0.5, 1.5, size) * (upper - lower), lower, upper)
    conditions = LogitConditions(np.array([[1.0, -1.0]]), np.zeros(1))
    alternatives = (Alternative(0, conditions),)
    task = Task.nearest(image, Box(lower, upper), Blend(weight), alternatives)
    return network, task, generator


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10**6), weight=st.floats(1e-3, 0.999))
def test_images_and_parts_mean_the_same(seed: int, weight: float) -> None:
    network, task, generator = problem(seed, weight)
    raised = lift(network, task)
    point = generator.uniform(task.box.lower, task.box.upper)
    parts = raised.parts(point)
    assert raised.task.box.violation(parts) == 0.0
    assert task.box.violation(raised.image(parts)) == 0.0
    assert raised.image(parts) == pytest.approx(point, abs=1e-14)
    assert raised.network.forward(parts) == pytest.approx(network.forward(point), abs=1e-11)
    blend = task.objective(point)
    assert raised.objective(raised.task.objective(parts)) == pytest.approx(blend, rel=1e-12)
    lowered = raised.lowered(raised.lifted(Incumbent(point, blend, 0)))
    assert lowered is not None
    assert lowered.objective == pytest.approx(blend, rel=1e-12)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10**6), weight=st.floats(1e-3, 0.999))
def test_no_change_is_lost_and_bounds_are_rounded_down(seed: int, weight: float) -> None:
    """In rational arithmetic: rooms hold every change; tilt and bounds are never above."""
    network, task, _ = problem(seed, weight)
    raised = lift(network, task)
    for sign, pixel, room in zip(raised.signs, raised.pixels, raised.task.box.upper, strict=True):
        end = task.box.upper[pixel] if sign > 0.0 else task.box.lower[pixel]
        exact = (Fraction(end) - Fraction(task.image[pixel])) * int(sign)
        assert Fraction(room) >= exact
        assert float(room) <= float(exact) * (1.0 + 1e-15)
    exact_weight = Fraction(weight)
    assert Fraction(raised.task.distance.tilt) <= exact_weight / (2 * (1 - exact_weight))
    for value in (seed / 7.0, 1e-300, 1e300):
        bound = raised.bound(value)
        assert Fraction(bound) <= Fraction(value) * (1 - exact_weight)
        assert bound == pytest.approx(value * (1.0 - weight), rel=1e-14)
    assert raised.bound(np.inf) == np.inf


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), weight=st.floats(1e-3, 0.999))
def test_lifted_biases_are_within_their_error(seed: int, weight: float) -> None:
    network, task, _ = problem(seed, weight)
    raised = lift(network, task)
    first = network.layers[0]
    unit = Fraction(1, 2**53)
    for row, bias, found, size in zip(
        first.weight, first.bias, raised.network.layers[0].bias, raised.bias_sizes, strict=True
    ):
        terms = [Fraction(w) * Fraction(x) for w, x in zip(row, task.image, strict=True)]
        exact = sum(terms, Fraction(bias))
        assert abs(Fraction(found) - exact) <= (len(terms) + 2) * unit * Fraction(size)


def test_a_box_without_room_keeps_one_part() -> None:
    network, task, _ = problem(0, 0.5)
    fixed = Task.nearest(task.image, Box(task.image, task.image), task.norm, task.alternatives)
    raised = lift(network, fixed)
    assert raised.task.box.upper.tolist() == [0.0]
    assert raised.image(np.zeros(1)) == pytest.approx(task.image, abs=0.0)


def test_other_norms_are_refused() -> None:
    network, task, _ = problem(0, 0.5)
    other = Task.nearest(task.image, task.box, Norm.L1, task.alternatives)
    with pytest.raises(InputError, match="expected a blend without limits, found l1"):
        lift(network, other)
