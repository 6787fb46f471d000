"""``reluopt experiment NAME`` and ``reluopt reproduce``: the published experiments."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from reluopt.cli import app, options
from reluopt.cli.console import errors, output, progress_bar
from reluopt.experiments.runner import RunProgress
from reluopt.experiments.studies import STUDIES, load_study

experiments = typer.Typer(help="One experiment of the thesis, or beyond it.", no_args_is_help=True)
app.add_typer(experiments, name="experiment")

Full = Annotated[bool, typer.Option("--full", help="All images instead of a few.")]
Limit = Annotated[int | None, typer.Option(help="This many images, in place of few or all.", min=1)]
Runs = Annotated[Path, typer.Option(help="Folder for results; the same command resumes there.")]
Publish = Annotated[
    Path | None, typer.Option(help="With all images: copy figures and tables to this folder.")
]
StudyTimeLimit = Annotated[
    float | None, typer.Option(help="Seconds for one problem, in place of the study's own limit.")
]


def _command(name: str) -> Callable[..., None]:
    """The subcommand of one study."""

    def command(
        full: Full = False,
        limit: Limit = None,
        runs: Runs = Path("runs"),
        figures: Publish = None,
        seed: options.Seed = 0,
        time_limit: StudyTimeLimit = None,
        threads: options.Threads = 1,
        workers: options.Workers = None,
        scheduler: options.Scheduler = None,
    ) -> None:
        _run_study(name, full, limit, runs, figures, seed, time_limit, threads, workers, scheduler)

    return command


for _name, _title in STUDIES.items():
    experiments.command(_name, help=_title[0].upper() + _title[1:] + ".")(_command(_name))


def _run_study(
    name: str,
    full: bool,
    limit: int | None,
    runs: Path,
    figures: Path | None,
    seed: int,
    time_limit: float | None,
    threads: int,
    workers: int | None,
    scheduler: str | None,
) -> None:
    """Run one study with a progress bar, say what came out, and publish it if asked."""
    from reluopt.experiments.studies.base import StudyContext, publish

    with progress_bar(name, 1) as bar:

        def show(stage: str, now: RunProgress) -> None:
            bar.run(now, stage)

        context = StudyContext(
            runs, full, limit, seed, time_limit, threads, workers, scheduler,
            ["reluopt", *sys.argv[1:]], show,
        )  # fmt: skip
        result = load_study(name).run(context)
    for line in result.lines:
        output.print(line, markup=False)
    for path in result.files:
        errors.print(f"wrote {path}", markup=False)
    if not result.complete:
        errors.print(f"these are few images; --full takes all of them (rows are kept in {runs})")
    if figures is not None:
        for path in publish(result, figures):
            errors.print(f"published {path}", markup=False)
