"""The two-node example: printed bounds, and relaxations that lie around the network in order."""

import numpy as np
import pandas as pd
import pytest

from reluopt.studies import relaxation
from reluopt.studies.published import TWO_NODES


def test_the_study_tells_the_example(few, told, files, monkeypatch):
    monkeypatch.setattr(relaxation, "STEPS", 9)
    result = few("relaxation", 1)
    here = result.facts["here"]
    assert (here["first"], here["second"]) == tuple(list(each) for each in TWO_NODES.values())
    assert (here["largest"], here["smallest"], here["relaxed"]) == (50.0, 0.0, 50.0)
    table = pd.read_csv(result.folder / "relaxation-surfaces.csv")
    y = np.maximum(5.0 * table["x1"] - 4.0 * table["x2"] + 3.0, 0.0)
    np.testing.assert_allclose(table["z"], np.maximum(50.0 - 2.0 * y, 0.0), atol=1e-4)
    # From the loosest to the tightest, all around z.
    order = [*(f"below {n}" for n in (1, 2, 3)), "z", *(f"above {n}" for n in (3, 2, 1))]
    assert (np.diff(table[order], axis=1) >= -2e-4).all()
    widths = [result.facts["forms"][name]["width"] for name in result.facts["names"]]
    assert widths[0] > widths[1] + 1.0 > widths[2] + 2.0
    assert result.complete
    assert "has the\nprinted bounds" in told(result)
    before = files(result)
    assert files(few("relaxation", 1)) == before


def test_the_envelopes_are_those_of_the_networks_graph():
    network = relaxation.two_nodes()
    inputs = np.random.default_rng(3).uniform(relaxation.BOX.lower, relaxation.BOX.upper, (400, 2))
    pairs = inputs[:200], inputs[200:]
    middle = 0.5 * sum(pairs)
    mean = 0.5 * sum(network.forward(each)[:, 0] for each in pairs)
    low, high = relaxation.envelopes(network, middle).T
    assert (low <= mean + 1e-9).all()
    assert (high >= mean - 1e-9).all()
    corner = np.array([[10.0, -5.0]])
    assert relaxation.envelopes(network, corner)[0] == pytest.approx([0.0, 0.0], abs=1e-9)
