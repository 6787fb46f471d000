"""PGD: inside box and ball, and success means what the forward pass says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from reluopt.attacks.criteria import Misclassification, TargetedMisclassification
from reluopt.attacks.gradient import pgd
from reluopt.errors import InputError
from reluopt.images.mnist import Dataset
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.problems import AbsoluteMargin, Box, Norm, RelativeMargin

Array = NDArray[np.float64]
EPSILONS = {Norm.L1: [1.0, 6.0], Norm.L2: [0.3, 1.5], Norm.LINF: [0.02, 0.1]}


@pytest.fixture(scope="module")
def batch(test_images: Dataset) -> tuple[Array, NDArray[np.int64]]:
    images = np.asarray(test_images.images[:30], dtype=np.float64).reshape(30, 28, 28)
    return images, np.asarray(test_images.labels[:30], dtype=np.int64)


def distance(changes: Array, norm: Norm) -> Array:
    flat = changes.reshape(len(changes), -1)
    if norm is Norm.L1:
        return np.abs(flat).sum(axis=1)
    return np.linalg.norm(flat, axis=1) if norm is Norm.L2 else np.abs(flat).max(axis=1)


@pytest.mark.parametrize("norm", list(Norm))
def test_clipped_stays_in_box_and_ball_and_success_is_true(
    thesis: ReLUNetwork,
    batch: tuple[Array, NDArray[np.int64]],
    norm: Norm,
) -> None:
    images, labels = batch
    epsilons = EPSILONS[norm]
    raw, clipped, success = pgd(thesis, images, labels, epsilons, norm=norm)
    assert success.shape == (2, 30)
    assert [each.shape for each in (*raw, *clipped)] == [(30, 28, 28)] * 4
    for epsilon, points, flags in zip(epsilons, clipped, success, strict=True):
        assert points.min() >= 0.0
        assert points.max() <= 1.0
        assert distance(points - images, norm).max() <= epsilon * (1.0 + 1e-9)
        np.testing.assert_array_equal(thesis.predict(points) != labels, flags)
    assert success[1].sum() >= success[0].sum()
    assert success[1].sum() >= 15


@pytest.mark.parametrize("norm", list(Norm))
def test_many_steps_fool_more_than_one(
    thesis: ReLUNetwork, batch: tuple[Array, NDArray[np.int64]], norm: Norm
) -> None:
    images, labels = batch
    epsilon = EPSILONS[norm][1]
    criterion = TargetedMisclassification((labels + 5) % 10)
    once = {"steps": 1, "random_start": False, "step_size": 1.0}
    quick = pgd(thesis, images, criterion, epsilon, norm=norm, **once).success
    thorough = pgd(thesis, images, criterion, epsilon, norm=norm, restarts=2).success
    assert thorough.sum() > quick.sum()


def test_targets_and_margins_are_met(
    thesis: ReLUNetwork, batch: tuple[Array, NDArray[np.int64]]
) -> None:
    images, labels = batch
    targets = (labels + 5) % 10
    for margin in (RelativeMargin(0.2), AbsoluteMargin(1.0)):
        criterion = TargetedMisclassification(targets, margin)
        _, clipped, success = pgd(thesis, images, criterion, 2.0, norm=Norm.L2)
        assert success.sum() >= 10
        logits = thesis.forward(clipped)
        for row, target, flag in zip(logits, targets, success, strict=True):
            slack = margin.conditions(int(target), 10).slack(row).min()
            assert flag == (slack >= 0.0 and int(np.argmax(row)) == target)


def test_untargeted_margin_asks_for_more(
    thesis: ReLUNetwork, batch: tuple[Array, NDArray[np.int64]]
) -> None:
    images, labels = batch
    plain = pgd(thesis, images, labels, 0.05).success
    wide = pgd(thesis, images, Misclassification(labels, AbsoluteMargin(5.0)), 0.05).success
    assert (plain | ~wide).all()
    assert wide.sum() < plain.sum()


def test_ties_are_no_success() -> None:
    flat = ReLUNetwork((Dense(np.zeros((3, 2)), np.zeros(3)),))
    for criterion in (Misclassification([0]), Misclassification([2])):
        assert not pgd(flat, np.full((1, 2), 0.5), criterion, 0.5).success.any()
    assert not pgd(flat, np.full((1, 2), 0.5), TargetedMisclassification([0]), 0.5).success.any()


def test_zero_epsilon_leaves_images_alone(
    thesis: ReLUNetwork, batch: tuple[Array, NDArray[np.int64]]
) -> None:
    images, labels = batch
    for norm in Norm:
        _, clipped, success = pgd(thesis, images, labels, 0.0, norm=norm, steps=3)
        np.testing.assert_array_equal(clipped, images)
        np.testing.assert_array_equal(success, thesis.predict(images) != labels)


def test_single_images_and_scalar_epsilons_keep_their_shapes(
    thesis: ReLUNetwork, batch: tuple[Array, NDArray[np.int64]]
) -> None:
    images, labels = batch
    raw, clipped, success = pgd(thesis, images[0].ravel(), labels[:1], 0.1)
    assert np.shape(raw) == np.shape(clipped) == (784,)
    assert success.shape == ()
    _, several, flags = pgd(thesis, images[0], labels[:1], [0.1, 0.2])
    assert [each.shape for each in several] == [(28, 28)] * 2
    assert flags.shape == (2,)


def ascent(network: ReLUNetwork, images: Array, labels: NDArray[np.int64]) -> Array:
    return Misclassification(labels).ascent(network.forward(images.reshape(-1, 784)))


def test_seeds_decide_random_starts(
    thesis: ReLUNetwork, batch: tuple[Array, NDArray[np.int64]]
) -> None:
    images, labels = batch
    right = thesis.predict(images) == labels  # images that are fooled as they are stay as they are
    images, labels = images[right], labels[right]
    first, same, other = (
        pgd(thesis, images, labels, 0.01, seed=seed, steps=2).clipped for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)
    still = pgd(thesis, images, labels, 0.01, random_start=False, steps=1, step_size=1.0)
    signs = np.sign(thesis.gradient(images.reshape(-1, 784), ascent(thesis, images, labels)))
    expected = np.clip(images + 0.01 * signs.reshape(images.shape), 0.0, 1.0)
    np.testing.assert_allclose(still.clipped, expected, atol=1e-12)


def test_bad_input_is_named(thesis: ReLUNetwork, batch: tuple[Array, NDArray[np.int64]]) -> None:
    images, labels = batch
    with pytest.raises(InputError, match="labels: expected one for each of 30 images"):
        pgd(thesis, images, labels[:3], 0.1)
    with pytest.raises(InputError, match="labels: expected labels from 0 to 9"):
        pgd(thesis, images, labels + 9, 0.1)
    with pytest.raises(InputError, match="labels: expected a vector of integers"):
        pgd(thesis, images, labels * 0.5, 0.1)
    with pytest.raises(InputError, match="epsilons: expected finite numbers"):
        pgd(thesis, images, labels, [-0.1])
    with pytest.raises(InputError, match="inside the box"):
        pgd(thesis, images + 0.5, labels, 0.1)
    with pytest.raises(InputError, match="steps: expected at least 1"):
        pgd(thesis, images, labels, 0.1, steps=0)
    with pytest.raises(InputError, match="step size"):
        pgd(thesis, images, labels, 0.1, step_size=0.0)
    with pytest.raises(InputError, match="box: expected 784 bounds"):
        pgd(thesis, images, labels, 0.1, box=Box.unit(3))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), norm=st.sampled_from(list(Norm)))
def test_projections(seed: int, norm: Norm) -> None:
    generator = np.random.default_rng(seed)
    size = int(generator.integers(1, 15))
    low = -generator.random((4, size)) * (generator.random((4, size)) < 0.8)
    high = generator.random((4, size)) * (generator.random((4, size)) < 0.8)
    radius = float(generator.random() * 2.0)
    changes = 2.0 * generator.normal(size=(4, size))
    found = norm.project(changes, low, high, radius)
    assert (found >= low).all()
    assert (found <= high).all()
    assert (norm.lengths(found) <= radius * (1.0 + 1e-12)).all()
    if norm is Norm.L2:
        return
    # The nearest point: no other point of the set is nearer.
    for _ in range(50):
        other = norm.project(found + 0.1 * generator.normal(size=found.shape), low, high, radius)
        gap = ((changes - found) ** 2).sum(axis=1) - ((changes - other) ** 2).sum(axis=1)
        assert (gap <= 1e-5).all()


@pytest.mark.parametrize("norm", list(Norm))
def test_random_starts_fill_the_ball(norm: Norm) -> None:
    changes = norm.random_changes(np.random.default_rng(0), (4000, 3), 2.0)
    size = norm.lengths(changes)
    assert size.max() <= 2.0
    # Half of a ball's volume lies outside 0.5 ** (1 / 3) of its radius.
    assert (size > 2.0 * 0.5 ** (1.0 / 3.0)).mean() == pytest.approx(0.5, abs=0.04)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_fool_nobody(bad):
    logits = np.array([[0.0, 1.0, bad], [0.0, 1.0, 0.5]])
    for criterion in (Misclassification([0, 0]), TargetedMisclassification([1, 1])):
        assert criterion.success(logits).tolist() == [False, True]
