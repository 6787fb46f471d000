"""Unstable neurons and linear regions around images."""

import numpy as np

from reluopt.networks.network import ReLUNetwork
from reluopt.runs import regions
from reluopt.runs.instances import Instance
from reluopt.runs.regions import BOUNDED, COUNTED, RegionJob
from reluopt.runs.row import RegionRow


def row_of(network, eps, **settings):
    image = np.random.default_rng(3).uniform(0.2, 0.8, network.input_size)
    return RegionJob(network, eps, samples=512, **settings).run(Instance("one", image, 0)).row


def test_what_is_sampled_lies_within_what_is_proven(make_network):
    network = make_network((6, 9, 8, 3), 2)
    small, large = row_of(network, 0.03), row_of(network, 0.15)
    for row in (small, large):
        assert row.sampled_unstable <= row.unstable_least <= row.unstable_most
        assert np.log2(row.sampled_regions) <= row.log2_least + 1e-9 <= row.log2_most + 2e-9
    assert small.status == COUNTED
    assert small.sampled_regions <= small.regions == round(2**small.log2_most)
    assert small.unstable_most < large.unstable_most


def test_what_cannot_be_enumerated_lies_between_bounds(make_network, monkeypatch):
    monkeypatch.setattr(regions, "MOST_OPEN", 0)
    network = make_network((6, 9, 8, 3), 2)
    row = row_of(network, 0.15)
    assert (row.status, row.regions) == (BOUNDED, None)
    monkeypatch.undo()
    exact = row_of(network, 0.15, budget=50_000)
    assert exact.status == COUNTED
    assert row.log2_least <= exact.log2_least <= row.log2_most


def test_a_search_decides_about_neurons(make_network):
    """With no sample but one, and an ascent that hardly moves, the search has to tell."""
    network = make_network((6, 9, 8, 3), 4)
    without = row_of(network, 0.15, seconds=1e-9)
    decided = row_of(network, 0.15, seconds=20.0)
    assert without.unstable_least <= decided.unstable_least
    assert decided.unstable_most <= without.unstable_most
    assert decided.unstable_least == decided.unstable_most


def test_the_record_tells_the_settings(make_network):
    network = make_network((4, 5, 3), 1)
    job = RegionJob(ReLUNetwork(network.layers), 0.1, seed=7)
    told = job.describe()
    assert (told["experiment"], told["eps"], told["seed"]) == ("regions", 0.1, 7)
    assert job.row_class is RegionRow
    assert job.blank(Instance("one", np.zeros(4), 2), "ERROR").label == 2
