"""Anytime curves."""

import numpy as np
import pytest

from reluopt.errors import InputError
from reluopt.figures import anytime_figure


def test_incumbent_and_bound_are_drawn_in_order_of_time():
    rows = np.array([[2.0, 3.0, 2.5], [0.5, np.inf, 0.0], [1.0, 4.0, 1.0]])
    (axes,) = anytime_figure({"bnb": rows}, "distance").axes
    incumbent, bound = (line.get_ydata() for line in axes.lines)
    np.testing.assert_array_equal(incumbent, [np.nan, 4.0, 3.0])
    np.testing.assert_array_equal(bound, [0.0, 1.0, 2.5])
    assert list(axes.lines[0].get_xdata()) == [0.5, 1.0, 2.0]
    assert axes.get_ylabel() == "distance"


@pytest.mark.parametrize("given", [{}, {"bnb": np.zeros((2, 4))}, {"bnb": np.zeros((0, 3))}])
def test_nothing_to_draw_is_refused(given):
    with pytest.raises(InputError, match="figure"):
        anytime_figure(given, "distance")
