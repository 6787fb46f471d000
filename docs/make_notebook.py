"""Write the notebooks beside their scripts: ``python docs/make_notebook.py [--check]``.

The scripts are in the percent format: ``# %%`` begins a cell of code, ``# %% [markdown]`` one of
text, whose lines are comments. ``tutorial.ipynb`` is for those who run it, and holds no outputs;
``assignment.ipynb`` is for those who read it, and holds what its script printed and drew: a line
``wrote FILE.png`` becomes the picture. With ``--check`` nothing is run or written, and the exit
code is 1 when the cells of a notebook are not what its script says.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent

NOTEBOOKS = {"tutorial": False, "assignment": True}
"""Names of the scripts, and whether their notebooks hold outputs."""

_CELL = re.compile(r"^# %%(?P<kind> \[markdown\])?$", re.MULTILINE)
_PICTURE = re.compile(r"^wrote (?P<path>\S+\.png)\n", re.MULTILINE)


def notebook(script: str, *, run: bool = False) -> str:
    """The text of the notebook (nbformat 4.5) that holds the cells of ``script``.

    Args:
        script: its text.
        run: whether the cells are run, and hold what they put out.
    """
    marks = list(_CELL.finditer(script))
    ends = [mark.start() for mark in marks[1:]] + [len(script)]
    cells = [
        _cell(number, bool(mark["kind"]), script[mark.end() : end].strip("\n"))
        for number, (mark, end) in enumerate(zip(marks, ends, strict=True), start=1)
    ]
    if run:
        _run([cell for cell in cells if cell["cell_type"] == "code"])
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    content = {
        "cells": cells,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def without_outputs(text: str) -> str:
    """A notebook as if it had not been run."""
    content = json.loads(text)
    for cell in content["cells"]:
        if cell["cell_type"] == "code":
            cell.update(execution_count=None, outputs=[])
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


def _run(cells: list[dict[str, Any]]) -> None:
    """Run cells of code one after the other in an empty folder, and put their outputs into them."""
    space: dict[str, Any] = {"__name__": "__main__"}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        os.environ.setdefault("MPLBACKEND", "agg")
        for number, cell in enumerate(cells, start=1):
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                exec(compile("".join(cell["source"]), f"cell {number}", "exec"), space)
            cell.update(execution_count=number, outputs=_outputs(said.getvalue()))


def _outputs(said: str) -> list[dict[str, Any]]:
    """What a cell printed, with the pictures that it wrote in their places."""
    found: list[dict[str, Any]] = []
    for place, part in enumerate(_PICTURE.split(said)):
        if place % 2:
            picture = base64.b64encode(Path(part).read_bytes()).decode()
            data = {"image/png": picture, "text/plain": ["<picture>"]}
            found.append({"output_type": "display_data", "data": data, "metadata": {}})
        elif part:
            text = part.splitlines(keepends=True)
            found.append({"output_type": "stream", "name": "stdout", "text": text})
    return found


def main(arguments: list[str]) -> int:
    """Write or compare the notebooks; returns the exit code."""
    for name, run in NOTEBOOKS.items():
        script = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
        target = FOLDER / f"{name}.ipynb"
        if "--check" in arguments:
            written = target.read_text(encoding="utf-8") if target.exists() else '{"cells": []}'
            if (without_outputs(written) if run else written) != notebook(script):
                return 1
        else:
            target.write_text(notebook(script, run=run), encoding="utf-8")
            print(f"wrote {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
