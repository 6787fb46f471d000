"""Sums of squares: no error is above them, no change above a bound of a condition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.convolutions import KINDS, SIDE, network_of, unit_values
from reluopt.deadline import NEVER, Deadline
from reluopt.engines.branch_and_bound.corners.tables import dense
from reluopt.engines.branch_and_bound.corners.units import layers_at, units_of
from reluopt.engines.branch_and_bound.curved import squares as module
from reluopt.engines.branch_and_bound.curved.quadratics import proven_over_ball
from reluopt.engines.branch_and_bound.curved.squares import Net, Squares
from reluopt.networks.layers import base

QUICK = settings(max_examples=60, deadline=None, derandomize=True)
PIXELS = SIDE * SIDE


def situation(kind, seed):
    """A network at an image of the unit box, and a radius."""
    random = np.random.default_rng(seed)
    network = network_of(kind, random)
    image = random.choice([0.0, 1.0, 0.3, 0.7], PIXELS)
    units = units_of(network)
    box = np.zeros(PIXELS), np.ones(PIXELS)
    net = Net.of(layers_at(units, image), units[-1].pieces, image, box)
    return random, network, units, net, float(random.choice([0.02, 0.1, 0.5, 2.0]))


def inputs_of(net, radius, random, count=200):
    """Inputs of ball and box, many of them on the sphere and with few pixels."""
    change = random.normal(size=(count, PIXELS))
    change[random.random(change.shape) < random.choice([0.0, 0.6, 0.9], (count, 1))] = 0.0
    length = np.maximum(np.linalg.norm(change, axis=1, keepdims=True), 1e-9)
    change *= radius / length * np.where(random.random((count, 1)) < 0.7, 1.0, 0.4)
    return np.clip(net.image + change, 0.0, 1.0)


def bounds_of_errors(squares, changes):
    """What the squares say of the errors of every layer's units at some changes."""
    found = []
    for k, own in enumerate(squares.net.excesses):
        curve, offsets = squares._curves[k]
        value = curve * (changes @ own.slopes.toarray().T + offsets) ** 2
        for below, rising in zip(found, own.rising, strict=True):
            value = value + squares.passes[k] * (below @ dense(rising).T)
        found.append(value @ squares.net.spread[k].toarray().T)
    return found


@given(st.sampled_from(KINDS), st.integers(0, 10**6), st.booleans())
@QUICK
def test_no_error_exceeds_its_squares(kind, seed, fitted):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base, "SMALL", 0)
        patch.setattr(base, "SPARSE_SHARE", 0.9)
        random, network, units, net, radius = situation(kind, seed)
        squares = Squares(net, radius, True, NEVER)
    if fitted:
        squares.refit(random.normal(size=PIXELS) * 0.2 * radius, 0.7)
    inputs = inputs_of(net, radius, random)
    above = bounds_of_errors(squares, inputs - net.image)
    below = inputs
    for k, values in enumerate(unit_values(units, inputs)):
        if k == len(net.layers):
            break
        layer = net.layers[k]
        error = values - layer.keeps * (below @ dense(layer.lead).T + layer.bias)
        assert (error <= above[k] + 1e-9).all()
        below = values
    matrix, rhs = np.array([[1.0, -1.0, 0.0]]), np.array([0.1])
    last = net.last
    constants = matrix @ last.bias - rhs + squares.room_of(matrix, rhs)
    linear = net.linear(len(net.layers), matrix @ last.weight, constants)
    constant, slopes, square = squares.quadratic(linear)
    bound = constant + proven_over_ball(slopes, square, radius, squares.terms)
    assert (network.forward(inputs) @ matrix[0] - rhs[0]).max() <= bound


@pytest.mark.parametrize("kind", ["dense", "deep", "pool"])
def test_fits_lower_a_bound(kind):
    """Of a ball within which some units switch."""
    lower = 0
    for seed in range(8):
        _, _, _, net, _ = situation(kind, seed)
        squares = Squares(net, 0.5, True, NEVER)
        matrix = np.array([[1.0, -1.0, 0.0]])
        linear = net.linear(len(net.layers), matrix @ net.last.weight, matrix @ net.last.bias)
        values = []
        for _ in range(5):
            constant, slopes, square = squares.quadratic(linear)
            value, point, _ = module_largest(slopes, square)
            values.append(constant + value)
            squares.refit(point, 0.25)
        lower += min(values[1:]) < values[0] - 1e-6
    assert lower >= 6


def module_largest(slopes, square):
    from reluopt.engines.branch_and_bound.curved.quadratics import largest_over_ball

    return largest_over_ball(slopes, square, 0.5)


def test_a_passed_deadline_leaves_it_incomplete():
    *_, net, radius = situation("deep", 1)
    assert Squares(net, radius, True, NEVER).complete
    assert not Squares(net, radius, True, Deadline(0.0)).complete
    assert not Squares(net, 2.0, True, NEVER, enough=0).complete


def test_estimates_that_are_not_proven_are_not_used(monkeypatch):
    """An eigenvalue that was guessed too low fails its proof, and the rough bound is left."""
    *_, net, _ = situation("dense", 2)
    honest = Squares(net, 0.5, True, NEVER)
    monkeypatch.setattr(module, "estimated_spectrum", lambda directions, weights: 1e-9)
    monkeypatch.setattr(module, "FEW", 0.0)
    proven, guessed = Squares(net, 0.5, True, NEVER), Squares(net, 0.5, False, NEVER)
    assert (proven.passes[1] >= honest.passes[1] - 1e-9).all()
    assert guessed.passes[1].sum() < honest.passes[1].sum()
