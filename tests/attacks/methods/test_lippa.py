"""LiPPA: linear programs of linear regions find what gradients find, and what they miss."""

import numpy as np
import pytest

from reluopt.attacks.criteria import Misclassification
from reluopt.attacks.methods.lippa import PUBLISHED_STEP, Lippa
from reluopt.attacks.methods.pgd import Pgd
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.problems import Norm


def test_defaults_are_as_published():
    assert (Lippa().steps, Lippa().step_size) == (50, 0.5 / 256)
    assert PUBLISHED_STEP == 0.5 / 256


@pytest.mark.parametrize(("eps", "fooled"), [(0.249, False), (0.25, True), (0.3, True)])
def test_the_program_of_the_first_linear_region_is_exact(eps, fooled):
    """Label 1 leads once ``x1 + x2 >= 1.5``: 0.25 from (0.5, 0.5) in Linf, in the same region."""
    network = ReLUNetwork(
        (Dense([[1.0, 1.0]], [0.0]), Dense([[0.0], [1.0]], [1.5 - 1e-9, 0.0])),
    )
    criterion = Misclassification([0], ties=True)
    made = Lippa(regions=1, steps=1, step_size=1e-9)(network, [0.5, 0.5], criterion, eps)
    assert bool(criterion.success(network.forward(made[None]))[0]) == fooled
    if fooled:
        np.testing.assert_allclose(made, [0.75, 0.75], atol=1e-6)


def test_a_flat_start_needs_no_gradient():
    """All neurons are dead at the image, so that gradients are zero: nobody can climb."""
    network = ReLUNetwork((Dense([[1.0]], [-0.5]), Dense([[0.0], [1.0]], [0.1, 0.0])))
    criterion = Misclassification([0], ties=True)
    made = Lippa()(network, [[0.2]], criterion, 0.6)
    np.testing.assert_array_equal(made, [[0.2]])  # no new linear region is in sight


def test_the_next_linear_region_is_entered():
    """Where the image is, label 1 cannot lead; BIM walks to where it can."""
    network = ReLUNetwork(
        (Dense([[1.0], [1.0]], [0.0, -0.5]), Dense([[0.0, 0.0], [0.1, 2.0]], [0.5, 0.0]))
    )
    criterion = Misclassification([0], ties=True)
    here = Lippa(regions=1, steps=1, step_size=0.01)(network, [[0.2]], criterion, 0.6)
    assert not criterion.success(network.forward(here))[0]
    found = Lippa(step_size=0.01)(network, [[0.2]], criterion, 0.6)
    assert criterion.success(network.forward(found))[0]


@pytest.mark.parametrize("norm", list(Norm))
def test_it_finds_as_much_as_pgd(make_network, norm):
    eps = {Norm.L1: 0.6, Norm.L2: 0.3, Norm.LINF: 0.1}[norm]
    ours = theirs = 0
    for seed in range(15):
        network = make_network((8, 10, 8, 3), seed)
        image = np.random.default_rng(seed).random((1, 8))
        criterion = Misclassification(network.predict(image), ties=True)
        made = Lippa()(network, image, criterion, eps, norm=norm)
        ours += int(criterion.success(network.forward(made))[0])
        made = Pgd(restarts=3)(network, image, criterion, eps, norm=norm)
        theirs += int(criterion.success(network.forward(made))[0])
    assert 2 <= theirs <= ours < 15


def test_time_is_limited(thesis, test_images):
    image, label = test_images.images[:1], test_images.labels[:1]
    made = Lippa(time_limit=1e-9)(thesis, image, Misclassification(label), 0.02)
    assert made.shape == (1, 28, 28)
    assert np.abs(made - image).max() <= 0.02
