import numpy as np
import pytest

from reluopt.errors import InputError
from reluopt.networks.evaluation import evaluate
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork


@pytest.fixture
def network():
    """Three inputs, three classes; predicts the position of the largest input."""
    return ReLUNetwork((Dense(np.eye(3), np.zeros(3)),))


def test_accuracy_and_confusion(network):
    images = np.eye(3)[[0, 0, 1, 2, 2]]
    result = evaluate(network, images, [0, 1, 1, 2, 0])
    assert result.accuracy == 3 / 5
    assert result.confusion.tolist() == [[1, 0, 1], [1, 1, 0], [0, 0, 1]]
    assert result.count == 5


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.eye(3), [0, 1], r"labels of shape \(2,\) for 3 images"),
        (np.ones(3), [0], "non-empty batch"),
        (np.zeros((0, 3)), [], "non-empty batch"),
        (np.eye(3), [0, 1, 3], "from 0 to 2.*from 0 to 3"),
        (np.eye(3), [0, 1, -1], "from -1 to 1"),
        (np.eye(3), [0.0, 1.0, 2.0], "whole numbers"),
        (np.eye(4), [0, 1, 2, 0], "input: expected shape"),
    ],
)
def test_data_that_do_not_fit_are_refused(network, images, labels, message):
    with pytest.raises(InputError, match=message):
        evaluate(network, images, labels)
