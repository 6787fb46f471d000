"""Figures from frames: what columns a figure takes, and how they become its arguments."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import wraps
from typing import Any, ParamSpec, Protocol, cast, overload

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from reluopt.errors import InputError
from reluopt.numerics.arrays import FloatArray

P = ParamSpec("P")


class TypedRow(Protocol):
    """A typed row, as runs have them."""

    def values(self) -> Mapping[str, Any]:
        """Values by column."""


Frame = pd.DataFrame | Sequence[TypedRow]
"""A data frame, or the typed rows that it comes from."""


class Framed(Protocol[P]):
    """A figure that takes arrays, or a frame in their place.

    Attributes:
        columns: that a frame must have.
    """

    columns: tuple[str, ...]

    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Figure: ...
    @overload
    def __call__(self, frame: Frame, /, **options: Any) -> Figure: ...


def framed(
    arguments: Callable[[pd.DataFrame], dict[str, Any]], *columns: str
) -> Callable[[Callable[P, Figure]], Framed[P]]:
    """Let a figure take a frame with these columns in place of its arrays.

    Args:
        arguments: the figure's arguments by name, from a frame that has the columns; those that
            the caller names come before them.
        columns: of the frame, which may have others too.
    """

    def decorated(draw: Callable[P, Figure]) -> Framed[P]:
        @wraps(draw)
        def drawn(*args: Any, **kwargs: Any) -> Figure:
            frame = _frame(args)
            if frame is None:
                return draw(*args, **kwargs)
            return draw(**{**arguments(checked_frame(frame, columns)), **kwargs})  # type: ignore[call-arg]

        told = ", ".join(f"``{name}``" for name in columns)
        note = f"A frame, or typed rows, in place of all arrays has the columns {told}."
        drawn.__doc__ = f"{(draw.__doc__ or '').rstrip()}\n\n    {note}\n    "
        made = cast("Framed[P]", drawn)
        made.columns = columns
        return made

    return decorated


def _frame(args: tuple[Any, ...]) -> pd.DataFrame | None:
    """The frame that was given in place of arrays, if one was."""
    if len(args) != 1:
        return None
    (given,) = args
    if isinstance(given, pd.DataFrame):
        return given
    rows = given if isinstance(given, Sequence) and not isinstance(given, str) else ()
    if rows and all(callable(getattr(row, "values", None)) for row in rows):
        return pd.DataFrame([row.values() for row in rows])
    return None


def checked_frame(frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """The frame itself.

    Raises:
        InputError: it lacks a column, or has no rows.
    """
    for name in columns:
        if name not in frame.columns:
            found = ", ".join(map(str, frame.columns)) or "none"
            raise InputError(f"figure: expected a frame with a column {name}, found {found}")
    if frame.empty:
        raise InputError("figure: expected a frame with rows, found none")
    return frame


def nested(frame: pd.DataFrame, value: str | list[str], *keys: str) -> Any:
    """Values as an array, in dictionaries by the values of ``keys`` in the order of the frame."""
    if not keys:
        return frame[value].to_numpy(dtype=np.float64)
    groups = frame.groupby(keys[0], sort=False)
    return {name: nested(part, value, *keys[1:]) for name, part in groups}


def wide(frame: pd.DataFrame, value: str, down: str, across: str) -> FloatArray:
    """Values as an array with a row for each value of ``down``, a column for each of ``across``.

    Both are in the order of the frame; NaN where there is none.
    """
    rows, columns = (list(ordered(frame, name)) for name in (down, across))
    table = np.full((len(rows), len(columns)), np.nan)
    places = zip(frame[down], frame[across], frame[value], strict=True)
    for row, column, number in places:
        table[rows.index(_key(row)), columns.index(_key(column))] = number
    return table


def ordered(frame: pd.DataFrame, name: str) -> list[Hashable]:
    """The different values of a column in the order of the frame; None for one that is missing."""
    return list(dict.fromkeys(map(_key, frame[name])))


def _key(value: Any) -> Hashable:
    missing = value is None or (isinstance(value, float) and np.isnan(value))
    return None if missing else cast("Hashable", value)


def single(frame: pd.DataFrame, name: str) -> Any:
    """The one value that a column has.

    Raises:
        InputError: it has several.
    """
    found = ordered(frame, name)
    if len(found) != 1:
        raise InputError(f"figure: expected one {name} in a frame, found {len(found)}")
    return found[0]
