"""Figures of changes that must be alike on neighbouring pixels: distances, and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter, NullFormatter
from numpy.typing import ArrayLike

from reluopt.errors import InputError
from reluopt.figures.images import change_scale, draw_change, draw_scale
from reluopt.figures.style import (
    CYCLE,
    DOUBLE_COLUMN,
    MARKERS,
    MUTED,
    NORM_SYMBOLS,
    SMALL,
    TEXT,
    TINY,
    inch_axes,
    inch_text,
    new_figure,
    style,
)
from reluopt.figures.tiles import GAP, check_lengths, draw_digit, stack_images
from reluopt.numerics.arrays import FloatArray

_PANEL = (0.5, 0.12, 2.75, 2.3)
"""Left, top, width and height of the first panel in inches; the other stands beside it."""

_LABEL_ROOM = 0.055
"""Least distance of the words at two lines' ends, as a share of the panel's height."""

_LEFT, _RIGHT, _PAIR, _ABOVE, _CAPTION = 0.42, 0.46, 0.1, 0.2, 0.15
"""Inches left and right of the pictures, between pairs, above all, and below each row."""

PROVEN = 1e-5
"""Relative difference up to which a bound counts as the distance: what rounding in tables loses."""

Limit = float | None


@style()
def limit_figure(
    limits: Sequence[Limit],
    distances: ArrayLike,
    bounds: ArrayLike,
    largest: ArrayLike,
    labels: Sequence[int],
    norm: str = "l1",
) -> Figure:
    """Distance and largest change of a pixel against the limit, one line for each image.

    A filled marker is a proven distance. An open one is the best image known, with a bar down to
    the proven bound. A line ends where no image was found.

    Args:
        limits: limits on the difference of neighbouring changes, None for none; at least one.
        distances: shape ``(images, limits)``; NaN or infinite without an image.
        bounds: proven bounds on the distances, likewise.
        largest: the largest change of a pixel, likewise.
        labels: a word for each image, written at its line.
        norm: ``l1``, ``l2`` or ``linf``.

    Returns:
        A figure of :data:`DOUBLE_COLUMN` inches with two panels.

    Raises:
        InputError: arrays of other shapes, an unknown norm, or nothing to draw.
    """
    tables = [np.asarray(table, dtype=np.float64) for table in (distances, bounds, largest)]
    shape = (len(labels), len(limits))
    if 0 in shape or any(table.shape != shape for table in tables):
        raise InputError(
            f"figure: expected arrays of shape {shape} with an entry, found "
            + ", ".join(str(table.shape) for table in tables)
        )
    if norm not in NORM_SYMBOLS:
        raise InputError(f"figure: expected norm {', '.join(NORM_SYMBOLS)}, found '{norm}'")
    tables = [np.where(np.isfinite(table), table, np.nan) for table in tables]
    left, top, width, height = _PANEL
    figure = new_figure(DOUBLE_COLUMN, top + height + 0.45)
    panels = [
        inch_axes(figure, left, top, width, height),
        inch_axes(figure, DOUBLE_COLUMN - width - 0.12, top, width, height),
    ]
    for axes, values in zip(panels, (tables[0], tables[2]), strict=True):
        _draw_lines(axes, values, tables[0], tables[1])
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(_plain))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.xaxis.set_major_locator(FixedLocator(range(len(limits))))
        axes.xaxis.set_major_formatter(FixedFormatter([_name(limit) for limit in limits]))
        axes.set_xlim(-0.15, len(limits) - 0.5)
        axes.set_xlabel("limit $s$ on neighbouring changes (pixel units)")
        axes.grid(True, axis="y")
        _write_labels(axes, values, labels)
    for panel in panels:
        panel.yaxis.set_major_locator(FixedLocator(_steps(panel.get_ylim())))
    panels[0].set_ylabel(f"{NORM_SYMBOLS[norm]} distance (pixel units)")
    panels[1].set_ylabel("largest change of a pixel (pixel units)")
    return figure


@style()
def limit_pictures(
    limits: Sequence[Limit],
    originals: ArrayLike,
    changed: Mapping[int, Sequence[ArrayLike | None]],
    titles: Sequence[str],
    captions: Sequence[Sequence[str]],
) -> Figure:
    """Changed images and their changes: a row for each limit, a pair of tiles for each image.

    Args:
        limits: limits, None for none.
        originals: shape ``(n, height, width)`` or flat squares, pixels in [0, 1].
        changed: for the number of each limit the changed images; None where there is none.
        titles: words above the pairs, one for each image.
        captions: for each limit the words below the pairs.

    Returns:
        A figure of :data:`DOUBLE_COLUMN` inches. Changes stand on white (red brighter, blue
        darker); every row has its own scale, drawn at its end.

    Raises:
        InputError: lists of different lengths, or images of other shapes.
    """
    images = stack_images("originals", originals)
    check_lengths(len(images), [titles, *changed.values(), *captions])
    if len(changed) != len(limits) or len(captions) != len(limits):
        raise InputError(
            f"figure: expected images and captions for {len(limits)} limits, found "
            f"{len(changed)} and {len(captions)}"
        )
    count = len(images)
    room = DOUBLE_COLUMN - _LEFT - _RIGHT - count * GAP - (count - 1) * _PAIR
    tile = min(room / (2 * count), 0.85)
    height = tile * images.shape[1] / images.shape[2]
    pitch, pair = height + _CAPTION, 2 * tile + GAP
    width = _LEFT + count * pair + (count - 1) * _PAIR + _RIGHT
    figure = new_figure(width, _ABOVE + len(limits) * pitch)
    lefts = [_LEFT + number * (pair + _PAIR) for number in range(count)]
    for left, title in zip(lefts, titles, strict=True):
        inch_text(
            figure, left + pair / 2, _ABOVE - 0.06, title, ha="center", va="baseline", size=TEXT
        )
    for row, limit in enumerate(limits):
        top = _ABOVE + row * pitch
        inch_text(
            figure, _LEFT - 0.08, top + height / 2, _name(limit, "$s$ = "), rotation=90,
            ha="right", va="center", size=SMALL, color=MUTED,
        )  # fmt: skip
        answers = [_folded(answer, images.shape[1:]) for answer in changed[row]]
        scale = change_scale(images, answers)
        for left, image, answer, words in zip(lefts, images, answers, captions[row], strict=True):
            draw_digit(_tile(figure, left, top, tile, height), answer)
            change = None if answer is None else answer - image
            draw_change(_tile(figure, left + tile + GAP, top, tile, height), change, scale)
            inch_text(
                figure, left + pair / 2, top + height + 0.02, words,
                ha="center", va="top", size=TINY,
            )  # fmt: skip
        if any(answer is not None for answer in answers):
            draw_scale(figure, lefts[-1] + pair + 0.06, top, height, scale)
    return figure


def _folded(image: ArrayLike | None, shape: tuple[int, ...]) -> FloatArray | None:
    """A changed image in the shape of the originals."""
    return None if image is None else np.reshape(np.asarray(image, dtype=np.float64), shape)


def _tile(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """A frame without ticks."""
    axes = inch_axes(figure, left, top, width, height)
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, linewidth=0.5, color="#8c8c8c")
    return axes


def _draw_lines(axes: Axes, values: FloatArray, distances: FloatArray, bounds: FloatArray) -> None:
    """A line for each image; open markers where the bound lies below the distance."""
    for number, line in enumerate(values):
        colour, marker = CYCLE[number % len(CYCLE)], MARKERS[number % len(MARKERS)]
        dashes = "-" if number < len(CYCLE) else (0, (4, 1.5))
        axes.plot(line, color=colour, linewidth=0.9, linestyle=dashes)
        proven = bounds[number] >= distances[number] * (1.0 - PROVEN)
        open_ended = ~proven & np.isfinite(line)
        places = np.arange(line.size)
        axes.plot(
            places[proven], line[proven], marker, color=colour, markersize=3.0, linestyle="none"
        )
        axes.plot(
            places[open_ended], line[open_ended], "o", color=colour, markersize=4.5,
            linestyle="none", markerfacecolor="white",
        )  # fmt: skip
        if values is distances:
            for place in places[open_ended]:
                low = bounds[number, place]
                axes.plot(
                    [place, place], [low, line[place]], ":", color=colour, linewidth=0.7, zorder=1
                )


def _write_labels(axes: Axes, values: FloatArray, labels: Sequence[int]) -> None:
    """The words of all lines right of their ends, moved apart where they would overlap."""
    low, high = np.log(axes.get_ylim())
    known = [np.flatnonzero(np.isfinite(line)) for line in values]
    last = [int(places[-1]) if places.size else None for places in known]
    for column in range(values.shape[1]):
        own = [number for number, place in enumerate(last) if place == column]
        own.sort(key=lambda number: float(values[number, column]))
        heights = [(np.log(values[number, column]) - low) / (high - low) for number in own]
        for place in range(1, len(heights)):
            heights[place] = max(heights[place], heights[place - 1] + _LABEL_ROOM)
        excess = max(0.0, (heights[-1] - 0.99) if heights else 0.0)
        for number, height in zip(own, heights, strict=True):
            axes.annotate(
                str(labels[number]), (column, height - excess), xycoords=("data", "axes fraction"),
                xytext=(5.0, 0.0), textcoords="offset points", va="center", size=SMALL,
                color=CYCLE[number % len(CYCLE)],
            )  # fmt: skip


def _name(limit: Limit, before: str = "") -> str:
    """What a limit is called, with a word before its number."""
    return "no limit" if limit is None else f"{before}{limit:g}"


def _steps(limits: tuple[float, float]) -> list[float]:
    """1, 2 and 5 times the powers of ten between two limits."""
    low, high = limits
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    steps = [factor * 10.0**power for power in powers for factor in (1.0, 2.0, 5.0)]
    return [step for step in steps if low <= step <= high]


def _plain(value: float, _: object) -> str:
    return f"{value:g}"
