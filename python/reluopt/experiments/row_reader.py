"""Rows of results that are not trusted: entries of the right kind, and numbers to compare."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reluopt.errors import InputError
from reluopt.experiments.store import Row

AGREEMENT = 1e-9
"""Allowed relative difference between stored and recomputed numbers. Both are float64 sums of the
same terms; another BLAS may add them in another order, which changes the last few bits."""


@dataclass(frozen=True, eq=False)
class RowReader:
    """A row whose entries are read with a message that names file, line and column.

    All methods raise :class:`~reluopt.errors.InputError` where the column is missing or its entry
    is something else.

    Attributes:
        table: the file.
        line: where the row stands in it, the header being line 1.
        row: its entries by column.
    """

    table: Path
    line: int
    row: Row

    def _entry(self, column: str) -> Any:
        if column not in self.row:
            raise InputError(f"{self.table}: expected a column {column}, found none")
        return self.row[column]

    def _refuse(self, column: str, expected: str) -> InputError:
        found = self._entry(column)
        shown = "nothing" if found is None else repr(found)
        return InputError(
            f"{self.table}, line {self.line}: {column}: expected {expected}, found {shown}"
        )

    def text(self, column: str) -> str:
        """A text that is not empty."""
        value = self._entry(column)
        if value is None:
            raise self._refuse(column, "a text")
        return str(value)

    def number(self, column: str) -> float | None:
        """A number, or None for an empty entry."""
        value = self._entry(column)
        if value is None:
            return None
        try:
            return float(value)
        except (TypeError, ValueError):
            raise self._refuse(column, "a number") from None

    def integer(self, column: str) -> int:
        """A whole number."""
        value = self.number(column)
        if value is None or not value.is_integer():
            raise self._refuse(column, "a whole number")
        return int(value)

    def flag(self, column: str) -> bool:
        """True or False."""
        value = str(self._entry(column))
        if value not in ("True", "False"):
            raise self._refuse(column, "True or False")
        return value == "True"

    def close(self, column: str, value: float, least: float = 1.0) -> bool:
        """Whether a stored number is the recomputed one, up to rounding.

        Numbers below ``least`` count as ``least``.
        """
        stored = self.number(column)
        return stored is not None and abs(stored - value) <= AGREEMENT * max(least, abs(value))


def at_most(left: float, right: float, least: float = 1.0) -> bool:
    """``left <= right`` up to rounding; numbers below ``least`` count as ``least``."""
    return left <= right or left - right <= AGREEMENT * max(least, abs(right))
