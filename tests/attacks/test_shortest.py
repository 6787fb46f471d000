"""PGD's smallest successful epsilon."""

import numpy as np
import pytest

from reluopt.attacks.shortest import shortest_pgd
from reluopt.errors import InputError
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.problems import Norm, RelativeMargin


def _linear(weights):
    """Logit 0 is 0, logit 1 is the weighted sum of the inputs minus 1."""
    row = np.asarray(weights, dtype=np.float64)
    return ReLUNetwork((Dense(np.stack([0.0 * row, row]), np.array([0.0, -1.0])),))


@pytest.mark.parametrize(("norm", "exact"), [(Norm.L1, 0.25), (Norm.L2, 0.2), (Norm.LINF, 1 / 7)])
def test_a_linear_network_gives_its_known_distance(norm, exact):
    network = _linear([4.0, 3.0])
    image = np.zeros(2)
    found = shortest_pgd(network, image, 0, norm=norm)
    assert network.predict(found) == 1
    assert exact < norm.distance_of(norm.objective(found - image)) < 1.02 * exact


def test_the_margin_is_met_and_nothing_nearer_than_the_first_epsilon_is_needed(thesis, test_images):
    image = test_images.image(0).reshape(-1)
    margin = RelativeMargin(0.0)
    found = shortest_pgd(thesis, image, 7, norm=Norm.L2, margin=margin)
    logits = thesis.forward(found)
    assert np.delete(logits, 7).max() >= logits[7] + margin.strict_gap
    assert found.min() >= 0.0
    assert found.max() <= 1.0
    again = shortest_pgd(thesis, image, 7, norm=Norm.L2, margin=margin)
    np.testing.assert_array_equal(found, again)


def test_a_misclassified_image_is_its_own_answer(thesis, test_images):
    image = test_images.image(8).reshape(-1)  # a 5 that the network takes for a 6
    assert thesis.predict(image) != test_images.label(8)
    found = shortest_pgd(thesis, image, test_images.label(8), norm=Norm.L1)
    np.testing.assert_array_equal(found, image)


def test_nothing_is_found_where_there_is_nothing():
    assert shortest_pgd(_linear([0.0, 0.0]), np.zeros(2), 0, norm=Norm.L1, steps=1) is None
    assert shortest_pgd(_linear([0.1, 0.1]), np.zeros(2), 0, norm=Norm.L1, steps=2) is None


@pytest.mark.parametrize("wrong", [{"restarts": 0}, {"precision": 0.0}, {"steps": 0}])
def test_bad_counts_are_refused(thesis, wrong):
    with pytest.raises(InputError, match="expected"):
        shortest_pgd(thesis, np.zeros(784), 0, norm=Norm.L1, **wrong)
