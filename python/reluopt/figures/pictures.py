"""Figures made of images: digits, perturbations, and inputs that maximise a logit.

Images have shape ``(n, height, width)``, or ``(n, 3, height, width)`` in colours, and pixels in
[0, 1] (0 is drawn black). Flat ones ``(n, size)`` are folded into squares where ``size`` is one,
else shown as a row. In a difference, which stands on white, red pixels became brighter and blue
ones darker; the darker the colour, the larger the change, in colours that of the one that changes
most. Nothing to draw, lists of different lengths, images of another shape and unknown
norms are an :class:`~reluopt.errors.InputError`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from reluopt.errors import InputError
from reluopt.figures.frames import framed
from reluopt.figures.panels import check_norms
from reluopt.figures.picture_frames import (
    digit_arguments,
    optimal_input_arguments,
    perturbation_arguments,
)
from reluopt.figures.style import (
    BAD,
    DOUBLE_COLUMN,
    INK,
    MUTED,
    NORM_SYMBOLS,
    SINGLE_COLUMN,
    SMALL,
    TEXT,
    TINY,
    inch_text,
    new_figure,
    style,
)
from reluopt.figures.tiles import (
    COLUMNS,
    GAP,
    LINE,
    RIGHT,
    Names,
    Tiles,
    change_scale,
    check_lengths,
    draw_caption,
    draw_change,
    draw_digit,
    draw_scale,
    draw_title,
    folded,
    frame,
    name_rows,
    proof_mark,
    stack_images,
    tile_axes,
    upright,
)
from reluopt.numerics.arrays import FloatArray

LARGEST_TILE = 0.95
"""Inches; single images are not blown up beyond this."""

_BLEND = "blend:"
_ROWS = ("original", "adversarial", "difference")

_LEFT, _RIGHT, _PAIR, _ABOVE, _CAPTION = 0.42, 0.46, 0.1, 0.2, 0.15
"""Inches left and right of pairs of pictures, between pairs, above all, and below each row."""


@framed(digit_arguments, "pixels", "label", "caption")
@style()
def digit_figure(images: ArrayLike, labels: Sequence[int], captions: Sequence[str]) -> Figure:
    """Images in a row, ten side by side (Figure 1 of Linkola (2023)).

    Args:
        images: at least one.
        labels: what is written above each.
        captions: what is written below each.

    Returns:
        A figure of at most :data:`DOUBLE_COLUMN` inches.
    """
    stack = stack_images("images", images)
    check_lengths(len(stack), (labels, captions))
    tiles = Tiles.fitting(stack, COLUMNS, DOUBLE_COLUMN, lines=(1, 1), largest=LARGEST_TILE)
    figure = new_figure(tiles.width, tiles.bands * tiles.band)
    for index, image in enumerate(stack):
        draw_digit(tile_axes(figure, tiles, index, 0), image)
        draw_title(figure, tiles, index, str(labels[index]), "")
        draw_caption(figure, tiles, index, [(captions[index], MUTED)])
    return figure


@framed(
    perturbation_arguments,
    *("original", "changed", "label", "original_predicted", "predicted"),
    *("distance", "norm", "proven"),
)
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
    span: tuple[float, float] = (0.0, 1.0),
) -> Figure:
    """One column for each image: original, adversarial image, and what was changed.

    The layout follows Figures 3 and 4 of Linkola (2023). Differences are on one scale for the whole
    figure, unless ``scale_each_band``.

    Args:
        originals: at least one image.
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
        span: pixel values that are drawn black and white.

    Returns:
        A figure of :data:`DOUBLE_COLUMN` (up to four images: :data:`SINGLE_COLUMN`) inches.
    """
    images = stack_images("originals", originals)
    lists = (changed, labels, predicted_original, predicted_changed, distances, proven)
    check_lengths(len(images), lists)
    if not norm.startswith(_BLEND):
        check_norms([norm])
    answers = [folded(image, images.shape[1:]) for image in changed]
    names = Names(class_names)
    misread = [label != seen for label, seen in zip(labels, predicted_original, strict=True)]
    tiles = Tiles.fitting(
        images,
        COLUMNS,
        SINGLE_COLUMN if len(images) <= 4 else DOUBLE_COLUMN,
        rows=len(_ROWS),
        lines=((2 if names.long else 1) + any(misread), 2),
        largest=LARGEST_TILE,
        right=RIGHT,
    )
    figure = new_figure(tiles.width, tiles.bands * tiles.band)
    together = tiles.columns if scale_each_band else tiles.count
    scales = [
        change_scale(images[first : first + together], answers[first : first + together])
        for first in range(0, tiles.count, together)
    ]
    for index, (image, answer) in enumerate(zip(images, answers, strict=True)):
        draw_digit(tile_axes(figure, tiles, index, 0), image, span)
        draw_digit(tile_axes(figure, tiles, index, 1), answer, span)
        draw_change(tile_axes(figure, tiles, index, 2), image, answer, scales[index // together])
        title = names.arrow(predicted_original[index], predicted_changed[index])
        note = f"label {names(labels[index])}" if misread[index] else ""
        draw_title(figure, tiles, index, title, note)
        length = length_words(norm, math.nan if answer is None else distances[index])
        draw_caption(figure, tiles, index, [(length, INK), proof_mark(proven[index])])
    name_rows(figure, tiles, _ROWS, scales if scale_each_band else scales * tiles.bands)
    return figure


def length_words(norm: str, distance: float) -> str:
    """What stands below a change of some length; of none where that is no finite number."""
    if not math.isfinite(distance):
        return "no distance"
    return f"{NORM_SYMBOLS.get(norm, 'blend')} = {distance:#.3g}".rstrip(".")


@style()
def shared_change_figure(
    originals: ArrayLike,
    change: ArrayLike,
    labels: Sequence[int],
    predicted_original: Sequence[int],
    predicted_changed: Sequence[int],
    caption: Sequence[tuple[str, str]],
    *,
    span: tuple[float, float] = (0.0, 1.0),
) -> Figure:
    """A column for each image, original and changed, and at the end the change that all share.

    Args:
        originals: at least one image.
        change: what is added to each, of the same shape.
        labels: true labels. An image that the network misreads is marked with its label.
        predicted_original: what the network answers for each original.
        predicted_changed: what it answers for each changed image.
        caption: lines below the change, each with its colour; at most two.
        span: pixel values that are drawn black and white.

    Returns:
        At most :data:`DOUBLE_COLUMN` (up to three images: :data:`SINGLE_COLUMN`) inches.
    """
    images = stack_images("originals", originals)
    check_lengths(len(images), (labels, predicted_original, predicted_changed))
    delta = stack_images("a change", np.asarray(change, dtype=np.float64)[None])
    if delta.shape[1:] != images.shape[1:]:
        raise InputError(f"figure: expected shape {images.shape[1:]}, found {delta.shape[1:]}")
    misread = [label != seen for label, seen in zip(labels, predicted_original, strict=True)]
    tiles = Tiles.fitting(
        np.concatenate([images, delta]),
        COLUMNS,
        SINGLE_COLUMN if len(images) <= 3 else DOUBLE_COLUMN,
        rows=2,
        lines=(1 + any(misread), 0),
        largest=LARGEST_TILE,
        right=RIGHT,
    )
    figure = new_figure(tiles.width, tiles.bands * tiles.band)
    for index, image in enumerate(images):
        draw_digit(tile_axes(figure, tiles, index, 0), image, span)
        draw_digit(tile_axes(figure, tiles, index, 1), image + delta[0], span)
        title = Names(None).arrow(predicted_original[index], predicted_changed[index])
        draw_title(figure, tiles, index, title, f"label {labels[index]}" * misread[index])
    for band in range(math.ceil(len(images) / tiles.columns)):
        for row, name in enumerate(("original", "changed")):
            left, top = tiles.corner(band * tiles.columns, row)
            upright(figure, left - 0.07, top + tiles.height / 2, name)
    _draw_shared(figure, tiles, delta[0], caption)
    return figure


def _draw_shared(
    figure: Figure, tiles: Tiles, delta: FloatArray, caption: Sequence[tuple[str, str]]
) -> None:
    """The change as the last tile, between both rows, with its scale and lines below it."""
    scale = change_scale(np.zeros((1, *delta.shape)), [delta])
    left, top = tiles.corner(tiles.count - 1, 0)
    top += (tiles.height + GAP) / 2
    axes = frame(figure, left, top, tiles.tile, tiles.height)
    draw_change(axes, np.zeros_like(delta), delta, scale)
    draw_scale(figure, left + tiles.tile + 0.06, top, tiles.height, scale)
    middle = left + tiles.tile / 2
    look = {"ha": "center", "size": SMALL}
    inch_text(figure, middle, top - 0.05, "the change", va="baseline", color=MUTED, **look)
    for number, (words, colour) in enumerate(caption):
        place = top + tiles.height + 0.035 + number * LINE
        inch_text(figure, middle, place, words, va="top", color=colour, **look)


@framed(optimal_input_arguments, "pixels", "label", "logit", "predicted", "proven")
@style()
def optimal_input_figure(
    images: ArrayLike,
    labels: Sequence[int],
    logits: Sequence[float],
    predicted: Sequence[int],
    proven: Sequence[bool | float | str],
    *,
    class_names: Sequence[str] | None = None,
    span: tuple[float, float] = (0.0, 1.0),
) -> Figure:
    """The inputs that make one logit each as large as possible (Figure 2 of Linkola (2023)).

    Args:
        images: at least one.
        labels: whose logit each image maximises.
        logits: the value reached, in logit units.
        predicted: what the network answers for each image; marked where it is not the label.
        proven: as for :func:`perturbation_figure`.
        class_names: names of the labels; the numbers themselves if not given.
        span: pixel values that are drawn black and white.

    Returns:
        A figure of :data:`DOUBLE_COLUMN` inches (up to two images: :data:`SINGLE_COLUMN`) with
        five images side by side.
    """
    stack = stack_images("images", images)
    check_lengths(len(stack), (labels, logits, predicted, proven))
    names = Names(class_names)
    width = SINGLE_COLUMN if len(stack) <= 2 else DOUBLE_COLUMN
    tiles = Tiles.fitting(stack, COLUMNS // 2, width, largest=1.25)
    figure = new_figure(tiles.width, tiles.bands * tiles.band)
    for index, image in enumerate(stack):
        draw_digit(tile_axes(figure, tiles, index, 0), image, span)
        value = f"{logits[index]:.4g}".replace("-", "\N{MINUS SIGN}")
        draw_title(figure, tiles, index, f"label {names(labels[index])}, logit {value}", "")
        colour = INK if predicted[index] == labels[index] else BAD
        answer = f"classified as {names(predicted[index])}"
        draw_caption(figure, tiles, index, [(answer, colour), proof_mark(proven[index])])
    return figure


@style()
def blend_pictures(
    original: ArrayLike,
    changed: Sequence[ArrayLike],
    titles: Sequence[str],
    captions: Sequence[Sequence[str]],
) -> Figure:
    """One image under each measure, side by side: the answer, and below it the change.

    Args:
        original: shape ``(height, width)``, or flat if square.
        changed: the answers, of the same number of pixels.
        titles: what is written above each.
        captions: lines below each, at most two.

    Returns:
        A figure of at most :data:`DOUBLE_COLUMN` inches.
    """
    image = stack_images("original", np.asarray(original, dtype=np.float64)[None])[0]
    answers = stack_images("answers", np.array([np.ravel(each) for each in changed]))
    check_lengths(len(answers), (titles, captions))
    if answers.shape[1:] != image.shape:
        raise InputError(f"figure: expected answers of shape {image.shape}, found {answers.shape}")
    tiles = Tiles.fitting(answers, len(answers), DOUBLE_COLUMN, rows=2, right=RIGHT)
    figure = new_figure(tiles.width, tiles.band)
    scale = change_scale(np.stack([image] * len(answers)), list(answers))
    for index, answer in enumerate(answers):
        draw_digit(tile_axes(figure, tiles, index, 0), answer)
        draw_change(tile_axes(figure, tiles, index, 1), image, answer, scale)
        draw_title(figure, tiles, index, titles[index], "")
        draw_caption(figure, tiles, index, [(line, INK) for line in captions[index]])
    name_rows(figure, tiles, _ROWS[1:], [scale])
    return figure


@style()
def limit_pictures(
    limits: Sequence[float | None],
    originals: ArrayLike,
    changed: Mapping[int, Sequence[ArrayLike | None]],
    titles: Sequence[str],
    captions: Sequence[Sequence[str]],
) -> Figure:
    """Changed images and their changes: a row for each limit, a pair of tiles for each image.

    Every row has its own scale of changes, drawn at its end. The figure is at most
    :data:`DOUBLE_COLUMN` inches wide.

    Args:
        limits: limits on neighbouring changes, None for none.
        originals: at least one image.
        changed: for the number of each limit the changed images; None where there is none.
        titles: words above the pairs, one for each image.
        captions: for each limit the words below the pairs.
    """
    images = stack_images("originals", originals)
    check_lengths(len(images), [titles, *changed.values(), *captions])
    found = f"{len(changed)} and {len(captions)}"
    if found != f"{len(limits)} and {len(limits)}":
        expected = f"images and captions for {len(limits)} limits"
        raise InputError(f"figure: expected {expected}, found {found}")
    count = len(images)
    room = DOUBLE_COLUMN - _LEFT - _RIGHT - count * GAP - (count - 1) * _PAIR
    tile = min(room / (2 * count), 0.85)
    height = tile * images.shape[1] / images.shape[2]
    pitch, pair = height + _CAPTION, 2 * tile + GAP
    width = _LEFT + count * pair + (count - 1) * _PAIR + _RIGHT
    figure = new_figure(width, _ABOVE + len(limits) * pitch)
    lefts = [_LEFT + number * (pair + _PAIR) for number in range(count)]
    above = {"ha": "center", "va": "baseline", "size": TEXT}
    below = {"ha": "center", "va": "top", "size": TINY}
    for left, title in zip(lefts, titles, strict=True):
        inch_text(figure, left + pair / 2, _ABOVE - 0.06, title, **above)
    for row, limit in enumerate(limits):
        top = _ABOVE + row * pitch
        upright(figure, _LEFT - 0.08, top + height / 2, limit_name(limit, "$s$ = "))
        answers = [folded(answer, images.shape[1:]) for answer in changed[row]]
        scale = change_scale(images, answers)
        for left, image, answer, words in zip(lefts, images, answers, captions[row], strict=True):
            draw_digit(frame(figure, left, top, tile, height), answer)
            draw_change(frame(figure, left + tile + GAP, top, tile, height), image, answer, scale)
            inch_text(figure, left + pair / 2, top + height + 0.02, words, **below)
        if any(answer is not None for answer in answers):
            draw_scale(figure, lefts[-1] + pair + 0.06, top, height, scale)
    return figure


def limit_name(limit: float | None, before: str = "") -> str:
    """What a limit is called, with a word before its number."""
    return "no limit" if limit is None else f"{before}{limit:g}"
