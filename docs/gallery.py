"""Notebooks as pages with what they say and draw: ``python docs/gallery.py [--again]``.

The script runs every notebook beside it (``docs/*.ipynb``) that has no outputs, and keeps a copy
with outputs in ``.gallery/`` until its cells change; ``--again`` runs all of those. :func:`page`
makes Markdown of what has outputs, or, where nothing has, of the cells alone, and says so.
"""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import Any

import nbformat

from notebook_files import has_outputs, ran, read

FOLDER = Path(__file__).parent
KEPT = FOLDER.parent / ".gallery"

NOT_RUN = "*This page was built without running the notebook: `make docs` does.*"


def uri(path: Path) -> str:
    """The page of a notebook."""
    return f"gallery/{path.stem}.md"


def page(path: Path, kept: Path = KEPT) -> tuple[str, dict[str, bytes]]:
    """Markdown of a notebook, and its pictures by name."""
    notebook = read(path)
    if not has_outputs(notebook) and (kept / path.name).exists():
        before = read(kept / path.name)
        notebook = before if _sources(before) == _sources(notebook) else notebook
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        parts.append(f"```python\n{cell.source}\n```")
        for place, output in enumerate(cell.outputs):
            parts.append(_shown(output, f"{path.stem}-{number}-{place}.png", pictures))
    title, _, rest = "\n\n".join(parts).partition("\n")
    note = f"[The notebook](gallery/{path.name})" + ("" if has_outputs(notebook) else f" {NOT_RUN}")
    return f"{title}\n\n{note}\n{rest}\n", pictures


def _shown(output: Any, name: str, pictures: dict[str, bytes]) -> str:
    """One output."""
    if output.output_type == "stream":
        return f"```text\n{output.text.rstrip()}\n```"
    data = output.data
    if "image/png" in data:
        pictures[name] = base64.b64decode(data["image/png"])
        return f"![what the cell draws](gallery/{name})"
    if "text/html" in data:
        return f'<div class="output">\n{data["text/html"]}\n</div>'
    return f"```text\n{data['text/plain']}\n```"


def run(path: Path, kept: Path = KEPT) -> Path:
    """Run a notebook; returns where it is kept.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    notebook = ran(read(path))
    kept.mkdir(exist_ok=True)
    nbformat.write(notebook, kept / path.name)
    return kept / path.name


def main(arguments: list[str]) -> int:
    """Run what has not been run; returns the exit code."""
    for path in sorted(FOLDER.glob("*.ipynb")):
        again = "--again" in arguments and not has_outputs(read(path))
        if again or NOT_RUN in page(path)[0]:
            print(f"running {path}", file=sys.stderr)
            run(path)
    return 0


def _sources(notebook: Any) -> list[tuple[str, str]]:
    return [(cell.cell_type, cell.source) for cell in notebook.cells]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
