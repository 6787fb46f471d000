"""Figures of logits: by how much a target leads, and what an image's logits are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from reluopt.errors import InputError
from reluopt.figures.frames import framed, nested
from reluopt.figures.panels import note, series_names, share_xlim, spread, strip_axis
from reluopt.figures.style import (
    BAD,
    CHARACTER,
    CYCLE,
    DOUBLE_COLUMN,
    INK,
    MARKERS,
    MUTED,
    NORM_SYMBOLS,
    SMALL,
    inch_axes,
    inch_text,
    new_figure,
    style,
)
from reluopt.figures.tiles import draw_change, draw_digit, frame, stack_images
from reluopt.numerics.arrays import FloatArray

_JITTER = 0.3
"""Half the height over which the points of a strip are spread; strips are 1 apart."""

_STRIP = 0.34
"""Inches of a strip."""

_TILE = 1.2
"""Inches of an image."""


def _lead_figure_arguments(frame: pd.DataFrame) -> dict[str, Any]:
    """A panel for each norm, a strip for each series."""
    return {"panels": nested(frame, "lead", "norm", "series")}


@framed(_lead_figure_arguments, "norm", "series", "lead")
@style()
def lead_figure(panels: Mapping[str, Mapping[str, ArrayLike]]) -> Figure:
    """Leads of a target's logit, one strip for each series and one panel for each norm.

    Points left of 0 are images that the network does not classify as the target; their number
    stands in the left margin of the panel.

    Args:
        panels: for each norm (``l1``, ``l2`` or ``linf``) the leads in logit units by name of
            their series, the same names in the same order.

    Raises:
        InputError: nothing to draw, an unknown norm, or panels with different series.
    """
    names = series_names(panels)
    left = 0.15 + CHARACTER * max(len(name) for name in names)
    width = (DOUBLE_COLUMN - left - 0.12 - 0.2 * (len(panels) - 1)) / len(panels)
    height = _STRIP * len(names)
    figure = new_figure(DOUBLE_COLUMN, 0.26 + height + 0.42)
    drawn = []
    for number, (norm, series) in enumerate(panels.items()):
        axes = inch_axes(figure, left + number * (width + 0.2), 0.26, width, height)
        for place, values in enumerate(series.values()):
            _draw_strip(axes, np.asarray(values, dtype=np.float64), place)
        axes.set_title(f"{NORM_SYMBOLS[norm]} optima", pad=5)
        drawn.append(axes)
    _finish_strips(drawn, names)
    return figure


@style()
def logit_figure(
    original: ArrayLike, changed: ArrayLike, logits: ArrayLike, target: int, ratio: float
) -> Figure:
    """An image, its change, and the logits that the network gives to the changed image.

    Args:
        original: shape ``(height, width)``, pixels in [0, 1], or flat if square.
        changed: the same shape.
        logits: of ``changed``, one for each class.
        target: whose bar is marked as asked for; the largest is marked as the answer.
        ratio: a dashed line stands at ``ratio`` times the answer's logit.

    Raises:
        InputError: shapes differ, or there is no such target.
    """
    first = stack_images("the original", np.asarray(original, dtype=np.float64)[None])[0]
    second = stack_images("the changed image", np.asarray(changed, dtype=np.float64)[None])[0]
    values = np.asarray(logits, dtype=np.float64)
    if first.shape != second.shape or values.ndim != 1 or not 0 <= target < values.size:
        raise InputError(
            f"figure: expected two images of one shape and a target among {values.size} logits, "
            f"found {first.shape}, {second.shape} and target {target}"
        )
    figure = new_figure(DOUBLE_COLUMN, 0.26 + _TILE + 0.42)
    scale = float(np.abs(second - first).max()) or 1.0
    for number, name in enumerate(("original", "changed", "difference")):
        left = 0.12 + number * (_TILE + 0.06)
        axes = frame(figure, left, 0.26, _TILE, _TILE, MUTED)
        if name == "difference":
            draw_change(axes, first, second, scale)
        else:
            draw_digit(axes, second if name == "changed" else first)
        above = {"ha": "center", "va": "baseline", "size": SMALL, "color": MUTED}
        inch_text(figure, left + _TILE / 2, 0.2, name, **above)
    left = 0.12 + 3 * (_TILE + 0.06) + 0.5
    _draw_logits(
        inch_axes(figure, left, 0.26, DOUBLE_COLUMN - left - 0.75, _TILE), values, target, ratio
    )
    return figure


def _draw_strip(axes: Axes, leads: FloatArray, place: int) -> None:
    """The points of one series, and how many of them fool nobody."""
    ahead = leads > 0.0
    height = place + _JITTER * spread(leads.size)
    for number, chosen in enumerate((ahead, ~ahead)):
        axes.scatter(
            leads[chosen], height[chosen], s=7.0, marker=MARKERS[number], color=CYCLE[number],
            edgecolors="none", alpha=0.75, zorder=3,
        )  # fmt: skip
    behind = int((~ahead).sum())
    axes.annotate(
        f"{behind} of {leads.size}", (0.015, place), xycoords=axes.get_yaxis_transform(),
        ha="left", va="center", size=SMALL, color=BAD if behind else MUTED,
    )  # fmt: skip


def _finish_strips(panels: Sequence[Axes], names: Sequence[str]) -> None:
    """The same limits for all panels, with room for the counts on the left."""
    low, high = share_xlim(panels)
    low = min(low, 0.0)
    for number, axes in enumerate(panels):
        axes.set_xlim(low - 0.22 * (high - low), high)
        strip_axis(axes, names if number == 0 else [""] * len(names))
        axes.axvline(0.0, color=INK, linewidth=0.8, zorder=2)
        axes.grid(True, axis="x")
        axes.set_xlabel("target's logit minus the largest other one")


def _draw_logits(axes: Axes, logits: FloatArray, target: int, ratio: float) -> None:
    """Bars; the target hatched, the answer dark."""
    answer = int(np.argmax(logits))
    bars = axes.bar(range(logits.size), logits, color="#c9c9c9", width=0.7, zorder=2)
    bars[target].set_facecolor(CYCLE[1])
    bars[target].set_edgecolor("white")
    bars[target].set_hatch("////")
    bars[answer].set_color(CYCLE[0])
    line = ratio * float(logits[answer])
    axes.axhline(line, color=INK, linewidth=0.8, linestyle="--", zorder=3)
    axes.axhline(0.0, color=INK, linewidth=0.6, zorder=3)
    words, right = f"{ratio:g} \N{MULTIPLICATION SIGN} answer", axes.get_yaxis_transform()
    note(axes, words, (1.0, line), (3, 0), va="center", ha="left", xycoords=right)
    axes.set_xticks(range(logits.size))
    axes.tick_params(axis="x", length=0)
    for label, colour in ((answer, CYCLE[0]), (target, CYCLE[1])):
        axes.get_xticklabels()[label].set(color=colour, weight="bold")
    axes.spines["bottom"].set_visible(False)
    axes.set(xlabel="label", ylabel="logit")
