"""Figures made of images: digits, perturbations, and inputs that maximise a logit."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from reluopt.errors import InputError
from reluopt.figures.style import (
    BAD,
    DIVERGING,
    DOUBLE_COLUMN,
    INK,
    MUTED,
    NORM_SYMBOLS,
    SINGLE_COLUMN,
    SMALL,
    TINY,
    inch_axes,
    inch_text,
    new_figure,
    style,
)
from reluopt.figures.tiles import (
    COLUMNS,
    GAP,
    LEFT,
    LINE,
    RIGHT,
    Names,
    Tiles,
    check_lengths,
    draw_caption,
    draw_digit,
    draw_title,
    proof_mark,
    stack_images,
    tile_aspect,
    tile_axes,
)
from reluopt.numerics.arrays import FloatArray

LARGEST_TILE = 0.95
"""Inches; single images are not blown up beyond this."""

_BLEND = "blend:"
_ROWS = ("original", "adversarial", "difference")


@style()
def digit_figure(images: ArrayLike, labels: Sequence[int], captions: Sequence[str]) -> Figure:
    """Images in a row, ten side by side (Figure 1 of Linkola (2023)).

    Args:
        images: as the originals of :func:`perturbation_figure`.
        labels: what is written above each.
        captions: what is written below each.

    Returns:
        A figure of at most :data:`DOUBLE_COLUMN` inches.

    Raises:
        InputError: no images, or lists of different lengths.
    """
    stack = stack_images("images", images)
    check_lengths(len(stack), (labels, captions))
    columns = min(len(stack), COLUMNS)
    gaps = (columns - 1) * GAP
    tile = min((DOUBLE_COLUMN - 2 * LEFT - gaps) / columns, LARGEST_TILE)
    tiles = Tiles(
        count=len(stack),
        columns=columns,
        width=2 * LEFT + columns * tile + gaps,
        tile=tile,
        aspect=tile_aspect(stack),
        above=LINE + 0.07,
        below=LINE + 0.1,
        rows=1,
    )
    figure = new_figure(tiles.width, tiles.bands * tiles.band)
    for index, image in enumerate(stack):
        draw_digit(tile_axes(figure, tiles, index, 0), image)
        draw_title(figure, tiles, index, str(labels[index]), "")
        draw_caption(figure, tiles, index, [(captions[index], MUTED)])
    return figure


@style()
def perturbation_figure(
    originals: ArrayLike,
    changed: Sequence[ArrayLike | None],
    labels: Sequence[int],
    predicted_original: Sequence[int],
    predicted_changed: Sequence[int | None],
    distances: Sequence[float],
    norm: str,
    proven: Sequence[bool | float | str],
    *,
    class_names: Sequence[str] | None = None,
    scale_each_band: bool = False,
) -> Figure:
    """One column for each image: original, adversarial image, and what was changed.

    The layout follows Figures 3 and 4 of Linkola (2023). The difference stands on white: red
    pixels became brighter, blue ones darker, and the darker the colour the larger the change, on
    one scale for the whole figure, unless ``scale_each_band``.

    Args:
        originals: shape ``(n, height, width)``, pixels in [0, 1] (0 is drawn black). Flat images
            ``(n, size)`` are folded into squares where ``size`` is one, else shown as a row.
        changed: the adversarial images, of the same shape; None where none was found.
        labels: true labels. An image that the network misreads is marked with its label.
        predicted_original: what the network answers for each original.
        predicted_changed: what it answers for each changed image.
        distances: length of each change in ``norm``.
        norm: ``l1``, ``l2``, ``linf``, or a blend such as ``blend:0.5``.
        proven: True for a proven optimum, False without proof, the relative MIP gap as a float,
            or a few words of your own.
        class_names: names of the labels; the numbers themselves if not given.
        scale_each_band: draw the differences of each :data:`~reluopt.figures.tiles.COLUMNS` images
            side by side on a scale of their own.

    Returns:
        A figure of :data:`DOUBLE_COLUMN` (up to four images: :data:`SINGLE_COLUMN`) inches.

    Raises:
        InputError: no images, lists of different lengths, images of another shape, or an unknown
            norm.
    """
    images = stack_images("originals", originals)
    lists = (changed, labels, predicted_original, predicted_changed, distances, proven)
    check_lengths(len(images), lists)
    if norm not in NORM_SYMBOLS and not norm.startswith(_BLEND):
        raise InputError(f"figure: expected norm {', '.join(NORM_SYMBOLS)}, found '{norm}'")
    answers = [_fitting(image, images.shape[1:]) for image in changed]
    names = Names(class_names)
    misread = [label != seen for label, seen in zip(labels, predicted_original, strict=True)]
    lines = (2 if names.long else 1) + any(misread)
    tiles = _perturbation_tiles(images, above=LINE * lines + 0.07, below=2 * LINE + 0.1)
    figure = new_figure(tiles.width, tiles.bands * tiles.band)
    together = tiles.columns if scale_each_band else tiles.count
    scales = [
        change_scale(images[first : first + together], answers[first : first + together])
        for first in range(0, tiles.count, together)
    ]
    for index, (image, answer) in enumerate(zip(images, answers, strict=True)):
        change = None if answer is None else answer - image
        draw_digit(tile_axes(figure, tiles, index, 0), image)
        draw_digit(tile_axes(figure, tiles, index, 1), answer)
        draw_change(tile_axes(figure, tiles, index, 2), change, scales[index // together])
        title = names.arrow(predicted_original[index], predicted_changed[index])
        note = f"label {names(labels[index])}" if misread[index] else ""
        draw_title(figure, tiles, index, title, note)
        lines_below = [(_distance(norm, distances[index], answer is not None), INK)]
        lines_below.append(proof_mark(proven[index]))
        draw_caption(figure, tiles, index, lines_below)
    _label_bands(figure, tiles, scales if scale_each_band else scales * tiles.bands)
    return figure


@style()
def optimal_input_figure(
    images: ArrayLike,
    labels: Sequence[int],
    logits: Sequence[float],
    predicted: Sequence[int],
    proven: Sequence[bool | float | str],
    *,
    class_names: Sequence[str] | None = None,
) -> Figure:
    """The inputs that make one logit each as large as possible (Figure 2 of Linkola (2023)).

    Args:
        images: as the originals of :func:`perturbation_figure`.
        labels: whose logit each image maximises.
        logits: the value reached, in logit units.
        predicted: what the network answers for each image; marked where it is not the label.
        proven: as for :func:`perturbation_figure`.
        class_names: names of the labels; the numbers themselves if not given.

    Returns:
        A figure of :data:`DOUBLE_COLUMN` inches (up to two images: :data:`SINGLE_COLUMN`) with
        five images side by side.

    Raises:
        InputError: no images, or lists of different lengths.
    """
    stack = stack_images("images", images)
    check_lengths(len(stack), (labels, logits, predicted, proven))
    names = Names(class_names)
    columns = min(len(stack), COLUMNS // 2)
    width = SINGLE_COLUMN if columns <= 2 else DOUBLE_COLUMN
    tile = min((width - 2 * LEFT - (columns - 1) * GAP) / columns, 1.25)
    tiles = Tiles(
        count=len(stack),
        columns=columns,
        width=2 * LEFT + columns * tile + (columns - 1) * GAP,
        tile=tile,
        aspect=tile_aspect(stack),
        above=LINE + 0.07,
        below=2 * LINE + 0.1,
        rows=1,
    )
    figure = new_figure(tiles.width, tiles.bands * tiles.band)
    for index, image in enumerate(stack):
        draw_digit(tile_axes(figure, tiles, index, 0), image)
        value = f"{logits[index]:.4g}".replace("-", "\N{MINUS SIGN}")
        draw_title(figure, tiles, index, f"label {names(labels[index])}, logit {value}", "")
        right = predicted[index] == labels[index]
        answer = f"classified as {names(predicted[index])}"
        draw_caption(
            figure, tiles, index, [(answer, INK if right else BAD), proof_mark(proven[index])]
        )
    return figure


def _fitting(image: ArrayLike | None, shape: tuple[int, ...]) -> FloatArray | None:
    """A changed image of the originals' shape (a flat one is folded)."""
    if image is None:
        return None
    array = np.asarray(image, dtype=np.float64)
    if array.size != math.prod(shape):
        raise InputError(f"figure: expected changed images of shape {shape}, found {array.shape}")
    return array.reshape(shape)


def _perturbation_tiles(images: FloatArray, above: float, below: float) -> Tiles:
    """The grid of a perturbation figure."""
    columns = min(len(images), COLUMNS)
    width = SINGLE_COLUMN if columns <= 4 else DOUBLE_COLUMN
    room = (width - LEFT - RIGHT - (columns - 1) * GAP) / columns
    tile = min(room, LARGEST_TILE)
    return Tiles(
        count=len(images),
        columns=columns,
        width=LEFT + RIGHT + columns * tile + (columns - 1) * GAP,
        tile=tile,
        aspect=tile_aspect(images),
        above=above,
        below=below,
        rows=len(_ROWS),
    )


def change_scale(images: FloatArray, answers: Sequence[FloatArray | None]) -> float:
    """Change drawn darkest: the largest one of the figure, rounded up to one digit."""
    pairs = zip(images, answers, strict=True)
    largest = max(
        (float(np.abs(answer - image).max()) for image, answer in pairs if answer is not None),
        default=0.0,
    )
    if not (math.isfinite(largest) and largest > 0.0):
        return 1.0
    step = 10.0 ** math.floor(math.log10(largest))
    # A change of 0.30000000000000004 is one of 0.3.
    return float(f"{math.ceil(largest / step - 1e-9) * step:.1g}")


def draw_change(axes: Axes, change: FloatArray | None, scale: float) -> None:
    """The change of every pixel, on white."""
    if change is None:
        axes.set_facecolor("#f5f5f5")
        return
    axes.imshow(change, cmap=DIVERGING, vmin=-scale, vmax=scale, aspect="auto")


def _distance(norm: str, value: float, found: bool) -> str:
    """``L1 = 4.21``."""
    if not (found and math.isfinite(value)):
        return "no distance"
    return f"{NORM_SYMBOLS.get(norm, 'blend')} = {value:#.3g}".rstrip(".")


def _label_bands(figure: Figure, tiles: Tiles, scales: Sequence[float]) -> None:
    """Names of the rows on the left, and the scale of each band's differences on the right."""
    for band, scale in enumerate(scales):
        first = band * tiles.columns
        for row, name in enumerate(_ROWS):
            left, top = tiles.corner(first, row)
            inch_text(
                figure, left - 0.07, top + tiles.height / 2, name,
                rotation=90, ha="right", va="center", size=SMALL, color=MUTED,
            )  # fmt: skip
        last = min(first + tiles.columns, tiles.count) - 1
        left, top = tiles.corner(last, 2)
        draw_scale(figure, left + tiles.tile + 0.06, top, tiles.height, scale)


def draw_scale(figure: Figure, left: float, top: float, height: float, scale: float) -> None:
    """The scale of a difference, ``left`` and ``top`` inches from the figure's upper left."""
    bar = inch_axes(figure, left, top, 0.06, height)
    mappable = ScalarMappable(Normalize(-scale, scale), DIVERGING)
    colour_bar = figure.colorbar(mappable, cax=bar, ticks=[-scale, 0.0, scale])
    colour_bar.ax.set_yticklabels([f"\N{MINUS SIGN}{scale:g}", "0", f"+{scale:g}"])
    colour_bar.ax.tick_params(labelsize=TINY, length=1.5, pad=1.5, width=0.4)
    colour_bar.outline.set_linewidth(0.4)
