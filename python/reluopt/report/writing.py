"""From folders to a report in any format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from reluopt.errors import InputError
from reluopt.files import write_atomically
from reluopt.report.anytime import Curve, read_curve
from reluopt.report.page import MAX_IMAGES, MAX_ROWS, html_page
from reluopt.report.runs import Run, load_runs
from reluopt.report.tables import (
    Table,
    comparison_table,
    contradictions,
    instance_table,
    latex,
    markdown,
    ratio_table,
    summary_table,
)

FORMATS = ("html", "md", "latex")


def render_report(
    runs: Sequence[Run],
    form: str = "html",
    max_images: int = MAX_IMAGES,
    curves: Sequence[Curve] = (),
) -> str:
    """The text of a report.

    Args:
        runs: what to report on, at least one.
        form: ``html``, ``md``, or ``latex`` (booktabs and longtable).
        max_images: instances in the gallery of a page.
        curves: of searches, drawn on a page.

    Raises:
        InputError: no runs, another form, a negative number of images, or curves where there is
            no page.
    """
    if not runs:
        raise InputError("runs: expected at least one, found none")
    if form not in FORMATS:
        raise InputError(f"--format: expected one of {', '.join(FORMATS)}, found {form!r}")
    if max_images < 0:
        raise InputError(f"--max-images: expected at least 0, found {max_images}")
    if form == "html":
        return html_page(runs, max_images, MAX_ROWS, curves)
    if curves:
        raise InputError(f"--anytime: expected the format html, found {form!r}")
    render = markdown if form == "md" else latex
    parts = [render(table) for table in _tables(runs)]
    found = contradictions(runs)
    if found and form == "md":
        parts.append("## Contradictions\n\n" + "\n".join(f"* {line}" for line in found) + "\n")
    elif found:
        parts.append("\n".join(f"% contradiction: {line}" for line in found) + "\n")
    return "\n".join(parts)


def _tables(runs: Sequence[Run]) -> list[Table]:
    """All tables, in order."""
    tables = [
        summary_table(runs),
        ratio_table(runs),
        comparison_table(runs),
        instance_table(runs),
    ]
    return [table for table in tables if table is not None]


def write_report(
    folders: Sequence[Path],
    out: Path,
    form: str = "html",
    *,
    max_images: int = MAX_IMAGES,
    anytime: Sequence[Path] = (),
    network_name: str | None = None,
    data_dir: Path | None = None,
) -> Path:
    """Read runs and write their report to ``out``.

    Args:
        folders: folders written with ``--out``.
        out: the file to write, over an older one.
        form: see :func:`render_report`.
        max_images: see :func:`render_report`.
        anytime: tables of moments, see :func:`~reluopt.report.anytime.read_curve`.
        network_name: see :func:`~reluopt.report.runs.load_runs`.
        data_dir: see :func:`~reluopt.report.runs.load_runs`.

    Returns:
        ``out``.

    Raises:
        InputError: see :func:`render_report` and :func:`~reluopt.report.runs.load_runs`, or the
            file cannot be written.
    """
    curves = [read_curve(path) for path in anytime]
    text = render_report(load_runs(folders, network_name, data_dir), form, max_images, curves)
    try:
        write_atomically(out, text.encode())
    except OSError as error:
        raise InputError(
            f"{out}: expected a place to write to, found: {error.strerror or error}"
        ) from None
    return out
