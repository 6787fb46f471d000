"""Losses against violations: candidates, and those that are chosen."""

import numpy as np
import pytest

from reluopt.errors import InputError
from reluopt.figures import Tradeoff, correction_figure, tradeoff_figure


def test_candidates_and_chosen_ones_are_drawn():
    both = [(3.0, 0.1), (1.0, 0.2), (0.0, 0.3)]
    figure = tradeoff_figure({"ten": Tradeoff(both, [both[1]], 0.15)})
    (axes,) = figure.axes
    assert np.array_equal(np.column_stack(axes.lines[0].get_data()), both)
    assert np.array_equal(np.column_stack(axes.lines[1].get_data()), [both[1]])
    assert list(axes.lines[2].get_ydata()) == [0.15, 0.15]


@pytest.mark.parametrize(
    "series",
    [{}, {"a": Tradeoff([1.0], [(1.0, 2.0)], 0.1)}, {"a": Tradeoff([(1.0, 2.0)], [1.0], 0.1)}],
)
def test_other_shapes_are_refused(series):
    with pytest.raises(InputError, match="figure: expected"):
        tradeoff_figure(series)


def test_errors_are_drawn_against_the_number_of_points():
    series = {"PGD": [(50, 0.2, 0.3), (0, 0.4, 0.4)], "exact": [(0, 0.4, 0.4), (50, 0.1, 0.1)]}
    figure = correction_figure({0.01: series, 0.02: series})
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["within 0.01", "within 0.02"]
    first, second = figure.axes[0].get_lines()
    assert np.array_equal(first.get_xydata(), [(0, 0.4), (50, 0.3)])
    assert np.array_equal(second.get_xydata(), [(0, 0.4), (50, 0.1)])
    with pytest.raises(InputError, match="robust errors to draw, found none"):
        correction_figure({0.01: {"PGD": []}})
