"""Digits in a row: all are there, under their names, on one page."""

import numpy as np
import pytest

from reluopt.errors import InputError
from reluopt.figures import DOUBLE_COLUMN, digit_figure


@pytest.mark.parametrize("count", [1, 10, 11])
def test_every_digit_has_its_tile_and_words(count, test_images):
    images = test_images.images[:count]
    labels = test_images.labels[:count].tolist()
    figure = digit_figure(images, labels, [f"test:{k}" for k in range(count)])
    assert len(figure.axes) == count
    for axes, image in zip(figure.axes, images, strict=True):
        np.testing.assert_array_equal(axes.images[0].get_array(), image.reshape(28, 28))
    words = [text.get_text() for text in figure.texts]
    assert words == [word for k in range(count) for word in (str(labels[k]), f"test:{k}")]
    assert figure.get_size_inches()[0] <= DOUBLE_COLUMN + 1e-9


def test_a_missing_caption_is_refused(test_images):
    with pytest.raises(InputError, match="expected 2 entries"):
        digit_figure(test_images.images[:2], [7, 2], ["test:0"])
