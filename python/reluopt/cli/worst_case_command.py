"""``reluopt worst-case``."""

from __future__ import annotations

import statistics
from collections import Counter
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer
from rich.markup import escape

from reluopt.cli import options
from reluopt.cli.app import app
from reluopt.cli.console import MAX_TABLE_ROWS, errors, number, output, print_table, table
from reluopt.errors import InputError, shown

if TYPE_CHECKING:  # a help text must not wait for numba and pandas
    from reluopt.networks.network import ReLUNetwork
    from reluopt.runs.row import WorstCaseRow
    from reluopt.runs.worst_case import WorstCaseSettings

Eps: TypeAlias = Annotated[
    float, typer.Option(help="Radius of the ball, in units of the inputs (L2: the length).")
]
BallNorm: TypeAlias = Annotated[str, typer.Option(help="Norm of the ball: l1, l2 or linf.")]
TrueLabel: TypeAlias = Annotated[int | None, typer.Option(help="True label of image files.")]


@app.command("worst-case")
@options.expanded
def worst_case(
    network_name: options.NetworkName,
    images: options.Images,
    eps: Eps,
    solver: options.SolverOptions,
    loading: options.LoadingOptions,
    asked: options.RunOptions,
    norm: BallNorm = "linf",
    objective: Annotated[
        int | None,
        typer.Option(help="Label whose logit is maximised (default: the largest x_t - x_d)."),
    ] = None,
    fooled: Annotated[
        float | None,
        typer.Option(help="Only inputs whose true logit is at most this share of some logit."),
    ] = None,
    target: Annotated[
        int | None, typer.Option(help="The one wrong label whose lead counts (default: all).")
    ] = None,
    label: TrueLabel = None,
) -> None:
    """Find the input within eps on which the network is most wrong, or surest of a label."""
    from reluopt.questions.problems import parse_norm
    from reluopt.runs.worst_case import WorstCaseSettings

    network = _opened(network_name, solver, loading)
    settings = WorstCaseSettings(eps, parse_norm(norm), objective, fooled, target)
    rows = _rows(network, network_name, settings, images, solver, asked, label)
    if not asked.jsonl:
        _print_rows(network, settings, rows)
        counts = Counter(row.status for row in rows)
        sums = ", ".join(f"{count} {status}" for status, count in counts.items())
        output.print(f"{sums}{_median(rows)}")


def _opened(
    name: str, solver: options.SolverOptions, loading: options.LoadingOptions
) -> ReLUNetwork:
    """The network, once the solver's names are known."""
    solver.check()
    return loading.open(name)


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
    if not instances:
        raise InputError("--images: expected at least one, found none")
    job.check_units(instances)  # before a folder is made
    finished = run_units(settings.experiment, job, instances, asked)
    return [result.row for result in finished]


def _print_rows(
    network: ReLUNetwork, settings: WorstCaseSettings, rows: list[WorstCaseRow]
) -> None:
    """The table of results, and what there is to say about them."""
    title = f"{shown(network.metadata.name)}, {settings.norm.label} within {settings.eps:g}"
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
