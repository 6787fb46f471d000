"""The inputs that a network is meant for: bounds of each, in units of the data.

Images have none of their own: their pixels are in [0, 1]. Tabular data do, and it travels with the
network (:class:`~reluopt.networks.metadata.NetworkMetadata`), in files of ours and in run folders.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from reluopt.errors import InputError, shown

InputBox: TypeAlias = tuple[tuple[float, ...], tuple[float, ...]]
"""Lower and upper bounds, one for each input, or a single one for all of them."""

FILE_ENDINGS = (".csv", ".npy")


def checked_box(box: Sequence[Sequence[float]], inputs: int | None = None) -> InputBox:
    """A box of finite bounds, the lower ones at most the upper ones.

    Args:
        box: lower and upper bounds.
        inputs: how many there must be, or one that holds for all; None for any number.

    Raises:
        InputError: it is none.
    """
    if len(box) != 2 or len(box[0]) != len(box[1]) or not len(box[0]):
        raise InputError(
            "input_box: expected as many lower as upper bounds, found "
            f"{' and '.join(str(len(ends)) for ends in box)}"
        )
    try:
        lower, upper = (tuple(float(end) for end in ends) for ends in box)
    except OverflowError as error:  # a whole number of hundreds of digits
        raise InputError(f"input_box: expected finite bounds, found: {error}") from error
    if inputs is not None and len(lower) not in (1, inputs):
        raise InputError(
            f"input_box: expected bounds for {inputs} inputs, or a single one for all, found "
            f"{len(lower)}"
        )
    for place, (low, high) in enumerate(zip(lower, upper, strict=True)):
        if not (math.isfinite(low) and math.isfinite(high) and low <= high):
            raise InputError(
                f"input_box: expected finite bounds, the lower at most the upper, found {low:g} "
                f"and {high:g} for input {place}"
            )
    return lower, upper


def parse_box(text: str) -> InputBox:
    """Read ``0:1``, or a CSV or NPY file with a row for each input: lower and upper bound.

    Raises:
        InputError: it is neither, or a bound is not finite or above its upper one.
    """
    if text.lower().endswith(FILE_ENDINGS):
        from reluopt.images.tables import read_table

        values = read_table(Path(text), "bounds").values
        if values.ndim != 2 or values.shape[1] != 2:
            raise InputError(
                f"{text}: expected a lower and an upper bound in each row, found shape "
                f"{values.shape}"
            )
        return checked_box(values.T.tolist())
    low, colon, high = text.partition(":")
    try:
        ends = float(low), float(high)
    except ValueError:
        colon, ends = "", (0.0, 0.0)
    if not colon:
        raise InputError(
            f"--box: expected LOWER:UPPER, or a .csv or .npy file, found {shown(repr(text))}"
        )
    return checked_box(((ends[0],), (ends[1],)))
