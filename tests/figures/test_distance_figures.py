"""Distributions, growth and matrices of distances: drawn as given, and nothing else accepted."""

import numpy as np
import pytest

from reluopt.errors import InputError
from reluopt.figures import distance_matrix_figure, distribution_figure, growth_figure
from reluopt.figures.style import style


def test_distributions_step_up_at_every_distance():
    panels = {
        "l1": {"near": [3.0, 1.0, 2.0], "far": [4.0, 8.0]},
        "l2": {"near": [0.5], "far": [0.7, 0.9]},
    }
    figure = distribution_figure(panels)
    for axes, series in zip(figure.axes, panels.values(), strict=True):
        for line, values in zip(axes.get_lines()[::2], series.values(), strict=True):
            np.testing.assert_array_equal(line.get_xdata(), np.sort(values))
            assert line.get_ydata()[-1] == 1.0
    first, second = figure.axes[0].get_lines()[::2]
    assert first.get_marker() != second.get_marker()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["near", "far"]


def test_bounds_have_hollow_marks_and_say_so():
    panels = {"l1": {"near": [3.0, 1.0, 2.0]}, "l2": {"near": [0.5, 0.7, 0.9]}}
    flags = {"l1": {"near": [True, False, True]}, "l2": {"near": [False] * 3}}
    figure = distribution_figure(panels, flags)
    for axes, marked in zip(figure.axes, ([2.0, 3.0], []), strict=True):
        curve, hollow = axes.get_lines()
        np.testing.assert_array_equal(hollow.get_xdata(), marked)
        assert not {*curve.get_xdata()[curve.get_markevery()]} & {*marked}
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words == ["near", "not proven: at least this far"]
    curve, mark = figure.legends[0].legend_handles
    assert (curve.get_linestyle(), mark.get_linestyle()) == ("-", "None")


def test_labels_of_long_and_short_ticks_stand_on_one_line():
    figure = distribution_figure({"l1": {"near": [0.3, 1.0, 40.0]}})
    with style():
        figure.draw_without_rendering()
        axis = figure.axes[0].xaxis
        ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
        renderer = figure.canvas.get_renderer()
        tops = [t.label1.get_window_extent(renderer).y1 for t in ticks if t.label1.get_text()]
    assert len(tops) > 4
    assert max(tops) - min(tops) < 0.05


@pytest.mark.parametrize(
    ("panels", "message"),
    [
        ({}, "the same series"),
        ({"l1": {"a": [1.0]}, "l2": {"b": [1.0]}}, "the same series"),
        ({"l3": {"a": [1.0]}}, "expected norm l1, l2, linf, found 'l3'"),
        ({"l1": {"a": []}}, "distances for 'a', found none"),
    ],
)
def test_distributions_of_nothing_are_refused(panels, message):
    with pytest.raises(InputError, match=message):
        distribution_figure(panels)


def test_growth_is_relative_above_and_absolute_below():
    table = np.array([[2.0, 2.0, 3.0], [1.0, 1.5, 2.0], [4.0, 4.0, 4.0]])
    figure = growth_figure((0, 20, 100), {"l1": table})
    upper, lower = figure.axes
    medians = [axes.get_lines()[-1].get_ydata() for axes in (upper, lower)]
    np.testing.assert_allclose(medians[0], [1.0, 1.0, 1.5])
    np.testing.assert_allclose(medians[1], [2.0, 2.0, 3.0])
    thin = [line.get_ydata() for line in upper.get_lines()[:3]]
    np.testing.assert_allclose(thin, table / table[:, :1])
    assert upper.get_ylim()[0] < 1.0 < upper.get_ylim()[1]


@pytest.mark.parametrize(
    ("distances", "message"),
    [
        ({}, "at least one norm"),
        ({"l1": np.ones((2, 3))}, r"\(images, 2\), found \(2, 3\)"),
        ({"l7": np.ones((2, 2))}, "found 'l7'"),
    ],
)
def test_growth_of_another_shape_is_refused(distances, message):
    with pytest.raises(InputError, match=message):
        growth_figure((0, 20), distances)


def test_matrices_show_their_numbers_and_leave_the_diagonal_empty():
    matrix = np.array([[np.nan, 12.34], [0.567, np.nan]])
    figure = distance_matrix_figure({"l1": matrix, "l2": matrix / 10.0}, ["0", "1"])
    assert [[text.get_text() for text in axes.texts] for axes in figure.axes] == [
        ["12.3", "0.57"],
        ["1.23", "0.06"],
    ]
    assert figure.axes[1].get_title() == "mean $L_2$ distance"


@pytest.mark.parametrize(
    ("matrices", "message"),
    [
        ({}, "at least one matrix"),
        ({"l1": np.ones((2, 3))}, r"\(2, 2\), found 'l1' with shape \(2, 3\)"),
        ({"l9": np.ones((2, 2))}, "found 'l9'"),
        ({"l1": np.full((2, 2), np.nan)}, "the l1 matrix, found none"),
    ],
)
def test_matrices_that_do_not_fit_are_refused(matrices, message):
    with pytest.raises(InputError, match=message):
        distance_matrix_figure(matrices, ["0", "1"])
