"""A constant is compared with the cheapest bounds that show it."""

import numpy as np

from reluopt.bounds import lp
from reluopt.bounds.constant import Constant
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.input_sets import Box


def test_no_relaxation_is_built_where_intervals_show_it(thesis, monkeypatch):
    monkeypatch.setattr(lp, "bounds_within", None)
    assert Constant(999.0).exceeding(thesis, Box.unit(784)) == ""


def test_what_intervals_leave_open_linear_programs_decide():
    """Of y = x - x intervals know [-1, 1]."""
    both = Dense(np.ones((2, 1)), np.zeros(2))
    network = ReLUNetwork((both, Dense(np.array([[3.0, -3.0]]), np.zeros(1))))
    assert Constant(2.0).exceeding(network, Box.unit(1)) == ""
    assert "neuron 0 of layer 1" in Constant(0.5).exceeding(network, Box.unit(1))
