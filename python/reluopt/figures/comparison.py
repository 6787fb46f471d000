"""Times of several networks side by side, with averages from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reluopt.errors import InputError
from reluopt.figures.style import (
    CHARACTER,
    DOUBLE_COLUMN,
    INK,
    MUTED,
    TINY,
    inch_axes,
    inch_legend,
    inch_text,
    new_figure,
    style,
)
from reluopt.figures.times import (
    LEGEND_LINE,
    STRIP,
    check_times,
    draw_times,
    images_text,
    method_names,
    share_times,
    strip_marks,
)

REFERENCE_COLUMNS = ("network", "method", "seconds")

_TOP, _BELOW, _GAP = 0.36, 0.42, 0.2
"""Inches: room above and below the panels, and between them."""

_HEADROOM = 0.35
"""Strips above the first one: its median's label must not meet that of the limit."""


@style()
def network_times_figure(table: pd.DataFrame, references: pd.DataFrame) -> Figure:
    """The time of every image by method, with the networks as columns and a common time axis.

    Strips are those of :func:`~reluopt.figures.times.time_figure`, with a cross at the average, in
    which runs that were stopped count with the limit. References are averages that somebody else
    measured; they stand below, as crosses in lines of their own. A legend below says so.

    Args:
        table: see :mod:`reluopt.figures.times`.
        references: ``network``, ``method`` (a name for the line) and ``seconds``; may be empty.

    Raises:
        InputError: a table lacks a column, or there are no times.
    """
    for column in REFERENCE_COLUMNS:
        if column not in references.columns:
            raise InputError(f"figure: expected references with '{column}', found none")
    times = check_times(table)
    methods = method_names(times)
    lines = [*methods, *method_names(references)]
    networks = list(times["network"].unique())
    left = 0.15 + CHARACTER * max(len(line) for line in lines)
    width = (DOUBLE_COLUMN - left - 0.15 - _GAP * (len(networks) - 1)) / len(networks)
    height = 0.15 + STRIP * (len(lines) + _HEADROOM)
    marks = [*strip_marks(times), _cross("average, where these count with the limit", INK)]
    if not references.empty:
        marks.append(_cross("published average", MUTED))
    figure = new_figure(DOUBLE_COLUMN, _TOP + height + _BELOW + 0.05 + LEGEND_LINE)
    inch_legend(figure, 0.15, _TOP + height + _BELOW, marks, len(marks))
    for number, network in enumerate(networks):
        rows = times[times["network"] == network]
        place = left + number * (width + _GAP)
        axes = inch_axes(figure, place, _TOP, width, height)
        draw_times(axes, rows, lines)
        axes.set_ylim(len(lines) - 0.5, -0.5 - _HEADROOM)
        averages = rows.groupby("method")["seconds"].mean()
        _draw_crosses(axes, averages, [lines.index(line) for line in averages.index], INK)
        own = references[references["network"] == network]
        heights = [lines.index(line) for line in own["method"]]
        _draw_crosses(axes, own["seconds"], heights, MUTED)
        for seconds, line in zip(own["seconds"], heights, strict=True):
            axes.annotate(
                f"{seconds:,.4g} s", (seconds, line), (0, 3.5), textcoords="offset points",
                ha="center", va="bottom", size=TINY, color=MUTED,
                bbox={"color": "white", "pad": 0.4},
            )  # fmt: skip
        if number:
            axes.set_yticks(np.arange(len(lines)), [""] * len(lines))
        title = f"{network} ({images_text(rows)})"
        inch_text(figure, place, _TOP - 0.2, title, ha="left", va="baseline")
    share_times(figure, [draw_times])
    return figure


def _draw_crosses(
    axes: Axes, seconds: pd.Series[float], heights: Sequence[int], colour: str
) -> None:
    """Mark averages, each at the height of its line."""
    axes.plot(seconds, heights, **_cross_look(colour), zorder=5)


def _cross(label: str, colour: str) -> Line2D:
    """A cross for the legend."""
    return Line2D([], [], label=label, **_cross_look(colour))


def _cross_look(colour: str) -> dict[str, Any]:
    """How a cross is drawn."""
    return {
        "linestyle": "none", "marker": "x", "markersize": 4.5, "markeredgewidth": 1.2,
        "color": colour,
    }  # fmt: skip
