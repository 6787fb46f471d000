"""``reluopt attack`` and ``ideal``."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from reluopt.cli import options
from reluopt.cli.app import app
from reluopt.cli.ball_attack import BallAttackOptions, attack_within_ball, refuse_mixed
from reluopt.cli.console import (
    MAX_TABLE_ROWS,
    errors,
    norm_title,
    number,
    output,
    print_table,
    table,
)
from reluopt.errors import InputError
from reluopt.errors import shown as shown_text

if TYPE_CHECKING:  # a help text must not wait for numba, pandas and matplotlib
    from reluopt.networks.network import ReLUNetwork
    from reluopt.runs.attack import AttackSettings
    from reluopt.runs.job import Finished
    from reluopt.runs.row import AttackRow, IdealRow


@app.command()
@options.expanded
def attack(
    ctx: typer.Context,
    network_name: options.NetworkName,
    images: options.Images,
    question: options.QuestionOptions,
    solver: options.SolverOptions,
    loading: options.LoadingOptions,
    asked: options.RunOptions,
    ball: BallAttackOptions,
    smooth: Annotated[
        float | None,
        typer.Option(
            help="Most by which changes of neighbouring pixels may differ, such as 0.1 (default: "
            "any)."
        ),
    ] = None,
    incumbent: options.Incumbent = None,
    label: options.TrueLabel = None,
    proof: options.Proof = False,
    figure: options.Figure = None,
) -> None:
    """Find the smallest change that makes the network answer the target, proven and checked.

    With --method it is an attack within a ball, on all images and without proof, and the accuracy
    that it leaves.
    """
    if refuse_mixed(ctx, ball):
        attack_within_ball(ctx, network_name, images, loading, asked, ball, label)
        return
    options.check_figure_path(figure)
    solver.check()
    network = loading.open(network_name)
    parsed = question.parse()

    from reluopt.cli.runs import chosen_instances, run_units, save
    from reluopt.runs.attack import AttackJob, AttackSettings

    options.check_proof(proof, asked.out)
    method = solver.method(incumbent, proof)
    job = AttackJob(network, AttackSettings(*parsed, method, network_name, smooth))
    instances = chosen_instances(network, images, asked, label)
    job.check_targets(instances)  # before a folder is made
    finished = run_units("attack", job, instances, asked)
    if not asked.jsonl:
        _print_attack(network, job.settings, [result.row for result in finished])
    if figure is not None:
        from reluopt.runs.drawing import attack_figure  # matplotlib takes its time

        save(attack_figure(network, instances, finished, job.settings.norm), figure)


def _print_attack(network: ReLUNetwork, settings: AttackSettings, rows: list[AttackRow]) -> None:
    """The table of results, what there is to say about them, and a line that sums them up."""
    from reluopt.runs.wording import change_words

    title = (
        f"{shown_text(network.metadata.name)}, {norm_title(settings.norm)}, "
        f"target {settings.target}, margin {settings.margin}"
    )
    if settings.smoothness is not None:
        title += f", neighbouring changes within {settings.smoothness:g}"
    columns = [("image", "left"), ("change", "left"), ("status", "left")]
    columns += [(name, "right") for name in ("distance", "gap", "seconds", "nodes")]
    columns += [("checked", "left")]
    shown = table(title, columns)
    for row in rows[:MAX_TABLE_ROWS]:
        shown.add_row(
            escape(row.image),
            change_words(row.label, row.original_predicted, row.predicted),
            row.status,
            number(row.distance),
            number(row.gap, ".1e"),
            number(row.seconds, ".3f"),
            number(row.nodes, ".0f"),
            "yes" if row.certified else "[red]no[/]",
        )
    print_table(shown, len(rows))
    for row in rows[:MAX_TABLE_ROWS]:
        if row.message:
            errors.print(f"{row.image}: {row.message}", markup=False)
    _print_sums(rows)


def _print_sums(rows: list[AttackRow]) -> None:
    """How many are proven, how many fool the network, and how long they took."""
    from reluopt.answers.solution import Status

    proven = sum(row.status in (Status.OPTIMAL, Status.INFEASIBLE) for row in rows)
    certified = sum(row.certified for row in rows)
    seconds = [row.seconds for row in rows if row.seconds is not None]
    median = f", median {statistics.median(seconds):.3f} s" if seconds else ""
    output.print(f"{proven} of {len(rows)} proven, {certified} checked adversarial{median}")
    unchanged = sum(row.objective == 0.0 for row in rows)
    if unchanged:
        output.print(f"{unchanged} of them needed no change: the image is an answer already")
    fooled_nobody = sum(row.status == Status.NOT_ADVERSARIAL for row in rows)
    if fooled_nobody:
        output.print(f"{fooled_nobody} meet the bare condition without fooling the network")


@app.command()
@options.expanded
def ideal(
    network_name: options.NetworkName,
    solver: options.SolverOptions,
    loading: options.LoadingOptions,
    label: Annotated[str, typer.Option(help="A label, several (0,3,7), or all.")] = "all",
    out: options.Out = None,
    figure: options.Figure = None,
    jsonl: options.JsonLines = False,
) -> None:
    """Find the input that maximises the logit of a label (the network's ideal of a class)."""
    options.check_figure_path(figure)
    solver.check()
    network = loading.open(network_name)
    labels = _labels(label, network.output_size)

    from reluopt.cli.runs import run_units, save
    from reluopt.runs.ideal import IdealJob, LabelUnit

    job = IdealJob(network, solver.method())
    job.check()
    units = [LabelUnit(each) for each in labels]
    finished = run_units("ideal inputs", job, units, options.RunOptions(out=out, jsonl=jsonl))
    if not jsonl:
        _print_ideal(network, finished)
    if figure is not None:
        from reluopt.runs.drawing import ideal_figure

        save(ideal_figure(network, finished), figure)


def _labels(text: str, classes: int) -> list[int]:
    """Read ``all`` or ``0,3,7``."""
    if text == "all":
        return list(range(classes))
    try:
        labels = [int(part) for part in text.split(",")]
    except ValueError:
        labels = [-1]
    if any(not 0 <= value < classes for value in labels):
        raise InputError(f"--label: expected all or labels from 0 to {classes - 1}, found {text!r}")
    return labels


def _print_ideal(network: ReLUNetwork, finished: list[Finished[IdealRow]]) -> None:
    columns = [("label", "right"), ("status", "left"), ("logit", "right"), ("bound", "right")]
    columns += [("seconds", "right"), ("nodes", "right"), ("answers", "right"), ("checked", "left")]
    shown = table(f"{shown_text(network.metadata.name)}: inputs that maximise a logit", columns)
    for row in (result.row for result in finished):
        shown.add_row(
            str(row.label),
            row.status,
            number(row.objective, ".6g"),
            number(row.bound, ".6g"),
            number(row.seconds, ".3f"),
            number(row.nodes, ".0f"),
            number(row.predicted, ".0f"),
            "yes" if row.certified else "[red]no[/]",
        )
    output.print(shown)
