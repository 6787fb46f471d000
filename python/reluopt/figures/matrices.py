"""Figures of confusion matrices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from reluopt.errors import InputError
from reluopt.figures.style import (
    CHARACTER,
    DOUBLE_COLUMN,
    INK,
    SHADES,
    SINGLE_COLUMN,
    SMALL,
    inch_axes,
    new_figure,
    style,
)


@style()
def confusion_figure(matrix: ArrayLike, class_names: Sequence[str]) -> Figure:
    """A confusion matrix: true labels down, answers across, counts in the cells.

    Colour is the share of a row on a scale that keeps rare mistakes visible.

    Args:
        matrix: shape ``(n, n)``, how many inputs of each true label (row) got each answer.
        class_names: one name for each label.

    Returns:
        A figure of :data:`SINGLE_COLUMN` inches (more than 12 classes: :data:`DOUBLE_COLUMN`).

    Raises:
        InputError: the matrix is not square, has negative counts, or does not fit the names.
    """
    counts = np.asarray(matrix)
    size = len(class_names)
    if counts.shape != (size, size) or size == 0 or (counts < 0).any():
        raise InputError(
            f"figure: expected counts >= 0 of shape ({size}, {size}), one row for each class "
            f"name, found shape {counts.shape}"
        )
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    width = SINGLE_COLUMN if size <= 12 else DOUBLE_COLUMN
    longest = max(len(name) for name in class_names)
    left = 0.36 + CHARACTER * longest
    below = left if longest > 3 else 0.42
    side = width - left - 0.08
    figure = new_figure(width, side + 0.26 + below)
    axes = inch_axes(figure, left, 0.26, side, side)
    axes.imshow(shares, cmap=SHADES, norm=PowerNorm(0.45, 0.0, 1.0), aspect="auto")
    points = min(SMALL, 72 * side / size / 2.6)
    for row, column in np.argwhere(counts > 0):
        colour = "white" if shares[row, column] > 0.2 else INK
        axes.text(
            column, row, f"{counts[row, column]:d}",
            ha="center", va="center", size=points, color=colour,
        )  # fmt: skip
    _name_classes(axes, class_names, upright=longest <= 3)
    correct, total = int(np.trace(counts)), int(counts.sum())
    axes.set_title(
        f"{correct:,} of {total:,} correct ({100 * correct / max(total, 1):.2f} %)", pad=5
    )
    return figure


def _name_classes(axes: Axes, names: Sequence[str], upright: bool) -> None:
    """Ticks, labels and white lines between the cells of a confusion matrix."""
    places = np.arange(len(names))
    axes.set_xticks(places, names, rotation=0 if upright else 90)
    axes.set_yticks(places, names)
    axes.set_xticks(places[1:] - 0.5, minor=True)
    axes.set_yticks(places[1:] - 0.5, minor=True)
    axes.grid(which="minor", color="#e6e6e6", linewidth=0.5)
    axes.tick_params(which="both", length=0)
    axes.set(xlabel="answer of the network", ylabel="true label")
    for spine in axes.spines.values():
        spine.set(visible=True, linewidth=0.5)
