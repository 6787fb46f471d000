"""``reluopt classify``."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import typer

from reluopt.cli import options
from reluopt.cli.app import app
from reluopt.cli.console import errors, number, output

if TYPE_CHECKING:  # a help text must not wait for numba and pandas
    from reluopt.runs.job import Finished
    from reluopt.runs.row import ClassifyRow

DISAGREEMENT = 1
"""Exit code when the program and the network disagree."""


@app.command()
@options.expanded
def classify(
    network_name: options.NetworkName,
    images: options.Images,
    solver: options.SolverOptions,
    loading: options.LoadingOptions,
    asked: options.RunOptions,
) -> None:
    """Classify images by the mixed-integer program and compare with the forward pass."""
    solver.check()
    network = loading.open(network_name)

    from reluopt.cli.runs import chosen_instances, run_units
    from reluopt.runs.classify import ClassifyJob

    job = ClassifyJob(network, solver.method())
    instances = chosen_instances(network, images, asked)
    job.check()

    def tell_difference(result: Finished[ClassifyRow]) -> None:
        if not (asked.jsonl or result.row.agrees):
            errors.print(f"{result.row.image}: {result.row.message}", markup=False)

    finished = run_units("classify", job, instances, asked, _line, tell_difference)
    _report([result.row for result in finished], errors.print if asked.jsonl else output.print)
    if not all(result.row.agrees for result in finished):
        raise typer.Exit(DISAGREEMENT)


def _line(row: ClassifyRow) -> dict[str, Any]:
    """The JSON object of one image; ``network`` is the network's answer."""
    return {
        "image": row.image,
        "label": row.label,
        "program": row.program,
        "network": row.predicted,
        "agrees": row.agrees,
        "seconds": row.seconds,
        "engine": row.engine,
        "formulation": row.formulation,
        "bounds": row.bounds,
    }


def _report(rows: Sequence[ClassifyRow], report: Callable[..., None]) -> None:
    """How many agree, and the program's size."""
    agreeing = sum(row.agrees for row in rows)
    right = sum(row.program == row.label for row in rows)
    seconds = [row.seconds for row in rows if row.seconds is not None]
    mean = statistics.fmean(seconds) if seconds else math.nan
    report(
        f"program and network agree on {agreeing} of {len(rows)} images ({right} of {len(rows)} "
        f"classified correctly), {mean:.4f} s an image"
    )
    written = [row for row in rows if row.variables is not None]
    names = ("variables", "constraints", "binaries")
    sizes = [written[-1][name] if written else None for name in names]
    named = zip(sizes, names, strict=True)
    report("program: " + ", ".join(f"{number(size, '.0f')} {name}" for size, name in named))
