"""What is shown of images fits them."""

import math

import pytest

from reluopt.images.display import folded_shape, full_scale


def test_flat_images_are_squares_or_one_row():
    assert [folded_shape(size) for size in (1, 9, 10, 784)] == [(1, 1), (3, 3), (1, 10), (28, 28)]


@pytest.mark.parametrize(
    ("largest", "scale"),
    [(0.3, 0.3), (0.1 + 0.2, 0.3), (0.31, 0.4), (0.95, 1.0), (2e-3, 2e-3), (0.0, 1.0),
     (math.nan, 1.0), (math.inf, 1.0)],
)  # fmt: skip
def test_the_scale_is_the_largest_change_rounded_up_to_one_digit(largest, scale):
    assert full_scale(largest) == scale
