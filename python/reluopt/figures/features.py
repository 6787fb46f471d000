"""Figures of inputs that are no pictures: features, such as those of tabular data.

Each changed one stands on a line from its lower to its upper bound, an open circle where it was and
a full one where it is. Lists of different lengths are an :class:`~reluopt.errors.InputError`.
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from reluopt.errors import InputError
from reluopt.figures.style import (
    DOUBLE_COLUMN,
    INK,
    MUTED,
    SINGLE_COLUMN,
    SMALL,
    TEXT,
    TINY,
    inch_axes,
    inch_text,
    new_figure,
    style,
)
from reluopt.images.display import changed_inputs, feature_name, feature_words
from reluopt.numerics.arrays import FloatArray

MOST_ROWS = 16
"""Inputs in one panel; of more, those that change most, in shares of their boxes."""

UP, DOWN = "#b2182b", "#2166ac"
"""Inputs that became larger and smaller."""

_NAME, _WORDS, _ROW, _ABOVE, _BELOW = 0.62, 1.12, 0.155, 0.24, 0.5
"""Inches for the names of inputs, for their values, a row, and the room above and below rows."""


@style()
def feature_figure(
    answers: Sequence[FloatArray],
    originals: Sequence[FloatArray] | None,
    ends: tuple[FloatArray, FloatArray],
    titles: Sequence[str],
    captions: Sequence[Sequence[tuple[str, str]]],
) -> Figure:
    """A panel for each input: its features that changed, or all of them where nothing was before.

    Args:
        answers: vectors, at least one.
        originals: what they were before; None for inputs that started from nothing.
        ends: lower and upper bounds of the features.
        titles: above the panels.
        captions: lines below the panels, each with its colour; at most two.

    Returns:
        A figure of :data:`DOUBLE_COLUMN` inches, two panels side by side (one panel:
        :data:`SINGLE_COLUMN`).
    """
    lengths = {len(answers), len(titles), len(captions)}
    lengths |= set() if originals is None else {len(originals)}
    if len(lengths) != 1 or not len(answers):
        raise InputError(f"figure: expected as many entries in every list, found {lengths}")
    before = [None] * len(answers) if originals is None else list(originals)
    changed = [changed_inputs(*pair, ends) for pair in zip(before, answers, strict=True)]
    rows = [sorted(each[:MOST_ROWS]) for each in changed]
    columns = min(2, len(answers))
    width = (DOUBLE_COLUMN if columns == 2 else SINGLE_COLUMN) / columns
    bands = [max(map(len, rows[i : i + columns])) for i in range(0, len(rows), columns)]
    heights = [_ABOVE + _ROW * max(count, 1) + _BELOW for count in bands]
    figure = new_figure(width * columns, sum(heights))
    for index, answer in enumerate(answers):
        band, column = divmod(index, columns)
        left, top = column * width, sum(heights[:band])
        inch_text(figure, left + width / 2, top + 0.14, titles[index], ha="center", size=TEXT)
        _draw(figure, left, top + _ABOVE, width, rows[index], before[index], answer, ends)
        left_out = len(changed[index]) - len(rows[index])
        more = [(f"and {left_out} more", MUTED)] if left_out else []
        for line, (words, colour) in enumerate([*more, *captions[index]]):
            place = top + _ABOVE + _ROW * max(bands[band], 1) + 0.06 + 0.125 * line
            look = {"ha": "center", "va": "top", "size": SMALL, "color": colour}
            inch_text(figure, left + width / 2, place, words, **look)
    return figure


def _draw(
    figure: Figure,
    left: float,
    top: float,
    width: float,
    rows: Sequence[int],
    before: FloatArray | None,
    after: FloatArray,
    ends: tuple[FloatArray, FloatArray],
) -> None:
    """Names, lines and values of one panel."""
    if not rows:
        look = {"ha": "center", "va": "center", "size": SMALL, "color": MUTED}
        inch_text(figure, left + width / 2, top + _ROW / 2, "nothing changed", **look)
        return
    height = _ROW * len(rows)
    axes = inch_axes(figure, left + _NAME, top, width - _NAME - _WORDS, height)
    axes.set(xlim=(-0.05, 1.05), ylim=(len(rows) - 0.5, -0.5), xticks=[], yticks=[])
    axes.patch.set_visible(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.hlines(range(len(rows)), 0.0, 1.0, color=MUTED, linewidth=0.4)
    for line, row in enumerate(rows):
        low, span = ends[0][row], ends[1][row] - ends[0][row]
        place = (after[row] - low) / span if span > 0.0 else 0.5
        colour = INK
        if before is not None:
            start = (before[row] - low) / span if span > 0.0 else 0.5
            colour = UP if after[row] > before[row] else DOWN
            axes.plot([start, place], [line, line], color=colour, linewidth=1.2)
            axes.plot(start, line, "o", color=colour, markerfacecolor="white", markersize=3.5)
        axes.plot(place, line, "o", color=colour, markersize=3.5)
        middle = top + (line + 0.5) * _ROW
        look = {"va": "center_baseline", "size": TINY}
        inch_text(figure, left + _NAME - 0.06, middle, feature_name(row), ha="right", **look)
        words = feature_words(None if before is None else before[row], after[row])
        inch_text(figure, left + width - _WORDS + 0.06, middle, words, ha="left", **look)
