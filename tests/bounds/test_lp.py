"""LP bounds for the neurons that matter for a constant."""

import numpy as np

from reluopt.bounds import InputRegion, bounds_within, compute_bounds
from reluopt.problems import Box
from reluopt.zoo import load_bundled


def test_bounds_within_settles_a_constant_with_few_lps(thesis):
    """One logit of ctu may exceed 1000 by linear bounds, and by LP bounds it may not."""
    network = load_bundled("ctu")
    region = InputRegion(Box.unit(784))
    loose = compute_bounds("linear", network, region)
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
    for k, values in enumerate(compute_bounds("linear", thesis, region).lower):
        np.testing.assert_allclose(small.lower[k], values, atol=1e-6)
