"""LP bounds for the neurons that matter for a constant."""

import numpy as np
import pytest

from helpers.clocks import FakeClock
from reluopt.bounds import BOUNDING_METHODS
from reluopt.bounds.constant import Constant
from reluopt.bounds.lp import bounds_within
from reluopt.deadline import Deadline
from reluopt.errors import UnsupportedProblemError
from reluopt.networks.zoo import load_bundled
from reluopt.questions.input_sets import InputSet
from reluopt.questions.problems import Box


def test_a_proof_of_the_thesis_constants_that_ran_out_of_time_is_not_remembered(monkeypatch):
    """ctu needs LPs for its proof: without time it is refused, and with time it is given."""
    monkeypatch.setattr("reluopt.bounds.constant._EXCEEDING", {})
    network, box = load_bundled("ctu"), Box.unit(784)
    clock = FakeClock()
    with pytest.raises(UnsupportedProblemError, match=r"neuron \d+ of layer 3 .*ran out"):
        Constant().refuse_untrue(network, box, Deadline.after(0.0, clock))
    Constant().refuse_untrue(network, box, Deadline.after(1.0, clock))
    Constant().refuse_untrue(network, box, Deadline.after(0.0, clock))


def test_bounds_within_settles_a_constant_with_few_lps(thesis):
    """One logit of ctu may exceed 1000 by linear bounds, and by LP bounds it may not."""
    network = load_bundled("ctu")
    region = InputSet(Box.unit(784))
    loose = BOUNDING_METHODS.get("linear").compute(network, region)
    settled = bounds_within(network, region, 1000.0)
    worst = [max(-low.min(), up.max()) for low, up in zip(loose.lower, loose.upper, strict=True)]
    assert worst[-1] > 1000.0
    for k in range(len(network.layers)):
        assert (settled.lower[k] >= loose.lower[k] - 1e-6).all()
        assert (settled.upper[k] <= loose.upper[k] + 1e-6).all()
    assert -settled.lower[-1].min() < worst[-1]
    points = np.random.default_rng(0).random((200, 784))
    for k, values in enumerate(network.pre_activations(points)):
        assert (values >= settled.lower[k]).all()
        assert (values <= settled.upper[k]).all()
    small = bounds_within(thesis, region, 1000.0)
    for k, values in enumerate(BOUNDING_METHODS.get("linear").compute(thesis, region).lower):
        np.testing.assert_allclose(small.lower[k], values, atol=1e-6)
