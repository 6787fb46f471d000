"""Figures of blends: what is drawn where, and what is refused."""

import numpy as np
import pytest

from reluopt.errors import InputError
from reluopt.figures import blend_figure, blend_pictures

WEIGHTS = (0.0, 0.5, 1.0)
NAMES = ("L2", "w = 0.5", "L1")


def tables() -> list[np.ndarray]:
    """Two images under three measures."""
    l1 = np.array([[2.0, 1.2, 1.0], [3.0, 1.4, 1.0]])
    return [l1, l1[:, ::-1], 100.0 * l1, 0.3 * l1[:, ::-1]]


def test_the_curve_holds_the_medians_and_every_point_its_name() -> None:
    figure = blend_figure(WEIGHTS, NAMES, *tables())
    trade, pixels, largest = figure.axes
    across, up = trade.get_lines()[0].get_data()
    assert np.allclose(across, [2.5, 1.3, 1.0])
    assert np.allclose(up, [1.0, 1.3, 2.5])
    assert [text.get_text() for text in trade.texts] == list(NAMES)
    assert np.allclose(pixels.get_lines()[0].get_ydata(), [250.0, 130.0, 100.0])
    assert np.allclose(largest.get_lines()[0].get_ydata(), [0.3, 0.39, 0.75])


def test_every_measure_has_an_answer_and_a_change() -> None:
    image = np.zeros((2, 2))
    answers = [np.eye(2), 0.5 * np.eye(2)]
    figure = blend_pictures(image, answers, ("a", "b"), (("one", "two"), ("three",)))
    drawn = [axes.get_images()[0].get_array() for axes in figure.axes[:4]]
    assert all(np.allclose(drawn[2 * k], answers[k]) for k in range(2))
    assert all(np.allclose(drawn[2 * k + 1], answers[k]) for k in range(2))
    assert {text.get_text() for text in figure.texts} >= {"a", "b", "one", "two", "three"}


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="expected four tables"):
        blend_figure(WEIGHTS, NAMES[:2], *tables())
    with pytest.raises(InputError, match="expected four tables"):
        blend_figure(WEIGHTS, NAMES, *tables()[:3], np.zeros((1, 3)))
    with pytest.raises(InputError, match="expected 1 entries"):
        blend_pictures(np.zeros((2, 2)), [np.eye(2)], ("a", "b"), ((), ()))
    with pytest.raises(InputError, match="expected answers of shape"):
        blend_pictures(np.zeros((2, 2)), [np.zeros((3, 3))], ("a",), ((),))
