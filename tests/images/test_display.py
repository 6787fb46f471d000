"""What is shown of images fits them."""

import math

import numpy as np
import pytest

from reluopt.images.display import (
    as_picture,
    changed_inputs,
    feature_words,
    folded_shape,
    full_scale,
    strongest,
)


def test_flat_images_are_squares_or_one_row():
    assert [folded_shape(size) for size in (1, 9, 10, 784)] == [(1, 1), (3, 3), (1, 10), (28, 28)]


@pytest.mark.parametrize(
    ("largest", "scale"),
    [(0.3, 0.3), (0.1 + 0.2, 0.3), (0.31, 0.4), (0.95, 1.0), (2e-3, 2e-3), (0.0, 1.0),
     (math.nan, 1.0), (math.inf, 1.0)],
)  # fmt: skip
def test_the_scale_is_the_largest_change_rounded_up_to_one_digit(largest, scale):
    assert full_scale(largest) == scale


@pytest.mark.parametrize(
    ("shape", "drawn"),
    [((28, 28), (28, 28)), ((1, 8, 9), (8, 9)), ((3, 8, 9), (8, 9, 3)), ((784,), (28, 28)),
     ((64,), (8, 8)), ((49,), None), ((13,), None), ((5, 8, 8), None), ((2, 3, 8, 8), None)],
)  # fmt: skip
def test_inputs_are_pictures_by_their_shape(shape, drawn):
    picture = as_picture(np.zeros(shape))
    assert (None if picture is None else picture.shape) == drawn


def test_colours_come_last_in_a_picture_and_the_largest_change_counts():
    image = np.random.default_rng(0).normal(size=(3, 4, 5))
    picture = as_picture(image)
    assert picture[1, 2, 0] == image[0, 1, 2]
    change = strongest(picture)
    np.testing.assert_array_equal(np.abs(change), np.abs(image).max(axis=0))
    assert set(change.ravel()) <= set(image.ravel())
    np.testing.assert_array_equal(strongest(image[0]), image[0])


def test_changed_inputs_come_by_the_share_of_their_box():
    ends = np.zeros(4), np.array([1.0, 100.0, 0.0, 10.0])
    before, after = np.array([0.5, 50.0, 0.0, 5.0]), np.array([0.4, 90.0, 0.0, 5.0 + 1e-9])
    assert changed_inputs(before, after, ends) == [1, 0]
    assert changed_inputs(None, after, ends) == [0, 1, 2, 3]
    assert feature_words(1.0, -0.25) == "1 \N{RIGHTWARDS ARROW} \N{MINUS SIGN}0.25"
    assert feature_words(None, 2.0) == "2"
