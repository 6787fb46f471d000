"""Tables as Markdown and LaTeX, from columns of text."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

DASH = "\N{EN DASH}"
"""What stands in place of a missing value."""

_NUMERIC = re.compile(rf"(|[≥≤~<> ]*[-+]?[0-9][0-9., ]*([eE][-+]?[0-9]+)?( ?(s|%))?|{DASH}|-)")
"""Cells that stand to the right: numbers, bounds, times, shares, and what is missing."""

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "±": r"$\pm$",
    "→": r"$\to$",
    DASH: "--",
}


def fixed(value: float | None, places: int) -> str | None:
    """A number with so many decimals; None for what is missing or not finite."""
    return None if value is None or not math.isfinite(value) else f"{value:.{places}f}"


def escape_latex(text: str) -> str:
    """Text as LaTeX prints it."""
    return "".join(_LATEX.get(character, character) for character in text)


def markdown_grid(
    header: Sequence[str], rows: Iterable[Sequence[str]], numeric: Sequence[bool]
) -> str:
    """A Markdown table without a title; columns of numbers stand to the right."""
    rule = ["---:" if right else "---" for right in numeric]
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (header, rule, *rows)]
    return "\n".join("| " + " | ".join(row) + " |" for row in cells)


def markdown_table(frame: pd.DataFrame) -> str:
    """A table of values as Markdown; missing values become dashes."""
    rows, numeric = _texts(frame)
    return markdown_grid([str(name) for name in frame.columns], rows, numeric) + "\n"


def latex_table(frame: pd.DataFrame, caption: str, label: str) -> str:
    """A table of values as a LaTeX float with ``booktabs``."""
    rows, numeric = _texts(frame)
    heads = " & ".join(escape_latex(str(name)) for name in frame.columns)
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        *([rf"\caption{{{escape_latex(caption)}}}"] if caption else []),
        rf"\label{{{label}}}",
        rf"\begin{{tabular}}{{{''.join('r' if right else 'l' for right in numeric)}}}",
        r"\toprule",
        rf"{heads} \\",
        r"\midrule",
        *(" & ".join(map(escape_latex, row)) + r" \\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _texts(frame: pd.DataFrame) -> tuple[list[list[str]], list[bool]]:
    """Cells as text, and which columns hold numbers."""
    rows = [[_text(value) for value in row] for row in frame.to_numpy(dtype=object).tolist()]
    columns = zip(*rows, strict=True) if rows else ([] for _ in frame.columns)
    return rows, [all(_NUMERIC.fullmatch(cell) for cell in column) for column in columns]


def _text(value: Any) -> str:
    """One cell."""
    missing = value is None or (isinstance(value, float) and value != value)
    return DASH if missing else str(value)
