"""Rows of results that are not trusted: entries that must be there, and numbers to compare."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reluopt.errors import InputError
from reluopt.runs.schema import Row, kind_of

AGREEMENT = 1e-9
"""Allowed relative difference between stored and recomputed numbers. Both are float64 sums of the
same terms; another BLAS may add them in another order, which changes the last few bits."""


@dataclass(frozen=True, eq=False)
class RowReader:
    """A row whose entries are read with a message that names file, line and column.

    The entries are typed already (:mod:`~reluopt.runs.schema`). All methods raise
    :class:`~reluopt.errors.InputError` where the column is missing.

    Attributes:
        table: the file.
        line: where the row stands in it, the header being line 1.
        row: its entries by column.
    """

    table: Path
    line: int
    row: Row

    def entry(self, column: str) -> Any:
        """A value, or None for an empty cell."""
        if column not in self.row:
            raise InputError(f"{self.table}: expected a column {column}, found none")
        return self.row[column]

    def filled(self, column: str) -> Any:
        """A value of a cell that must not be empty."""
        value = self.entry(column)
        if value is None:
            raise InputError(
                f"{self.table}, line {self.line}: {column}: expected {kind_of(column).expected}, "
                "found nothing"
            )
        return value

    def text(self, column: str) -> str:
        """A text that is not empty."""
        return str(self.filled(column))

    def number(self, column: str) -> float | None:
        """A number, or None for an empty entry."""
        value = self.entry(column)
        return None if value is None else float(value)

    def integer(self, column: str) -> int:
        """A whole number."""
        return int(self.filled(column))

    def flag(self, column: str) -> bool:
        """True or False."""
        return bool(self.filled(column))

    def close(self, column: str, value: float, least: float = 1.0) -> bool:
        """Whether a stored number is the recomputed one, up to rounding.

        Numbers below ``least`` count as ``least``. What is NaN or infinite is stored as nothing.
        """
        stored = self.number(column)
        if stored is None or not math.isfinite(value):
            return stored is None and not math.isfinite(value)
        return abs(stored - value) <= AGREEMENT * max(least, abs(value))


def at_most(left: float, right: float, least: float = 1.0) -> bool:
    """``left <= right`` up to rounding; numbers below ``least`` count as ``least``."""
    return left <= right or left - right <= AGREEMENT * max(least, abs(right))
