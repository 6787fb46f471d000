"""Linear regions in a plane: how many lines make, and a search that walks through some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

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
from reluopt.numerics.arrays import BoolArray, FloatArray

_MISREAD, _EDGE = "#fbd9c3", "#9aa5b1"

Codes = NDArray[Any]
"""A number for each pixel that tells its linear region, rows from the bottom up."""


@style()
def arrangement_figure(
    codes: ArrayLike,
    names: Mapping[int, str],
    ends: tuple[float, float, float, float],
    missing: str,
    counts: Mapping[int, int],
) -> Figure:
    """Linear regions of a few neurons in the plane, and how their number grows with the lines.

    Args:
        codes: the linear region at each point of a grid, shape ``(m, n)``.
        names: what is written into each.
        ends: left, right, bottom and top of the grid.
        missing: the code that no input has.
        counts: numbers of regions that were counted, by number of neurons.
    """
    grid = np.asarray(codes)
    if grid.ndim != 2 or not counts:
        found = f"{grid.shape} and {len(counts)}"
        raise InputError(f"figure: expected a grid of codes and counts, found {found}")
    figure = new_figure(DOUBLE_COLUMN, 2.75)
    left = inch_axes(figure, 0.45, 0.2, 2.1, 2.1)
    _draw_edges(left, grid, ends)
    xs, ys = _sides(grid, ends)
    for code, name in names.items():
        rows, columns = np.nonzero(grid == code)
        left.text(xs[columns].mean(), ys[rows].mean(), name, ha="center", va="center", size=SMALL)
    left.set(xlabel="$x_1$", ylabel="$x_2$")
    left.set_title(f"codes of neurons a, b, c: no {missing}", loc="left")
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
    codes: ArrayLike,
    misread: ArrayLike,
    inside: ArrayLike,
    ends: tuple[float, float, float, float],
    path: ArrayLike,
    kinds: Sequence[str],
) -> Figure:
    """A search in a plane of the input space.

    Args:
        codes: the linear region at each point of a grid, shape ``(m, n)``.
        misread: whether the network misreads it, likewise.
        inside: whether it lies in ball and box, likewise.
        ends: left, right, bottom and top of the grid.
        path: points of the search, projected, shape ``(points, 2)``.
        kinds: what found each of them: a marker each.
    """
    grid, wrong, within = (np.asarray(each) for each in (codes, misread, inside))
    points = np.asarray(path, dtype=np.float64)
    if {grid.shape, wrong.shape, within.shape} != {grid.shape} or len(points) != len(kinds):
        raise InputError("figure: expected grids of one shape, and a kind for each point")
    figure = new_figure(SINGLE_COLUMN, 3.55)
    axes = inch_axes(figure, 0.5, 0.42, SINGLE_COLUMN - 0.6, 2.7)
    shade = np.where(wrong, 1.0, np.nan)
    _shade(axes, shade, ends, _MISREAD, 0)
    _draw_edges(axes, grid, ends)
    axes.contour(
        *_sides(grid, ends),
        within.astype(float),
        [0.5],
        colors=[MUTED],
        linestyles="--",
        linewidths=0.9,
    )
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


def _sides(grid: Codes, ends: tuple[float, float, float, float]) -> tuple[FloatArray, FloatArray]:
    """Values of both inputs along the sides of a grid."""
    left, right, bottom, top = ends
    rows, columns = grid.shape
    return np.linspace(left, right, columns), np.linspace(bottom, top, rows)


def _shade(
    axes: Axes, shade: FloatArray, ends: tuple[float, float, float, float], colour: str, zorder: int
) -> None:
    """Colour what is no NaN: pixels around the points of a grid."""
    left, right, bottom, top = ends
    rows, columns = shade.shape
    width, height = (right - left) / (columns - 1) / 2, (top - bottom) / (rows - 1) / 2
    around = (left - width, right + width, bottom - height, top + height)
    colours = ListedColormap([colour])
    axes.imshow(shade, origin="lower", extent=around, aspect="auto", cmap=colours, zorder=zorder)
    axes.set(xlim=ends[:2], ylim=ends[2:])


def _draw_edges(axes: Axes, codes: Codes, ends: tuple[float, float, float, float]) -> None:
    """Lines between linear regions: pixels unlike the one left of or below them."""
    edges: BoolArray = np.zeros(codes.shape, dtype=np.bool_)
    edges[:, 1:] |= codes[:, 1:] != codes[:, :-1]
    edges[1:] |= codes[1:] != codes[:-1]
    shade: FloatArray = np.where(edges, 1.0, np.nan)
    _shade(axes, shade, ends, _EDGE, 1)
