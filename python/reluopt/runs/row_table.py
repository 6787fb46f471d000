"""Tables of rows as files: CSV with a header, one line a row, typed by :mod:`.schema`."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reluopt.errors import InputError
from reluopt.runs.schema import Row, kept, kind_of, typed_frame
from reluopt.files import read_regular_file

if TYPE_CHECKING:
    import pandas as pd

MAX_SHOWN = 60
"""Longest cell that a message shows in full."""


@dataclass(frozen=True, eq=False)
class RowTable:
    """The rows of a file.

    Attributes:
        path: the file.
        columns: their names, the first being the key.
        rows: values by column.
        lines: where each row stands in the file, the header being line 1.
    """

    path: Path
    columns: tuple[str, ...]
    rows: Sequence[Row]
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

    def frame(self) -> pd.DataFrame:
        """The rows as a data frame; see :func:`~reluopt.runs.schema.typed_frame`."""
        return typed_frame(self.columns, self.rows)


def row_line(values: Sequence[Any]) -> bytes:
    """One line of the file; the values are as :func:`~reluopt.runs.schema.kept` gives."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow("" if v is None else v for v in values)
    return buffer.getvalue().encode()


def row_values(columns: Sequence[str], row: Mapping[str, Any]) -> Row:
    """The values of a row that its line holds, in the order of the columns.

    Raises:
        ValueError: a value is not what its column holds.
    """
    return {name: kept(name, row.get(name)) for name in columns}


def read_rows(path: Path) -> RowTable:
    """Read a table; a last line without its end was torn by a crash and is left out.

    Raises:
        InputError: there is no such file, it is no table, or a cell is not what its column holds.
    """
    data = read_regular_file(path, "a table")
    return parse_rows(path, data[: data.rfind(b"\n") + 1])


def parse_rows(path: Path, data: bytes) -> RowTable:
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
    rows = [_typed_row(path, line, header, cells) for line, cells in body]
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


def _typed_row(path: Path, line: int, header: Sequence[str], cells: Sequence[str]) -> Row:
    if len(cells) != len(header):
        raise InputError(f"{path}, line {line}: expected {len(header)} cells, found {len(cells)}")
    row: Row = {}
    for name, cell in zip(header, cells, strict=True):
        try:
            row[name] = kind_of(name).read(cell) if cell else None
        except ValueError:
            shown = cell if len(cell) <= MAX_SHOWN else f"{cell[:MAX_SHOWN]}..."
            raise InputError(
                f"{path}, line {line}: {name}: expected {kind_of(name).expected}, found {shown!r}"
            ) from None
    return row
