"""Linear regions in a plane."""

import numpy as np
import pytest

from reluopt.errors import InputError
from reluopt.figures import arrangement_figure, search_figure

SIDE = np.linspace(-1.0, 1.0, 21)
CODES = (np.add.outer(SIDE, SIDE) > 0.05).astype(int) + 2 * (SIDE > 0.55)
ENDS = (-1.0, 1.0, -1.0, 1.0)


def test_every_region_has_its_name_and_counts_are_drawn():
    names = {int(code): f"code {code}" for code in np.unique(CODES)}
    figure = arrangement_figure(CODES, names, ENDS, "100", {5: 16, 20: 211})
    left, right = figure.axes
    assert {text.get_text() for text in left.texts} == set(names.values())
    assert "no 100" in left.get_title(loc="left")
    counted = right.get_lines()[-1]
    assert list(zip(*counted.get_data(), strict=True)) == [(5, 16), (20, 211)]
    formula = dict(zip(*right.get_lines()[1].get_data(), strict=True))
    assert formula[20] == 211
    assert formula[30] == 466


def test_a_search_shows_every_point_by_its_kind():
    path = np.array([[0.0, 0.0], [0.5, 0.2], [0.6, -0.3]])
    figure = search_figure(CODES, CODES > 1, CODES < 3, ENDS, path, ["image", "step", "step"])
    (axes,) = figure.axes
    walk, *kinds = axes.get_lines()
    np.testing.assert_array_equal(walk.get_xydata(), path)
    assert [line.get_label() for line in kinds] == ["image", "step"]
    assert [len(line.get_xydata()) for line in kinds] == [1, 2]


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match="a grid of codes and counts"):
        arrangement_figure(CODES, {}, ENDS, "100", {})
    with pytest.raises(InputError, match="a kind for each point"):
        search_figure(CODES, CODES > 1, CODES < 3, ENDS, np.zeros((2, 2)), ["image"])
