"""Figures of limits on neighbouring changes: every number and image is there."""

import numpy as np
import pytest
from matplotlib.colors import to_rgba

from reluopt.errors import InputError
from reluopt.figures import DOUBLE_COLUMN, limit_figure, limit_pictures

LIMITS = (None, 0.5, 0.1)
DISTANCES = [[2.0, 3.0, 5.0], [10.0, 12.0, np.inf]]
BOUNDS = [[2.0, 3.0, 4.0], [10.0, 12.0, np.inf]]
LARGEST = [[1.0, 0.8, 0.3], [1.0, 1.0, np.nan]]


def test_lines_labels_and_what_is_not_proven():
    figure = limit_figure(LIMITS, DISTANCES, BOUNDS, LARGEST, [3, 8])
    left, right = figure.axes
    for axes, values in ((left, DISTANCES), (right, LARGEST)):
        lines = [line.get_ydata() for line in axes.lines if line.get_marker() in ("None", "")]
        for number, expected in enumerate(values):
            finite = np.where(np.isfinite(expected), expected, np.nan)
            assert any(np.array_equal(line, finite, equal_nan=True) for line in lines), number
        assert sorted(text.get_text() for text in axes.texts) == ["3", "8"]
        names = [label.get_text() for label in axes.get_xticklabels()]
        assert names == ["no limit", "0.5", "0.1"]
    bars = [line for line in left.lines if list(line.get_ydata()) == [4.0, 5.0]]
    assert len(bars) == 1  # from the bound up to the distance
    white = to_rgba("white")
    hollow = [line for line in left.lines if to_rgba(line.get_markerfacecolor()) == white]
    assert [line.get_ydata().tolist() for line in hollow if len(line.get_ydata())] == [[5.0]]
    assert "L_1" in left.get_ylabel()
    assert figure.get_size_inches()[0] == DOUBLE_COLUMN


def test_labels_of_lines_that_end_together_keep_apart():
    close = [[1.0, 2.0], [1.0, 2.001], [1.0, 2.002], [1.0, 50.0]]
    figure = limit_figure((None, 0.1), close, close, np.ones((4, 2)), [0, 1, 2, 3])
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    for number, box in enumerate(boxes):
        for other in boxes[number + 1 :]:
            assert not box.overlaps(other)


def test_pictures_show_images_and_changes(test_images):
    originals = test_images.images[:2].reshape(2, 28, 28)
    brighter = np.clip(originals + 0.2, 0.0, 1.0)
    changed = {0: list(brighter), 1: [brighter[0], None]}
    words = [["a", "b"], ["c", "none"]]
    figure = limit_pictures((None, 0.1), originals, changed, ["7", "2"], words)
    drawn = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    found = [image for image in drawn if np.shape(image) == (28, 28)]
    assert len(found) == 6
    np.testing.assert_array_equal(found[0], brighter[0])
    np.testing.assert_allclose(found[1], brighter[0] - originals[0])
    texts = [text.get_text() for text in figure.texts]
    for word in ("7", "2", "a", "b", "c", "none", "no limit", "$s$ = 0.1"):
        assert word in texts
    assert figure.get_size_inches()[0] <= DOUBLE_COLUMN + 1e-9


def test_errors(test_images):
    with pytest.raises(InputError, match=r"arrays of shape \(2, 3\)"):
        limit_figure(LIMITS, DISTANCES, BOUNDS, LARGEST[:1], [3, 8])
    with pytest.raises(InputError, match="expected norm"):
        limit_figure(LIMITS, DISTANCES, BOUNDS, LARGEST, [3, 8], "l3")
    with pytest.raises(InputError, match="entries in every list"):
        limit_pictures((None,), test_images.images[:2], {0: [None]}, ["7", "2"], [["", ""]])
    with pytest.raises(InputError, match="captions for 2 limits"):
        limit_pictures((None, 0.1), test_images.images[:1], {0: [None]}, ["7"], [[""]])
