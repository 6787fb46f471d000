"""Notebooks as pages with what they say and draw: ``python docs/gallery.py [--again]``.

The script runs every notebook beside it (``docs/*.ipynb``, which have no outputs) and keeps a copy
with outputs in ``.gallery/`` until its cells change; ``--again`` runs all. :func:`page` makes
Markdown of that copy, or, where there is none, of the cells alone, and says so.
"""

from __future__ import annotations

import base64
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat

FOLDER = Path(__file__).parent
KEPT = FOLDER.parent / ".gallery"

PATIENCE = 1800
"""Seconds that a cell may take."""

NOT_RUN = "*This page was built without running the notebook: `make docs` does.*"


def uri(path: Path) -> str:
    """The page of a notebook."""
    return f"gallery/{path.stem}.md"


def page(path: Path, kept: Path = KEPT) -> tuple[str, dict[str, bytes]]:
    """Markdown of a notebook, and its pictures by name."""
    notebook, ran = _read(path), False
    if (kept / path.name).exists():
        before = _read(kept / path.name)
        ran = _sources(before) == _sources(notebook)
        notebook = before if ran else notebook
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
    note = f"[The notebook](gallery/{path.name})" + ("" if ran else f" {NOT_RUN}")
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
    """Run a notebook in a folder of its own; returns where it is kept.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    from nbclient import NotebookClient

    notebook = _read(path)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(
            notebook,
            timeout=PATIENCE,
            kernel_name="python3",
            extra_arguments=["--log-level=ERROR"],
            resources={"metadata": {"path": folder}},
        ).execute()
    kept.mkdir(exist_ok=True)
    nbformat.write(notebook, kept / path.name)
    return kept / path.name


def main(arguments: list[str]) -> int:
    """Run what has not been run; returns the exit code."""
    for path in sorted(FOLDER.glob("*.ipynb")):
        if "--again" in arguments or NOT_RUN in page(path)[0]:
            print(f"running {path}", file=sys.stderr)
            run(path)
    return 0


def _read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def _sources(notebook: Any) -> list[tuple[str, str]]:
    return [(cell.cell_type, cell.source) for cell in notebook.cells]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
