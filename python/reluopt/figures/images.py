"""Figures made of images: perturbations, and inputs that maximise a logit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
    GOOD,
    INK,
    MUTED,
    SINGLE_COLUMN,
    SMALL,
    TEXT,
    TINY,
    inch_axes,
    inch_text,
    new_figure,
    style,
)
from reluopt.network import FloatArray

COLUMNS = 10
"""Images side by side in one band; more of them wrap into further bands."""

LARGEST_TILE = 0.95
"""Inches; single images are not blown up beyond this."""

_NORMS = {"l1": r"$L_1$", "l2": r"$L_2$", "linf": r"$L_\infty$"}
_ROWS = ("original", "adversarial", "difference")
_LEFT, _RIGHT, _GAP = 0.22, 0.46, 0.035
_LINE = 0.125
"""Inches from one line of a caption to the next."""

NOTE = 6.5
"""Font size of the words that say what was proven."""

_FRAME = "#8c8c8c"
"""Frames tell white pixels on the border of an image from the white of the page."""


@dataclass(frozen=True)
class _Tiles:
    """Where the tiles of a grid lie, in inches."""

    count: int
    columns: int
    width: float
    tile: float
    aspect: float
    above: float
    below: float
    rows: int

    @property
    def height(self) -> float:
        return self.tile * self.aspect

    @property
    def band(self) -> float:
        return self.above + self.rows * self.height + (self.rows - 1) * _GAP + self.below

    @property
    def bands(self) -> int:
        return math.ceil(self.count / self.columns)

    def corner(self, index: int, row: int) -> tuple[float, float]:
        """Left and top of tile ``row`` of image ``index``."""
        band, column = divmod(index, self.columns)
        left = _LEFT + column * (self.tile + _GAP)
        return left, band * self.band + self.above + row * (self.height + _GAP)


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
) -> Figure:
    """One column for each image: original, adversarial image, and what was changed.

    The layout follows Figures 3 and 4 of Linkola (2023). The difference stands on white: red
    pixels became brighter, blue ones darker, and the darker the colour the larger the change, on
    one scale for the whole figure.

    Args:
        originals: shape ``(n, height, width)``, pixels in [0, 1] (0 is drawn black). Flat images
            ``(n, size)`` are folded into squares where ``size`` is one, else shown as a row.
        changed: the adversarial images, of the same shape; None where none was found.
        labels: true labels. An image that the network misreads is marked with its label.
        predicted_original: what the network answers for each original.
        predicted_changed: what it answers for each changed image.
        distances: length of each change in ``norm``.
        norm: ``l1``, ``l2`` or ``linf``.
        proven: True for a proven optimum, False without proof, the relative MIP gap as a float,
            or a few words of your own.
        class_names: names of the labels; the numbers themselves if not given.

    Returns:
        A figure of :data:`DOUBLE_COLUMN` (up to four images: :data:`SINGLE_COLUMN`) inches.

    Raises:
        InputError: no images, lists of different lengths, images of another shape, or an unknown
            norm.
    """
    images = _stack("originals", originals)
    lists = (changed, labels, predicted_original, predicted_changed, distances, proven)
    _one_each(len(images), lists)
    if norm not in _NORMS:
        raise InputError(f"figure: expected norm {', '.join(_NORMS)}, found '{norm}'")
    answers = [_fitting(image, images.shape[1:]) for image in changed]
    names = _Names(class_names)
    misread = [label != seen for label, seen in zip(labels, predicted_original, strict=True)]
    lines = (2 if names.long else 1) + any(misread)
    tiles = _perturbation_tiles(images, above=_LINE * lines + 0.07, below=2 * _LINE + 0.1)
    figure = new_figure(tiles.width, tiles.bands * tiles.band)
    scale = _scale(images, answers)
    for index, (image, answer) in enumerate(zip(images, answers, strict=True)):
        change = None if answer is None else answer - image
        _draw_digit(_tile(figure, tiles, index, 0), image)
        _draw_digit(_tile(figure, tiles, index, 1), answer)
        _draw_change(_tile(figure, tiles, index, 2), change, scale)
        title = names.arrow(predicted_original[index], predicted_changed[index])
        note = f"label {names(labels[index])}" if misread[index] else ""
        _title(figure, tiles, index, title, note)
        lines_below = [(_distance(norm, distances[index], answer is not None), INK)]
        lines_below.append(_mark(proven[index]))
        _caption(figure, tiles, index, lines_below)
    _label_bands(figure, tiles, scale)
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
    stack = _stack("images", images)
    _one_each(len(stack), (labels, logits, predicted, proven))
    names = _Names(class_names)
    columns = min(len(stack), COLUMNS // 2)
    width = SINGLE_COLUMN if columns <= 2 else DOUBLE_COLUMN
    tile = min((width - 2 * _LEFT - (columns - 1) * _GAP) / columns, 1.25)
    tiles = _Tiles(
        count=len(stack),
        columns=columns,
        width=2 * _LEFT + columns * tile + (columns - 1) * _GAP,
        tile=tile,
        aspect=_aspect(stack),
        above=_LINE + 0.07,
        below=2 * _LINE + 0.1,
        rows=1,
    )
    figure = new_figure(tiles.width, tiles.bands * tiles.band)
    for index, image in enumerate(stack):
        _draw_digit(_tile(figure, tiles, index, 0), image)
        value = f"{logits[index]:.4g}".replace("-", "\N{MINUS SIGN}")
        _title(figure, tiles, index, f"label {names(labels[index])}, logit {value}", "")
        right = predicted[index] == labels[index]
        answer = f"classified as {names(predicted[index])}"
        _caption(figure, tiles, index, [(answer, INK if right else BAD), _mark(proven[index])])
    return figure


@dataclass(frozen=True)
class _Names:
    """What labels are called in titles."""

    names: Sequence[str] | None

    def __call__(self, label: int) -> str:
        return str(label) if self.names is None else self.names[label]

    @property
    def long(self) -> bool:
        """Whether two names need two lines."""
        return self.names is not None and max(len(name) for name in self.names) > 3

    def arrow(self, before: int, after: int | None) -> str:
        """``3 → 8``, on two lines when names are long."""
        end = "?" if after is None else self(after)
        return f"{self(before)}{chr(10) if self.long else ' '}\N{RIGHTWARDS ARROW} {end}"


def _stack(what: str, images: ArrayLike) -> FloatArray:
    """Images as an array ``(n, height, width)``; flat ones become squares, or else one row."""
    stack = np.asarray(images, dtype=np.float64)
    if stack.ndim == 2 and stack.size:
        side = math.isqrt(stack.shape[1])
        square = side * side == stack.shape[1]
        stack = stack.reshape(len(stack), side if square else 1, -1)
    if stack.ndim != 3 or stack.size == 0:
        raise InputError(
            f"figure: expected {what} of shape (n, height, width), found {stack.shape}"
        )
    return stack


def _aspect(stack: FloatArray) -> float:
    """Height of a tile over its width; a single row is drawn as a square of upright bars."""
    height, width = stack.shape[1:]
    return 1.0 if height == 1 else height / width


def _one_each(count: int, lists: Sequence[Sequence[Any]]) -> None:
    """Raise an InputError unless every list has ``count`` entries."""
    if any(len(entries) != count for entries in lists):
        raise InputError(
            f"figure: expected {count} entries in every list (one for each image), found "
            + ", ".join(str(len(entries)) for entries in lists)
        )


def _fitting(image: ArrayLike | None, shape: tuple[int, ...]) -> FloatArray | None:
    """A changed image of the originals' shape (a flat one is folded)."""
    if image is None:
        return None
    array = np.asarray(image, dtype=np.float64)
    if array.size != math.prod(shape):
        raise InputError(f"figure: expected changed images of shape {shape}, found {array.shape}")
    return array.reshape(shape)


def _perturbation_tiles(images: FloatArray, above: float, below: float) -> _Tiles:
    """The grid of a perturbation figure."""
    columns = min(len(images), COLUMNS)
    width = SINGLE_COLUMN if columns <= 4 else DOUBLE_COLUMN
    room = (width - _LEFT - _RIGHT - (columns - 1) * _GAP) / columns
    tile = min(room, LARGEST_TILE)
    return _Tiles(
        count=len(images),
        columns=columns,
        width=_LEFT + _RIGHT + columns * tile + (columns - 1) * _GAP,
        tile=tile,
        aspect=_aspect(images),
        above=above,
        below=below,
        rows=len(_ROWS),
    )


def _scale(images: FloatArray, answers: Sequence[FloatArray | None]) -> float:
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


def _tile(figure: Figure, tiles: _Tiles, index: int, row: int) -> Axes:
    """Axes without ticks at one place of the grid."""
    left, top = tiles.corner(index, row)
    axes = inch_axes(figure, left, top, tiles.tile, tiles.height)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(visible=True, linewidth=0.5, color=_FRAME)
    return axes


def _draw_digit(axes: Axes, image: FloatArray | None) -> None:
    """Pixels from black (0) to white (1), or a note that there is no image."""
    if image is None:
        axes.set_facecolor("#f5f5f5")
        axes.text(0.5, 0.5, "none\nfound", ha="center", va="center", size=TINY, color=MUTED)
        return
    axes.imshow(image, cmap="gray", vmin=0.0, vmax=1.0, aspect="auto")


def _draw_change(axes: Axes, change: FloatArray | None, scale: float) -> None:
    """The change of every pixel, on white."""
    if change is None:
        axes.set_facecolor("#f5f5f5")
        return
    axes.imshow(change, cmap=DIVERGING, vmin=-scale, vmax=scale, aspect="auto")


def _title(figure: Figure, tiles: _Tiles, index: int, text: str, note: str) -> None:
    """The lines above a column, the note on top."""
    left, top = tiles.corner(index, 0)
    middle, place = left + tiles.tile / 2, top - 0.055
    lines = text.split("\n")
    size = TEXT if len(lines) == 1 else SMALL
    written = [(line, size, INK) for line in lines]
    if note:
        written.insert(0, (note, NOTE, BAD))
    for number, (line, points, colour) in enumerate(reversed(written)):
        height = place - number * _LINE
        inch_text(
            figure, middle, height, line, ha="center", va="baseline", size=points, color=colour
        )


def _caption(figure: Figure, tiles: _Tiles, index: int, lines: Sequence[tuple[str, str]]) -> None:
    """Lines below a column, each with its colour."""
    left, top = tiles.corner(index, tiles.rows - 1)
    middle = left + tiles.tile / 2
    for number, (text, colour) in enumerate(lines):
        place = top + tiles.height + 0.035 + number * _LINE
        size = SMALL if number == 0 else NOTE
        inch_text(figure, middle, place, text, ha="center", va="top", size=size, color=colour)


def _distance(norm: str, value: float, found: bool) -> str:
    """``L1 = 4.21``."""
    if not (found and math.isfinite(value)):
        return "no distance"
    return f"{_NORMS[norm]} = {value:#.3g}".rstrip(".")


def _mark(proven: bool | float | str) -> tuple[str, str]:
    """What is known about the optimum, and the colour to say it in."""
    if isinstance(proven, str):
        return proven, MUTED
    if isinstance(proven, (bool, np.bool_)):
        return ("proven", GOOD) if proven else ("not proven", BAD)
    if not math.isfinite(proven):
        return "no bound", BAD
    return f"gap {100.0 * proven:.2g} %" if proven < 0.995 else "gap 100 %", BAD


def _label_bands(figure: Figure, tiles: _Tiles, scale: float) -> None:
    """Names of the rows on the left, and the scale of the difference on the right."""
    for band in range(tiles.bands):
        first = band * tiles.columns
        for row, name in enumerate(_ROWS):
            left, top = tiles.corner(first, row)
            inch_text(
                figure, left - 0.07, top + tiles.height / 2, name,
                rotation=90, ha="right", va="center", size=SMALL, color=MUTED,
            )  # fmt: skip
        last = min(first + tiles.columns, tiles.count) - 1
        left, top = tiles.corner(last, 2)
        bar = inch_axes(figure, left + tiles.tile + 0.06, top, 0.06, tiles.height)
        mappable = ScalarMappable(Normalize(-scale, scale), DIVERGING)
        colour_bar = figure.colorbar(mappable, cax=bar, ticks=[-scale, 0.0, scale])
        colour_bar.ax.set_yticklabels([f"\N{MINUS SIGN}{scale:g}", "0", f"+{scale:g}"])
        colour_bar.ax.tick_params(labelsize=TINY, length=1.5, pad=1.5, width=0.4)
        colour_bar.outline.set_linewidth(0.4)
