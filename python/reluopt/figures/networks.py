"""Times of several networks: side by side with averages from elsewhere, and against their size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reluopt.errors import InputError
from reluopt.figures.panels import QUARTILES, note, share_xlim
from reluopt.figures.style import (
    CHARACTER,
    DOUBLE_COLUMN,
    INK,
    MUTED,
    SINGLE_COLUMN,
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
    limit_line,
    method_legend,
    method_look,
    method_names,
    seconds_axis,
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
            box = {"color": "white", "pad": 0.4}
            words = f"{seconds:,.4g} s"
            note(axes, words, (seconds, line), (0, 3.5), ha="center", color=MUTED, bbox=box)
        if number:
            axes.set_yticks(np.arange(len(lines)), [""] * len(lines))
        title = f"{network} ({images_text(rows)})"
        inch_text(figure, place, _TOP - 0.2, title, ha="left", va="baseline")
    share_xlim(figure.axes)
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


@style()
def time_versus_size_figure(table: pd.DataFrame) -> Figure:
    """Median time of every method against the size of the networks.

    Lines reach from the first to the third quartile. Hollow triangles are medians at the limit.

    Args:
        table: as for the other figures, with a column ``neurons`` (hidden ReLUs of the network).
    """
    times = check_times(table, "neurons")
    methods = method_names(times)
    sizes = times.groupby("network", sort=False)["neurons"].first().sort_values(kind="stable")
    width = SINGLE_COLUMN if len(sizes) <= 5 else DOUBLE_COLUMN
    top = 0.1 + 0.12 * len(methods)
    figure = new_figure(width, top + 2.45)
    axes = inch_axes(figure, 0.5, top, width - 0.62, 1.9)
    for number, method in enumerate(methods):
        shift = 0.12 * (number - (len(methods) - 1) / 2)
        own = times[times["method"] == method]
        _draw_sizes(axes, own, list(sizes.index), shift, method_look(methods, method), method)
    names = [f"{name}\n{int(size)}" for name, size in sizes.items()]
    axes.set_xticks(range(len(names)), names)
    axes.set(xlabel="network and its hidden neurons", ylabel="time per image (s)")
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.margins(y=0.12)
    seconds_axis(axes, "y")
    limit_line(axes, times, "y")
    method_legend(axes)
    return figure


def _draw_sizes(
    axes: Axes, own: pd.DataFrame, networks: Sequence[str], shift: float, look: Any, label: str
) -> None:
    """Quartiles of one method over the networks."""
    groups = own.groupby("network", sort=False)
    present = [network for network in networks if network in groups.groups]
    quartiles = groups["seconds"].quantile(np.array(QUARTILES)).unstack().loc[present]
    censored = (groups["proven"].mean().loc[present] <= 0.5).to_numpy()
    places = np.array([networks.index(network) for network in present]) + shift
    medians = quartiles[0.5].to_numpy()
    axes.vlines(places, quartiles[0.25], quartiles[0.75], color=look["color"], linewidth=0.9)
    axes.plot(
        places, medians, linewidth=0.8, markevery=list(np.flatnonzero(~censored)), label=label,
        **look,
    )  # fmt: skip
    axes.plot(
        places[censored], medians[censored], linestyle="none", marker="^", markersize=4.5,
        markerfacecolor="white", markeredgecolor=look["color"], zorder=4,
    )  # fmt: skip
