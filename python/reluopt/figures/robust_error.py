"""Robust accuracy against the radius of the ball: what is proven, what is refuted, the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from reluopt.errors import InputError
from reluopt.figures.frames import framed, single
from reluopt.figures.panels import arrays_of_shape, percent_axis, short
from reluopt.figures.style import NORM_SYMBOLS, SINGLE_COLUMN, new_figure, series_look, style

_BAND = 0.25
"""Opacity of what is undecided."""

_PUBLISHED: dict[str, Any] = {"alpha": 0.35, "linewidth": 4.0, "solid_capstyle": "butt"}
"""How published intervals look, with ends that show also where they meet."""
_PUBLISHED |= {"marker": "_", "markersize": 9.0, "markeredgewidth": 1.0}


def _robust_error_figure_arguments(frame: pd.DataFrame) -> dict[str, Any]:
    """Both bounds of each network and radius, from verdicts."""
    networks = {}
    for network, rows in frame.groupby("network", sort=False):
        table = []
        for eps, part in rows.groupby("eps"):
            wrong = (part["original_predicted"] != part["label"]).mean()
            bounds = [(part["status"] == "NOT_ROBUST").mean(), (part["status"] != "ROBUST").mean()]
            table.append((eps, wrong, *bounds))
        networks[network] = table
    norm = single(frame, "norm")
    return {"networks": networks, "norm": f"{NORM_SYMBOLS.get(norm, norm)} norm"}


@framed(
    _robust_error_figure_arguments,
    "network",
    "norm",
    "eps",
    "label",
    "original_predicted",
    "status",
)
@style()
def robust_error_figure(
    networks: Mapping[str, ArrayLike],
    norm: str,
    published: Mapping[str, Sequence[Sequence[float]]] | None = None,
) -> Figure:
    """Robust accuracy within each radius: proven (solid), not refuted (dashed), a band between.

    Args:
        networks: by name an array of shape ``(radii, 4)``: radius, clean error, and lower and upper
            bound of the robust error, shares in [0, 1].
        norm: what radii are lengths in, as the axis shall say.
        published: by name of a network, radii with the bounds that others gave: wide bars.

    Raises:
        InputError: there is nothing to draw, or an array has another shape.
    """
    if not networks:
        raise InputError("figure: expected robust errors to draw, found none")
    figure = new_figure(SINGLE_COLUMN, 2.3)
    axes = figure.add_axes((0.16, 0.19, 0.8, 0.77))
    for number, (name, given) in enumerate(networks.items()):
        what = "radius, clean error and two bounds"
        (table,) = arrays_of_shape(what, (None, 4), [given], "radii")
        colour, marker = series_look(number)
        for radius, low, high in (published or {}).get(name, ()):
            ends = [1.0 - high, 1.0 - low]
            axes.plot([radius] * 2, ends, color=colour, **_PUBLISHED)
        clean = [0.0, table[0, 1], table[0, 1], table[0, 1]]
        eps, _, lower, upper = np.vstack([clean, table]).T
        axes.fill_between(eps, 1.0 - upper, 1.0 - lower, color=colour, alpha=_BAND, linewidth=0.0)
        axes.plot(eps, 1.0 - upper, color=colour, marker=marker, markersize=3.0, label=name)
        axes.plot(eps, 1.0 - lower, color=colour, linewidth=0.6, linestyle=(0, (4, 1.5)))
    axes.set(xlabel=f"radius of the ball, {norm}", ylabel="robust accuracy")
    axes.set(xlim=(0.0, None), ylim=(0.0, 1.0))
    axes.xaxis.set_major_formatter(short)
    percent_axis(axes)
    axes.grid(True)
    axes.legend(loc="best")
    return figure
