"""What each column of a table of rows holds: a text, a whole number, a real number, or a flag.

This is the only place that knows it. Whoever reads rows (stores, ``merge``, ``verify-result``,
``report``, studies, the tables of benchmarks) reads them by it, so that ``+0.1`` stays the text
``+0.1``, a network may be called ``007``, ``1e3`` or ``NA``, and a number that is none is refused
rather than guessed. A column that is not known here holds texts.

An empty cell is a missing value, whatever the column; an empty text therefore reads as missing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:  # workers read no tables and should not load pandas
    import pandas as pd

Row: TypeAlias = dict[str, Any]
"""Values by column; None is missing."""

LONGEST_NUMBER = 40
"""Characters of a number: any float64 takes at most 24, and longer ones would take their time."""

LONGEST_TEXT = 100_000
"""Characters of a text: Python's ``csv`` reads cells of up to 131,072."""

LARGEST_WHOLE = 10**18
"""Whole numbers are smaller, so that they are exact as 64-bit integers everywhere."""

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}(\.0*)?")
"""Whole numbers. Folders that earlier versions merged hold some as ``6.0``."""

_REAL = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")

_BREAK = re.compile(r"\r\n|\r|\n")


def text_of(value: Any) -> str:
    r"""``value`` as the text that a cell holds.

    Line breaks become spaces, so that a row is a line; what is no Unicode (bytes of a file's name,
    say) is written as ``\udc..``. Nothing else is changed, up to :data:`LONGEST_TEXT` characters.
    """
    text = _BREAK.sub(" ", str(value)).encode("utf-8", "backslashreplace").decode("utf-8")
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 3]}..."


def _read_whole(text: str) -> int:
    if not _WHOLE.fullmatch(text):
        raise ValueError
    return int(text.partition(".")[0])


def _read_real(text: str) -> float:
    if len(text) > LONGEST_NUMBER or not _REAL.fullmatch(text):
        raise ValueError
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value


def _read_flag(text: str) -> bool:
    if text not in ("True", "False"):
        raise ValueError
    return text == "True"


def _whole(value: Any) -> int | None:
    if _real(value) is None:
        return None
    number = int(value)
    if number != value or abs(number) >= LARGEST_WHOLE:
        raise ValueError
    return number


def _real(value: Any) -> float | None:
    if isinstance(value, str):
        raise TypeError
    number = float(value)
    return number if math.isfinite(number) else None


def _flag(value: Any) -> bool:
    if value not in (True, False):
        raise ValueError
    return bool(value)


@dataclass(frozen=True)
class Kind:
    """What the cells of a column hold.

    Attributes:
        expected: how messages call it.
        read: the value of a cell's text, which is not empty.
        keep: the value that a row keeps of a value: NaN and infinity become None.
        dtype: of a column of a data frame without missing values.
        sparse: of one with missing values.

    Both functions raise ValueError (or TypeError) for anything else.
    """

    expected: str
    read: Callable[[str], Any]
    keep: Callable[[Any], Any]
    dtype: str
    sparse: str


TEXT = Kind("a text", str, text_of, "object", "object")
WHOLE = Kind("a whole number", _read_whole, _whole, "int64", "float64")
REAL = Kind("a number", _read_real, _real, "float64", "float64")
FLAG = Kind("True or False", _read_flag, _flag, "bool", "object")


def _kinds(groups: Iterable[tuple[Kind, str]]) -> dict[str, Kind]:
    return {name: kind for kind, names in groups for name in names.split()}


KINDS: Mapping[str, Kind] = _kinds(
    (
        (TEXT, "run image network method norm margin_rule engine formulation bounds attack"),
        (TEXT, "status message image_sha256 network_sha256 code_sha256"),
        (WHOLE, "label target program predicted original_predicted nodes variables constraints"),
        (WHOLE, "binaries seed threads neurons order session repeats"),
        (REAL, "objective distance bound gap margin slack box_violation time_limit load"),
        (REAL, "seconds attack_seconds bounds_seconds build_seconds search_seconds"),
        (REAL, "polish_seconds cpu_seconds memory_before memory_peak"),
        (FLAG, "certified agrees proven"),
    )
)
"""Kinds by name of column, for the tables of all jobs."""


def kind_of(column: str) -> Kind:
    """What the cells of a column hold."""
    return KINDS.get(column, TEXT)


def kept(column: str, value: Any) -> Any:
    """What a row keeps of ``value``: None for what is missing, NaN or infinite.

    It is what reading the row again gives.

    Raises:
        ValueError: the column does not hold such values.
    """
    if value is None:
        return None
    kind = kind_of(column)
    try:
        found = kind.keep(value)
    except (ValueError, TypeError, OverflowError):
        raise ValueError(f"{column}: expected {kind.expected}, found {value!r}") from None
    return None if found == "" else found


def typed_frame(columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows as a data frame whose columns have the types of their kinds.

    What is missing is None in columns of texts and flags, NaN in columns of numbers; whole numbers
    of which some are missing become floats.
    """
    import pandas as pd

    held = list(rows)
    frame = {}
    for name in columns:
        values = [row.get(name) for row in held]
        kind = kind_of(name)
        dtype = kind.sparse if any(value is None for value in values) else kind.dtype
        frame[name] = pd.Series(values, dtype=dtype)
    return pd.DataFrame(frame, index=range(len(held)))
