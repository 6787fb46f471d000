"""Tables of rows as files: CSV with a header, one line a row, typed by :mod:`.row`."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from reluopt.errors import InputError
from reluopt.files import read_regular_file
from reluopt.runs.column import Column
from reluopt.runs.row import Row, column_of, typed_frame

if TYPE_CHECKING:
    import pandas as pd

MAX_SHOWN = 60
"""Longest cell that a message shows in full."""

RowT = TypeVar("RowT", bound=Row)


@dataclass(frozen=True, eq=False)
class RowTable:
    """The rows of a file, whatever its columns.

    Attributes:
        path: the file.
        columns: their names, the first being the key.
        rows: values by column; None is missing.
        lines: where each row stands in the file, the header being line 1.
    """

    path: Path
    columns: tuple[str, ...]
    rows: Sequence[Mapping[str, Any]]
    lines: Sequence[int]

    @property
    def keys(self) -> list[str]:
        """The key of each row; a missing one is an empty text."""
        return [str(row[self.columns[0]] or "") for row in self.rows]

    @property
    def repeated(self) -> dict[str, list[int]]:
        """Keys that several rows have, with their lines."""
        counts = Counter(self.keys)
        places: dict[str, list[int]] = {}
        for key, line in zip(self.keys, self.lines, strict=True):
            if counts[key] > 1:
                places.setdefault(key, []).append(line)
        return places

    def typed(self, cls: type[RowT]) -> list[RowT]:
        """The rows of a job.

        Raises:
            InputError: a column is missing, or a cell that must not be empty is.
        """
        for name in cls.columns():
            if name not in self.columns:
                raise InputError(f"{self.path}: expected a column {name}, found none")
        rows = []
        for row, line in zip(self.rows, self.lines, strict=True):
            try:
                rows.append(cls(**{name: row[name] for name in cls.columns()}))
            except ValueError as error:
                raise InputError(f"{self.path}, line {line}: {error}") from None
        return rows

    def frame(self) -> pd.DataFrame:
        """The rows as a data frame; see :func:`~reluopt.runs.row.typed_frame`."""
        return typed_frame(self.columns, self.rows)


def read_rows(path: Path, cls: type[Row] | None = None) -> RowTable:
    """Read a table; a last line without its end was torn by a crash and is left out.

    Args:
        path: the file.
        cls: whose columns have other kinds than those of :data:`~reluopt.runs.row.COLUMNS`.

    Raises:
        InputError: there is no such file, it is no table, or a cell is not what its column holds.
    """
    data = read_regular_file(path, "a table")
    return parse_rows(path, data[: data.rfind(b"\n") + 1], cls)


def parse_rows(path: Path, data: bytes, cls: type[Row] | None = None) -> RowTable:
    """The table that ``data`` is; ``path`` is for messages."""
    try:
        lines = data.decode("utf-8-sig").split("\n")
        found = list(_cells(lines))
    except (ValueError, csv.Error) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: expected a table with commas, found: {reason}") from None
    if not found:
        raise InputError(f"{path}: expected a table with a header, found none")
    (_, header), *body = found
    twice = [name for name, count in Counter(header).items() if count > 1]
    if twice:
        raise InputError(f"{path}: expected each column once, found {twice[0]} twice")
    own = {} if cls is None else {column.name: column for column in cls.schema()}
    columns = [own.get(name) or column_of(name) for name in header]
    rows = [_typed_row(path, line, columns, cells) for line, cells in body]
    return RowTable(path, tuple(header), rows, [line for line, _ in body])


def _cells(lines: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Cells of every line that is not empty, with its number."""
    for number, line in enumerate(lines, start=1):
        text = line.removesuffix("\r")
        if not text:
            continue
        try:
            (cells,) = csv.reader([text], strict=True)
        except (ValueError, csv.Error) as error:
            raise ValueError(f"line {number}: {error}") from None
        yield number, cells


def _typed_row(
    path: Path, line: int, columns: Sequence[Column], cells: Sequence[str]
) -> dict[str, Any]:
    if len(cells) != len(columns):
        raise InputError(f"{path}, line {line}: expected {len(columns)} cells, found {len(cells)}")
    row = {}
    for column, cell in zip(columns, cells, strict=True):
        try:
            row[column.name] = column.kind.read(cell) if cell else None
        except ValueError:
            shown = cell if len(cell) <= MAX_SHOWN else f"{cell[:MAX_SHOWN]}..."
            raise InputError(
                f"{path}, line {line}: {column.name}: expected {column.kind.expected}, "
                f"found {shown!r}"
            ) from None
    return row
