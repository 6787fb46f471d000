"""Linear regions in a plane."""

import numpy as np
import pytest
from matplotlib.contour import QuadContourSet

from reluopt.errors import InputError
from reluopt.figures import arrangement_figure, search_figure

SIDE = np.linspace(-1.0, 1.0, 21)
NEURONS = np.array([np.add.outer(SIDE, SIDE) - 0.05, np.tile(SIDE - 0.55, (21, 1))])
ENDS = (-1.0, 1.0, -1.0, 1.0)


def borders(axes):
    """Where neurons are drawn to change their phase, a set of points each."""
    return [
        np.concatenate([path.vertices for path in each.get_paths()])
        for each in axes.collections
        if isinstance(each, QuadContourSet) and not each.filled
    ]


def test_every_region_has_its_name_and_counts_are_drawn():
    figure = arrangement_figure(np.stack([*NEURONS, -NEURONS[1] - 1.0]), ENDS, {5: 16, 20: 211})
    left, right = figure.axes
    assert {text.get_text() for text in left.texts} == {"000", "001", "010", "100", "101", "110"}
    assert left.get_title(loc="left").endswith("no 011, 111")
    counted = right.get_lines()[-1]
    assert list(zip(*counted.get_data(), strict=True)) == [(5, 16), (20, 211)]
    formula = dict(zip(*right.get_lines()[1].get_data(), strict=True))
    assert formula[20] == 211
    assert formula[30] == 466


def test_borders_are_straight_where_neurons_are_linear():
    figure = arrangement_figure(NEURONS, ENDS, {5: 16})
    first, second = borders(figure.axes[0])
    np.testing.assert_allclose(first.sum(axis=1), 0.05, atol=1e-12)
    np.testing.assert_allclose(second[:, 0], 0.55, atol=1e-12)


def test_a_search_shows_every_point_by_its_kind():
    path = np.array([[0.0, 0.0], [0.5, 0.2], [0.6, -0.3]])
    excess = np.hypot.outer(SIDE, SIDE) - 0.5
    kinds = ["image", "step", "step"]
    figure = search_figure(NEURONS, NEURONS[1], excess, ENDS, path, kinds)
    (axes,) = figure.axes
    *_, ball = borders(axes)
    np.testing.assert_allclose(np.linalg.norm(ball, axis=1), 0.5, atol=0.01)
    walk, *marks = axes.get_lines()
    np.testing.assert_array_equal(walk.get_xydata(), path)
    assert [line.get_label() for line in marks] == ["image", "step"]
    assert [len(line.get_xydata()) for line in marks] == [1, 2]


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match="grids of neurons and counts"):
        arrangement_figure(NEURONS, ENDS, {})
    with pytest.raises(InputError, match="a kind for each point"):
        search_figure(NEURONS, *NEURONS, ENDS, np.zeros((2, 2)), ["image"])
