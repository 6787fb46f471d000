"""The figure of inputs that are no pictures."""

import numpy as np
import pytest

from reluopt.errors import InputError
from reluopt.figures import feature_figure

ENDS = np.zeros(20), np.full(20, 10.0)
CAPTION = [("L1 1", "#000000"), ("proven", "#000000")]


def texts(figure):
    return [text.get_text() for text in figure.texts]


def test_only_what_changed_is_shown_where_it_was_and_where_it_is():
    before, after = np.full(20, 5.0), np.full(20, 5.0)
    after[[3, 17]] = 7.5, 0.0
    figure = feature_figure([after], [before], ENDS, ["0 → 1"], [CAPTION])
    assert texts(figure) == [
        "0 → 1", "input 3", "5 → 7.5", "input 17", "5 → 0", "L1 1", "proven"
    ]  # fmt: skip
    marks = [line.get_xdata() for line in figure.axes[0].lines]
    assert [list(np.ravel(each)) for each in marks] == [
        [0.5, 0.75], [0.5], [0.75], [0.5, 0.0], [0.5], [0.0]
    ]  # fmt: skip


def test_many_changes_and_none():
    before = np.full(20, 5.0)
    answers = [before + np.linspace(0.5, 1.0, 20), before]
    figure = feature_figure(answers, [before, before], ENDS, ["a", "b"], [CAPTION, CAPTION])
    words = texts(figure)
    assert "and 4 more" in words
    assert "nothing changed" in words
    assert "input 4" in words
    assert "input 3" not in words  # of the smallest changes


def test_inputs_without_a_before_show_all():
    figure = feature_figure([np.arange(4.0)], None, (np.zeros(4), np.zeros(4) + 3), ["x"], [[]])
    assert [word for word in texts(figure) if word.startswith("input")] == [
        "input 0", "input 1", "input 2", "input 3"
    ]  # fmt: skip


def test_lists_of_different_lengths_are_refused():
    with pytest.raises(InputError, match="as many entries"):
        feature_figure([np.zeros(2)], None, (np.zeros(2), np.ones(2)), ["a", "b"], [[]])
    with pytest.raises(InputError, match="as many entries"):
        feature_figure([], None, (np.zeros(2), np.ones(2)), [], [])
