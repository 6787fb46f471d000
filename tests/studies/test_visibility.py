"""Measures of how visible a change is, against values worked out by hand."""

import numpy as np
import pytest

from reluopt.errors import InputError
from reluopt.studies.visibility import always_black, structural_similarity, visibility


def test_measures_of_a_change_worked_out_by_hand():
    original = np.zeros((4, 5))
    original[1:3, 1:4] = 0.5
    changed = original.copy()
    changed[0, 0] = 0.3  # on the frame
    changed[1, 1] -= 0.1
    changed[2, 2] += 0.04  # too little to count
    seen = visibility(original, changed, original == 0.0)
    assert seen.changed == 2
    assert seen.largest == pytest.approx(0.3)
    assert seen.mean == pytest.approx(0.44 / 20)
    assert seen.black_share == pytest.approx(0.3 / 0.44)
    assert 0.0 < seen.similarity < 1.0


def test_no_change_is_invisible(test_images):
    image = test_images.image(0)
    seen = visibility(image, image, always_black(test_images.pixels))
    assert (seen.changed, seen.largest, seen.mean, seen.black_share) == (0, 0.0, 0.0, 0.0)
    assert seen.similarity == pytest.approx(1.0)


def test_similarity_is_symmetric_and_falls_with_the_change(test_images):
    first, noise = test_images.image(0), np.random.default_rng(0).random((28, 28))
    values = [structural_similarity(first, first + share * (noise - first)) for share in (0.1, 0.5)]
    assert 1.0 > values[0] > values[1] > structural_similarity(first, noise)
    assert structural_similarity(noise, first) == pytest.approx(structural_similarity(first, noise))


def test_similarity_of_flat_images_is_that_of_their_means():
    a, b = 0.2, 0.6  # no variance, so only the first factor of the formula is left
    expected = (2 * a * b + 1e-4) / (a * a + b * b + 1e-4)
    flat = np.ones((12, 12))
    assert structural_similarity(a * flat, b * flat) == pytest.approx(expected)


def test_pixels_that_are_never_written_on(test_images):
    black = always_black(test_images.pixels)
    assert black[0].all()  # MNIST digits have a frame
    assert not black[14, 14]
    assert (test_images.pixels[:, black] == 0).all()
    assert (test_images.pixels[:, ~black].max(axis=0) > 0).all()


def test_images_of_different_shapes_are_refused():
    with pytest.raises(InputError, match=r"\(2, 2\), \(2, 3\)"):
        visibility(np.zeros((2, 2)), np.zeros((2, 3)), np.zeros((2, 2), dtype=bool))
