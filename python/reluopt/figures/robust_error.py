"""Robust accuracy against the radius of the ball: what is proven, what is refuted, the rest."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from reluopt.errors import InputError
from reluopt.figures.panels import percent_axis
from reluopt.figures.style import CYCLE, SINGLE_COLUMN, new_figure, style

_BAND = 0.25
"""Opacity of what is undecided."""


@style()
def robust_error_figure(networks: Mapping[str, ArrayLike], norm: str) -> Figure:
    """Robust accuracy within each radius: proven (solid), not refuted (dashed), a band between.

    Args:
        networks: by name an array of shape ``(radii, 4)``: radius, clean error, and lower and upper
            bound of the robust error, shares in [0, 1].
        norm: what radii are lengths in, as the axis shall say.

    Raises:
        InputError: there is nothing to draw, or an array has another shape.
    """
    if not networks:
        raise InputError("figure: expected robust errors to draw, found none")
    figure = new_figure(SINGLE_COLUMN, 2.3)
    axes = figure.add_axes((0.16, 0.19, 0.8, 0.77))
    for number, (name, given) in enumerate(networks.items()):
        table = np.asarray(given, dtype=np.float64)
        if table.ndim != 2 or table.shape[1] != 4 or not len(table):
            raise InputError(
                f"figure: expected rows of radius, clean error and two bounds, found shape "
                f"{table.shape}"
            )
        clean = [0.0, table[0, 1], table[0, 1], table[0, 1]]
        eps, _, lower, upper = np.vstack([clean, table]).T
        colour = CYCLE[number % len(CYCLE)]
        axes.fill_between(eps, 1.0 - upper, 1.0 - lower, color=colour, alpha=_BAND, linewidth=0.0)
        axes.plot(eps, 1.0 - upper, color=colour, marker="o", markersize=3.0, label=name)
        axes.plot(eps, 1.0 - lower, color=colour, linewidth=0.6, linestyle=(0, (4, 1.5)))
    axes.set(xlabel=f"radius of the ball, {norm}", ylabel="robust accuracy")
    axes.set(xlim=(0.0, None), ylim=(0.0, 1.0))
    percent_axis(axes)
    axes.grid(True)
    axes.legend(loc="best")
    return figure
