"""The attack with Foolbox's habits says what the exact distances say."""

import numpy as np
import pytest

from reluopt.asking.ask import nearest
from reluopt.asking.foolbox import ExactAttack
from reluopt.attacks.criteria import TargetedMisclassification
from reluopt.errors import InputError
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.problems import Norm


@pytest.fixture(scope="module")
def batch(test_images):
    return test_images.images[:4], test_images.labels[:4]


@pytest.mark.parametrize("norm", ["l1", "l2", "linf"])
def test_epsilons_cut_where_the_exact_distances_lie(thesis, batch, norm):
    images, labels = batch
    exact = np.array([each.distance for each in nearest(thesis, images, norm, label=labels)])
    middle = float(np.median(exact))
    epsilons = [0.99 * exact.min(), middle, None, 2.0 * exact.max()]
    raw, clipped, success = ExactAttack(norm)(thesis, images, labels, epsilons=epsilons)
    assert [len(raw), len(clipped)] == [4, 4]
    within = [exact <= each for each in (epsilons[0], middle, np.inf, epsilons[3])]
    np.testing.assert_array_equal(success, within)
    lengths = Norm(norm).lengths((raw[0] - images).reshape(4, -1))
    np.testing.assert_allclose(lengths, exact, rtol=1e-9)
    for epsilon, points, fooled in zip(epsilons, clipped, success, strict=True):
        assert points.shape == images.shape
        assert points.min() >= 0.0
        assert points.max() <= 1.0
        most = np.inf if epsilon is None else epsilon
        assert (Norm(norm).lengths((points - images).reshape(4, -1)) <= most).all()
        np.testing.assert_array_equal(thesis.predict(points) != labels, fooled)


def test_none_is_the_minimum(thesis, batch):
    images, labels = batch
    raw, clipped, success = ExactAttack("l1")(thesis, images, labels)
    np.testing.assert_array_equal(raw, clipped)
    assert success.tolist() == [True] * 4


def test_one_image_and_one_epsilon(thesis, batch):
    images, labels = batch
    raw, clipped, success = ExactAttack("linf")(thesis, images[0], labels[:1], epsilons=0.001)
    assert raw.shape == clipped.shape == (28, 28)
    assert not success
    assert success.shape == ()


def test_targets_are_reached_and_misread_images_are_left(thesis, batch):
    images, labels = batch
    targets = (labels + 5) % 10
    raw, _, success = ExactAttack("l1")(thesis, images, TargetedMisclassification(targets))
    assert success.all()
    np.testing.assert_array_equal(thesis.predict(raw), targets)
    raw, _, success = ExactAttack("l1")(thesis, images, targets)  # none of them is right
    np.testing.assert_array_equal(raw, images)
    assert success.all()


def test_what_is_not_found_stays_and_is_no_success():
    images = np.full((2, 3), 0.5)
    constant = ReLUNetwork((Dense(np.zeros((2, 3)), np.array([1.0, 0.0])),))
    raw, clipped, success = ExactAttack("l1")(constant, images, [0, 0], epsilons=[0.1])
    np.testing.assert_array_equal(raw[0], images)
    np.testing.assert_array_equal(clipped[0], images)
    assert success.tolist() == [[False, False]]


def test_tensors_come_back_as_tensors():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3))
    x = torch.rand(3, 6)
    y = module(x).argmax(dim=1)
    raw, clipped, success = ExactAttack()(module, x, y, epsilons=[None, 0.0])
    assert (raw[0].dtype, success.dtype, success.shape) == (torch.float32, torch.bool, (2, 3))
    assert torch.equal(clipped[1], x)
    fooled = module(clipped[0]).argmax(dim=1) != y
    assert torch.equal(fooled, success[0])


@pytest.mark.parametrize("epsilons", [-1.0, [0.1, -1.0], "0.1", [np.nan], np.inf])
def test_epsilons_that_mean_nothing_are_refused(thesis, batch, epsilons):
    with pytest.raises(InputError, match=r"^eps(ilons)?: expected"):
        ExactAttack()(thesis, *batch, epsilons=epsilons)


def test_labels_must_fit(thesis, batch):
    with pytest.raises(InputError, match=r"^labels: expected one for each of 4 images, found 1"):
        ExactAttack()(thesis, batch[0], [7])
