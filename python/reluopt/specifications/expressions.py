"""Expressions in parentheses, read with bounded time and memory whatever the file holds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from reluopt.errors import InputError
from reluopt.files import open_input, unpacked

MAX_BYTES = 2**26
"""Largest file, packed or not: specifications of 500,000 inputs have 40 million bytes."""

SHARE, FREE_BYTES = 100, 2**20
"""How many times its own size a packed file may have, beyond what any may. Decimals of random
digits pack to a fifth, repeated ones (black images) to a thirtieth."""

MAX_DEPTH = 100
"""Most parentheses around each other; those of the competition have four."""

EXPECTED = "a VNN-LIB file"

Tree: TypeAlias = "str | list[Tree]"
"""A word, or what stands between two parentheses."""

_TOKEN = re.compile(
    r"\s+|;[^\n]*|(?P<open>\()|(?P<close>\))|"
    r'(?P<word>\[[^\[\]()";]*\]|"[^"\n]*"|[^\s()\[\]";]+)|(?P<other>.)'
)


def read_text(path: Path) -> str:
    """The text of a file, plain or (by its first bytes) packed by gzip.

    Raises:
        InputError: it cannot be read, is too large, or damaged.
    """
    with open_input(path, EXPECTED, MAX_BYTES) as (stream, _):
        data = stream.read()
    if data.startswith(b"\x1f\x8b"):
        data = unpacked(data, path, EXPECTED, min(MAX_BYTES, SHARE * len(data) + FREE_BYTES))
    return data.decode("utf-8", errors="replace")


def statements(text: str) -> Iterator[tuple[int, list[Tree]]]:
    """What stands between outermost parentheses, one after the other, each with its line.

    Raises:
        InputError: parentheses do not match, or are too deep; something stands outside of them.
    """
    stack: list[list[Tree]] = []
    line, counted = 1, 0
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind is None:
            continue
        if not stack:
            line, counted = line + text.count("\n", counted, match.start()), match.start()
        if kind == "other" or (kind != "open" and not stack):
            raise InputError(f"line {line}: expected matching parentheses, found {match[0]!r}")
        if kind == "open":
            if len(stack) == MAX_DEPTH:
                raise InputError(f"line {line}: expected a depth of at most {MAX_DEPTH}")
            stack.append([])
        elif kind == "word":
            stack[-1].append(match[0])
        else:
            done = stack.pop()
            if not stack:
                yield line, done
            else:
                stack[-1].append(done)
    if stack:
        raise InputError(f"line {line}: expected a closing parenthesis, found the end of the file")
