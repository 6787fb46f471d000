"""Counting linear regions: against formulas, against samples, and between proven bounds."""

import itertools

import numpy as np
import pytest

from reluopt.attacks.region_count import (
    RegionSearch,
    box_samples,
    common_point_count,
    seen_phases,
)
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.input_sets import Box


def all_open(network):
    return [np.ones(size, dtype=np.bool_) for size in network.hidden_sizes]


def counted(network, box, budget=10_000):
    return RegionSearch(network, box, all_open(network), budget).run()


@pytest.mark.parametrize("lines", [1, 2, 3, 6, 9])
def test_lines_in_the_plane_make_as_many_regions_as_they_can(lines):
    generator = np.random.default_rng(lines)
    layer = Dense(generator.normal(size=(lines, 2)), generator.normal(size=lines))
    network = ReLUNetwork((layer, Dense(np.ones((1, lines)), np.zeros(1))))
    wide = Box(np.full(2, -1e3), np.full(2, 1e3))
    crossings = 0
    for i, j in itertools.combinations(range(lines), 2):
        at = np.linalg.solve(layer.weight[[i, j]], -layer.bias[[i, j]])
        crossings += bool((np.abs(at) < 1e3).all())
    search = counted(network, wide)
    assert search.complete
    assert search.found == 1 + lines + crossings


def test_deep_regions_are_those_that_samples_see(make_network):
    network = make_network((2, 5, 4, 3), 3)
    box = Box(np.full(2, -1.0), np.full(2, 1.0))
    points = np.random.default_rng(0).uniform(-1.0, 1.0, (200_000, 2))
    bits = np.packbits(np.hstack(network.activation_pattern(points)), axis=1)
    seen = len(np.unique(bits, axis=0))
    search = counted(network, box)
    assert search.complete
    assert seen <= search.found <= seen + 2  # slivers that no sample met


def test_a_budget_leaves_a_lower_bound(make_network):
    network = make_network((3, 6, 5, 2), 1)
    box = Box.unit(3)
    whole, part = counted(network, box), counted(network, box, 40)
    assert whole.complete
    assert not part.complete
    assert 0 < part.found < whole.found


def test_hyperplanes_through_a_common_point_prove_a_power_of_two(make_network):
    # Three orthogonal hyperplanes through the middle, and one that misses the box.
    weight = np.vstack([np.eye(3), [[1.0, 0.0, 0.0]]])
    layer = Dense(weight, np.array([-0.5, -0.5, -0.5, 5.0]))
    network = ReLUNetwork((layer, Dense(np.ones((1, 4)), np.zeros(1))))
    assert common_point_count(network, Box.unit(3)) == 3
    assert counted(network, Box.unit(3)).found == 8
    for seed in range(4):
        random = make_network((5, 6, 2), seed)
        assert 2 ** common_point_count(random, Box.unit(5)) <= counted(random, Box.unit(5)).found


def test_phases_are_seen_where_they_are(make_network):
    network = make_network((4, 9, 8, 2), 5)
    box = Box.unit(4)
    few = np.full((1, 4), 0.5)
    active, inactive = seen_phases(network, box, few)
    points = np.random.default_rng(1).random((50_000, 4))
    bits = np.hstack(network.activation_pattern(points))
    assert (active >= bits.any(axis=0)).mean() > 0.9
    assert (inactive >= ~bits.all(axis=0)).mean() > 0.9
    # What is seen is there: no neuron that bounds prove stable has both.
    pre = np.abs(network.layers[0].weight) @ np.full(4, 0.5)
    middle = network.layers[0].weight @ few[0] + network.layers[0].bias
    np.testing.assert_array_equal((active & inactive)[:9], np.abs(middle) < pre)


def test_half_of_the_samples_are_corners():
    image, eps = np.array([0.5, 0.0]), 0.1
    box = Box(np.array([0.4, 0.0]), np.array([0.6, 0.1]))
    points = box_samples(box, image, eps, 400, np.random.default_rng(0))
    assert box.violation(points.min(axis=0)) == box.violation(points.max(axis=0)) == 0.0
    np.testing.assert_allclose(np.abs(points[200:, 0] - 0.5), eps)
    assert set(np.round(points[200:, 1], 12)) == {0.0, 0.1}
    assert np.abs(points[:200, 0] - 0.5).max() < eps
