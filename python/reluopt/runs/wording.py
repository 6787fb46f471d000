"""What the network answers before and after a change, in one wording for tables and pictures."""

from __future__ import annotations

import math
from typing import Any

ARROW = "\N{RIGHTWARDS ARROW}"


def change_words(label: Any, before: Any, after: Any) -> str:
    """``7 → 2``: the network's answers to an image and to the changed one.

    Where the network misreads the image as it is, its label follows: ``6 → 6 (label 5)``. A
    question mark stands for an answer that is not known, such as that to an image that was not
    found.

    Args:
        label: the true label.
        before: the network's answer to the image.
        after: its answer to the changed image.
    """
    words = f"{_class(before)} {ARROW} {_class(after)}"
    misread = not _missing(before) and not _missing(label) and int(label) != int(before)
    return f"{words} (label {int(label)})" if misread else words


def _class(value: Any) -> str:
    """A class, or a question mark."""
    return "?" if _missing(value) else str(int(value))


def _missing(value: Any) -> bool:
    return value is None or not math.isfinite(float(value))
