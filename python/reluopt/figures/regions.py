"""Linear regions in a plane: how many lines make, and a search that walks through some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from reluopt.errors import InputError
from reluopt.figures.panels import note
from reluopt.figures.style import (
    CYCLE,
    DOUBLE_COLUMN,
    INK,
    MARKERS,
    MUTED,
    SINGLE_COLUMN,
    SMALL,
    TINY,
    inch_axes,
    inch_legend,
    new_figure,
    style,
)
from reluopt.numerics.arrays import FloatArray

_MISREAD, _EDGE = "#fbd9c3", "#9aa5b1"


@style()
def arrangement_figure(
    neurons: ArrayLike,
    ends: tuple[float, float, float, float],
    counts: Mapping[int, int],
) -> Figure:
    """Linear regions of a few neurons in the plane, and how their number grows with the lines.

    Args:
        neurons: pre-activations of each at each point of a grid, rows from the bottom up, shape
            ``(neurons, m, n)``.
        ends: left, right, bottom and top of the grid.
        counts: numbers of regions that were counted, by number of neurons.
    """
    values = np.asarray(neurons, dtype=np.float64)
    if values.ndim != 3 or not counts:
        found = f"{values.shape} and {len(counts)}"
        raise InputError(f"figure: expected grids of neurons and counts, found {found}")
    figure = new_figure(DOUBLE_COLUMN, 2.75)
    left = inch_axes(figure, 0.45, 0.2, 2.1, 2.1)
    _draw_borders(left, values, ends)
    xs, ys = _sides(values, ends)
    absent = []
    for code in product((0, 1), repeat=len(values)):
        name = "".join(map(str, code))
        rows, columns = np.nonzero(((values > 0.0) == np.reshape(code, (-1, 1, 1))).all(axis=0))
        if not rows.size:
            absent.append(name)
            continue
        left.text(xs[columns].mean(), ys[rows].mean(), name, ha="center", va="center", size=SMALL)
    left.set(xlabel="$x_1$", ylabel="$x_2$")
    left.set_title(f"codes of neurons a, b, c: no {', '.join(absent)}", loc="left")
    right = inch_axes(figure, 3.3, 0.2, 3.55, 2.1)
    lines = np.arange(1, max(max(counts), 30) + 1)
    right.plot(lines, 2.0**lines, color=CYCLE[1], linestyle="--", label="codes, $2^n$")
    most = 1 + lines + lines * (lines - 1) / 2
    right.plot(lines, most, color=CYCLE[0], label="at most, $1 + n + n(n-1)/2$")
    right.plot(list(counts), list(counts.values()), "o", color=INK, label="counted")
    right.set(yscale="log", xlabel="neurons n (lines in the plane)", ylabel="linear regions")
    right.grid(True)
    right.legend(loc="upper left")
    return figure


@style()
def search_figure(
    neurons: ArrayLike,
    lead: ArrayLike,
    excess: ArrayLike,
    ends: tuple[float, float, float, float],
    path: ArrayLike,
    kinds: Sequence[str],
) -> Figure:
    """A search in a plane of the input space.

    Args:
        neurons: pre-activations of each at each point of a grid, shape ``(neurons, m, n)``.
        lead: of the true label's logit, shape ``(m, n)``.
        excess: distance from the start beyond the ball's radius, likewise.
        ends: left, right, bottom and top of the grid.
        path: points of the search, projected, shape ``(points, 2)``.
        kinds: what found each of them: a marker each.
    """
    values, leads, beyond = (np.asarray(x, dtype=np.float64) for x in (neurons, lead, excess))
    points = np.asarray(path, dtype=np.float64)
    if {values.shape[1:], leads.shape} != {beyond.shape} or len(points) != len(kinds):
        raise InputError("figure: expected grids of one shape, and a kind for each point")
    figure = new_figure(SINGLE_COLUMN, 3.55)
    axes = inch_axes(figure, 0.5, 0.42, SINGLE_COLUMN - 0.6, 2.7)
    sides = _sides(leads, ends)
    if leads.min() <= 0.0:
        axes.contourf(*sides, leads, [leads.min() - 1.0, 0.0], colors=[_MISREAD], zorder=0)
    _draw_borders(axes, values, ends)
    axes.contour(*sides, beyond, [0.0], colors=[MUTED], linestyles="--", linewidths=0.9)
    axes.plot(*points.T, color=INK, linewidth=0.9, zorder=3)
    handles = []
    for number, kind in enumerate(dict.fromkeys(kinds)):
        own = points[[k for k, found in enumerate(kinds) if found == kind]]
        marks: Any = {"color": CYCLE[number], "marker": MARKERS[number], "linestyle": "none"}
        handles += axes.plot(*own.T, label=kind, zorder=4, markersize=4.5, **marks)
    note(axes, "start", (points[0, 0], points[0, 1]), (4.0, 3.0), size=TINY)
    note(axes, "end", (points[-1, 0], points[-1, 1]), (4.0, 3.0), size=TINY)
    axes.set(xlabel="towards the end of the search", ylabel="across it")
    axes.set(xlim=ends[:2], ylim=ends[2:])
    inch_legend(figure, 0.5, 0.06, handles, 3)
    return figure


def _sides(grid: FloatArray, ends: tuple[float, float, float, float]) -> tuple[FloatArray, ...]:
    """Values of both inputs along the sides of a grid, its last two axes."""
    left, right, bottom, top = ends
    rows, columns = grid.shape[-2:]
    return np.linspace(left, right, columns), np.linspace(bottom, top, rows)


def _draw_borders(axes: Axes, neurons: FloatArray, ends: tuple[float, float, float, float]) -> None:
    """Lines where a neuron changes its phase."""
    for values in neurons:
        if values.min() < 0.0 < values.max():
            axes.contour(
                *_sides(values, ends), values, [0.0], colors=[_EDGE], linewidths=0.7, zorder=1
            )
    axes.set(xlim=ends[:2], ylim=ends[2:])
