"""Write docs/tutorial.ipynb from docs/tutorial.py: ``python docs/make_notebook.py [--check]``.

The script is in the percent format: ``# %%`` begins a cell of code, ``# %% [markdown]`` one of
text, whose lines are comments. Outputs are not stored. With ``--check`` nothing is written, and
the exit code is 1 when the notebook is not what the script says.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).with_name("tutorial.py")

_CELL = re.compile(r"^# %%(?P<kind> \[markdown\])?$", re.MULTILINE)


def notebook(script: str) -> str:
    """The text of the notebook (nbformat 4.5) that holds the cells of ``script``."""
    marks = list(_CELL.finditer(script))
    ends = [mark.start() for mark in marks[1:]] + [len(script)]
    cells = [
        _cell(number, bool(mark["kind"]), script[mark.end() : end].strip("\n"))
        for number, (mark, end) in enumerate(zip(marks, ends, strict=True), start=1)
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    content = {
        "cells": cells,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _cell(number: int, text: bool, source: str) -> dict[str, Any]:
    """One cell; lines of a text lose their comment signs."""
    lines = source.splitlines(keepends=True)
    if text:
        lines = [re.sub(r"^# ?", "", line) for line in lines]
    cell: dict[str, Any] = {
        "cell_type": "markdown" if text else "code",
        "id": f"cell-{number}",
        "metadata": {},
        "source": lines,
    }
    return cell if text else {**cell, "execution_count": None, "outputs": []}


def main(arguments: list[str]) -> int:
    """Write or compare the notebook; returns the exit code."""
    target = SCRIPT.with_suffix(".ipynb")
    content = notebook(SCRIPT.read_text(encoding="utf-8"))
    if "--check" in arguments:
        return int(not target.exists() or target.read_text(encoding="utf-8") != content)
    target.write_text(content, encoding="utf-8")
    print(f"wrote {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
