r"""Figures of times: strips, performance profiles, time against size.

Tables of times hold one row for each (network, image, method) with the columns ``network``,
``image``, ``method``, ``seconds`` (wall clock), ``proven`` (whether the question was settled) and
``time_limit`` (seconds). Rows that were not proven are *censored*: all that is known of their time
is that it exceeds the limit. They are drawn at the limit, as hollow triangles pointing right or up,
and never count as solved in a performance profile. A table that is empty or lacks a column is an
:class:`~reluopt.errors.InputError`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator
from matplotlib.transforms import ScaledTranslation

from reluopt.errors import InputError
from reluopt.figures.panels import note, percent_axis, share_xlim, spread, strip_axis
from reluopt.figures.style import (
    CHARACTER,
    DOUBLE_COLUMN,
    INK,
    MUTED,
    SINGLE_COLUMN,
    SMALL,
    inch_axes,
    inch_legend,
    inch_text,
    new_figure,
    series_look,
    style,
)
from reluopt.numerics.arrays import FloatArray

TIME_COLUMNS = ("network", "image", "method", "seconds", "proven", "time_limit")

STRIP = 0.33
"""Inches from one strip to the next, which are 1 apart on their axis."""

_JITTER, _BAR = 0.2, 0.27
"""Half the height over which the points of a strip are spread, and half that of the median's bar:
the value above a bar never meets the strip above.
"""

LEGEND_LINE = 0.15
"""Inches of a line of a legend."""

_DIGIT = 0.02
"""Share of the width of a strip that a digit takes, beside the triangle of stopped runs."""

_MARKS = (0.0, 0.25, 0.5, 0.75)
"""Heights, as shares of a profile, at which its marker is drawn."""

_KEY = 0.2
"""Inches below the panels for what their marks mean."""

_HANDLE, _TITLE = 0.5, 1.8
"""Inches that a legend's entry takes beside its text, and that a panel's title takes beside it."""

_FAR = 1e12
"""Where profiles end: right of every axis."""

_Draw = Callable[[Axes, pd.DataFrame, Sequence[str]], None]


def performance_profile(table: pd.DataFrame) -> dict[str, tuple[FloatArray, FloatArray]]:
    r"""Performance profiles of Dolan and Moré (2002), equation (2.1).

    .. math:: \rho_m(\tau) = \frac1n
              \left|\{i : t_{i,m} \text{ proven},\ t_{i,m} \le \tau \min_{m'} t_{i,m'}\}\right|

    where the minimum runs over methods that proved instance i. Censored runs never count, and
    instances that no method proved stay in n.

    Args:
        table: see the module's documentation.

    Returns:
        For each method the ratios :math:`\tau` where its profile steps up, and its height from
        there on; both empty for a method that proved nothing.
    """
    checked = check_times(table)
    times = checked.assign(seconds=checked["seconds"].where(checked["proven"], np.inf))
    wide = times.pivot(index=["network", "image"], columns="method", values="seconds")
    wide = wide.fillna(np.inf)
    best = wide.min(axis=1)
    profiles = {}
    for method in method_names(table):
        proven = np.isfinite(wide[method])
        ratios = np.sort((wide[method][proven] / best[proven]).to_numpy(dtype=np.float64))
        profiles[method] = (ratios, np.arange(1, ratios.size + 1) / len(wide))
    return profiles


@style()
def performance_profile_figure(table: pd.DataFrame) -> Figure:
    """:func:`performance_profile` of every method, in one panel of :data:`SINGLE_COLUMN` inches."""
    methods = method_names(check_times(table))
    top = 0.1 + 0.12 * len(methods)
    figure = new_figure(SINGLE_COLUMN, top + 2.32)
    axes = inch_axes(figure, 0.54, top, SINGLE_COLUMN - 0.68, 1.9)
    _draw_profile(axes, table, methods)
    method_legend(axes)
    return figure


@style()
def time_figure(table: pd.DataFrame) -> Figure:
    """The time of every image by method, one panel for each network, on a logarithmic axis.

    The bar is the median, with a >= when half of the images were not proven within the limit.
    Beside the hollow triangle stands how many were not.
    """
    return _panels(table, [draw_times])


@style()
def benchmark_figure(table: pd.DataFrame) -> Figure:
    """Times and performance profiles side by side for each network.

    The curves are named above them on the right, by colours and markers of the strips on the left.
    """
    return _panels(table, [draw_times, _draw_profile])


def check_times(table: pd.DataFrame, *more: str) -> pd.DataFrame:
    """``table`` with censored times at the limit; refuses empty and unfitting tables."""
    for column in (*TIME_COLUMNS, *more):
        if column not in table.columns:
            raise InputError(f"figure: expected a table with a column '{column}', found none")
    if table.empty:
        raise InputError("figure: expected a table of times, found one without rows")
    proven = table["proven"].astype(bool)
    seconds = table["seconds"].astype(float).where(proven, table["time_limit"].astype(float))
    return table.assign(seconds=seconds, proven=proven)


def method_names(table: pd.DataFrame) -> list[str]:
    """Methods in the order of their first appearance, which gives them their colours."""
    return [str(method) for method in table["method"].unique()]


def method_look(methods: Sequence[str], method: str) -> dict[str, Any]:
    """Colour and marker of a method."""
    colour, marker = series_look(list(methods).index(method))
    return {"color": colour, "marker": marker}


def _panels(table: pd.DataFrame, draws: Sequence[_Draw]) -> Figure:
    """One row of panels for each network, one column for each way to draw."""
    times = check_times(table)
    methods = method_names(times)
    networks = list(times["network"].unique())
    left = 0.15 + CHARACTER * max(len(method) for method in methods)
    between, below = 0.53, 0.42
    gap = 0.58 + (0.0 if times["proven"].all() else 0.14)  # the number of stopped runs stands there
    room = DOUBLE_COLUMN - left - 0.12 - gap * (len(draws) - 1)
    widths = [room] if len(draws) == 1 else [0.58 * room, 0.42 * room]
    height = max(0.15 + STRIP * len(methods), 1.25 if len(draws) > 1 else 0.6)
    several = len(draws) > 1
    entry = _HANDLE + CHARACTER * max(len(method) for method in methods)
    beside = 2 if 2.0 * entry < DOUBLE_COLUMN - left - _TITLE else 1
    top = 0.3 + (LEGEND_LINE * -(-len(methods) // beside) - 0.1 if several else 0.0)
    marks = strip_marks(times)
    step = height + between
    figure = new_figure(DOUBLE_COLUMN, top + len(networks) * step - between + below + _KEY)
    for row, network in enumerate(networks):
        rows = times[times["network"] == network]
        place = left
        for draw, width in zip(draws, widths, strict=True):
            axes = inch_axes(figure, place, top + row * step, width, height)
            draw(axes, rows, methods)
            if row + 1 < len(networks):
                axes.set_xlabel("")
            place += width + gap
        title = f"{network} ({images_text(rows)})"
        inch_text(figure, left, top + row * step - 0.17, title, ha="left", va="baseline")
    inch_legend(figure, left, top + len(networks) * step - between + below, marks, len(marks))
    if several:
        names = [Line2D([], [], label=name, **method_look(methods, name)) for name in methods]
        inch_legend(figure, DOUBLE_COLUMN - 0.12, 0.05, names, beside, "upper right")
    for column in range(len(draws)):  # rows compare
        share_xlim(figure.axes[column :: len(draws)])
    return figure


def images_text(rows: pd.DataFrame) -> str:
    """``1 image``, ``40 images``."""
    count = rows["image"].nunique()
    return f"{count} image{'' if count == 1 else 's'}"


def strip_marks(times: pd.DataFrame) -> list[Artist]:
    """What the marks of strips mean, as handles of a legend."""
    plain: Any = {"linestyle": "none", "color": MUTED}
    marks: list[Artist] = [
        Line2D([], [], label="one image", marker="o", markersize=3.0, **plain),
        Line2D([], [], label="median", linestyle="none", marker="|", markersize=9.0, color=INK,
               markeredgewidth=1.4),
    ]  # fmt: skip
    if not times["proven"].all():
        marks.append(
            Line2D([], [], label="number of images not proven within the limit", marker=">",
                   markersize=4.5, markerfacecolor="white", markeredgecolor=MUTED, linestyle="none")
        )  # fmt: skip
    return marks


def draw_times(axes: Axes, rows: pd.DataFrame, methods: Sequence[str]) -> None:
    """A strip of points for each method, with the median."""
    for number, method in enumerate(methods):
        own = rows[rows["method"] == method]
        look = method_look(methods, method)
        seconds = own.loc[own["proven"], "seconds"].to_numpy(dtype=np.float64)
        axes.scatter(
            seconds, number + _JITTER * spread(seconds.size), s=9.0, edgecolors="none", alpha=0.75,
            clip_on=False, zorder=3, **look,
        )  # fmt: skip
        if not own.empty:
            _draw_censored(axes, own, number, look["color"])
            _draw_median(axes, own, number)
    strip_axis(axes, methods)
    axes.set_xlabel("time per image (s)")
    seconds_axis(axes, "x")
    stopped = (~rows["proven"]).groupby(rows["method"]).sum().max() if len(rows) else 0
    axes.margins(x=0.04 + _DIGIT * (len(str(stopped)) - 1))
    limit_line(axes, rows, "x")


def _draw_censored(axes: Axes, own: pd.DataFrame, number: int, colour: str) -> None:
    """A hollow triangle beyond the limit, with the number of runs that it stopped."""
    stopped = own.loc[~own["proven"], "time_limit"]
    if stopped.empty:
        return
    limit = float(stopped.max())
    figure = cast("Figure", axes.get_figure(root=True))
    shift = ScaledTranslation(6 / 72, 0.0, figure.dpi_scale_trans)
    axes.plot(
        limit, number, marker=">", markersize=4.5, markerfacecolor="white",
        markeredgecolor=colour, clip_on=False, transform=axes.transData + shift,
    )  # fmt: skip
    beside: Any = {"ha": "left", "va": "center", "size": SMALL, "annotation_clip": False}
    note(axes, f"{len(stopped)}", (limit, number), (10, 0), **beside)


def _draw_median(axes: Axes, own: pd.DataFrame, number: int) -> None:
    """A black bar at the median and its value above it."""
    median = float(own["seconds"].median())
    censored = float(own["proven"].mean()) <= 0.5
    axes.plot(
        [median, median], [number - _BAR, number + _BAR],
        color=INK, linewidth=1.4, solid_capstyle="butt", zorder=4,
    )  # fmt: skip
    value = f"{median:#.3g}".rstrip(".")
    near = median > 0.4 * float(own["time_limit"].max())
    words, side = f"{'≥ ' if censored else ''}{value} s", "right" if near else "center"
    note(axes, words, (median, number - _BAR), (-3 * near, 1.0), ha=side, zorder=5)


def _draw_profile(axes: Axes, rows: pd.DataFrame, methods: Sequence[str]) -> None:
    """Performance profiles as steps."""
    profiles = performance_profile(rows)
    widest = max((float(ratios[-1]) for ratios, _ in profiles.values() if ratios.size), default=1.0)
    end = max(widest * 1.3, 2.0)
    for method in methods:
        ratios, shares = profiles.get(method, (np.zeros(0), np.zeros(0)))
        look = method_look(methods, method)
        if not ratios.size:
            axes.plot([], [], label=method, **look)
            continue
        marks = [int(share * (ratios.size - 1)) + 1 for share in _MARKS]
        axes.plot(
            np.concatenate([ratios[:1], ratios, [_FAR]]),
            np.concatenate([[0.0], shares, shares[-1:]]),
            drawstyle="steps-post", markevery=[*marks, ratios.size], label=method,
            **look,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set(xlim=(end**-0.03, end), ylim=(-0.03, 1.04))
    axes.set(xlabel="time / time of the fastest method", ylabel="images proven")
    axes.xaxis.set_major_formatter(FuncFormatter(_plain))
    axes.xaxis.set_minor_formatter(_between_decades(axes.xaxis))
    percent_axis(axes)
    axes.grid(True, which="major")


def seconds_axis(axes: Axes, which: str) -> None:
    """A logarithmic axis with plain numbers."""
    if which == "x":
        axes.set_xscale("log")
        axes.margins(x=0.04)
    else:
        axes.set_yscale("log")
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(LogLocator(numticks=8))
    axis.set_major_formatter(FuncFormatter(_plain))
    axis.set_minor_formatter(_between_decades(axis))
    axes.grid(True, which="major", axis="x" if which == "x" else "y")


def _between_decades(axis: Axis) -> FuncFormatter:
    """Labels at 2 and 5 where an axis is so short that decades alone say too little."""

    def label(value: float, _: object) -> str:
        low, high = axis.get_view_interval()
        leading = round(value / 10.0 ** math.floor(math.log10(value)), 6)
        return _plain(value, None) if high < 30.0 * low and leading in (2.0, 5.0) else ""

    return FuncFormatter(label)


def _plain(value: float, _: object) -> str:
    """``0.01``, ``10``, ``1,000``."""
    return f"{value:g}" if value < 1000 else f"{value:,.0f}"


def limit_line(axes: Axes, rows: pd.DataFrame, which: str) -> None:
    """A dotted line at each time limit, when a run was stopped by it."""
    for limit in sorted(set(rows.loc[~rows["proven"], "time_limit"])):
        options: Any = {"color": MUTED, "linewidth": 0.7, "linestyle": (0, (1, 1.5)), "zorder": 2}
        if which == "x":
            axes.axvline(limit, **options)
            place, transform = (limit, 1.0), axes.get_xaxis_transform()
        else:
            axes.axhline(limit, **options)
            place, transform = (1.0, limit), axes.get_yaxis_transform()
        words: Any = {"ha": "right", "color": MUTED, "xycoords": transform}
        note(axes, f"limit {limit:g} s", place, (0, 2), **words)


def method_legend(axes: Axes) -> None:
    """The methods above the axes, one a line: below it any corner may hold a curve."""
    axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.01), borderaxespad=0.0, labelspacing=0.2)
