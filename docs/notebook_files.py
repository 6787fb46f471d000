"""Notebooks as files, and what their cells put out when they run."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import Any

import nbformat

PATIENCE = 1800
"""Seconds that a cell may take."""


def read(path: Path) -> Any:
    """A notebook of format 4."""
    return nbformat.read(path, as_version=4)


def has_outputs(notebook: Any) -> bool:
    """Whether any cell holds what it put out."""
    return any(cell.get("outputs") for cell in notebook.cells)


def ran(notebook: Any) -> Any:
    """A notebook with what its cells put out, in a kernel and an empty folder of their own.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    from nbclient import NotebookClient

    made = copy.deepcopy(notebook)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(
            made,
            timeout=PATIENCE,
            kernel_name="python3",
            extra_arguments=["--log-level=ERROR"],
            resources={"metadata": {"path": folder}},
            coalesce_streams=True,
            record_timing=False,
        ).execute()
    made.metadata = notebook.metadata  # without the version of the interpreter
    return made
