"""Figures of exact robustness: certified accuracy, distance by class and by confidence, attacks.

Distances are lengths in pixel units; an image that is misclassified as it is has distance 0. All
figures are :data:`DOUBLE_COLUMN` inches wide with a panel for each norm (``l1``, ``l2``, ``linf``).
Nothing to draw, lists of different lengths, and other norms are an
:class:`~reluopt.errors.InputError`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator
from numpy.typing import ArrayLike

from reluopt.errors import InputError
from reluopt.figures.frames import framed, nested, ordered, wide
from reluopt.figures.panels import QUARTILES, check_norms, note, panel_row, percent_axis
from reluopt.figures.style import (
    CYCLE,
    DOUBLE_COLUMN,
    INK,
    MUTED,
    NORM_SYMBOLS,
    SHADES,
    TINY,
    inch_axes,
    inch_legend,
    new_figure,
    style,
)
from reluopt.figures.tiles import fine_colour_bar
from reluopt.numerics.arrays import FloatArray

_SIDES = _LEFT, _BETWEEN, _RIGHT = 0.54, 0.56, 0.1
"""Inches left of, between and right of panels."""

_DOTS = (0, (1, 1.5))

_VIEW = 0.995
"""Share of the distances that an axis shows; the farthest few would squeeze the rest."""

_LINES = ((0, (4, 1.5)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)))
"""Dashes of attacks, in order; what is proven is drawn solid."""

_POINTS: Any = {
    "linestyle": "none", "marker": "o", "markersize": 2.4, "markeredgewidth": 0.0,
    "color": CYCLE[0], "alpha": 0.75,
}  # fmt: skip
"""How single images are drawn."""

LEAST_OVERESTIMATE = 1e-6
"""Overestimates up to this are no more than the tolerance of a proof; they stand at the left end of
the axis."""

_GROUPS, _GROUP = 20, 25
"""Groups of equal size whose quartiles are drawn over a cloud of points, and the images that one
holds at least: quartiles of fewer go up and down by chance."""

_FEW = 400
"""Fewer images than this are drawn one by one, not counted in cells."""

Attacked = tuple[ArrayLike, ArrayLike]
"""Distances that an attack found, and the exact ones of the same images."""


def _certified_accuracy_figure_arguments(frame: pd.DataFrame) -> dict[str, Any]:
    """Exact distances of each norm; attacks are an option of their own."""
    return {"exact": nested(frame, "distance", "norm"), "attacks": {}}


@framed(_certified_accuracy_figure_arguments, "norm", "distance")
@style()
def certified_accuracy_figure(
    exact: Mapping[str, ArrayLike], attacks: Mapping[str, Mapping[str, Attacked]]
) -> Figure:
    """Share of images that stay correct against every change up to a length, one column a norm.

    Above, the certified accuracy. Below, by how much an attack's empirical accuracy (images for
    which it finds nothing so near) lies above the certified one of the same images.

    Args:
        exact: for each norm the proven distance of every image, 0 for misclassified ones.
        attacks: for each norm the distances by name of the attack; the same names for all norms.
    """
    values = {norm: _distances(norm, each) for norm, each in exact.items()}
    names = list(next(iter(attacks.values()), {}))
    figure = new_figure(DOUBLE_COLUMN, 3.25 if names else 2.15)
    rows = [(0.1, 1.6), (2.05, 0.72)] if names else [(0.1, 1.6)]  # tops and heights in inches
    panels = list(zip(*(panel_row(figure, *row, len(values), _SIDES) for row in rows), strict=True))
    for column, (norm, own) in zip(panels, values.items(), strict=True):
        upper, lower = column[0], column[-1]
        end = float(np.quantile(own, _VIEW))
        _draw_certified(upper, own, end)
        upper.set_xlim(0.0, end)
        for number, name in enumerate(names):
            found, certified = (_distances(norm, each) for each in attacks[norm][name])
            _same_images(found, certified)
            _draw_excess(lower, found, certified, end, number, name)
        if names:
            upper.tick_params(labelbottom=False)
            lower.set(xlim=(0.0, end), ylim=(0.0, None))
            lower.yaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
            lower.grid(True)
        lower.set_xlabel(f"length of the change, {NORM_SYMBOLS[norm]}")
    panels[0][0].set_ylabel("certified accuracy")
    if names:
        panels[0][-1].set_ylabel("excess (points)")
        lines, _ = panels[0][-1].get_legend_handles_labels()
        head = Line2D([], [], linestyle="none", label="accuracy under attack minus certified:")
        inch_legend(figure, _LEFT - 0.3, 1.82, [head, *lines], 1 + len(lines))
    return figure


def _class_distance_figure_arguments(frame: pd.DataFrame) -> dict[str, Any]:
    """Distances of each norm and label."""
    names = sorted(set(frame["label"]))
    distances = {
        norm: [part.loc[part["label"] == name, "distance"].to_numpy() for name in names]
        for norm, part in frame.groupby("norm", sort=False)
    }
    return {"distances": distances, "names": [str(name) for name in names]}


@framed(_class_distance_figure_arguments, "norm", "label", "distance")
@style()
def class_distance_figure(
    distances: Mapping[str, Sequence[ArrayLike]], names: Sequence[str]
) -> Figure:
    """Distances by class, one panel a norm: shape of the distribution, quartiles and median.

    Classes with fewer than two images have no shape.

    Args:
        distances: for each norm one list of distances for each class.
        names: one name for each class.
    """
    figure = new_figure(DOUBLE_COLUMN, 2.3)
    row = panel_row(figure, 0.1, 1.78, len(distances), _SIDES)
    for axes, (norm, lists) in zip(row, distances.items(), strict=True):
        if len(lists) != len(names):
            raise InputError(
                f"figure: expected {len(names)} lists of distances, found {len(lists)}"
            )
        groups = [np.asarray(each, dtype=np.float64) for each in lists]
        everything = _distances(norm, np.concatenate(groups))
        for number, group in enumerate(groups):
            _draw_class(axes, group, number)
        middle = float(np.median(everything))
        axes.axhline(middle, color=MUTED, linewidth=0.7, linestyle=_DOTS, zorder=1)
        axes.set_xticks(range(len(names)), list(names))
        axes.set(xlabel="true label", ylabel=f"exact {NORM_SYMBOLS[norm]} distance")
        axes.set(xlim=(-0.6, len(names) - 0.4), ylim=(0.0, 1.02 * float(everything.max())))
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axes.tick_params(axis="x", length=0)
        axes.grid(True, axis="y")
    return figure


def _confidence_figure_arguments(frame: pd.DataFrame) -> dict[str, Any]:
    """One confidence for each image, one distance for each image and norm."""
    distances = wide(frame, "distance", "image", "norm").T
    return {
        "confidence": frame.groupby("image", sort=False)["confidence"].first().to_numpy(),
        "distances": dict(zip(ordered(frame, "norm"), distances, strict=True)),
        "label": "confidence",
    }


@framed(_confidence_figure_arguments, "norm", "image", "confidence", "distance")
@style()
def confidence_figure(
    confidence: ArrayLike, distances: Mapping[str, ArrayLike], label: str
) -> Figure:
    """Distance against the network's confidence, one panel a norm.

    Cells are as dark as they hold images (few images are drawn as points); the line is the median
    of up to twenty groups of equal size, the bars reach from their first to their third quartile.

    Args:
        confidence: one number for each image.
        distances: for each norm one distance for each image.
        label: what confidence is, with its unit.
    """
    sure = np.asarray(confidence, dtype=np.float64)
    figure = new_figure(DOUBLE_COLUMN, 2.5)
    clouds = []
    row = panel_row(figure, 0.3, 1.78, len(distances), (_LEFT, _BETWEEN, 0.66))
    for axes, (norm, own) in zip(row, distances.items(), strict=True):
        values = _distances(norm, own)
        _same_images(sure, values)
        ends = [float(np.quantile(each, _VIEW)) for each in (sure, values)]
        if sure.size < _FEW:
            ends = [1.05 * float(each.max()) for each in (sure, values)]
            axes.plot(sure, values, label="one image", **_POINTS)
        else:
            clouds.append(
                axes.hexbin(
                    sure, values, gridsize=(84 // len(distances), 24), mincnt=1,
                    extent=(0.0, ends[0], 0.0, ends[1]), cmap=SHADES, linewidths=0.1,
                )
            )  # fmt: skip
        _draw_groups(axes, sure, values)
        axes.set(xlabel=label, ylabel=f"exact {NORM_SYMBOLS[norm]} distance")
        axes.set(xlim=(0.0, ends[0]), ylim=(0.0, ends[1]))
    if clouds:
        _share_colours(figure, clouds)
    handles, _ = figure.axes[0].get_legend_handles_labels()
    inch_legend(figure, _LEFT, 0.08, handles, max(len(handles), 1))
    return figure


def _overestimate_figure_arguments(frame: pd.DataFrame) -> dict[str, Any]:
    """A panel for each norm, a curve for each attack."""
    return {"overestimates": nested(frame, "overestimate", "norm", "attack")}


@framed(_overestimate_figure_arguments, "norm", "attack", "overestimate")
@style()
def overestimate_figure(overestimates: Mapping[str, Mapping[str, ArrayLike]]) -> Figure:
    """Cumulative distributions of what attacks overestimate, one panel a norm.

    Args:
        overestimates: for each norm, by name of the attack, attack distance / exact distance - 1
            of every image; the same names for all norms.
    """
    figure = new_figure(DOUBLE_COLUMN, 2.1)
    checked = {
        norm: {name: _distances(norm, each) for name, each in own.items()}
        for norm, own in overestimates.items()
    }
    largest = max(float(each.max()) for own in checked.values() for each in own.values())
    row = list(panel_row(figure, 0.1, 1.58, len(checked), _SIDES))
    ticks = [10.0**power for power in range(-4, 9, 1 if len(checked) < 3 else 2)]
    for axes, (norm, own) in zip(row, checked.items(), strict=True):
        for number, (name, each) in enumerate(own.items()):
            values = np.sort(np.maximum(each, LEAST_OVERESTIMATE)) * 100.0
            axes.plot(
                [values[0], *values, 1e9], [0.0, *np.arange(1, values.size + 1) / values.size, 1.0],
                drawstyle="steps-post", color=CYCLE[number + 1], linestyle=_LINES[number],
                label=name,
            )  # fmt: skip
        axes.set_xscale("log")
        axes.set_xlim(70.0 * LEAST_OVERESTIMATE, max(200.0 * largest, 10.0))
        axes.set(ylim=(0.0, 1.03), xlabel=f"overestimate of the {NORM_SYMBOLS[norm]} distance (%)")
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_major_formatter(FuncFormatter(_least_or_plain))
        axes.xaxis.set_minor_formatter(FuncFormatter(lambda _value, _place: ""))
        percent_axis(axes)
        axes.grid(True, which="major")
    row[0].set_ylabel("correct images")
    row[0].legend(loc="center left", borderaxespad=0.8)
    return figure


def _distances(norm: str, values: ArrayLike) -> FloatArray:
    """Distances as an array that holds something, in a norm that has a name."""
    check_norms([norm])
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0:
        raise InputError(f"figure: expected a list of distances, found shape {array.shape}")
    return array


def _same_images(first: FloatArray, second: FloatArray) -> None:
    if first.shape != second.shape:
        raise InputError(
            f"figure: expected as many numbers in both lists, found {first.size} and {second.size}"
        )


def _survival(values: FloatArray, places: FloatArray) -> FloatArray:
    """Share of ``values`` that exceed each place."""
    return np.asarray(1.0 - np.searchsorted(np.sort(values), places, side="right") / values.size)


def _draw_certified(axes: Axes, values: FloatArray, end: float) -> None:
    """The certified accuracy, and where it falls to a half."""
    places = np.concatenate([[0.0], np.unique(values)])
    shares = _survival(values, places)
    axes.fill_between(places, shares, step="post", color=CYCLE[0], alpha=0.13, linewidth=0.0)
    axes.plot(places, shares, drawstyle="steps-post", color=CYCLE[0])
    start, half = float(shares[0]), float(np.median(values))
    note(axes, f"{100 * start:.2f} % without a change", (0.0, start), (5, 1))
    if 0.0 < half < end:
        axes.plot([half, half], [0.0, 0.5], color=MUTED, linewidth=0.7, linestyle=_DOTS)
        axes.plot([half], [0.5], marker="o", color=CYCLE[0], markersize=3.0)
        note(axes, f"half of the images at {half:.3g}", (half, 0.5), (4, 1))
    axes.set_ylim(0.0, 1.04)
    percent_axis(axes)
    axes.grid(True)


def _draw_excess(
    axes: Axes, found: FloatArray, own: FloatArray, end: float, number: int, name: str
) -> None:
    """Empirical minus certified accuracy of the same images, in percentage points."""
    places = np.linspace(0.0, end, 400)
    excess = 100.0 * (_survival(found, places) - _survival(own, places))
    axes.plot(places, excess, color=CYCLE[number + 1], linestyle=_LINES[number], label=name)


def _share_colours(figure: Figure, clouds: Sequence[PolyCollection]) -> None:
    """One scale of counts for all panels, and its bar on the right."""
    counts = [np.asarray(cloud.get_array(), dtype=np.float64) for cloud in clouds]
    most = max(float(each.max(initial=2.0)) for each in counts)
    for cloud in clouds:
        cloud.set_norm(LogNorm(0.5, most))  # half an image would be white
    bar = inch_axes(figure, DOUBLE_COLUMN - 0.56, 0.3, 0.07, 1.78)
    colours = figure.colorbar(clouds[-1], cax=bar)
    colours.ax.set_ylim(1.0, most)
    colours.set_label("images in a cell", size=TINY, labelpad=2.0)
    colours.ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    colours.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    colours.ax.minorticks_off()
    fine_colour_bar(colours)


def _draw_class(axes: Axes, values: FloatArray, place: int) -> None:
    """Shape of a distribution, a bar from the first to the third quartile, and the median."""
    if values.size == 0:
        return
    if np.unique(values).size > 1:
        bodies: Any = axes.violinplot([values], [place], widths=0.86, showextrema=False)["bodies"]
        for body in bodies:
            body.set(facecolor="#b7d3e8", edgecolor=CYCLE[0], linewidth=0.6, alpha=1.0)
    low, median, high = np.quantile(values, QUARTILES)
    axes.vlines(place, low, high, color=INK, linewidth=2.6)
    axes.plot(
        [place], [median], marker="o", markersize=3.4, color="white", markeredgecolor=INK,
        markeredgewidth=0.7, zorder=4,
    )  # fmt: skip


def _draw_groups(axes: Axes, sure: FloatArray, values: FloatArray) -> None:
    """Medians and quartiles of groups of equal size by rising confidence."""
    count = min(_GROUPS, sure.size // _GROUP)
    if count < 2:
        return
    order = np.argsort(sure, kind="stable")
    groups = np.array_split(order, count)
    centres = [float(np.median(sure[part])) for part in groups]
    quartiles = np.array([np.quantile(values[part], QUARTILES) for part in groups])
    axes.vlines(centres, quartiles[:, 0], quartiles[:, 2], color=CYCLE[1], linewidth=0.7, zorder=3)
    axes.plot(
        centres, quartiles[:, 1], color=CYCLE[1], marker="o", markersize=2.2, linewidth=0.9,
        zorder=4, label=f"median of {sure.size // count:,} images each, from left to right",
    )  # fmt: skip
    axes.plot(
        [], [], color=CYCLE[1], linestyle="none", marker="|", markersize=8.0, markeredgewidth=0.7,
        label="their first to third quartile",
    )  # fmt: skip


def _least_or_plain(value: float, _: object) -> str:
    """``≤ 0.0001`` at the left end, plain numbers elsewhere."""
    if value >= 1.0:
        return f"{value:g}"
    least = value <= 100.0 * LEAST_OVERESTIMATE * 1.001
    return f"{'≤ ' if least else ''}{value:.10f}".rstrip("0").rstrip(".")
