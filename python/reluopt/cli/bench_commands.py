"""``reluopt bench``, ``profile`` and ``verify-result``: methods compared, runs looked into."""

from __future__ import annotations

import math
import sys
from collections import Counter
from pathlib import Path
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
    printable,
    progress_bar,
    say,
    table,
    tell,
)
from reluopt.errors import InputError
from reluopt.errors import shown as shown_text

if TYPE_CHECKING:
    from reluopt.runs.checking import Verified
    from reluopt.runs.profile import Profile


@app.command()
@options.expanded
def bench(
    networks: Annotated[
        list[str], typer.Argument(metavar="NET...", help="Bundled names or weights files.")
    ],
    images: options.Images,
    method: Annotated[
        list[str],
        typer.Option(help="engine[:formulation[:bounds]], such as bnb or gurobi:thesis:thesis."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for results; the same command resumes there.")],
    question: options.QuestionOptions,
    loading: options.LoadingOptions,
    baseline: Annotated[
        str | None, typer.Option(help="Method that the others are compared with (default: last).")
    ] = None,
    time_limit: options.TimeLimit = 100.0,
    gap: options.Gap = 1e-6,
    threads: options.Threads = 1,
    seed: options.Seed = 0,
    data_dir: options.DataDir = None,
    peers: Annotated[
        bool,
        typer.Option(
            "--peers",
            help="Also run published libraries on the same instances (pip install "
            "'reluopt[peers]'): what they find, checked, beside the proven minimum, in peers.csv.",
        ),
    ] = False,
    figure: Annotated[
        Path | None, typer.Option(help="Draw the times (.png also writes the .pdf beside it).")
    ] = None,
) -> None:
    """Compare methods image by image, taking turns; exit code 1 when they contradict each other."""
    from reluopt.bench.run import BenchPlan, run_bench

    plan = BenchPlan(
        networks=networks,
        images=images,
        methods=method,
        out=out,
        **vars(question),
        time_limit=time_limit,
        threads=threads,
        gap=gap,
        seed=seed,
        baseline=baseline,
        peers=peers,
        figure=figure,
        data_dir=data_dir,
        loading=loading.told(),
        command=["reluopt", *sys.argv[1:]],
    )
    with progress_bar("bench", 1) as bar:
        result = run_bench(plan, bar.run, tell)
    print(result.summary)
    for path in result.files:
        errors.print(f"wrote {path}", markup=False)
    raise typer.Exit(result.exit_code)


@app.command()
@options.expanded
def profile(
    network_name: options.NetworkName,
    image: Annotated[str, typer.Option(help="One image: test:131, or a file (rows.csv:3).")],
    question: options.QuestionOptions,
    loading: options.LoadingOptions,
    time_limit: options.TimeLimit = 60.0,
    gap: options.Gap = 1e-6,
    seed: options.Seed = 0,
    repeats: Annotated[int, typer.Option(help="Solves; medians are shown.", min=1)] = 5,
    figure: Annotated[
        Path | None,
        typer.Option(help="Draw incumbent and bound against time; their rows go to a .csv beside."),
    ] = None,
    threads: options.Threads = 1,
    data_dir: options.DataDir = None,
) -> None:
    """Show where our engine's time goes, step by step, against the least a solve can cost."""
    options.check_figure_path(figure)
    network = loading.open(network_name)
    asked = question.parse()

    from reluopt.engines.options import EngineOptions
    from reluopt.runs.instances import load_instances
    from reluopt.runs.profile import profile as run

    instances = load_instances(network, [image], data_dir)
    if len(instances) != 1:
        raise InputError(f"--image: expected one image, found {len(instances)}")
    title = (
        f"{shown_text(network.metadata.name)}, {image}, {norm_title(asked[1])}, "
        f"target {question.target}: bnb"
    )
    limits = EngineOptions(time_limit, gap, threads=threads, seed=seed)
    made = run(network_name, instances[0], *asked, limits, repeats, loading.told())
    _print_steps(made, title)
    if figure is not None:
        _draw_moments(made, figure)


def _draw_moments(made: Profile, path: Path) -> None:
    """Anytime curves of a solve, and their rows."""
    from reluopt.figures import anytime_figure, save_figure
    from reluopt.files import write_atomically

    table = made.table
    curves = {"bnb": table[["seconds", "incumbent", "bound"]].to_numpy()}
    drawn = save_figure(anytime_figure(curves, f"distance, {norm_title(made.norm)}"), path)
    rows = path.with_suffix(".csv")
    write_atomically(rows, table.to_csv(index=False).encode())
    for each in (*drawn, rows):
        errors.print(f"wrote {each}", markup=False)


def _print_steps(made: Profile, title: str) -> None:
    """The table of steps, and how the least cost compares."""
    columns = [("step", "left"), ("calls", "right"), ("ms", "right"), ("share", "right")]
    shown = table(title, columns)
    for step, (calls, seconds) in made.steps.items():
        shown.add_row(step, str(calls), f"{1e3 * seconds:.2f}", f"{seconds / made.seconds:.0%}")
    shown.add_row("all", "", f"{1e3 * made.seconds:.2f}", "100%")
    output.print(shown)
    answer = made.answer
    output.print(
        f"{answer.status}: objective {answer.objective:.6f}, bound {answer.bound:.6f}, "
        f"{answer.nodes} nodes"
    )
    output.print(_floor_words(made))


def _floor_words(made: Profile) -> str:
    """The least that such a solve costs, and how much more this one does."""
    text = f"floor: reading the weights {1e3 * made.reading:.2f} ms"
    if made.root is None and made.answer.objective == 0.0:
        return f"{text}; nothing was searched, the image is an answer already"
    if made.root is None:
        return f"{text}; the search did not end, so that there is no optimum to start from"
    over = made.seconds / (made.reading + made.root)
    return (
        f"{text}, bounds and root relaxation over the answer's ball {1e3 * made.root:.2f} ms; "
        f"this solve takes {over:.1f} times as long"
    )


@app.command(name="verify-result")
def verify_result(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder written with --out.")],
    network_name: Annotated[
        str | None, typer.Option("--network", help="Weights, if they are elsewhere now.")
    ] = None,
    activation: Annotated[
        str | None, typer.Option(help="relu confirms what stands between layers.")
    ] = None,
    data_dir: options.DataDir = None,
    workers: Annotated[int, typer.Option(help="Processes that share the rows.")] = 1,
) -> None:
    """Recompute every claim of a run from its files alone; exit code 1 if anything differs.

    Every row is checked for what its status claims, and instances that the run was asked for and
    that have no row count as wrong. Bounds are proven anew where that is possible: by replaying
    kept proofs (attack --proof), or by the root relaxation. The last column tells how; "stored
    number" means that gap and status were recomputed from the stored bound, and that an attack
    found nothing below it; "engine's word" says the same of rows without any answer.
    """
    from reluopt.runs.verify import MISSING, verify_run

    columns = [("image", "left"), ("status", "left"), ("bound", "right"), ("root", "right")]
    shown = table(f"bounds of {folder}", [*columns, ("proof", "right"), ("shown by", "left")])
    found: list[Verified] = []
    with progress_bar("verify", 1) as bar:
        for verified in verify_run(folder, network_name, data_dir, workers, bar.run, activation):
            found.append(verified)
            if verified.status == MISSING:
                continue
            for failure in verified.failures:
                say(f"{verified.image}: {failure}")
            bounds = map(_bound, (verified.bound, verified.root, verified.proven))
            if shown.row_count < MAX_TABLE_ROWS:
                names = (escape(printable(name)) for name in (verified.image, verified.status))
                shown.add_row(*names, *bounds, str(verified.evidence))
    wrong = sum(bool(verified.failures) for verified in found)
    evidence = Counter(str(each.evidence) for each in found if each.status != MISSING)
    if evidence:
        print_table(shown, evidence.total())
    _print_missing([verified for verified in found if verified.status == MISSING])
    if evidence:
        say(f"bounds: {', '.join(f'{times} {kind}' for kind, times in evidence.items())}")
    statuses = Counter(verified.status for verified in found)
    kinds = ", ".join(f"{times} {status}" for status, times in statuses.items())
    say(f"{len(found) - wrong} of {len(found)} rows verified ({kinds})")
    if wrong:
        raise typer.Exit(1)


def _print_missing(found: list[Verified]) -> None:
    """Which rows there should be, by the reason why they are missed."""
    from reluopt.runs.store import named

    reasons: dict[str, list[str]] = {}
    for verified in found:
        reasons.setdefault(verified.failures[0], []).append(verified.image)
    for why, keys in reasons.items():
        say(f"{named(keys)}: {why}")


def _bound(value: float | None) -> str:
    """A bound for people; a dash for none."""
    return "infinite" if value == math.inf else number(value, ".6f")
