"""Adversaries: within the ball, away from answers, the worst of every label."""

import numpy as np
import pytest

from reluopt.attacks.adversaries import Steps, worst_adversaries
from reluopt.errors import InputError
from reluopt.questions.input_sets import Box


def test_steps_stay_in_the_ball_and_lower_the_lead(thesis, test_images):
    images, labels = test_images.images[:60].reshape(60, -1), test_images.labels[:60]
    attacked = Steps(0.1, 10, 0.02)(thesis, images)
    assert np.abs(attacked - images).max() <= 0.1 + 1e-12
    assert attacked.min() < 0.0  # the box is none of its business
    rows = np.arange(60)
    answers = thesis.predict(images)
    assert (thesis.predict(attacked) == answers).mean() < 0.5
    assert (
        thesis.forward(attacked)[rows, labels] < thesis.forward(images)[rows, labels]
    ).mean() > 0.8
    assert np.array_equal(Steps(0.1, 10, 0.02)(thesis, images), attacked)
    assert not np.array_equal(Steps(0.1, 10, 0.02, seed=1)(thesis, images), attacked)


def test_steps_stay_in_a_box_that_is_given(thesis, test_images):
    images = test_images.images[:20].reshape(20, -1)
    attacked = Steps(0.1, 10, 0.02, box=Box(np.zeros(784), np.ones(784)))(thesis, images)
    assert attacked.min() >= 0.0
    assert attacked.max() <= 1.0
    assert 0.099 < np.abs(attacked - images).max() <= 0.1 + 1e-12


def test_the_worst_of_every_label_are_found(thesis, test_images):
    images, labels = test_images.images[:300].reshape(300, -1), test_images.labels[:300]
    found = worst_adversaries(thesis, images, labels, 20)
    assert list(labels[found]) == [label for label in range(10) for _ in range(2)]
    logits = thesis.forward(images)
    own = logits[np.arange(300), labels]
    logits[np.arange(300), labels] = -np.inf
    leads = own - logits.max(axis=1)
    for label in range(10):
        assert list(leads[found[2 * label :][:2]]) == sorted(leads[labels == label])[:2]


@pytest.mark.parametrize(
    ("count", "words"), [(15, "multiple of 10"), (0, "multiple"), (90, "label 0")]
)
def test_other_counts_are_refused(thesis, test_images, count, words):
    images, labels = test_images.images[:80].reshape(80, -1), test_images.labels[:80]
    with pytest.raises(InputError, match=words):
        worst_adversaries(thesis, images, labels, count)
