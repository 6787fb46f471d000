"""Grids of images: where tiles lie, what is drawn in them, and what is written around them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from reluopt.errors import InputError
from reluopt.figures.style import (
    BAD,
    DIVERGING,
    GOOD,
    INK,
    MUTED,
    SMALL,
    TEXT,
    TINY,
    inch_axes,
    inch_text,
    literal,
)
from reluopt.images.display import COLOURS, as_picture, folded_shape, full_scale, strongest
from reluopt.numerics.arrays import FloatArray

COLUMNS = 10
"""Images side by side in one band; more of them wrap into further bands."""

LEFT, RIGHT, GAP = 0.22, 0.46, 0.035
"""Inches left and right of a grid, for the names of rows and the scale, and between tiles."""

LINE = 0.125
"""Inches from one line of a caption to the next."""

NOTE = 6.5
"""Font size of the words that say what was proven."""

_FRAME, _NOTHING = "#8c8c8c", "#f5f5f5"
"""Frames tell white pixels on the border of an image from the white of the page; grey is no image.
"""


@dataclass(frozen=True)
class Tiles:
    """Where the tiles of a grid lie, in inches.

    Attributes:
        count: how many images.
        columns: images side by side.
        width: of the figure.
        tile: width of a tile.
        aspect: height of a tile over its width.
        above: room for the title of a column.
        below: room for its caption.
        rows: tiles on top of each other for each image.
    """

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
        """Height of a tile."""
        return self.tile * self.aspect

    @property
    def band(self) -> float:
        """Height of a band: tiles, title and caption."""
        return self.above + self.rows * self.height + (self.rows - 1) * GAP + self.below

    @property
    def bands(self) -> int:
        """How many bands the images wrap into."""
        return math.ceil(self.count / self.columns)

    @classmethod
    def fitting(
        cls,
        stack: FloatArray,
        columns: int,
        width: float,
        *,
        rows: int = 1,
        lines: tuple[int, int] = (1, 2),
        largest: float = math.inf,
        right: float = LEFT,
    ) -> Tiles:
        """At most ``columns`` images side by side on at most ``width`` inches.

        ``lines`` of text stand above and below, ``right`` inches stay free on the right, and no
        tile is wider than ``largest``.
        """
        columns = min(len(stack), columns)
        gaps = (columns - 1) * GAP
        tile = min((width - (LEFT + right) - gaps) / columns, largest)
        return cls(
            count=len(stack),
            columns=columns,
            width=LEFT + right + columns * tile + gaps,
            tile=tile,
            aspect=tile_aspect(stack),
            above=LINE * lines[0] + 0.07,
            below=LINE * lines[1] + 0.1,
            rows=rows,
        )

    def corner(self, index: int, row: int) -> tuple[float, float]:
        """Left and top of tile ``row`` of image ``index``."""
        band, column = divmod(index, self.columns)
        left = LEFT + column * (self.tile + GAP)
        return left, band * self.band + self.above + row * (self.height + GAP)


@dataclass(frozen=True)
class Names:
    """What labels are called in titles."""

    names: Sequence[str] | None

    def __call__(self, label: int) -> str:
        """The name of a label."""
        return str(label) if self.names is None else literal(self.names[label])

    @property
    def long(self) -> bool:
        """Whether two names need two lines."""
        return self.names is not None and max(len(name) for name in self.names) > 3

    def arrow(self, before: int, after: int | None) -> str:
        """``3 → 8``, on two lines when names are long."""
        end = "?" if after is None else self(after)
        return f"{self(before)}{chr(10) if self.long else ' '}\N{RIGHTWARDS ARROW} {end}"


def stack_images(what: str, images: ArrayLike) -> FloatArray:
    """Images as an array ``(n, height, width)``, or that x 3 for colours.

    Flat ones become squares, or else one row; channels, 1 or 3, may come first.
    """
    stack = np.asarray(images, dtype=np.float64)
    if stack.ndim == 2 and stack.size:
        stack = stack.reshape(len(stack), *folded_shape(stack.shape[1]))
    pictures = [as_picture(image) for image in stack] if stack.ndim in (3, 4) else []
    found = [picture for picture in pictures if picture is not None]
    if stack.size == 0 or not found:
        raise InputError(
            f"figure: expected {what} of shape (n, height, width), or (n, 3, height, width) for "
            f"colours, found {stack.shape}"
        )
    return np.array(found)


def tile_aspect(stack: FloatArray) -> float:
    """Height of a tile over its width; a single row is drawn as a square of upright bars."""
    height, width = stack.shape[1:3]
    return 1.0 if height == 1 else height / width


def check_lengths(count: int, lists: Sequence[Sequence[Any]]) -> None:
    """Raise an InputError unless every list has ``count`` entries."""
    if any(len(entries) != count for entries in lists):
        raise InputError(
            f"figure: expected {count} entries in every list (one for each image), found "
            + ", ".join(str(len(entries)) for entries in lists)
        )


def tile_axes(figure: Figure, tiles: Tiles, index: int, row: int) -> Axes:
    """A frame at one place of the grid."""
    return frame(figure, *tiles.corner(index, row), tiles.tile, tiles.height)


def frame(
    figure: Figure, left: float, top: float, width: float, height: float, colour: str = _FRAME
) -> Axes:
    """Axes without ticks, placed as by :func:`~reluopt.figures.style.inch_axes`."""
    axes = inch_axes(figure, left, top, width, height)
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, linewidth=0.5, color=colour)
    return axes


def draw_digit(
    axes: Axes, image: FloatArray | None, span: tuple[float, float] = (0.0, 1.0)
) -> None:
    """Pixels from black to white, or in colours; or a note that there is no image.

    ``span`` has the values of black and white.
    """
    if image is None:
        axes.set_facecolor(_NOTHING)
        axes.text(0.5, 0.5, "no\nimage", ha="center", va="center", size=TINY, color=MUTED)
        return
    levels = np.clip((image - span[0]) / (span[1] - span[0]), 0.0, 1.0)
    axes.imshow(levels, cmap="gray", vmin=0.0, vmax=1.0, aspect="auto")


def folded(image: ArrayLike | None, shape: tuple[int, ...]) -> FloatArray | None:
    """A changed image in the shape of the originals."""
    if image is None:
        return None
    array = np.asarray(image, dtype=np.float64)
    if array.size != math.prod(shape):
        raise InputError(f"figure: expected changed images of shape {shape}, found {array.shape}")
    channels_first = len(shape) == COLOURS and array.shape != shape
    return (
        np.moveaxis(array.reshape(COLOURS, *shape[:2]), 0, -1)
        if channels_first
        else (array.reshape(shape))
    )


def change_scale(images: FloatArray, answers: Sequence[FloatArray | None]) -> float:
    """Change drawn darkest: the largest one of the figure, rounded up to one digit."""
    pairs = zip(images, answers, strict=True)
    sizes = (float(np.abs(answer - image).max()) for image, answer in pairs if answer is not None)
    return full_scale(max(sizes, default=0.0))


def draw_change(axes: Axes, image: FloatArray, answer: FloatArray | None, scale: float) -> None:
    """The change of every pixel, on white; in colours that of the one that changes most."""
    if answer is None:
        axes.set_facecolor(_NOTHING)
        return
    axes.imshow(strongest(answer - image), cmap=DIVERGING, vmin=-scale, vmax=scale, aspect="auto")


def draw_scale(figure: Figure, left: float, top: float, height: float, scale: float) -> None:
    """The scale of a difference, ``left`` and ``top`` inches from the figure's upper left."""
    mappable = ScalarMappable(Normalize(-scale, scale), DIVERGING)
    bar = inch_axes(figure, left, top, 0.06, height)
    colour_bar = figure.colorbar(mappable, cax=bar, ticks=[-scale, 0.0, scale])
    colour_bar.ax.set_yticklabels([f"\N{MINUS SIGN}{scale:g}", "0", f"+{scale:g}"])
    fine_colour_bar(colour_bar)


def fine_colour_bar(colour_bar: Colorbar) -> None:
    """Thin lines and small numbers."""
    colour_bar.ax.tick_params(labelsize=TINY, length=1.5, pad=1.5, width=0.4)
    colour_bar.outline.set_linewidth(0.4)


def name_rows(figure: Figure, tiles: Tiles, names: Sequence[str], scales: Sequence[float]) -> None:
    """Names of the rows left of each band, and right of its last row the scale of changes."""
    for band, scale in enumerate(scales):
        first = band * tiles.columns
        for row, name in enumerate(names):
            left, top = tiles.corner(first, row)
            upright(figure, left - 0.07, top + tiles.height / 2, name)
        last = min(first + tiles.columns, tiles.count) - 1
        left, top = tiles.corner(last, len(names) - 1)
        draw_scale(figure, left + tiles.tile + 0.06, top, tiles.height, scale)


def upright(figure: Figure, right: float, middle: float, text: str) -> None:
    """A muted name that reads upwards."""
    inch_text(
        figure, right, middle, text, rotation=90, ha="right", va="center", size=SMALL, color=MUTED
    )


def draw_title(figure: Figure, tiles: Tiles, index: int, text: str, note: str) -> None:
    """The lines above a column, the note on top."""
    left, top = tiles.corner(index, 0)
    middle, place = left + tiles.tile / 2, top - 0.055
    lines = text.split("\n")
    size = TEXT if len(lines) == 1 else SMALL
    written = [(line, size, INK) for line in lines]
    if note:
        written.insert(0, (note, NOTE, BAD))
    for number, (line, points, colour) in enumerate(reversed(written)):
        height = place - number * LINE
        inch_text(
            figure, middle, height, line, ha="center", va="baseline", size=points, color=colour
        )


def draw_caption(
    figure: Figure, tiles: Tiles, index: int, lines: Sequence[tuple[str, str]]
) -> None:
    """Lines below a column, each with its colour."""
    left, top = tiles.corner(index, tiles.rows - 1)
    middle = left + tiles.tile / 2
    for number, (text, colour) in enumerate(lines):
        place = top + tiles.height + 0.035 + number * LINE
        size = SMALL if number == 0 else NOTE
        inch_text(figure, middle, place, text, ha="center", va="top", size=size, color=colour)


def proof_mark(proven: bool | float | str) -> tuple[str, str]:
    """What is known about the optimum, and the colour to say it in."""
    if isinstance(proven, str):
        return proven, MUTED
    if isinstance(proven, (bool, np.bool_)):
        return ("proven", GOOD) if proven else ("not proven", BAD)
    if not math.isfinite(proven):
        return "no bound", BAD
    return f"gap {100.0 * proven:.2g} %" if proven < 0.995 else "gap 100 %", BAD
