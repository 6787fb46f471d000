"""``reluopt experiment NAME`` and ``reluopt reproduce``: the published experiments."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from reluopt.cli import options
from reluopt.cli.app import app
from reluopt.cli.console import output, progress_bar, say, table, tell
from reluopt.studies import STUDIES, load_study

if TYPE_CHECKING:  # they load matplotlib, which takes its time
    from reluopt.runs.runner import RunProgress
    from reluopt.studies.base import StudyContext, StudyResult
    from reluopt.studies.reproduce import Reproduction, StudyOutcome

experiments = typer.Typer(help="One experiment of the thesis, or beyond it.", no_args_is_help=True)
app.add_typer(experiments, name="experiment")


@dataclass(frozen=True)
class StudyOptions:
    """How much of a study is run, where, and with which limits."""

    runs: Annotated[
        Path, typer.Option(help="Folder for results; the same command resumes there.")
    ] = Path("runs")
    full: Annotated[bool, typer.Option("--full", help="All images instead of a few.")] = False
    limit: Annotated[
        int | None, typer.Option(help="This many images, in place of few or all.", min=1)
    ] = None
    seed: options.Seed = 0
    time_limit: Annotated[
        float | None,
        typer.Option(help="Seconds for one problem, in place of the study's own limit."),
    ] = None
    threads: options.Threads = 1
    workers: options.Workers = None
    scheduler: options.Scheduler = None
    network: Annotated[
        str | None,
        typer.Option(metavar="NET", help="Bundled name or weights file, where a study takes one."),
    ] = None

    @contextmanager
    def context(self, title: str) -> Iterator[StudyContext]:
        """What a study needs to know, while its progress is shown on a bar.

        At Ctrl-C it says what is left.
        """
        from reluopt.studies.base import StudyContext

        try:
            with progress_bar(title, 1) as bar:

                def show(stage: str, now: RunProgress) -> None:
                    bar.run(now, stage)

                command = ["reluopt", *sys.argv[1:]]
                yield StudyContext(**vars(self), command=command, on_progress=show, tell=tell)
        except KeyboardInterrupt:
            tell(f"stopped; finished rows are in {self.runs}, the same command resumes")
            raise


def _command(name: str) -> Callable[..., None]:
    """The subcommand of one study."""

    @options.expanded
    def command(
        study: StudyOptions,
        figures: Annotated[
            Path | None,
            typer.Option(help="With all images: copy figures and tables to this folder."),
        ] = None,
    ) -> None:
        _say_duration(study, [name])
        with study.context(name) as context:
            loaded = load_study(name)
            loaded.check(context)
            result = loaded.run(context)
        _print_study(result, study.runs, figures)

    return command


for _name, _title in STUDIES.items():
    experiments.command(_name, help=_title[0].upper() + _title[1:] + ".")(_command(_name))


@app.command()
@options.expanded
def reproduce(
    study: StudyOptions,
    figures: Annotated[
        Path, typer.Option(help="Folder for figures and tables of complete studies.")
    ] = Path("figures"),
    only: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="This study only (repeatable).")
    ] = None,
) -> None:
    """Run all experiments: every table and figure of the thesis, and beyond it.

    Few images of each, unless --full. Exit code 1 when a study failed, because its solver is not
    installed, say; the others run all the same.
    """
    from reluopt.studies.reproduce import chosen_names
    from reluopt.studies.reproduce import reproduce as run

    def say_start(place: int, count: int, name: str) -> None:
        tell(f"{place} of {count}: {name}, {STUDIES[name]} ...")

    _say_duration(study, chosen_names(only or ()))
    with study.context("reproduce") as context:
        made = run(context, figures, only or (), say_start, _say_outcome)
    _print_overview(made, context, figures)
    if made.failed:
        raise typer.Exit(1)


def _say_duration(study: StudyOptions, names: Sequence[str]) -> None:
    """How long all images take, before they do."""
    if study.full and study.limit is None:
        from reluopt.studies.words import duration

        took = duration(60.0 * sum(load_study(name).minutes for name in names))
        tell(f"all images: about {took} on two cores, less what lies in {study.runs}")


def _print_study(result: StudyResult, runs: Path, figures: Path | None) -> None:
    """Say what came out of a study, and publish it if asked."""
    from reluopt.studies.base import publish

    for line in result.lines:
        say(line)
    for path in result.files:
        tell(f"wrote {path}")
    if not result.complete:
        tell(f"these are few images; --full takes all of them (rows are kept in {runs})")
    if figures is not None:
        for path in publish(result, figures):
            tell(f"published {path}")


def _say_outcome(outcome: StudyOutcome) -> None:
    """What came out of a study, on stderr while the others run."""
    text = f"{outcome.name}: {outcome.summary} ({outcome.seconds:.0f} s)"
    tell(text)


def _print_overview(made: Reproduction, context: StudyContext, figures: Path) -> None:
    """What was run, how long it took, and where everything lies."""
    columns = [("study", "left"), ("images", "right"), ("seconds", "right"), ("result", "left")]
    shown = table("reproduced", columns)
    for outcome in made.outcomes:
        images = "-" if outcome.images is None else str(outcome.images)
        seconds = f"{outcome.seconds:.1f}"
        shown.add_row(outcome.name, images, seconds, escape(outcome.summary))
    output.print(shown)
    lines = [f"rows, figures and tables of each study: {context.runs}{os.sep}NAME"]
    if made.published:
        lines.append(f"published: {figures} (figures) and {figures / 'data'} (tables)")
    if made.reduced:
        names = ", ".join(outcome.name for outcome in made.reduced)
        lines.append(f"reduced numbers of images, not published: {names}; --full takes all")
    lines += [f"failed: {outcome.name}: {outcome.error}" for outcome in made.failed]
    total = sum(outcome.seconds for outcome in made.outcomes)
    lines.append(f"{total:.0f} s in all; times of all sessions are in {made.record}")
    for line in lines:
        say(line)
