"""Write the notebooks beside their scripts: ``python docs/make_notebook.py [--check]``.

The scripts are in the percent format: ``# %%`` begins a cell of code, ``# %% [markdown]`` one of
text, whose lines are comments. ``tutorial.ipynb`` is for those who run it, and holds no outputs;
``assignment.ipynb`` is for those who read it, and holds what its cells put out. With ``--check``
nothing is run or written, and the exit code is 1 when the cells of a notebook are not what its
script says.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import nbformat

from notebook_files import ran, read

FOLDER = Path(__file__).parent

NOTEBOOKS = {"tutorial": False, "assignment": True}
"""Names of the scripts, and whether their notebooks hold outputs."""

_CELL = re.compile(r"^# %%(?P<kind> \[markdown\])?$", re.MULTILINE)


def notebook(script: str) -> Any:
    """The notebook (nbformat 4.5) that holds the cells of the text ``script``, without outputs."""
    marks = list(_CELL.finditer(script))
    ends = [mark.start() for mark in marks[1:]] + [len(script)]
    cells = [
        _cell(f"cell-{number}", bool(mark["kind"]), script[mark.end() : end].strip("\n"))
        for number, (mark, end) in enumerate(zip(marks, ends, strict=True), start=1)
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    made = nbformat.v4.new_notebook(cells=cells, metadata=metadata)
    made.nbformat_minor = 5
    return made


def without_outputs(notebook: Any) -> Any:
    """A notebook as if it had not been run; the same object."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.update(execution_count=None, outputs=[])
    return notebook


def _cell(name: str, text: bool, source: str) -> Any:
    """One cell; lines of a text lose their comment signs."""
    if not text:
        return nbformat.v4.new_code_cell(source, id=name)
    source = re.sub(r"^# ?", "", source, flags=re.MULTILINE)
    return nbformat.v4.new_markdown_cell(source, id=name)


def main(arguments: list[str]) -> int:
    """Write or compare the notebooks; returns the exit code."""
    for name, run in NOTEBOOKS.items():
        wanted = notebook((FOLDER / f"{name}.py").read_text(encoding="utf-8"))
        target = FOLDER / f"{name}.ipynb"
        if "--check" in arguments:
            written = read(target) if target.exists() else None
            if written is None or (without_outputs(written) if run else written) != wanted:
                return 1
        else:
            nbformat.write(ran(wanted) if run else wanted, target)
            print(f"wrote {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
