"""``reluopt report`` and ``merge``: what to do with finished runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reluopt.cli import options
from reluopt.cli.app import app
from reluopt.cli.console import errors, tell

PAGE = "report.html"

INCOMPLETE = 1
"""Exit code of ``merge`` when the run has instances without a row yet, or shards elsewhere."""


@app.command()
def report(
    folders: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Folders written with --out.")
    ],
    form: Annotated[
        str, typer.Option("--format", help="html, md, or latex (booktabs, longtable).")
    ] = "html",
    out: Annotated[
        Path | None,
        typer.Option(
            help=f"File to write (default: RUN/{PAGE}, or {PAGE} for several runs; stdout for "
            "tables)."
        ),
    ] = None,
    max_images: Annotated[
        int | None, typer.Option(help="Images in the page's gallery (default: 400).")
    ] = None,
    anytime: Annotated[
        list[Path] | None,
        typer.Option(
            help="Rows that profile --figure wrote (.csv), drawn on the page: what a search knew "
            "when. May be given several times."
        ),
    ] = None,
    network_name: Annotated[
        str | None, typer.Option("--network", help="Weights, if they are elsewhere now.")
    ] = None,
    data_dir: options.DataDir = None,
) -> None:
    """Make one self-contained HTML page (or tables) of a run, or of several side by side."""
    from reluopt.report import MAX_IMAGES, load_runs, render_report, write_report

    count = MAX_IMAGES if max_images is None else max_images
    if out is None and form != "html" and not anytime:
        print(render_report(load_runs(folders, network_name, data_dir), form, count), end="")
        return
    place = out or (folders[0] / PAGE if len(folders) == 1 else Path(PAGE))
    write_report(
        folders,
        place,
        form,
        max_images=count,
        anytime=anytime or (),
        network_name=network_name,
        data_dir=data_dir,
    )
    errors.print(f"wrote {place} ({place.stat().st_size / 1e6:.1f} MB)", markup=False)


@app.command()
def merge(
    folders: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Folders written with --out.")
    ],
    out: Annotated[Path, typer.Option(help="Folder to fill.")],
) -> None:
    """Put shards of one run together; merging again adds what has come since.

    Exit code 1 while rows or shards of the run are missing.
    """
    from reluopt.runs.merge import merge_runs

    merged = merge_runs(folders, out)
    for sentence in (*merged.store.repairs, *merged.missing):
        tell(sentence)
    tell(f"{len(merged.store.rows)} rows in {out}")
    if merged.missing:
        raise typer.Exit(INCOMPLETE)
