"""Figures of blends: what is lost of one norm and gained of the other, and what it looks like."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from numpy.typing import ArrayLike

from reluopt.errors import InputError
from reluopt.figures.images import change_scale, draw_change, draw_scale
from reluopt.figures.style import (
    CYCLE,
    DOUBLE_COLUMN,
    INK,
    MUTED,
    NORM_SYMBOLS,
    SMALL,
    inch_axes,
    inch_text,
    new_figure,
    style,
)
from reluopt.figures.tiles import (
    GAP,
    LEFT,
    LINE,
    RIGHT,
    Tiles,
    check_lengths,
    draw_caption,
    draw_digit,
    draw_title,
    stack_images,
    tile_aspect,
    tile_axes,
)
from reluopt.numerics.arrays import FloatArray

_HEIGHT = 1.8
"""Inches of a panel."""

_ROWS = ("adversarial", "difference")


@style()
def blend_figure(
    weights: Sequence[float],
    names: Sequence[str],
    l1_ratios: ArrayLike,
    l2_ratios: ArrayLike,
    pixels: ArrayLike,
    largest: ArrayLike,
) -> Figure:
    """Both norms against each other, and how many pixels change by how much, over the weight.

    Left: the median L1 and L2 length of the answers over the least possible one, one point for each
    measure; middle and right: number of changed pixels and largest change of a pixel, the median
    as a line with markers and the quartiles as a band.

    Args:
        weights: weight of L1 of each measure, rising: 0 is L2 and 1 is L1.
        names: what the measures are called beside their points.
        l1_ratios: L1 lengths over the least ones, shape ``(images, measures)``.
        l2_ratios: the same for L2.
        pixels: numbers of changed pixels, of the same shape.
        largest: largest changes of a pixel, of the same shape.

    Returns:
        A figure of :data:`DOUBLE_COLUMN` inches.

    Raises:
        InputError: nothing to draw, or arrays of different shapes.
    """
    tables = [
        np.asarray(each, dtype=np.float64) for each in (l1_ratios, l2_ratios, pixels, largest)
    ]
    shape = tables[0].shape
    fitting = len(shape) == 2 and shape[0] > 0 and shape[1] == len(weights) == len(names)
    if not fitting or any(table.shape != shape for table in tables):
        raise InputError(
            f"figure: expected four tables (images, {len(weights)}), found "
            + ", ".join(str(table.shape) for table in tables)
        )
    figure = new_figure(DOUBLE_COLUMN, 0.12 + _HEIGHT + 0.42)
    trade = inch_axes(figure, 0.68, 0.12, 2.25, _HEIGHT)
    _draw_trade(trade, names, *(np.median(table, axis=0) for table in tables[:2]))
    labels = ("changed pixels", "largest change of a pixel")
    for number, (label, table) in enumerate(zip(labels, tables[2:], strict=True)):
        axes = inch_axes(figure, 3.5 + 1.94 * number, 0.12, 1.37, _HEIGHT)
        low, middle, high = np.quantile(table, [0.25, 0.5, 0.75], axis=0)
        axes.fill_between(weights, low, high, color=CYCLE[5], alpha=0.35, linewidth=0.0)
        axes.plot(weights, middle, color=CYCLE[0], marker="o")
        axes.set(xlabel=r"weight $w$ of $L_1$", ylabel=label, ylim=(0.0, None), xlim=(-0.03, 1.03))
        axes.set_xticks([0.0, 0.5, 1.0], ["0", "0.5", "1"])
        axes.grid(True)
    return figure


def _draw_trade(axes: Axes, names: Sequence[str], first: FloatArray, second: FloatArray) -> None:
    """The curve from L2 to L1 with a name at each point."""
    axes.plot(first, second, color=CYCLE[1], marker="s", zorder=3)
    for name, across, up in zip(names, first, second, strict=True):
        axes.annotate(
            name, (across, up), xytext=(4, 3), textcoords="offset points", size=SMALL, color=INK
        )
    percent = FuncFormatter(lambda value, _: f"{100.0 * (value - 1.0):+.0f} %".replace("+0 ", "0 "))
    axes.xaxis.set_major_formatter(percent)
    axes.yaxis.set_major_formatter(percent)
    axes.set(
        xlabel=f"{NORM_SYMBOLS['l1']} length over the least",
        ylabel=f"{NORM_SYMBOLS['l2']} length over the least",
    )
    axes.margins(x=0.12, y=0.12)
    axes.grid(True)


@style()
def blend_pictures(
    original: ArrayLike,
    changed: Sequence[ArrayLike],
    titles: Sequence[str],
    captions: Sequence[Sequence[str]],
) -> Figure:
    """One image under each measure, side by side: the answer, and below it the change.

    Args:
        original: shape ``(height, width)``, pixels in [0, 1], or flat if square.
        changed: the answers, of the same number of pixels.
        titles: what is written above each.
        captions: lines below each, at most two.

    Returns:
        A figure of at most :data:`DOUBLE_COLUMN` inches.

    Raises:
        InputError: no images, lists of different lengths, or images of another shape.
    """
    image = stack_images("original", np.asarray(original, dtype=np.float64)[None])[0]
    answers = stack_images("answers", np.array([np.ravel(each) for each in changed]))
    check_lengths(len(answers), (titles, captions))
    if answers.shape[1:] != image.shape:
        raise InputError(f"figure: expected answers of shape {image.shape}, found {answers.shape}")
    count = len(answers)
    room = (DOUBLE_COLUMN - LEFT - RIGHT - (count - 1) * GAP) / count
    tiles = Tiles(
        count=count,
        columns=count,
        width=LEFT + RIGHT + count * room + (count - 1) * GAP,
        tile=room,
        aspect=tile_aspect(answers),
        above=LINE + 0.07,
        below=2 * LINE + 0.1,
        rows=len(_ROWS),
    )
    figure = new_figure(tiles.width, tiles.band)
    scale = change_scale(np.stack([image] * count), list(answers))
    for index, answer in enumerate(answers):
        draw_digit(tile_axes(figure, tiles, index, 0), answer)
        draw_change(tile_axes(figure, tiles, index, 1), answer - image, scale)
        draw_title(figure, tiles, index, titles[index], "")
        draw_caption(figure, tiles, index, [(line, INK) for line in captions[index]])
    for row, name in enumerate(_ROWS):
        left, top = tiles.corner(0, row)
        inch_text(
            figure, left - 0.07, top + tiles.height / 2, name,
            rotation=90, ha="right", va="center", size=SMALL, color=MUTED,
        )  # fmt: skip
    left, top = tiles.corner(count - 1, 1)
    draw_scale(figure, left + tiles.tile + 0.06, top, tiles.height, scale)
    return figure
