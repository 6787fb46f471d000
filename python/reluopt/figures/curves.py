"""Curves of distances: how they are distributed, and how they grow with what is asked.

Nothing to draw, arrays that do not fit, and unknown norms (``l1``, ``l2``, ``linf`` are known) are
an :class:`~reluopt.errors.InputError`. All figures are :data:`DOUBLE_COLUMN` inches wide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter, NullFormatter
from numpy.typing import ArrayLike

from reluopt.errors import InputError
from reluopt.figures.frames import framed, nested, ordered, wide
from reluopt.figures.panels import (
    QUARTILES,
    arrays_of_shape,
    check_norms,
    note,
    panel_row,
    percent_axis,
    series_names,
    short,
)
from reluopt.figures.pictures import limit_name
from reluopt.figures.style import (
    CYCLE,
    DOUBLE_COLUMN,
    INK,
    MARKERS,
    NORM_SYMBOLS,
    SMALL,
    inch_axes,
    new_figure,
    style,
)
from reluopt.numerics.arrays import BoolArray, FloatArray

_SIDES = (0.5, 0.55, 0.12)
"""Inches left of panels, between them, and right of them."""

_HEIGHT = 1.75
"""Inches of a panel."""

_MARKS = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Heights at which a curve bears its marker."""

_BOUND = "not proven: at least this far"

_HOLLOW: dict[str, Any] = {"linestyle": "none", "marker": ">", "markerfacecolor": "white"}
"""How what is not proven is marked, at its bound."""

_LABEL_ROOM = 0.055
"""Least distance of the words at two lines' ends, as a share of the panel's height."""

_PROVEN = 1e-5
"""Relative difference up to which a bound counts as the distance: what rounding in tables loses."""


def _distribution_figure_arguments(frame: pd.DataFrame) -> dict[str, Any]:
    """A panel for each norm, a curve for each series."""
    return {"panels": nested(frame, "distance", "norm", "series")}


@framed(_distribution_figure_arguments, "norm", "series", "distance")
@style()
def distribution_figure(
    panels: Mapping[str, Mapping[str, ArrayLike]],
    unproven: Mapping[str, Mapping[str, ArrayLike]] | None = None,
) -> Figure:
    """Cumulative distributions of distances, one panel for each norm, side by side.

    Args:
        panels: for each norm the distances by name of their series, the same names in the same
            order.
        unproven: which of them are lower bounds, likewise; these have hollow marks.
    """
    names = series_names(panels)
    for name, values in ((n, v) for series in panels.values() for n, v in series.items()):
        if not np.size(values):
            raise InputError(f"figure: expected distances for {name!r}, found none")
    top = 0.12 + 0.14 * -(-(len(names) + (unproven is not None)) // 3)
    figure = new_figure(DOUBLE_COLUMN, top + _HEIGHT + 0.42)
    row = list(panel_row(figure, top, _HEIGHT, len(panels), _SIDES))
    for axes, (norm, series) in zip(row, panels.items(), strict=True):
        open_of = (unproven or {}).get(norm, {})
        for number, (name, values) in enumerate(series.items()):
            distances = np.asarray(values, dtype=np.float64)
            bounds = np.zeros(distances.shape, dtype=np.bool_)
            _draw_steps(axes, distances, bounds | np.asarray(open_of.get(name, False)), number)
        axes.set(xlabel=f"{NORM_SYMBOLS[norm]} distance", ylim=(0.0, 1.02), xscale="log")
        axes.xaxis.set_major_formatter(FuncFormatter(short))
        axes.xaxis.set_minor_formatter(FuncFormatter(_two_or_five))
        percent_axis(axes)
        axes.grid(True, which="major")
    row[0].set_ylabel("images at most this far")
    lines = dict(zip(names, row[0].get_lines()[::2], strict=True))
    if any(np.any(flags) for own in (unproven or {}).values() for flags in own.values()):
        lines[_BOUND] = Line2D([], [], color=INK, **_HOLLOW)
    figure.legend(
        lines.values(), list(lines), loc="upper left", ncols=3, columnspacing=1.6,
        labelspacing=0.25, bbox_to_anchor=(_SIDES[0] / DOUBLE_COLUMN - 0.01, 1.0),
        borderaxespad=0.2,
    )  # fmt: skip
    return figure


def _growth_figure_arguments(frame: pd.DataFrame) -> dict[str, Any]:
    """Images down, margins across."""
    norms = {
        norm: wide(part, "distance", "image", "percent") for norm, part in frame.groupby("norm")
    }
    return {"percents": ordered(frame, "percent"), "distances": norms}


@framed(_growth_figure_arguments, "norm", "image", "percent", "distance")
@style()
def growth_figure(percents: Sequence[float], distances: Mapping[str, ArrayLike]) -> Figure:
    """How distances grow with the margin, one column of panels for each norm.

    Above, the distance of each image over that at the first margin, a thin line each; below, the
    distances themselves. In front lie the median and the quartiles over all images.

    Args:
        percents: margins in per cent, the first one being the reference.
        distances: for each norm an array ``(images, margins)`` of positive distances.
    """
    if not distances:
        raise InputError("figure: expected distances of at least one norm, found none")
    check_norms(distances)
    tables = {
        norm: arrays_of_shape("distances", (None, len(percents)), [values])[0]
        for norm, values in distances.items()
    }
    figure = new_figure(DOUBLE_COLUMN, 0.2 + 2 * _HEIGHT + 0.2 + 0.42)
    above = list(panel_row(figure, 0.2, _HEIGHT, len(tables), _SIDES))
    below = list(panel_row(figure, 0.2 + _HEIGHT + 0.2, _HEIGHT, len(tables), _SIDES))
    for upper, lower, (norm, table) in zip(above, below, tables.items(), strict=True):
        growth = table / table[:, :1]
        images = upper.plot(percents, growth.T, color=CYCLE[5], linewidth=0.5, alpha=0.55)
        images[0].set_label("one image")
        _draw_quartiles(upper, percents, growth)
        _draw_quartiles(lower, percents, table)
        upper.tick_params(labelbottom=False)
        lower.set(xlabel="margin (%)", ylabel=f"{NORM_SYMBOLS[norm]} distance")
        lower.set_ylim(bottom=0.0)
        upper.set_ylabel(f"{NORM_SYMBOLS[norm]} distance / that at {percents[0]:g} %")
        for axes in (upper, lower):
            axes.set_xlim(min(percents) - 1.5, max(percents) + 1.5)
            axes.grid(True)
    highest = max(axes.get_ylim()[1] for axes in above)
    for axes in above:
        axes.set_ylim(1.0 - 0.04 * (highest - 1.0), highest)
    above[0].legend(loc="upper left")
    return figure


def _draw_steps(axes: Axes, distances: FloatArray, bounds: BoolArray, number: int) -> None:
    """One cumulative distribution with its markers, and a second line of those of bounds."""
    order = np.argsort(distances, kind="stable")
    values, hollow = distances[order], bounds[order]
    shares = np.arange(1, values.size + 1) / values.size
    wanted = sorted({min(int(share * values.size), values.size - 1) for share in _MARKS})
    colour = CYCLE[number % len(CYCLE)]
    axes.plot(
        values, shares, drawstyle="steps-post", markevery=[k for k in wanted if not hollow[k]],
        color=colour, marker=MARKERS[number % len(MARKERS)], zorder=2.0,
    )  # fmt: skip
    axes.plot(values[hollow], shares[hollow], color=colour, zorder=2.5, **_HOLLOW)


def _draw_quartiles(axes: Axes, percents: Sequence[float], table: FloatArray) -> None:
    """Median as a line with markers, quartiles as a band with edges."""
    low, median, high = np.quantile(table, QUARTILES, axis=0)
    axes.fill_between(
        percents, low, high, color=CYCLE[1], alpha=0.22, linewidth=0.0, zorder=3, label="quartiles"
    )
    for edge in (low, high):
        axes.plot(percents, edge, color=CYCLE[1], linewidth=0.8, linestyle="--", zorder=4)
    axes.plot(percents, median, color=INK, marker="o", markersize=2.5, zorder=5, label="median")


def _two_or_five(value: float, _: object) -> str:
    """Labels between powers of ten at 2 and 5 only."""
    leading = value / 10.0 ** np.floor(np.log10(value) + 1e-9)
    return f"{value:g}" if round(leading, 6) in (2.0, 5.0) else ""


@style()
def blend_figure(
    weights: Sequence[float],
    names: Sequence[str],
    l1_ratios: ArrayLike,
    l2_ratios: ArrayLike,
    pixels: ArrayLike,
    largest: ArrayLike,
) -> Figure:
    """Both norms against each other, and how many pixels change by how much, over the weight.

    Left: the median L1 and L2 length of the answers over the least possible one, one point for each
    measure; middle and right: number of changed pixels and largest change of a pixel, the median
    as a line with markers and the quartiles as a band.

    Args:
        weights: weight of L1 of each measure, rising: 0 is L2 and 1 is L1.
        names: what the measures are called beside their points.
        l1_ratios: L1 lengths over the least ones, shape ``(images, measures)``.
        l2_ratios: the same for L2.
        pixels: numbers of changed pixels, of the same shape.
        largest: largest changes of a pixel, of the same shape.
    """
    columns = len(weights) if len(weights) == len(names) else 0
    first, second, *others = arrays_of_shape(
        "four tables", (None, columns), (l1_ratios, l2_ratios, pixels, largest)
    )
    height = 1.8
    figure = new_figure(DOUBLE_COLUMN, 0.12 + height + 0.42)
    trade = inch_axes(figure, 0.68, 0.12, 2.25, height)
    _draw_trade(trade, names, np.median(first, axis=0), np.median(second, axis=0))
    labels = ("changed pixels", "largest change of a pixel")
    for number, (label, table) in enumerate(zip(labels, others, strict=True)):
        axes = inch_axes(figure, 3.5 + 1.94 * number, 0.12, 1.37, height)
        low, middle, high = np.quantile(table, QUARTILES, axis=0)
        axes.fill_between(weights, low, high, color=CYCLE[5], alpha=0.35, linewidth=0.0)
        axes.plot(weights, middle, color=CYCLE[0], marker="o")
        axes.set(xlabel=r"weight $w$ of $L_1$", ylabel=label, ylim=(0.0, None), xlim=(-0.03, 1.03))
        axes.set_xticks([0.0, 0.5, 1.0], ["0", "0.5", "1"])
        axes.grid(True)
    return figure


def _draw_trade(axes: Axes, names: Sequence[str], first: FloatArray, second: FloatArray) -> None:
    """The curve from L2 to L1 with a name at each point."""
    axes.plot(first, second, color=CYCLE[1], marker="s", zorder=3)
    for name, across, up in zip(names, first, second, strict=True):
        note(axes, name, (across, up), (4, 3), va="baseline", size=SMALL, color=INK)
    percent = FuncFormatter(lambda value, _: f"{100.0 * (value - 1.0):+.0f} %".replace("+0 ", "0 "))
    for axis, norm in ((axes.xaxis, "l1"), (axes.yaxis, "l2")):
        axis.set_major_formatter(percent)
        axis.set_label_text(f"{NORM_SYMBOLS[norm]} length over the least")
    axes.margins(x=0.12, y=0.12)
    axes.grid(True)


def _limit_figure_arguments(frame: pd.DataFrame) -> dict[str, Any]:
    """Images down, limits across; no limit is a missing one."""
    tables = {n: wide(frame, n, "image", "smoothness") for n in ("distance", "bound", "largest")}
    return {
        "limits": ordered(frame, "smoothness"),
        "distances": tables["distance"],
        "bounds": tables["bound"],
        "largest": tables["largest"],
        "labels": ordered(frame, "image"),
    }


@framed(_limit_figure_arguments, "image", "smoothness", "distance", "bound", "largest")
@style()
def limit_figure(
    limits: Sequence[float | None],
    distances: ArrayLike,
    bounds: ArrayLike,
    largest: ArrayLike,
    labels: Sequence[int],
    norm: str = "l1",
) -> Figure:
    """Distance and largest change of a pixel against the limit, one line for each image.

    A filled marker is a proven distance. An open one is the best image known, with a bar down to
    the proven bound. A line ends where no image was found.

    Args:
        limits: limits on the difference of neighbouring changes, None for none; at least one.
        distances: shape ``(images, limits)``; NaN or infinite without an image.
        bounds: proven bounds on the distances, likewise.
        largest: the largest change of a pixel, likewise.
        labels: a word for each image, written at its line.
        norm: how distances are measured.
    """
    tables = arrays_of_shape("arrays", (len(labels), len(limits)), (distances, bounds, largest))
    check_norms([norm])
    far, low, high = (np.where(np.isfinite(table), table, np.nan) for table in tables)
    top, width, height = 0.12, 2.75, 2.3
    figure = new_figure(DOUBLE_COLUMN, top + height + 0.45)
    panels = [
        inch_axes(figure, left, top, width, height) for left in (0.5, DOUBLE_COLUMN - width - 0.12)
    ]
    for axes, values in zip(panels, (far, high), strict=True):
        _draw_lines(axes, values, far, low)
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(short))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.xaxis.set_major_locator(FixedLocator(range(len(limits))))
        axes.xaxis.set_major_formatter(FixedFormatter([limit_name(limit) for limit in limits]))
        axes.set_xlim(-0.15, len(limits) - 0.5)
        axes.set_xlabel("limit $s$ on neighbouring changes (pixel units)")
        axes.grid(True, axis="y")
        _write_labels(axes, values, labels)
    for panel in panels:
        panel.yaxis.set_major_locator(FixedLocator(_steps(panel.get_ylim())))
    panels[0].set_ylabel(f"{NORM_SYMBOLS[norm]} distance (pixel units)")
    panels[1].set_ylabel("largest change of a pixel (pixel units)")
    return figure


def _draw_lines(axes: Axes, values: FloatArray, distances: FloatArray, bounds: FloatArray) -> None:
    """A line for each image; open markers where the bound lies below the distance."""
    for number, line in enumerate(values):
        colour, marker = CYCLE[number % len(CYCLE)], MARKERS[number % len(MARKERS)]
        dashes = "-" if number < len(CYCLE) else (0, (4, 1.5))
        axes.plot(line, color=colour, linewidth=0.9, linestyle=dashes)
        proven = bounds[number] >= distances[number] * (1.0 - _PROVEN)
        open_ended = ~proven & np.isfinite(line)
        places = np.arange(line.size)
        axes.plot(
            places[proven], line[proven], marker, color=colour, markersize=3.0, linestyle="none"
        )
        axes.plot(
            places[open_ended], line[open_ended], "o", color=colour, markersize=4.5,
            linestyle="none", markerfacecolor="white",
        )  # fmt: skip
        if values is distances:
            for place in places[open_ended]:
                low = bounds[number, place]
                axes.plot(
                    [place, place], [low, line[place]], ":", color=colour, linewidth=0.7, zorder=1
                )


def _write_labels(axes: Axes, values: FloatArray, labels: Sequence[int]) -> None:
    """The words of all lines right of their ends, moved apart where they would overlap."""
    low, high = np.log(axes.get_ylim())
    known = [np.flatnonzero(np.isfinite(line)) for line in values]
    last = [int(places[-1]) if places.size else None for places in known]
    for column in range(values.shape[1]):
        own = [number for number, place in enumerate(last) if place == column]
        own.sort(key=lambda number: float(values[number, column]))
        heights = [(np.log(values[number, column]) - low) / (high - low) for number in own]
        for place in range(1, len(heights)):
            heights[place] = max(heights[place], heights[place - 1] + _LABEL_ROOM)
        excess = max(0.0, (heights[-1] - 0.99) if heights else 0.0)
        for number, height in zip(own, heights, strict=True):
            note(
                axes, str(labels[number]), (column, height - excess), (5.0, 0.0), va="center",
                xycoords=("data", "axes fraction"), size=SMALL, color=CYCLE[number % len(CYCLE)],
            )  # fmt: skip


def _steps(limits: tuple[float, float]) -> list[float]:
    """1, 2 and 5 times the powers of ten between two limits."""
    low, high = limits
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    steps = [factor * 10.0**power for power in powers for factor in (1.0, 2.0, 5.0)]
    return [step for step in steps if low <= step <= high]
