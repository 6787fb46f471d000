"""Figures of exact robustness."""

from itertools import pairwise

import numpy as np
import pytest

from reluopt.errors import InputError
from reluopt.figures import (
    certified_accuracy_figure,
    class_distance_figure,
    confidence_figure,
    overestimate_figure,
    save_figure,
)
from reluopt.figures.style import style

VALUES = np.array([0.0, 1.0, 2.0, 4.0])
DIGITS = list("0123456789")
LEAD = "lead of the true label's logit over the next"


def test_certified_accuracy_falls_where_distances_end():
    figure = certified_accuracy_figure({"l1": VALUES}, {"l1": {"PGD": (2 * VALUES, VALUES)}})
    upper, lower = figure.axes
    x, y = upper.lines[0].get_data()
    np.testing.assert_allclose(x, [0.0, 0.0, 1.0, 2.0, 4.0])
    np.testing.assert_allclose(y, [0.75, 0.75, 0.5, 0.25, 0.0])
    assert lower.lines[0].get_ydata().max() == pytest.approx(25.0)
    assert lower.lines[0].get_ydata().min() == 0.0
    assert len(certified_accuracy_figure({"l1": VALUES, "l2": VALUES}, {}).axes) == 2


def test_overestimates_start_at_the_left_end():
    figure = overestimate_figure({"l2": {"PGD": [0.0, 0.1], "region": [-1e-9, 0.0]}})
    first, second = figure.axes[0].lines
    np.testing.assert_allclose(first.get_xdata()[:3], [1e-4, 1e-4, 10.0])
    np.testing.assert_allclose(second.get_xdata()[:3], 1e-4)


def test_figures_are_saved_the_same_way_twice(tmp_path):
    generator = np.random.default_rng(0)
    sure, far = generator.gamma(2.0, size=(2, 200))
    for name, draw in {
        "classes": lambda: class_distance_figure({"l1": [far, far[:1], []]}, "abc"),
        "confidence": lambda: confidence_figure(sure, {"l1": far, "l2": far}, "lead"),
    }.items():
        first, second = tmp_path / f"{name}-1.png", tmp_path / f"{name}-2.png"
        save_figure(draw(), first)
        save_figure(draw(), second)
        assert first.read_bytes() == second.read_bytes()


def test_attacks_are_named_beside_the_panel_that_shows_them():
    figure = certified_accuracy_figure({"l1": VALUES}, {"l1": {"PGD": (2 * VALUES, VALUES)}})
    upper, lower = figure.axes
    assert upper.get_legend() is None
    (legend,) = figure.legends
    with style():
        box = legend.get_window_extent(figure.canvas.get_renderer())
    assert lower.get_window_extent().y1 < box.y0 < box.y1 < upper.get_window_extent().y0
    assert legend.get_texts()[-1].get_text() == "PGD"


@pytest.mark.parametrize(
    "draw",
    [
        lambda three: certified_accuracy_figure(three, {}),
        lambda three: class_distance_figure({n: [far] * 10 for n, far in three.items()}, DIGITS),
        lambda three: confidence_figure(np.arange(500.0), three, LEAD),
        lambda three: overestimate_figure({n: {"PGD": far} for n, far in three.items()}),
    ],
)
def test_words_of_three_panels_do_not_touch(draw):
    figure = draw({norm: np.linspace(1e-7, 1.4, 500) for norm in ("l1", "l2", "linf")})
    panels = figure.axes[:3]
    with style():
        figure.draw_without_rendering()
        ticks = [label for axes in panels for label in _shown(axes)]
        for labels in (ticks, [axes.xaxis.label for axes in panels]):
            boxes = sorted((each.get_window_extent() for each in labels), key=lambda box: box.x0)
            assert all(one.x1 < two.x0 for one, two in pairwise(boxes))


def _shown(axes):
    low, high = axes.get_xlim()
    return [each for each in axes.get_xticklabels() if low <= each.get_position()[0] <= high]


@pytest.mark.parametrize(("count", "medians"), [(20, 0), (60, 2), (399, 15), (2000, 20)])
def test_medians_are_drawn_of_enough_images_only(count, medians):
    sure, far = np.random.default_rng(0).gamma(2.0, size=(2, count))
    figure = confidence_figure(sure, {"l1": far}, "lead")
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    (drawn,) = [line for name, line in lines.items() if name.startswith("median of")] or [None]
    assert (0 if drawn is None else drawn.get_xdata().size) == medians
    names = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert ("one image" in names) == (count < 400)
    assert ("their first to third quartile" in names) == (medians > 0)
    assert (len(figure.axes) == 2) == (count >= 400)  # the colours of cells


@pytest.mark.parametrize(
    "draw",
    [
        lambda: certified_accuracy_figure({"l7": VALUES}, {}),
        lambda: certified_accuracy_figure({"l1": []}, {}),
        lambda: certified_accuracy_figure({"l1": VALUES}, {"l1": {"PGD": (VALUES[:2], VALUES)}}),
        lambda: class_distance_figure({"l1": [VALUES]}, "ab"),
        lambda: confidence_figure(VALUES[:1], {"l1": VALUES}, "lead"),
        lambda: overestimate_figure({"l1": {"PGD": []}}),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw):
    with pytest.raises(InputError, match="figure: expected"):
        draw()
