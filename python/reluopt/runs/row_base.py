"""What all rows have in common: columns, values, a line of a file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from functools import cache
from types import NoneType
from typing import Any, ClassVar, Self, get_args, get_type_hints

from reluopt.runs.column import KIND_OF_TYPE, Column


class Row:
    """What all rows have in common; the classes below say which columns there are.

    What a row is made of is kept as reading it again gives it: numbers of numpy become Python's,
    NaN and infinity become None, line breaks in texts become spaces.

    Raises:
        ValueError: a value is not what its column holds, or is missing.
    """

    file_order: ClassVar[tuple[str, ...]] = ()
    """Columns in the order of the file, where it is not that of the fields."""

    image: str
    label: int
    status: str
    network: str
    message: str

    def __init__(self, **values: Any) -> None:
        raise NotImplementedError  # dataclasses make their own

    def __post_init__(self) -> None:
        for column in self.schema():
            object.__setattr__(self, column.name, column.keep(getattr(self, column.name)))

    @classmethod
    def schema(cls) -> tuple[Column, ...]:
        """The columns in the order of the file."""
        return _schema(cls)  # type: ignore[arg-type]  # classes can be hashed

    @classmethod
    def columns(cls) -> tuple[str, ...]:
        """Names of the columns, the first being the key."""
        return tuple(column.name for column in cls.schema())

    @classmethod
    def header(cls) -> bytes:
        """The first line of a file of such rows."""
        return csv_line(cls.columns())

    @property
    def row_key(self) -> str:
        """What tells the row from all others of its table: its first value."""
        return str(getattr(self, self.schema()[0].name) or "")

    def but(self, **values: Any) -> Self:
        """The same row with other values."""
        return replace(self, **values)  # type: ignore[type-var]  # every class is a dataclass

    def values(self) -> dict[str, Any]:
        """Values by column, in the order of the file."""
        return {column.name: getattr(self, column.name) for column in self.schema()}

    def line(self) -> bytes:
        """The row as a line of its file."""
        return csv_line(self.values().values())

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a column, or ``default`` where there is none."""
        value = getattr(self, name) if name in self.columns() else None
        return default if value is None else value

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)


@dataclass(frozen=True, kw_only=True)
class SolvedRow(Row):
    """What rows of solved problems share: by what, how it ended, how long it took, its limits."""

    engine: str
    formulation: str | None = None
    bounds: str | None = None
    status: str
    seconds: float | None = None
    nodes: int | None = None
    seed: int | None = None
    threads: int | None = None
    time_limit: float | None = None
    network: str = ""
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class ProgramRow(SolvedRow):
    """A row with the size of a program."""

    variables: int | None = None
    constraints: int | None = None
    binaries: int | None = None


BY_WHAT = ("engine", "formulation", "bounds", "status")
PROGRAM = ("variables", "constraints", "binaries")
LIMITS = ("seed", "threads", "time_limit", "network")
"""Columns of these rows that stand together in files."""


def csv_line(values: Iterable[Any]) -> bytes:
    """Values as a line of a file; None is an empty cell."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow("" if v is None else v for v in values)
    return buffer.getvalue().encode()


@cache
def _schema(cls: type[Row]) -> tuple[Column, ...]:
    hints = get_type_hints(cls)
    found = {}
    for each in fields(cls):  # type: ignore[arg-type]  # every class but Row is a dataclass
        (held,) = set(get_args(hints[each.name]) or (hints[each.name],)) - {NoneType}
        found[each.name] = Column(each.name, KIND_OF_TYPE[held], each.default)
    return tuple(found[name] for name in cls.file_order or found)
