"""Time against the size of networks, from the tables of :mod:`reluopt.figures.times`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reluopt.figures.style import DOUBLE_COLUMN, SINGLE_COLUMN, inch_axes, new_figure, style
from reluopt.figures.times import (
    check_times,
    limit_line,
    method_legend,
    method_look,
    method_names,
    seconds_axis,
)


@style()
def time_versus_size_figure(table: pd.DataFrame) -> Figure:
    """Median time of every method against the size of the networks.

    Lines reach from the first to the third quartile. Hollow triangles are medians at the limit.

    Args:
        table: as for the other figures, with a column ``neurons`` (hidden ReLUs of the network).

    Raises:
        InputError: the table is empty or lacks a column.
    """
    times = check_times(table, "neurons")
    methods = method_names(times)
    sizes = times.groupby("network", sort=False)["neurons"].first().sort_values(kind="stable")
    width = SINGLE_COLUMN if len(sizes) <= 5 else DOUBLE_COLUMN
    top = 0.1 + 0.12 * len(methods)
    figure = new_figure(width, top + 2.45)
    axes = inch_axes(figure, 0.5, top, width - 0.62, 1.9)
    for number, method in enumerate(methods):
        shift = 0.12 * (number - (len(methods) - 1) / 2)
        own = times[times["method"] == method]
        _draw_sizes(axes, own, list(sizes.index), shift, method_look(methods, method), method)
    names = [f"{name}\n{int(size)}" for name, size in sizes.items()]
    axes.set_xticks(range(len(names)), names)
    axes.set(xlabel="network and its hidden neurons", ylabel="time per image (s)")
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.margins(y=0.12)
    seconds_axis(axes, "y")
    limit_line(axes, times, "y")
    method_legend(axes)
    return figure


def _draw_sizes(
    axes: Axes, own: pd.DataFrame, networks: Sequence[str], shift: float, look: Any, label: str
) -> None:
    """Quartiles of one method over the networks."""
    groups = own.groupby("network", sort=False)
    present = [network for network in networks if network in groups.groups]
    quartiles = groups["seconds"].quantile(np.array([0.25, 0.5, 0.75])).unstack().loc[present]
    censored = (groups["proven"].mean().loc[present] <= 0.5).to_numpy()
    places = np.array([networks.index(network) for network in present]) + shift
    medians = quartiles[0.5].to_numpy()
    axes.vlines(places, quartiles[0.25], quartiles[0.75], color=look["color"], linewidth=0.9)
    axes.plot(
        places, medians, linewidth=0.8, markevery=list(np.flatnonzero(~censored)), label=label,
        **look,
    )  # fmt: skip
    axes.plot(
        places[censored], medians[censored], linestyle="none", marker="^", markersize=4.5,
        markerfacecolor="white", markeredgecolor=look["color"], zorder=4,
    )  # fmt: skip
