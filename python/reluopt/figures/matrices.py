"""Figures of matrices with a row for each label: confusions and distances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from reluopt.errors import InputError
from reluopt.figures.frames import framed
from reluopt.figures.style import (
    CHARACTER,
    DOUBLE_COLUMN,
    INK,
    NORM_SYMBOLS,
    SHADES,
    SINGLE_COLUMN,
    SMALL,
    TINY,
    inch_axes,
    literal,
    new_figure,
    style,
)

_PANEL = DOUBLE_COLUMN / 2
"""Inches of one of two matrices side by side."""

_LEFT, _TOP, _RIGHT, _BELOW = 0.36, 0.26, 0.08, 0.42
"""Inches around a matrix."""


def _confusion_figure_arguments(frame: pd.DataFrame) -> dict[str, Any]:
    """Rows counted by their true label and their answer."""
    names = sorted({*frame["label"], *frame["predicted"]})
    counts = pd.crosstab(frame["label"], frame["predicted"]).reindex(names, fill_value=0)
    matrix = counts.reindex(columns=names, fill_value=0).to_numpy()
    return {"matrix": matrix, "class_names": [str(name) for name in names]}


@framed(_confusion_figure_arguments, "label", "predicted")
@style()
def confusion_figure(matrix: ArrayLike, class_names: Sequence[str]) -> Figure:
    """A confusion matrix: true labels down, answers across, counts in the cells.

    Colour is the share of a row on a scale that keeps rare mistakes visible. The figure is
    :data:`SINGLE_COLUMN` inches wide, and :data:`DOUBLE_COLUMN` for more than 12 classes.

    Args:
        matrix: shape ``(n, n)``, how many inputs of each true label (row) got each answer.
        class_names: one name for each label.

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
    class_names = [literal(name) for name in class_names]
    longest = max(len(name) for name in class_names)
    left = _LEFT + CHARACTER * longest
    side = width - left - _RIGHT
    figure = new_figure(width, side + _TOP + (left if longest > 3 else _BELOW))
    axes = inch_axes(figure, left, _TOP, side, side)
    axes.imshow(shares, cmap=SHADES, norm=PowerNorm(0.45, 0.0, 1.0), aspect="auto")
    points = min(SMALL, 72 * side / size / 2.6)
    for row, column in np.argwhere(counts > 0):
        colour = "white" if shares[row, column] > 0.2 else INK
        _write(axes, row, column, f"{counts[row, column]:d}", points, colour)
    _name_classes(axes, class_names, upright=longest <= 3)
    correct, total = int(np.trace(counts)), int(counts.sum())
    share = 100 * correct / max(total, 1)
    axes.set_title(f"{correct:,} of {total:,} correct ({share:.2f} %)", pad=5)
    return figure


def _distance_matrix_figure_arguments(frame: pd.DataFrame) -> dict[str, Any]:
    """Mean distances of each label and target."""
    names = sorted({*frame["label"], *frame["target"]})
    matrices = {}
    for norm, part in frame.groupby("norm", sort=False):
        means = part.groupby(["label", "target"])["distance"].mean()
        places = pd.MultiIndex.from_product([names, names])
        matrices[norm] = means.reindex(places).to_numpy().reshape(len(names), len(names))
    return {"matrices": matrices, "class_names": [str(name) for name in names]}


@framed(_distance_matrix_figure_arguments, "norm", "label", "target", "distance")
@style()
def distance_matrix_figure(matrices: Mapping[str, ArrayLike], class_names: Sequence[str]) -> Figure:
    """Mean distances: true labels down, targets across, one matrix for each norm.

    The darker, the farther, on a scale of its own for each matrix. Two of them are
    :data:`DOUBLE_COLUMN` inches wide.

    Args:
        matrices: for each norm an array ``(n, n)`` of distances, NaN where there is none (the
            diagonal).
        class_names: one short name for each label.

    Raises:
        InputError: nothing to draw, an unknown norm, or a matrix that does not fit the names or
            holds no distance.
    """
    if not matrices:
        raise InputError("figure: expected at least one matrix, found none")
    size, side = len(class_names), _PANEL - _LEFT - _RIGHT
    figure = new_figure(len(matrices) * _PANEL, side + _TOP + _BELOW)
    for number, (norm, matrix) in enumerate(matrices.items()):
        values = np.asarray(matrix, dtype=np.float64)
        if norm not in NORM_SYMBOLS or values.shape != (size, size) or not size:
            raise InputError(
                f"figure: expected a norm ({', '.join(NORM_SYMBOLS)}) with distances of shape "
                f"({size}, {size}), found '{norm}' with shape {values.shape}"
            )
        if not np.isfinite(values).any():
            raise InputError(f"figure: expected distances in the {norm} matrix, found none")
        axes = inch_axes(figure, number * _PANEL + _LEFT, _TOP, side, side)
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        scale = Normalize(low - 0.15 * (high - low), high)
        axes.imshow(np.ma.masked_invalid(values), cmap=SHADES, norm=scale, aspect="auto")
        for row, column in np.argwhere(np.isfinite(values)):
            value = values[row, column]
            text = f"{value:#.3g}".rstrip(".") if value >= 1.0 else f"{value:.2f}"
            _write(axes, row, column, text, TINY, "white" if scale(value) > 0.6 else INK)
        _name_classes(axes, class_names, upright=True)
        axes.set_xlabel("target")
        axes.set_title(f"mean {NORM_SYMBOLS[norm]} distance", pad=5)
    return figure


def _write(axes: Axes, row: int, column: int, text: str, points: float, colour: str) -> None:
    """A number in its cell."""
    axes.text(column, row, text, ha="center", va="center", size=points, color=colour)


def _name_classes(axes: Axes, names: Sequence[str], upright: bool) -> None:
    """Ticks, labels and white lines between the cells of a matrix."""
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
