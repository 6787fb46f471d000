"""The figure of robust errors."""

import numpy as np
import pytest

from reluopt.errors import InputError
from reluopt.figures import robust_error_figure


def test_both_bounds_are_drawn():
    table = np.array([[0.02, 0.02, 0.1, 0.1], [0.05, 0.02, 0.4, 0.6]])
    figure = robust_error_figure({"one": table, "two": table[:1]}, "Linf norm")
    (axes,) = figure.axes
    proven, known = axes.lines[0].get_ydata(), axes.lines[1].get_ydata()
    assert proven == pytest.approx([0.98, 0.9, 0.4])
    assert known == pytest.approx([0.98, 0.9, 0.6])


def test_published_intervals_stand_beside_their_network():
    table = np.array([[0.02, 0.02, 0.1, 0.1]])
    figure = robust_error_figure({"one": table}, "Linf norm", {"one": [(0.02, 0.05, 0.3)]})
    bar, proven, _ = figure.axes[0].lines
    assert list(bar.get_xdata()) == [0.02, 0.02]
    assert bar.get_ydata() == pytest.approx([0.7, 0.95])
    assert bar.get_color() == proven.get_color()


@pytest.mark.parametrize("given", [{}, {"one": np.zeros((2, 3))}, {"one": np.zeros((0, 4))}])
def test_nothing_to_draw_is_refused(given):
    with pytest.raises(InputError, match="figure"):
        robust_error_figure(given, "Linf norm")
