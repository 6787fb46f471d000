"""What the columns of tables hold: texts, whole numbers, real numbers, or flags."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import MISSING, dataclass
from typing import Any

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
    if len(text) > LONGEST_NUMBER or not _REAL.fullmatch(text) or not math.isfinite(float(text)):
        raise ValueError
    return float(text)


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
        held: the type of a value.
        read: the value of a cell's text, which is not empty.
        keep: the value that a row keeps of a value: NaN and infinity become None.
        dtype: of a column of a data frame without missing values.
        sparse: of one with missing values.

    Both functions raise ValueError (or TypeError) for anything else.
    """

    expected: str
    held: type
    read: Callable[[str], Any]
    keep: Callable[[Any], Any]
    dtype: str
    sparse: str


TEXT = Kind("a text", str, str, text_of, "object", "object")
WHOLE = Kind("a whole number", int, _read_whole, _whole, "int64", "float64")
REAL = Kind("a number", float, _read_real, _real, "float64", "float64")
FLAG = Kind("True or False", bool, _read_flag, _flag, "bool", "object")

KIND_OF_TYPE = {kind.held: kind for kind in (TEXT, WHOLE, REAL, FLAG)}
"""Kinds by the types of fields."""


@dataclass(frozen=True)
class Column:
    """One column: its name, what its cells hold, and what an empty one means."""

    name: str
    kind: Kind
    empty: Any

    def keep(self, value: Any) -> Any:
        """What a row keeps of ``value``, which is what reading the row again gives.

        Raises:
            ValueError: the column does not hold such values.
        """
        found = None
        if value is not None:
            try:
                found = self.kind.keep(value)
            except (ValueError, TypeError, OverflowError):
                expected = f"{self.name}: expected {self.kind.expected}"
                raise ValueError(f"{expected}, found {value!r}") from None
        if found is not None and found != "":
            return found
        if self.empty is MISSING:
            raise ValueError(f"{self.name}: expected {self.kind.expected}, found nothing")
        return self.empty
