"""The ReLU between its bounds, and its relaxation."""

import numpy as np
import pytest

from reluopt.errors import InputError
from reluopt.figures import SINGLE_COLUMN, relu_figure


def test_the_line_is_the_relu_and_the_triangle_spans_its_bounds():
    figure = relu_figure(-10.0, 5.0)
    assert figure.get_size_inches()[0] == SINGLE_COLUMN
    (axes,) = figure.axes
    a, x = axes.lines[0].get_data()
    assert np.array_equal(x, np.maximum(a, 0.0))
    corners = axes.collections[0].get_paths()[0].vertices
    assert corners.min(axis=0) == pytest.approx([-10.0, 0.0])
    assert any(np.allclose(corner, [0.0, 5.0 * 10.0 / 15.0]) for corner in corners)


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 0.0), (float("nan"), 1.0)])
def test_stable_neurons_are_refused(bounds):
    with pytest.raises(InputError, match="expected bounds around 0"):
        relu_figure(*bounds)
