"""Figures of distances: how they are distributed, and how they grow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MultipleLocator
from numpy.typing import ArrayLike

from reluopt.errors import InputError
from reluopt.figures.style import (
    CYCLE,
    DOUBLE_COLUMN,
    INK,
    MARKERS,
    NORM_SYMBOLS,
    inch_axes,
    new_figure,
    style,
)
from reluopt.numerics.arrays import FloatArray

_LEFT, _BETWEEN, _RIGHT = 0.5, 0.55, 0.12
"""Inches left of panels, between them, and right of them."""

_HEIGHT = 1.75
"""Inches of a panel."""

_MARKS = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Heights at which a curve bears its marker."""


@style()
def distribution_figure(panels: Mapping[str, Mapping[str, ArrayLike]]) -> Figure:
    """Cumulative distributions of distances, one panel for each norm, side by side.

    Args:
        panels: for each norm (``l1``, ``l2`` or ``linf``) the distances by name of their series,
            the same names in the same order.

    Returns:
        A figure of :data:`DOUBLE_COLUMN` inches.

    Raises:
        InputError: nothing to draw, an unknown norm, or panels with different series.
    """
    names = _series(panels)
    top = 0.12 + 0.14 * -(-len(names) // 3)
    figure = new_figure(DOUBLE_COLUMN, top + _HEIGHT + 0.42)
    for axes, (norm, series) in zip(_row(figure, top, len(panels)), panels.items(), strict=True):
        for number, values in enumerate(series.values()):
            _draw_steps(axes, np.sort(np.asarray(values, dtype=np.float64)), number)
        axes.set(xlabel=f"{NORM_SYMBOLS[norm]} distance", ylim=(0.0, 1.02), xscale="log")
        axes.xaxis.set_major_formatter(FuncFormatter(_plain))
        axes.xaxis.set_minor_formatter(FuncFormatter(_two_or_five))
        axes.yaxis.set_major_locator(MultipleLocator(0.25))
        axes.yaxis.set_major_formatter(FuncFormatter(_percent))
        axes.grid(True, which="major")
    figure.axes[0].set_ylabel("images at most this far")
    _legend(figure, names)
    return figure


@style()
def growth_figure(percents: Sequence[float], distances: Mapping[str, ArrayLike]) -> Figure:
    """How distances grow with the margin, one column of panels for each norm.

    Above, the distance of each image over that at the first margin, a thin line each; below, the
    distances themselves. In front lie the median and the quartiles over all images.

    Args:
        percents: margins in per cent, the first one being the reference.
        distances: for each norm an array ``(images, margins)`` of positive distances.

    Returns:
        A figure of :data:`DOUBLE_COLUMN` inches.

    Raises:
        InputError: nothing to draw, an unknown norm, or arrays of another shape.
    """
    if not distances:
        raise InputError("figure: expected distances of at least one norm, found none")
    tables = {norm: np.asarray(values, dtype=np.float64) for norm, values in distances.items()}
    for norm, table in tables.items():
        _known(norm)
        if table.ndim != 2 or table.shape[0] == 0 or table.shape[1] != len(percents):
            raise InputError(
                f"figure: expected distances of shape (images, {len(percents)}), found "
                f"{table.shape}"
            )
    figure = new_figure(DOUBLE_COLUMN, 0.2 + 2 * _HEIGHT + 0.2 + 0.42)
    above = _row(figure, 0.2, len(tables))
    below = _row(figure, 0.2 + _HEIGHT + 0.2, len(tables))
    for upper, lower, (norm, table) in zip(above, below, tables.items(), strict=True):
        growth = (table / table[:, :1]).T
        images = upper.plot(percents, growth, color=CYCLE[5], linewidth=0.5, alpha=0.55)
        images[0].set_label("one image")
        _draw_quartiles(upper, percents, table / table[:, :1])
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


def _series(panels: Mapping[str, Mapping[str, ArrayLike]]) -> list[str]:
    """Names of the series of all panels."""
    lists = [list(series) for series in panels.values()]
    if not lists or not lists[0] or any(names != lists[0] for names in lists):
        raise InputError(f"figure: expected the same series for each norm, found {lists}")
    for norm, series in panels.items():
        _known(norm)
        empty = next((name for name, values in series.items() if not np.size(values)), None)
        if empty is not None:
            raise InputError(f"figure: expected distances for {empty!r}, found none")
    return lists[0]


def _known(norm: str) -> None:
    if norm not in NORM_SYMBOLS:
        raise InputError(f"figure: expected norm {', '.join(NORM_SYMBOLS)}, found '{norm}'")


def _row(figure: Figure, top: float, count: int) -> list[Axes]:
    """``count`` panels side by side over the whole width."""
    width = (DOUBLE_COLUMN - _LEFT - _RIGHT - _BETWEEN * (count - 1)) / count
    lefts = [_LEFT + number * (width + _BETWEEN) for number in range(count)]
    return [inch_axes(figure, left, top, width, _HEIGHT) for left in lefts]


def _draw_steps(axes: Axes, values: FloatArray, number: int) -> None:
    """One cumulative distribution with its markers."""
    shares = np.arange(1, values.size + 1) / values.size
    marks = sorted({min(int(share * values.size), values.size - 1) for share in _MARKS})
    axes.plot(
        values, shares, drawstyle="steps-post", markevery=marks,
        color=CYCLE[number % len(CYCLE)], marker=MARKERS[number % len(MARKERS)],
    )  # fmt: skip


def _draw_quartiles(axes: Axes, percents: Sequence[float], table: FloatArray) -> None:
    """Median as a line with markers, quartiles as a band with edges."""
    low, median, high = np.quantile(table, [0.25, 0.5, 0.75], axis=0)
    axes.fill_between(
        percents, low, high, color=CYCLE[1], alpha=0.22, linewidth=0.0, zorder=3, label="quartiles"
    )
    for edge in (low, high):
        axes.plot(percents, edge, color=CYCLE[1], linewidth=0.8, linestyle="--", zorder=4)
    axes.plot(percents, median, color=INK, marker="o", markersize=2.5, zorder=5, label="median")


def _legend(figure: Figure, names: Sequence[str]) -> None:
    """Names of the series above the panels, three a line."""
    handles = figure.axes[0].get_lines()
    figure.legend(
        handles, list(names), loc="upper left", ncols=3, columnspacing=1.6, labelspacing=0.25,
        bbox_to_anchor=(_LEFT / DOUBLE_COLUMN - 0.01, 1.0), borderaxespad=0.2,
    )  # fmt: skip


def _percent(share: float, _: object) -> str:
    return f"{100 * share:.0f} %"


def _plain(value: float, _: object) -> str:
    return f"{value:g}"


def _two_or_five(value: float, _: object) -> str:
    """Labels between powers of ten at 2 and 5 only."""
    leading = value / 10.0 ** np.floor(np.log10(value) + 1e-9)
    return f"{value:g}" if round(leading, 6) in (2.0, 5.0) else ""
