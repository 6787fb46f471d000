"""What a search knows against the time it has had: incumbent above, proven bound below."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from reluopt.errors import InputError
from reluopt.figures.frames import framed, nested
from reluopt.figures.panels import arrays_of_shape, short
from reluopt.figures.style import SINGLE_COLUMN, new_figure, series_look, style
from reluopt.figures.times import seconds_axis

_BAND = 0.12
"""Opacity of the gap."""

_LEAST_RANGE, _ROOM = 12.0, 1.15
"""Axes of time are a decade long at least, with a label; markers at the ends need some room."""

_FIRST = 1e-3
"""Curves begin here, in seconds: axes of time are logarithmic."""


def _anytime_figure_arguments(frame: pd.DataFrame) -> dict[str, Any]:
    """A search for each name."""
    searches = nested(frame, ["seconds", "incumbent", "bound"], "search")
    return {"searches": searches, "quantity": "objective"}


@framed(_anytime_figure_arguments, "search", "seconds", "incumbent", "bound")
@style()
def anytime_figure(searches: Mapping[str, ArrayLike], quantity: str) -> Figure:
    """Anytime curves: the incumbent (solid) and the proven bound (dashed), the gap between them.

    Args:
        searches: by name an array of shape ``(moments, 3)``: seconds, incumbent and bound; infinite
            or NaN where there is none yet.
        quantity: what incumbent and bound are, as the axis shall say.

    Raises:
        InputError: there is nothing to draw, or an array has another shape.
    """
    if not searches:
        raise InputError("figure: expected searches to draw, found none")
    figure = new_figure(SINGLE_COLUMN, 2.1)
    axes = figure.add_axes((0.16, 0.2, 0.8, 0.75))
    for number, (name, given) in enumerate(searches.items()):
        what = "seconds, incumbent and bound"
        (table,) = arrays_of_shape(what, (None, 3), [given], "moments")
        seconds, incumbent, bound = table[np.argsort(table[:, 0], kind="stable")].T
        seconds = np.maximum(seconds, _FIRST)
        both = np.isfinite(incumbent) & np.isfinite(bound)
        colour, marker = series_look(number)
        marks: dict[str, Any] = {"color": colour, "marker": marker, "markevery": [-1]}
        axes.fill_between(
            seconds, bound, incumbent, both, step="post", color=colour, alpha=_BAND, linewidth=0.0
        )
        ends = np.where(np.isfinite(incumbent), incumbent, np.nan)
        axes.step(seconds, ends, where="post", label=f"{name}: incumbent", **marks)
        ends, dashes = np.where(np.isfinite(bound), bound, np.nan), (0, (4, 1.5))
        label = f"{name}: proven bound"
        axes.step(seconds, ends, where="post", label=label, linestyle=dashes, **marks)
    axes.set(ylabel=quantity, xlabel="seconds")
    seconds_axis(axes, "x")
    latest = max(float(np.max(line.get_xdata())) for line in axes.lines)
    axes.set_xlim(min(axes.get_xlim()[0], latest / _LEAST_RANGE), _ROOM * latest)
    highest = max(float(np.nanmax(line.get_ydata(), initial=0.0)) for line in axes.lines)
    axes.set_ylim(0.0, _ROOM * highest or 1.0)
    axes.yaxis.set_major_formatter(short)
    axes.grid(True, which="major")
    axes.legend(loc="best")
    return figure
