"""Safe bounds and ball rows in exact arithmetic."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from reluopt.engines.branch_and_bound.ball import Ball, no_bounds
from reluopt.engines.branch_and_bound.frame import Frame
from reluopt.engines.branch_and_bound.l1.ball import make_row_ball, no_ball_rows
from reluopt.engines.branch_and_bound.l1.certificate import (
    L1_OBJECTIVE,
    NO_OBJECTIVE,
    make_setting,
    safe_bound,
)
from reluopt.engines.branch_and_bound.l1.relaxation import L1Relaxation
from reluopt.networks.flattening import flatten
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.input_sets import InputSet
from reluopt.questions.problems import AbsoluteMargin, Box, FixedTarget, MinimalPerturbation, Norm


def exact(array):
    return np.array([Fraction(float(v)) for v in np.ravel(array)], dtype=object).reshape(
        np.shape(array)
    )


def make_case(seed, hidden=(5, 4)):
    generator = np.random.default_rng(seed)
    sizes = (8, *hidden, 3)
    network = ReLUNetwork(
        tuple(
            Dense(generator.normal(size=(b, a)), generator.normal(size=b))
            for a, b in pairwise(sizes)
        )
    )
    image = generator.random(8) * (generator.random(8) > 0.3)
    label = int(network.predict(image))
    problem = MinimalPerturbation(
        image, label, FixedTarget((label + 1) % 3), Norm.L1, AbsoluteMargin(0.1), Box.unit(8)
    )
    task = problem.task(network)
    flat = flatten(network)
    region = InputSet(task.box, np.array(task.image), Norm.L1, 100.0).flat(flat)
    frame = Frame(network, flat, task, region, (network, task))
    return frame, make_row_ball(frame, 2.0, *no_bounds(frame)), generator


def exact_lagrangian(frame, ball, lower, upper, pi, mu, tau, objective):
    """The bound of the certificate's derivation, term by term, in rational arithmetic."""
    network = frame.network
    conditions = frame.task.alternatives[0].conditions
    pi, mu = exact(pi), exact(np.maximum(mu, 0.0))
    tau = exact(np.maximum(tau, 0.0))
    total = sum(mu * exact(conditions.rhs), Fraction(0))
    vectors = [exact(conditions.matrix).T @ mu]
    starts = frame.flat.neuron_offsets
    for k in range(len(network.layers) - 1, 0, -1):
        vectors.append(pi[starts[k - 1] : starts[k]])
    share = np.array([Fraction(0)] * pi.size, dtype=object)
    for b, h in enumerate(ball.rows.neurons):
        share[h] += tau[b]
        total -= tau[b] * Fraction(float(ball.rows.offset[b]))
    for step, k in enumerate(range(len(network.layers) - 1, -1, -1)):
        vector = vectors[step]
        total -= sum(vector * exact(network.layers[k].bias), Fraction(0))
        below = exact(network.layers[k].weight).T @ vector
        if k > 0:
            for j in range(below.size):
                h = starts[k - 1] + j
                low, high = Fraction(float(lower[h])), Fraction(float(upper[h]))
                p = pi[h] - below[j] + share[h]
                if low >= 0:
                    total += min(p * low, p * high)
                elif high <= 0:
                    total += min(pi[h] * low, pi[h] * high)
                else:
                    total += min(Fraction(0), p * high, pi[h] * low)
    n = network.input_size
    rise = exact(ball.rows.rise.reshape(-1, n)) if tau.size else None
    fall = exact(ball.rows.fall.reshape(-1, n)) if tau.size else None
    for j in range(n):
        image = Fraction(float(frame.task.image[j]))
        up = Fraction(float(frame.task.box.upper[j])) - image
        down = image - Fraction(float(frame.task.box.lower[j]))
        cost_up, cost_down = objective - below[j], objective + below[j]
        if tau.size:
            cost_up -= sum(tau * rise[:, j], Fraction(0))
            cost_down -= sum(tau * fall[:, j], Fraction(0))
        total += -below[j] * image + min(cost_up * up, Fraction(0)) + min(cost_down * down, 0)
    return total


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("objective", [L1_OBJECTIVE, NO_OBJECTIVE])
def test_safe_bound_never_exceeds_the_exact_lagrangian(seed, objective):
    frame, ball, generator = make_case(seed)
    conditions = frame.task.alternatives[0].conditions
    setting = make_setting(frame, conditions, ball)
    hidden = int(frame.flat.neuron_offsets[-2])
    pi = generator.normal(size=frame.flat.biases.size)
    mu = generator.random(conditions.rhs.size)
    tau = generator.normal(size=ball.rows.neurons.size)
    safe = safe_bound(setting, ball.lower, ball.upper, pi, mu, tau, objective)
    true = exact_lagrangian(
        frame, ball, ball.lower, ball.upper, pi[:hidden], mu, tau, int(objective)
    )
    assert Fraction(safe) <= true
    assert float(true) - safe < 1e-9


@pytest.mark.parametrize("seed", range(12))
def test_bounds_of_solved_relaxations_hold_in_exact_arithmetic(seed):
    frame, ball, _ = make_case(seed)
    if ball.empty:
        pytest.skip("nothing within this radius")
    relaxation = L1Relaxation(frame, frame.task.alternatives[0].conditions, ball)
    outcome = relaxation.solve(np.inf, 10_000)
    multipliers = relaxation.multipliers()
    true = exact_lagrangian(
        frame,
        ball,
        ball.lower,
        ball.upper,
        multipliers.neurons,
        multipliers.conditions,
        multipliers.balls,
        0 if multipliers.farkas else 1,
    )
    if multipliers.farkas:
        assert outcome.bound == np.inf
        assert true > 0
    else:
        assert Fraction(outcome.bound) <= true
        assert outcome.bound == pytest.approx(float(true), abs=1e-9)


@pytest.mark.parametrize("seed", range(10))
def test_ball_rows_and_bounds_hold_at_points_of_the_ball(seed):
    frame, ball, generator = make_case(seed, hidden=(6, 5, 4))
    if ball.empty:
        pytest.skip("nothing within this radius")
    image, n = frame.task.image, frame.network.input_size
    rise, fall = ball.rows.rise.reshape(-1, n), ball.rows.fall.reshape(-1, n)
    assert ball.rows.neurons.size > 0
    tested = 0
    while tested < 200:
        point = frame.task.box.clip(image + generator.normal(size=n) * generator.choice([0.2, 1.0]))
        keep = generator.random(n) < generator.choice([0.15, 0.4, 1.0])
        delta = np.where(keep, point - image, 0.0)
        length = np.abs(delta).sum()
        if length > ball.radius:
            delta *= ball.radius / length * (1.0 - 1e-12)
        tested += 1
        values = np.concatenate(frame.network.pre_activations(image + delta))
        assert (values >= ball.lower - 1e-9).all()
        assert (values <= ball.upper + 1e-9).all()
        allowed = ball.rows.offset + rise @ np.maximum(delta, 0) + fall @ np.maximum(-delta, 0)
        assert (np.maximum(values[ball.rows.neurons], 0.0) <= allowed + 1e-9).all()


def test_first_layer_rows_hold_exactly_where_the_ball_touches_an_axis():
    frame, ball, _ = make_case(3)
    layer, image = frame.network.layers[0], exact(frame.task.image)
    radius, n = Fraction(ball.radius), frame.network.input_size
    rows = ball.rows
    for b, h in enumerate(rows.neurons):
        if h >= layer.output_size:
            continue
        weight, bias = exact(layer.weight[h]), Fraction(float(layer.bias[h]))
        start = weight @ image + bias
        assert Fraction(float(rows.offset[b])) >= max(start, 0)
        for j in range(n):
            for sign, slopes in ((1, rows.rise), (-1, rows.fall)):
                value = max(start + sign * radius * weight[j], Fraction(0))
                slope = Fraction(float(slopes.reshape(-1, n)[b, j]))
                assert Fraction(float(rows.offset[b])) + radius * slope >= value


def test_rows_are_left_out_without_a_useful_radius():
    frame, ball, _ = make_case(0)
    wide = make_row_ball(frame, 1e3, ball.lower, ball.upper)
    assert wide.rows.neurons.size == 0
    assert isinstance(wide, Ball)
    assert no_ball_rows().neurons.size == 0
