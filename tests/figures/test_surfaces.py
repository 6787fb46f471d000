"""Surfaces between their relaxations."""

import numpy as np
import pytest

from reluopt.errors import InputError
from reluopt.figures import relaxation_figure

FIRST, SECOND = np.linspace(-1.0, 1.0, 5), np.linspace(0.0, 2.0, 3)
SURFACE = np.add.outer(SECOND, FIRST)


def test_each_relaxation_has_a_surface_and_a_slice():
    kinds = {"loose": (SURFACE - 2.0, SURFACE + 3.0), "tight": (SURFACE, SURFACE + 1.0)}
    figure = relaxation_figure(FIRST, SECOND, SURFACE, kinds)
    cubes = [axes for axes in figure.axes if hasattr(axes, "get_zlim")]
    slices = [axes for axes in figure.axes if axes not in cubes]
    assert [cube.get_title() for cube in cubes] == list(kinds)
    for axes, (low, high) in zip(slices, kinds.values(), strict=True):
        drawn = {line.get_label(): line.get_ydata() for line in axes.get_lines()}
        np.testing.assert_array_equal(drawn["network"], SURFACE[1])
        np.testing.assert_array_equal(drawn["from above"], high[1])
        np.testing.assert_array_equal(drawn["from below"], low[1])
    assert slices[0].get_ylim() == slices[1].get_ylim()


@pytest.mark.parametrize("kinds", [{}, {"one": (SURFACE, SURFACE.T)}])
def test_surfaces_of_other_shapes_are_refused(kinds):
    with pytest.raises(InputError, match=r"figure: expected surfaces of shape \(3, 5\)"):
        relaxation_figure(FIRST, SECOND, SURFACE, kinds)
