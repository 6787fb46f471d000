"""Forms at corners: nothing is above them, whatever the slopes; at the image they are exact."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.convolutions import KINDS, SIDE, network_of, unit_values
from reluopt.engines.branch_and_bound.corners.climbing import Climb
from reluopt.engines.branch_and_bound.corners.forms import Corners
from reluopt.engines.branch_and_bound.corners.tables import dense
from reluopt.engines.branch_and_bound.corners.units import layers_at, units_of
from reluopt.engines.branch_and_bound.dual.domains import SimplexDomain
from reluopt.networks.layers import base
from reluopt.networks.layers.base import Dense
from reluopt.networks.layers.pooling import MaxPool2d
from reluopt.networks.layers.windows import Windows
from reluopt.networks.network import ReLUNetwork

QUICK = settings(max_examples=60, deadline=None, derandomize=True)


@pytest.fixture(autouse=True)
def sparse_maps(monkeypatch):
    """Small convolutions are sparse, too."""
    monkeypatch.setattr(base, "SMALL", 0)
    monkeypatch.setattr(base, "SPARSE_SHARE", 0.9)


def situation(kind, seed):
    random = np.random.default_rng(seed)
    network = network_of(kind, random)
    image = random.choice([0.0, 1.0, 0.3, 0.7], SIDE * SIDE)
    ends = np.zeros(image.size), np.ones(image.size)
    domain = SimplexDomain(*ends, image, float(random.choice([0.05, 0.3, 1.0, 4.0])))
    return random, network, domain


def points_of(domain, random, count=200):
    """Points of the simplex, many of them with few pixels."""
    share = random.random((count, domain.columns)) ** 8
    share[random.random(share.shape) < 0.7] = 0.0
    total = np.maximum(share.sum(axis=1, keepdims=True), 1e-9)
    return np.minimum(share / total, domain.high * (1.0 - 1e-6))


def random_slopes(corners, random):
    """Slopes for some of the forms, as climbs have them."""
    found = {}
    for k, forms in enumerate(corners.excesses):
        for m, rows in enumerate(forms.rows):
            if not corners.layers[m].rectified or not (isinstance(rows, np.ndarray) or m == k - 1):
                continue
            shape = rows.shape if isinstance(rows, np.ndarray) else rows.data.shape
            found[k, m] = random.random(shape)
    return found


@given(st.sampled_from(KINDS), st.integers(0, 10**6), st.booleans())
@QUICK
def test_nothing_exceeds_the_forms(kind, seed, chosen):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base, "SMALL", 0)
        patch.setattr(base, "SPARSE_SHARE", 0.9)
        random, network, domain = situation(kind, seed)
        units = units_of(network)
        layers = layers_at(units, domain.center)
        corners = Corners(layers, units[-1].pieces, domain, {})
        if chosen:
            slopes = random_slopes(corners, random)
            corners = Corners(layers, units[-1].pieces, domain, slopes)
    points = points_of(domain, random)
    inputs = np.array([domain.inputs(point) for point in points])
    below = inputs
    for k, values in enumerate(unit_values(units, inputs)):
        if k == len(layers):
            break
        layer, above, errors = layers[k], corners.excesses[k].above, corners.errors[k]
        excess = below @ dense(layer.excesses).T + layer.constants
        assert (excess <= above.rest + points @ dense(above.rises).T + 1e-9).all()
        error = values - layer.keeps * (below @ dense(layer.lead).T + layer.bias)
        assert (error >= -1e-9).all()
        assert (error <= errors.rest + points @ dense(errors.rises).T + 1e-9).all()
        assert (error[:, ~corners.undecided[k]] <= 1e-9).all()
        below = values
    matrix, rhs = np.array([[1.0, -1.0, 0.0], [0.5, 0.5, -1.0]]), np.array([0.1, -0.2])
    ceilings, _ = corners.conditions(matrix, rhs)
    assert (network.forward(inputs) @ matrix.T - rhs <= ceilings).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_tiny_ball_has_the_values_of_the_image(kind):
    random, network, domain = situation(kind, 5)
    tiny = SimplexDomain(np.zeros(25), np.ones(25), domain.center, 1e-12)
    units = units_of(network)
    corners = Corners(layers_at(units, domain.center), units[-1].pieces, tiny, {})
    matrix, rhs = np.array([[1.0, -1.0, 0.0], [0.5, 0.5, -1.0]]), np.array([0.1, -0.2])
    found, _ = corners.conditions(matrix, rhs)
    assert found == pytest.approx(matrix @ network.forward(domain.center) - rhs, abs=1e-7)
    del random


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_slopes_lower_a_bound_and_keep_it_true(kind, seed):
    """Of a condition that is far from excluded, so that every step is taken."""
    random, network, domain = situation(kind, seed + 20)
    domain = SimplexDomain(np.zeros(25), np.ones(25), domain.center, 1.0)
    units = units_of(network)
    layers = layers_at(units, domain.center)
    climb = Climb(np.array([[1.0, -1.0, 0.0]]), np.array([-50.0]))
    values = []
    for _ in range(30):
        corners = Corners(layers, units[-1].pieces, domain, climb.slopes)
        values.append(climb.step(corners))
    assert min(values) <= values[0]
    inputs = np.array([domain.inputs(point) for point in points_of(domain, random)])
    reached = network.forward(inputs) @ np.array([1.0, -1.0, 0.0]) + 50.0
    assert reached.max() <= min(values)


def test_derivatives_are_those_of_the_bound():
    """Against differences, where all rows are dense: there they are exact."""
    from reluopt.engines.branch_and_bound.corners import climbing

    random, network, domain = situation("deep", 11)
    domain = SimplexDomain(np.zeros(25), np.ones(25), domain.center, 1.0)
    units = units_of(network)
    layers = layers_at(units, domain.center)
    matrix, rhs = np.array([[1.0, -1.0, 0.0]]), np.array([-50.0])
    first = Corners(layers, units[-1].pieces, domain, {})
    slopes = random_slopes(first, random)
    top = len(layers)
    _, forms = first.conditions(matrix, rhs)
    slopes |= {(top, m): random.random(rows.shape) for m, rows in enumerate(forms.rows)}

    def bound(tried):
        return float(Corners(layers, units[-1].pieces, domain, tried).conditions(matrix, rhs)[0][0])

    corners = Corners(layers, units[-1].pieces, domain, slopes)
    _, forms = corners.conditions(matrix, rhs, slopes)
    checked = 0
    for key, gradient in climbing._gradients(corners, forms, slopes):
        for place in np.argsort(-np.abs(gradient).ravel())[:3]:
            moved = {name: own.copy() for name, own in slopes.items()}
            moved[key].reshape(-1)[place] += 1e-6
            rise = (bound(moved) - bound(slopes)) / 1e-6
            assert rise == pytest.approx(gradient.ravel()[place], rel=1e-3, abs=1e-5)
            checked += abs(rise) > 1e-3
    assert checked >= 8


def test_a_pool_is_one_unit_of_all_its_pieces():
    random = np.random.default_rng(1)
    units = units_of(network_of("pool", random))
    assert [own.rectified for own in units] == [True, True, False]
    assert units[0].windows is not None
    assert units[0].windows.shape == (8, 4)
    assert units[1].windows is None


def test_a_pool_first_is_lowered():
    pool = MaxPool2d(Windows((1, SIDE, SIDE), (5, 5)))
    network = ReLUNetwork((pool, Dense([[1.0], [-1.0]], [0.0, 0.5])))
    units = units_of(network)
    assert len(units) == len(network.affine_layers)
    assert all(own.windows is None for own in units)
