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
    table,
    tell,
)
from reluopt.errors import InputError
from reluopt.errors import shown as shown_text

if TYPE_CHECKING:
    from reluopt.runs.profile import Profile


@app.command()
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
    activation: options.Activation = None,
    norm: options.NormName = "l1",
    target: Annotated[str, typer.Option(help="A label, +5, runner-up, or any.")] = "+5",
    margin: Annotated[str, typer.Option(help="x1.2, +0.1 or bare-x1.2.")] = "x1.2",
    baseline: Annotated[
        str | None, typer.Option(help="Method that the others are compared with (default: last).")
    ] = None,
    time_limit: options.TimeLimit = 100.0,
    gap: options.Gap = 1e-6,
    threads: options.Threads = 1,
    seed: options.Seed = 0,
    data_dir: options.DataDir = None,
    figure: Annotated[
        Path | None, typer.Option(help="Draw the times (.png also writes the .pdf beside it).")
    ] = None,
) -> None:
    """Compare methods image by image, taking turns; exit code 1 when they contradict each other."""
    from reluopt.bench.run import run_bench

    with progress_bar("bench", 1) as bar:
        result = run_bench(
            networks,
            images=images,
            methods=method,
            out=out,
            norm=norm,
            target=target,
            margin=margin,
            time_limit=time_limit,
            threads=threads,
            gap=gap,
            seed=seed,
            baseline=baseline,
            figure=figure,
            data_dir=data_dir,
            activation=activation,
            command=["reluopt", *sys.argv[1:]],
            progress=bar.run,
            tell=tell,
        )
    print(result.summary)
    for path in result.files:
        errors.print(f"wrote {path}", markup=False)
    raise typer.Exit(result.exit_code)


@app.command()
def profile(
    network_name: options.NetworkName,
    image: Annotated[str, typer.Option(help="One image: test:131, or a .png or .npy file.")],
    activation: options.Activation = None,
    norm: options.NormName = "l1",
    target: Annotated[str, typer.Option(help="A label, +5, runner-up, or any.")] = "+5",
    margin: Annotated[str, typer.Option(help="x1.2, +0.1 or bare-x1.2.")] = "x1.2",
    time_limit: options.TimeLimit = 60.0,
    gap: options.Gap = 1e-6,
    seed: options.Seed = 0,
    repeats: Annotated[int, typer.Option(help="Solves; medians are shown.", min=1)] = 5,
    data_dir: options.DataDir = None,
) -> None:
    """Show where our engine's time goes, step by step, against the least a solve can cost."""
    from reluopt.networks.zoo import open_network
    from reluopt.questions.problems import parse_margin, parse_norm, parse_target

    network = open_network(network_name, activation)
    asked = parse_target(target), parse_norm(norm), parse_margin(margin)

    from reluopt.engines.options import EngineOptions
    from reluopt.runs.instances import load_instances
    from reluopt.runs.profile import profile as run

    instances = load_instances(network, [image], data_dir)
    if len(instances) != 1:
        raise InputError(f"--image: expected one image, found {len(instances)}")
    made = run(
        network_name,
        instances[0],
        *asked,
        EngineOptions(time_limit, gap, seed=seed),
        repeats,
        activation,
    )
    columns = [("step", "left"), ("calls", "right"), ("ms", "right"), ("share", "right")]
    title = (
        f"{shown_text(network.metadata.name)}, {image}, {norm_title(parse_norm(norm))}, "
        f"target {target}: bnb"
    )
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
    if made.root is None:
        return f"{text}; nothing was searched, the image is an answer already"
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
    activation: options.Activation = None,
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
    from reluopt.runs.store import named
    from reluopt.runs.verify import MISSING, verify_run

    columns = [("image", "left"), ("status", "left"), ("bound", "right"), ("root", "right")]
    shown = table(f"bounds of {folder}", [*columns, ("proof", "right"), ("shown by", "left")])
    count = wrong = 0
    statuses: Counter[str] = Counter()
    evidence: Counter[str] = Counter()
    missing: dict[str, list[str]] = {}
    with progress_bar("verify", 1) as bar:
        for verified in verify_run(folder, network_name, data_dir, workers, bar.run, activation):
            count += 1
            wrong += bool(verified.failures)
            statuses[verified.status] += 1
            if verified.status == MISSING:
                missing.setdefault(verified.failures[0], []).append(verified.image)
                continue
            evidence[str(verified.evidence)] += 1
            for failure in verified.failures:
                line = printable(f"{verified.image}: {failure}")
                output.print(line, markup=False, soft_wrap=True)
            bounds = map(_bound, (verified.bound, verified.root, verified.proven))
            if evidence.total() <= MAX_TABLE_ROWS:
                names = (escape(printable(name)) for name in (verified.image, verified.status))
                shown.add_row(*names, *bounds, str(verified.evidence))
    if evidence:
        print_table(shown, evidence.total())
    for why, keys in missing.items():
        output.print(printable(f"{named(keys)}: {why}"), markup=False, soft_wrap=True)
    if evidence:
        kinds = ", ".join(f"{times} {kind}" for kind, times in evidence.items())
        output.print(f"bounds: {kinds}")
    found = ", ".join(f"{times} {status}" for status, times in statuses.items())
    output.print(printable(f"{count - wrong} of {count} rows verified ({found})"), markup=False)
    if wrong:
        raise typer.Exit(1)


def _bound(value: float | None) -> str:
    """A bound for people; a dash for none."""
    return "infinite" if value == math.inf else number(value, ".6f")
