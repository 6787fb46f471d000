"""One change for several images: all before and after, the change once, nothing over the edge."""

import numpy as np
import pytest
from tests.figures.test_figures import over_the_edge, overlaps, texts

from reluopt.errors import InputError
from reluopt.figures import DOUBLE_COLUMN, SINGLE_COLUMN, shared_change_figure
from reluopt.figures.style import INK

CAPTION = [("L = 1", INK), ("proven", INK)]


def drawn(images, count, change, misread=False):
    labels = images.labels[:count].tolist()
    before = [(label + misread) % 10 for label in labels]
    return shared_change_figure(images.images[:count], change, labels, before, [8] * count, CAPTION)


@pytest.mark.parametrize(("count", "bands"), [(1, 1), (3, 1), (6, 1), (10, 1), (12, 2)])
@pytest.mark.parametrize("misread", [False, True])
def test_images_wrap_and_the_change_stands_once(test_images, count, bands, misread):
    change = np.zeros((28, 28))
    change[3, 4], change[20, 5] = 0.5, -0.25
    figure = drawn(test_images, count, change, misread)
    assert len(figure.axes) == 2 * count + 2  # pairs, the change, its scale
    for number in range(count):
        first, second = (axes.images[0] for axes in figure.axes[2 * number : 2 * number + 2])
        image = test_images.image(number)
        np.testing.assert_array_equal(first.get_array(), image)
        np.testing.assert_allclose(second.get_array(), np.clip(image + change, 0.0, 1.0))
    np.testing.assert_array_equal(figure.axes[-2].images[0].get_array(), change)
    assert texts(figure).count("the change") == 1
    assert texts(figure).count("original") == bands
    assert overlaps(figure) == []
    assert over_the_edge(figure) == 0.0
    assert figure.get_figwidth() <= (SINGLE_COLUMN if count <= 3 else DOUBLE_COLUMN) + 1e-9


def test_a_change_of_another_shape_is_refused(test_images):
    with pytest.raises(InputError, match=r"expected shape \(28, 28\)"):
        drawn(test_images, 2, np.zeros((14, 14)))
