"""A search through linear regions, and the plane in which it is drawn."""

import numpy as np

from reluopt.attacks.methods.lippa import IMAGE, PROGRAM
from reluopt.networks.zoo import load_bundled
from reluopt.runs.instances import load_instances
from reluopt.studies import search_plane


def test_the_longest_search_is_drawn(monkeypatch):
    monkeypatch.setattr(search_plane, "GRID", 25)
    network = load_bundled("nor-b")
    units = load_instances(network, ["test:0-3"])
    unit, path = search_plane.longest_search(network, units, 0.05)
    assert path[0][0] == IMAGE
    assert PROGRAM in [kind for kind, _ in path]
    points = np.array([point for _, point in path])
    np.testing.assert_array_equal(points[0], unit.image)
    assert np.abs(points - unit.image).max() <= 0.05 + 1e-12
    assert network.predict(points[-1]) != unit.label == network.predict(points[0])
    figure = search_plane.plane_figure(network, path, unit.label, 0.05)
    walk = figure.axes[0].get_lines()[0].get_xydata()
    assert len(walk) == len(path)
    np.testing.assert_allclose(walk[0], 0.0, atol=1e-12)
    # Start, end and one other point lie in the plane: their distances are true.
    true = np.linalg.norm(points[-1] - points[0])
    np.testing.assert_allclose(np.linalg.norm(walk[-1] - walk[0]), true)


def test_no_search_is_found_where_none_succeeds():
    network = load_bundled("adv-b")
    assert search_plane.longest_search(network, load_instances(network, ["test:0"]), 1e-4) is None
