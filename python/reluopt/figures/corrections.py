"""Fine-tuned networks: what their answers and their loss cost each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from numpy.typing import ArrayLike

from reluopt.errors import InputError
from reluopt.figures.frames import framed, nested
from reluopt.figures.panels import panel_row
from reluopt.figures.style import (
    DOUBLE_COLUMN,
    INK,
    SINGLE_COLUMN,
    inch_legend,
    new_figure,
    series_look,
    style,
)


@dataclass(frozen=True)
class Tradeoff:
    """Candidates of one fine-tuning.

    Attributes:
        candidates: violation and loss of each, shape ``(n, 2)``.
        chosen: the same of those that were chosen.
        before: the loss before.
    """

    candidates: ArrayLike
    chosen: ArrayLike
    before: float


def _tradeoff_figure_arguments(frame: pd.DataFrame) -> dict[str, Any]:
    """A fine-tuning for each name."""
    series = {}
    for name, part in frame.groupby("series", sort=False):
        pairs = part[["violation", "loss"]].to_numpy(dtype=np.float64)
        chosen = part["chosen"].to_numpy(dtype=bool)
        series[str(name)] = Tradeoff(pairs, pairs[chosen], float(part["before"].iloc[0]))
    return {"series": series}


@framed(_tradeoff_figure_arguments, "series", "violation", "loss", "chosen", "before")
@style()
def tradeoff_figure(series: Mapping[str, Tradeoff], loss: str = "loss") -> Figure:
    """Loss against the largest violation of all candidates; chosen ones are large and open.

    Args:
        series: by name; a dotted line is the loss before.
        loss: of what, as the axis shall say.

    Raises:
        InputError: there is nothing to draw, or arrays have other shapes.
    """
    if not series:
        raise InputError("figure: expected candidates to draw, found none")
    figure = new_figure(SINGLE_COLUMN, 2.5)
    axes = figure.add_axes((0.17, 0.17, 0.8, 0.79))
    for number, (name, each) in enumerate(series.items()):
        points, chosen = (np.asarray(p, dtype=np.float64) for p in (each.candidates, each.chosen))
        if any(pairs.ndim != 2 or pairs.shape[1] != 2 for pairs in (points, chosen)):
            raise InputError(
                f"figure: expected pairs of violation and loss, found shapes {points.shape} and "
                f"{chosen.shape}"
            )
        colour, marker = series_look(number)
        look: dict[str, Any] = {"color": colour, "linestyle": "none"}
        axes.plot(*points.T, marker=marker, markersize=2.0, alpha=0.5, label=name, **look)
        axes.plot(*chosen.T, marker=marker, markersize=6.0, markerfacecolor="none", **look)
    for number, height in enumerate(sorted({each.before for each in series.values()})):
        label = "before" if number == 0 else None
        axes.axhline(height, color=INK, linewidth=0.8, linestyle=":", label=label)
    axes.set(xlabel="largest violation (logits)", ylabel=loss, yscale="log")
    for axis in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
        axis(FuncFormatter(lambda value, _: f"{value:.2g}"))
    axes.grid(True)
    axes.legend(loc="upper right")
    return figure


def _correction_figure_arguments(frame: pd.DataFrame) -> dict[str, Any]:
    """A panel for each radius, a curve for each series."""
    return {"panels": nested(frame, ["points", "lower", "upper"], "eps", "series")}


@framed(_correction_figure_arguments, "eps", "series", "points", "lower", "upper")
@style()
def correction_figure(
    panels: Mapping[float, Mapping[str, Sequence[tuple[float, float, float]]]],
) -> Figure:
    """Robust errors against the number of correction points, a panel for each radius.

    Args:
        panels: by radius and by series the number of points, and the least and the largest error
            that is possible, shares in [0, 1].

    Raises:
        InputError: there is nothing to draw.
    """
    if not panels or not all(len(each) for series in panels.values() for each in series.values()):
        raise InputError("figure: expected robust errors to draw, found none")
    figure = new_figure(DOUBLE_COLUMN, 2.3)
    ends = [[x for points in each.values() for _, *x in points] for each in panels.values()]
    room = 0.55 * max(0.01, *map(np.ptp, ends))  # one scale for all panels
    row = panel_row(figure, 0.45, 1.4, len(panels), (0.6, 0.45, 0.12))
    for axes, (eps, series), errors in zip(row, panels.items(), ends, strict=True):
        for number, (name, points) in enumerate(series.items()):
            counts, lower, upper = np.array(sorted(map(tuple, points))).T
            colour, marker = series_look(number)
            axes.fill_between(counts, lower, upper, color=colour, alpha=0.2, linewidth=0.0)
            axes.plot(counts, upper, color=colour, marker=marker, label=name)
        middle = (np.min(errors) + np.max(errors)) / 2.0
        axes.set(xlabel="correction points", ylim=(middle - room, middle + room))
        axes.set_title(f"within {eps:g}", loc="left")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
        axes.grid(True)
    figure.axes[0].set_ylabel("proven robust error")
    inch_legend(figure, 0.6, 0.06, figure.axes[0].get_lines(), len(figure.axes[0].get_lines()))
    return figure
