"""What a search knew as time went by, as ``reluopt profile --figure`` wrote it."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from reluopt.errors import InputError
from reluopt.files import read_regular_file
from reluopt.numerics.arrays import FloatArray

COLUMNS = ("seconds", "incumbent", "bound")
"""Columns of such a table; others are passed over."""


@dataclass(frozen=True, eq=False)
class Curve:
    """One search.

    Attributes:
        name: of its file.
        moments: shape ``(moments, 3)``: seconds, incumbent and bound, in the order of time;
            what is not known yet is no finite number.
    """

    name: str
    moments: FloatArray

    def steps(self, column: int, start: float) -> list[tuple[float, float]]:
        """The points of a step line of one column, from ``start`` seconds on."""
        known = self.moments[np.isfinite(self.moments[:, column])]
        points: list[tuple[float, float]] = []
        for seconds, value in known[:, [0, column]].tolist():
            points += [(max(seconds, start), points[-1][1])] if points else []
            points.append((max(seconds, start), value))
        end = max(float(self.moments[-1, 0]), start)
        return [*points, (end, points[-1][1])] if points else []


def read_curve(path: Path) -> Curve:
    """Read a table of moments.

    Raises:
        InputError: there is no such file, a column is missing or holds no numbers, or no row has
            both a time and a bound.
    """
    data = read_regular_file(path, "a table of moments")
    try:
        frame = pd.read_csv(io.BytesIO(data))
    except (ValueError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: expected a table with commas, found: {reason}") from None
    for name in COLUMNS:
        if name not in frame:
            raise InputError(f"{path}: expected a column {name}, found none")
        if not pd.api.types.is_numeric_dtype(frame[name]):
            raise InputError(f"{path}: {name}: expected numbers, found others")
    moments = frame[list(COLUMNS)].to_numpy(dtype=np.float64)
    moments = moments[np.isfinite(moments[:, 0])]
    if not np.isfinite(moments[:, 2]).any():
        raise InputError(f"{path}: expected moments with a bound, found none")
    return Curve(path.stem, moments[np.argsort(moments[:, 0], kind="stable")])


def ends(curves: Sequence[Curve], least: float) -> tuple[float, float, float]:
    """First and last moment, at least ``least`` seconds and a decade apart, and the top."""
    last = max(max(float(curve.moments[-1, 0]) for curve in curves), 10.0 * least)
    values = [v for curve in curves for v in curve.moments[:, 1:].ravel() if math.isfinite(v)]
    return least, last, max([float(value) for value in values if value > 0.0], default=1.0)
