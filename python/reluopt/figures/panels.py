"""What figures of numbers share: rows of panels, their ticks, and checks of what is drawn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MultipleLocator
from numpy.typing import ArrayLike

from reluopt.errors import InputError
from reluopt.figures.style import DOUBLE_COLUMN, NORM_SYMBOLS, TINY, inch_axes
from reluopt.numerics.arrays import FloatArray

QUARTILES = (0.25, 0.5, 0.75)


def panel_row(
    figure: Figure, top: float, height: float, count: int, sides: tuple[float, float, float]
) -> Iterator[Axes]:
    """``count`` panels side by side; ``sides`` are inches left of, between and right of them."""
    left, between, right = sides
    width = (DOUBLE_COLUMN - left - right - (count - 1) * between) / count
    for place in range(count):
        yield inch_axes(figure, left + place * (width + between), top, width, height)


def check_norms(norms: Iterable[str]) -> None:
    """Raise an InputError for a norm that has no symbol."""
    unknown = next((norm for norm in norms if norm not in NORM_SYMBOLS), None)
    if unknown is not None:
        raise InputError(f"figure: expected norm {', '.join(NORM_SYMBOLS)}, found '{unknown}'")


def series_names(panels: Mapping[str, Mapping[str, ArrayLike]]) -> list[str]:
    """Names of the series, the same ones for each norm, or an InputError."""
    lists = [list(series) for series in panels.values()]
    if not lists or not lists[0] or any(names != lists[0] for names in lists):
        raise InputError(f"figure: expected the same series for each norm, found {lists}")
    check_norms(panels)
    return lists[0]


def arrays_of_shape(
    what: str, shape: tuple[int | None, int], tables: Sequence[ArrayLike], counted: str = "images"
) -> list[FloatArray]:
    """``tables`` as float arrays of one shape that holds something, or an InputError.

    A number of rows that is None is that of the first table, and says how many are ``counted``.
    """
    arrays = [np.asarray(table, dtype=np.float64) for table in tables]
    rows, columns = shape
    count = rows if rows is not None else len(np.atleast_1d(arrays[0]))
    if not count or not columns or any(array.shape != (count, columns) for array in arrays):
        found = ", ".join(str(array.shape) for array in arrays)
        expected = f"({counted if rows is None else rows}, {columns})"
        raise InputError(f"figure: expected {what} of shape {expected}, found {found}")
    return arrays


def percent_axis(axes: Axes) -> None:
    """Shares as per cent on the upright axis."""
    axes.yaxis.set_major_locator(MultipleLocator(0.25))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.0f} %"))


def short(value: float, _: object) -> str:
    """A tick label such as ``0.05``."""
    return f"{value:g}"


def share_xlim(panels: Sequence[Axes]) -> tuple[float, float]:
    """Give panels the widest limits of all of them across."""
    low = min(axes.get_xlim()[0] for axes in panels)
    high = max(axes.get_xlim()[1] for axes in panels)
    for axes in panels:
        axes.set_xlim(low, high)
    return low, high


def spread(count: int) -> FloatArray:
    """``count`` heights in [-1, 1): golden-ratio steps are even, and the same every time."""
    return np.asarray(2.0 * ((0.5 + 0.618034 * np.arange(count)) % 1.0) - 1.0)


def strip_axis(axes: Axes, names: Sequence[str]) -> None:
    """Named strips, 1 apart from the top down, without a spine."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def note(
    axes: Axes, text: str, place: tuple[float, float], offset: tuple[float, float], **options: Any
) -> None:
    """Small words at a place of the data, moved by so many points; above it unless ``va`` says."""
    look = {"size": TINY, "va": "bottom", **options}
    axes.annotate(text, place, offset, textcoords="offset points", **look)
