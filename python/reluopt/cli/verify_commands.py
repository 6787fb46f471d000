"""``reluopt verify`` and ``robust-error``: verdicts over balls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
    say,
    table,
    tell,
)
from reluopt.errors import InputError
from reluopt.errors import shown as shown_text

if TYPE_CHECKING:  # a help text must not wait for numba and pandas
    from reluopt.runs.job import Finished
    from reluopt.runs.row import VerifyRow
    from reluopt.runs.verification import RobustError, VerifyJob

NO_MORE = 1e-200
"""Bounds this near below zero say no more than their sign: verdicts in L1 and L2."""


@dataclass(frozen=True)
class BallOptions:
    """What balls are, and what is kept of their verdicts."""

    norm: options.BallNorm = "linf"
    label: options.TrueLabel = None
    proof: options.Proof = False


@app.command()
@options.expanded
def verify(
    network_name: options.NetworkName,
    images: options.Images,
    solver: options.SolverOptions,
    loading: options.LoadingOptions,
    asked: options.RunOptions,
    ball: BallOptions,
    eps: options.Eps,
) -> None:
    """Prove that everything within eps is answered the same, or find what is not."""
    job, finished = _decided("verify", network_name, images, solver, loading, asked, ball, [eps])
    rows = [result.row for result in finished]
    if not asked.jsonl:
        _print_verdicts(job, rows)
    _print_sum(rows, asked.jsonl)


@app.command(name="robust-error")
@options.expanded
def robust_error(
    network_name: options.NetworkName,
    images: options.Images,
    solver: options.SolverOptions,
    loading: options.LoadingOptions,
    asked: options.RunOptions,
    ball: BallOptions,
    eps: Annotated[str, typer.Option(help="Radius of the balls, or several: 0.02,0.03,0.05.")],
    figure: options.Figure = None,
) -> None:
    """Bound the robust error of a set of images from both sides; exact once all are decided."""
    options.check_figure_path(figure)
    radii = _radii(eps)
    job, finished = _decided(
        "robust error", network_name, images, solver, loading, asked, ball, radii
    )

    from reluopt.runs.verification import robust_errors

    found = robust_errors(result.row for result in finished)
    if not asked.jsonl:
        _print_errors(job, found)
    if figure is not None:
        from reluopt.cli.runs import save
        from reluopt.figures import robust_error_figure

        bounds = [(each.eps, each.clean, each.lower, each.upper) for each in found]
        name = shown_text(job.network.metadata.name)
        save(robust_error_figure({name: bounds}, norm_title(job.norm)), figure)


def _radii(text: str) -> list[float]:
    """Read ``0.02,0.03``."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--eps: expected numbers such as 0.02,0.03, found {text!r}") from None


def _decided(
    title: str,
    network_name: str,
    images: Sequence[str],
    solver: options.SolverOptions,
    loading: options.LoadingOptions,
    asked: options.RunOptions,
    ball: BallOptions,
    radii: Sequence[float],
) -> tuple[VerifyJob, list[Finished[VerifyRow]]]:
    """Decide every image within every radius."""
    solver.check()
    options.check_proof(ball.proof, asked.out)
    network = loading.open(network_name)

    from reluopt.cli.runs import chosen_instances, run_units
    from reluopt.questions.problems import parse_norm
    from reluopt.runs.verification import VerifyJob, balls

    method = solver.method(proof=ball.proof)
    job = VerifyJob(network, method, parse_norm(ball.norm), network_name)
    units = balls(chosen_instances(network, images, asked, ball.label), radii)
    job.check_balls(units)
    return job, run_units(title, job, units, asked)


def _print_verdicts(job: VerifyJob, rows: Sequence[VerifyRow]) -> None:
    """The table of verdicts."""
    eps = rows[0].eps if rows else 0.0
    title = f"{shown_text(job.network.metadata.name)}, within {eps:g} in the {norm_title(job.norm)}"
    columns = [("image", "left"), ("label", "right"), ("status", "left"), ("answers", "right")]
    columns += [(name, "right") for name in ("distance", "bound", "seconds", "nodes")]
    shown = table(title, columns)
    for row in rows[:MAX_TABLE_ROWS]:
        shown.add_row(
            escape(row.image),
            str(row.label),
            row.status,
            number(row.predicted, ".0f"),
            number(row.distance),
            _bound(row.bound),
            number(row.seconds, ".3f"),
            number(row.nodes, ".0f"),
        )
    print_table(shown, len(rows))
    for row in rows[:MAX_TABLE_ROWS]:
        if row.message:
            errors.print(f"{row.image}: {row.message}", markup=False)


def _bound(bound: float | None) -> str:
    """A bound on the lead; of a sign alone no more than that."""
    return "< 0" if bound is not None and -NO_MORE < bound < 0.0 else number(bound, ".3g")


def _print_sum(rows: Sequence[VerifyRow], jsonl: bool) -> None:
    """How many verdicts there are of each kind."""
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.status] = counts.get(row.status, 0) + 1
    total = sum(row.seconds or 0.0 for row in rows)
    text = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    (tell if jsonl else say)(f"{len(rows)} images: {text}; {total:.1f} s")


def _print_errors(job: VerifyJob, found: Sequence[RobustError]) -> None:
    """The table of robust errors."""
    name = shown_text(job.network.metadata.name)
    title = f"{name}: robust error in %, {norm_title(job.norm)}; seconds an image"
    shares_of = ("eps", "images", "clean", "at least", "at most", "undecided")
    columns = [(name, "right") for name in (*shares_of, "median", "mean", "most")]
    shown = table(title, columns)
    for each in found:
        shares = (each.clean, each.lower, each.upper, each.undecided)
        seconds = (each.median_seconds, each.mean_seconds, each.most_seconds)
        shown.add_row(
            f"{each.eps:g}",
            str(each.images),
            *(f"{100.0 * share:.2f}" for share in shares),
            *(f"{second:.3f}" for second in seconds),
        )
    output.print(shown)
