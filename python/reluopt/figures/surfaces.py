"""Functions of two inputs, with what relaxations leave above and below them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from reluopt.errors import InputError
from reluopt.figures.panels import panel_row
from reluopt.figures.style import (
    CYCLE,
    DOUBLE_COLUMN,
    INK,
    SMALL,
    TEXT,
    inch_legend,
    new_figure,
    style,
)
from reluopt.numerics.arrays import FloatArray

_SIDES = (0.45, 0.4, 0.1)
"""Inches left of the slices, between them, and right of them."""

_CUBE, _SLICE, _TOP = 2.0, 1.25, 0.2
"""Inches of a surface's panel, of a slice, and above both."""

_LOOKS = {"from above": (CYCLE[1], "--"), "from below": (CYCLE[0], ":")}


@style()
def relaxation_figure(
    first: ArrayLike,
    second: ArrayLike,
    values: ArrayLike,
    relaxations: Mapping[str, tuple[ArrayLike, ArrayLike]],
) -> Figure:
    """The surface of a function between two relaxations of it, one panel for each kind.

    Below each panel stands its slice at the middle of the second input.

    Args:
        first: values of the first input, shape ``(n,)``.
        second: values of the second input, shape ``(m,)``.
        values: the function, shape ``(m, n)``.
        relaxations: for each kind the relaxation from below and from above, of that shape.
    """
    across, up = (np.asarray(each, dtype=np.float64) for each in (first, second))
    table = np.asarray(values, dtype=np.float64)
    pairs = {
        name: (np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64))
        for name, (low, high) in relaxations.items()
    }
    shapes = {table.shape, *(each.shape for pair in pairs.values() for each in pair)}
    if not pairs or shapes != {(up.size, across.size)}:
        expected = f"({up.size}, {across.size})"
        raise InputError(f"figure: expected surfaces of shape {expected}, found {sorted(shapes)}")
    figure = new_figure(DOUBLE_COLUMN, _TOP + _CUBE + _SLICE + 0.6)
    slices = list(panel_row(figure, _TOP + _CUBE + 0.1, _SLICE, len(pairs), _SIDES))
    for axes, (name, pair) in zip(slices, pairs.items(), strict=True):
        cube = _cube_above(figure, axes)
        cube.set_title(name, y=0.97)
        _draw_surfaces(cube, np.meshgrid(across, up), table, pair)
        middle = up.size // 2
        axes.plot(across, table[middle], color=INK, linewidth=1.6, label="network")
        for (label, (colour, dashes)), rows in zip(_LOOKS.items(), pair[::-1], strict=True):
            axes.plot(across, rows[middle], color=colour, linestyle=dashes, label=label)
        axes.set_xlabel(rf"$x_1$ at $x_2 = {up[middle]:g}$")
        axes.grid(True)
    slices[0].set_ylabel("$z$")
    low = min(axes.get_ylim()[0] for axes in slices)
    high = max(axes.get_ylim()[1] for axes in slices)
    for axes in slices:
        axes.set_ylim(low, high)
    handles = slices[0].get_lines()
    inch_legend(figure, _SIDES[0], 0.05, handles, 3)
    return figure


def _cube_above(figure: Figure, slice_: Axes) -> Any:
    """Axes in three dimensions over a slice."""
    box, (width, height) = slice_.get_position(), figure.get_size_inches()
    side = _CUBE / height
    place = (box.x0 - 0.35 / width, box.y1 + 0.1 / height, box.width + 0.55 / width, side)
    cube: Any = figure.add_axes(place, projection="3d")
    cube.set_box_aspect((1.0, 1.0, 0.8), zoom=1.12)
    cube.view_init(elev=18.0, azim=-128.0)
    cube.tick_params(labelsize=SMALL, pad=-3.0)
    cube.set_xlabel("$x_1$", labelpad=-8.0, size=TEXT)
    cube.set_ylabel("$x_2$", labelpad=-8.0, size=TEXT)
    for axis in (cube.xaxis, cube.yaxis, cube.zaxis):
        axis.set_pane_color((1.0, 1.0, 1.0, 0.0))
        axis.line.set_linewidth(0.6)
    return cube


def _draw_surfaces(
    cube: Any, grid: tuple[FloatArray, ...], values: FloatArray, pair: tuple[FloatArray, FloatArray]
) -> None:
    """The function, opaque, between its relaxations as nets."""
    count = max(1, values.shape[1] // 10), max(1, values.shape[0] // 10)
    for (colour, _), rows in zip(_LOOKS.values(), pair[::-1], strict=True):
        cube.plot_wireframe(
            *grid, rows, color=colour, linewidth=0.5, rstride=count[1], cstride=count[0]
        )
    cube.plot_surface(
        *grid, values, color="#9aa5b1", linewidth=0.0, antialiased=True, alpha=0.85,
        rstride=1, cstride=1,
    )  # fmt: skip
