"""``reluopt worst-case``."""

from __future__ import annotations

import statistics
from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from reluopt.cli import options
from reluopt.cli.app import app
from reluopt.cli.console import (
    MAX_TABLE_ROWS,
    errors,
    norm_title,
    number,
    output,
    print_table,
    table,
)
from reluopt.errors import shown

if TYPE_CHECKING:  # a help text must not wait for numba and pandas
    from reluopt.networks.network import ReLUNetwork
    from reluopt.runs.row import WorstCaseRow
    from reluopt.runs.worst_case import WorstCaseSettings


@app.command("worst-case")
@options.expanded
def worst_case(
    network_name: options.NetworkName,
    images: options.Images,
    eps: options.Eps,
    solver: options.SolverOptions,
    loading: options.LoadingOptions,
    asked: options.RunOptions,
    norm: options.BallNorm = "linf",
    objective: Annotated[
        int | None,
        typer.Option(help="Label whose logit is maximised (default: the largest x_t - x_d)."),
    ] = None,
    fooled: Annotated[
        float | None,
        typer.Option(help="With --objective: only where x_d <= this share of x_k for a label k."),
    ] = None,
    target: Annotated[
        int | None, typer.Option(help="The one wrong label whose lead counts (default: all).")
    ] = None,
    label: options.TrueLabel = None,
) -> None:
    """Find the input within eps on which the network is most wrong, or surest of a label."""
    from reluopt.questions.problems import parse_norm
    from reluopt.runs.worst_case import WorstCaseSettings

    solver.check()
    network = loading.open(network_name)
    settings = WorstCaseSettings(eps, parse_norm(norm), objective, fooled, target)
    rows = _rows(network, network_name, settings, images, solver, asked, label)
    if not asked.jsonl:
        _print_rows(network, settings, rows)
        counts = Counter(row.status for row in rows)
        sums = ", ".join(f"{count} {status}" for status, count in counts.items())
        output.print(f"{sums}{_median(rows)}")


def _rows(
    network: ReLUNetwork,
    name: str,
    settings: WorstCaseSettings,
    images: list[str],
    solver: options.SolverOptions,
    asked: options.RunOptions,
    label: int | None,
) -> list[WorstCaseRow]:
    """Solve all images."""
    from reluopt.cli.runs import chosen_instances, run_units
    from reluopt.runs.worst_case import WorstCaseJob

    job = WorstCaseJob(network, settings, solver.method(), name)
    instances = chosen_instances(network, images, asked, label)
    job.check_units(instances)  # before a folder is made
    finished = run_units(settings.experiment, job, instances, asked)
    return [result.row for result in finished]


def _print_rows(
    network: ReLUNetwork, settings: WorstCaseSettings, rows: list[WorstCaseRow]
) -> None:
    """The table of results, and what there is to say about them."""
    within = f"within {settings.eps:g} in the {norm_title(settings.norm)}"
    title = f"{shown(network.metadata.name)}, {within}"
    columns = [("image", "left"), ("label", "right"), ("status", "left")]
    names = ("maximum", "bound", "distance", "answer", "seconds", "nodes")
    columns += [(name, "right") for name in names]
    shape = table(title, columns)
    for row in rows[:MAX_TABLE_ROWS]:
        shape.add_row(
            escape(row.image),
            str(row.label),
            row.status,
            number(row.objective, ".6g"),
            number(row.bound, ".6g"),
            number(row.distance, ".6g"),
            number(row.predicted, ".0f"),
            number(row.seconds, ".3f"),
            number(row.nodes, ".0f"),
        )
    print_table(shape, len(rows))
    for row in rows[:MAX_TABLE_ROWS]:
        if row.message:
            errors.print(f"{row.image}: {row.message}", markup=False)


def _median(rows: list[WorstCaseRow]) -> str:
    """The median time an image, in words."""
    seconds = [row.seconds for row in rows if row.seconds is not None]
    return f", median {statistics.median(seconds):.3f} s" if seconds else ""
