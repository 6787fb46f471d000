"""``reluopt attack`` and ``ideal``."""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from reluopt.cli import app, options
from reluopt.cli.console import (
    MAX_TABLE_ROWS,
    errors,
    norm_title,
    number,
    output,
    print_table,
    progress_bar,
    table,
)
from reluopt.errors import InputError
from reluopt.errors import shown as shown_text

if TYPE_CHECKING:  # a help text must not wait for numba, pandas and matplotlib
    from matplotlib.figure import Figure

    from reluopt.networks.network import ReLUNetwork
    from reluopt.runs.attack import AttackSettings
    from reluopt.runs.executors import Executor
    from reluopt.runs.instances import Instance
    from reluopt.runs.runner import Finished
    from reluopt.runs.store import ResultStore


@app.command()
def attack(
    network_name: options.NetworkName,
    images: options.Images,
    activation: options.Activation = None,
    norm: options.NormName = "l1",
    target: Annotated[
        str, typer.Option(help="A label, a shift (+5), runner-up, or any (untargeted).")
    ] = "+5",
    margin: Annotated[
        str,
        typer.Option(help="x1.2 (and strictly ahead), +0.1, or bare-x1.2 (thesis' condition)."),
    ] = "x1.2",
    smooth: options.Smoothness = None,
    engine: options.EngineName = "auto",
    formulation: options.Formulation = None,
    bounds: options.Bounds = None,
    optimizer: options.Optimizer = None,
    incumbent: Annotated[
        bool | None, typer.Option(help="Look for an incumbent first (default: unless thesis).")
    ] = None,
    time_limit: options.TimeLimit = 60.0,
    gap: options.Gap = 1e-6,
    threads: options.Threads = 1,
    seed: options.Seed = 0,
    label: Annotated[int | None, typer.Option(help="True label of image files.")] = None,
    data_dir: options.DataDir = None,
    workers: options.Workers = None,
    scheduler: options.Scheduler = None,
    limit: options.Limit = None,
    shard: options.ShardName = None,
    retry_failed: options.RetryFailed = False,
    out: options.Out = None,
    proof: options.KeepProof = False,
    figure: options.Figure = None,
    jsonl: options.JsonLines = False,
    verbose: options.Verbose = False,
) -> None:
    """Find the smallest change that makes the network answer the target, proven and checked."""
    from reluopt.networks.zoo import open_network

    options.check_figure_path(figure)
    options.check_method(engine, formulation, bounds)
    network = open_network(network_name, activation)

    from reluopt.questions.problems import parse_margin, parse_norm, parse_target

    asked = parse_target(target), parse_norm(norm), parse_margin(margin)

    from reluopt.cli.runs import chosen_instances, open_store, report_results
    from reluopt.engines.base import EngineOptions
    from reluopt.runs.attack import COLUMNS, AttackSettings, check_targets
    from reluopt.runs.executors import choose_executor

    method = options.method(
        engine,
        formulation,
        bounds,
        EngineOptions(
            time_limit,
            gap,
            threads,
            seed,
            verbose,
            options.extra_settings(engine, optimizer, proof, out),
        ),
        incumbent,
    )
    settings = AttackSettings(*asked, method, network_name, smooth)
    instances = chosen_instances(network, images, data_dir, limit, shard, label)
    check_targets(network, instances, settings)  # before a folder is made
    elsewhere = workers is not None or scheduler is not None
    executor = choose_executor(workers, scheduler) if elsewhere else None
    store = None
    if out is not None:
        described = settings.describe(network)
        store = open_store(out, COLUMNS, described, network, method, retry_failed)
    finished = _run_attack(network, instances, settings, store, executor, shard, jsonl)
    if not jsonl:
        _print_attack(network, settings, finished)
    if out is not None:
        report_results(finished, out)
    if figure is not None:
        from reluopt.runs.drawing import attack_figure  # matplotlib takes its time

        _save(attack_figure(network, instances, finished, settings.norm), figure)


def _run_attack(
    network: ReLUNetwork,
    instances: list[Instance],
    settings: AttackSettings,
    store: ResultStore | None,
    executor: Executor | None,
    shard: str | None,
    jsonl: bool,
) -> list[Finished]:
    """Run all instances behind a progress bar; JSON lines go out as they come."""
    from reluopt.cli.runs import report_interruption, session_record
    from reluopt.runs.attack import COLUMNS, run_attack
    from reluopt.runs.store import plain

    visible = not settings.method.options.verbose
    done = 0
    with progress_bar("attack", len(instances), visible=visible) as bar:

        def on_finished(result: Finished) -> None:
            nonlocal done
            done += 1
            if jsonl:
                print(json.dumps({name: plain(result.row.get(name)) for name in COLUMNS}))
                sys.stdout.flush()

        try:
            return run_attack(
                network,
                instances,
                settings,
                store,
                on_finished,
                bar.search,
                executor=executor,
                session=None if store is None else session_record(network, settings.method, shard),
                on_progress=bar.run,
            )
        except KeyboardInterrupt:
            report_interruption(done, len(instances), None if store is None else store.folder)
            raise


def _print_attack(network: ReLUNetwork, settings: AttackSettings, finished: list[Finished]) -> None:
    """The table of results and one line that sums them up."""
    from reluopt.answers.solution import Status
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
    for result in finished[:MAX_TABLE_ROWS]:
        row = result.row
        shown.add_row(
            escape(str(row["image"])),
            change_words(row["label"], row.get("original_predicted"), row.get("predicted")),
            str(row["status"]),
            number(row.get("distance")),
            number(row.get("gap"), ".1e"),
            number(row.get("seconds"), ".3f"),
            number(row.get("nodes"), ".0f"),
            "yes" if row["certified"] else "[red]no[/]",
        )
    print_table(shown, len(finished))
    for result in finished[:MAX_TABLE_ROWS]:
        if result.row.get("message"):
            errors.print(f"{result.row['image']}: {result.row['message']}", markup=False)
    rows = [result.row for result in finished]
    proven = sum(row["status"] in ("OPTIMAL", "INFEASIBLE") for row in rows)
    certified = sum(bool(row["certified"]) for row in rows)
    seconds = [float(row["seconds"]) for row in rows if row.get("seconds") is not None]
    median = f", median {statistics.median(seconds):.3f} s" if seconds else ""
    output.print(f"{proven} of {len(rows)} proven, {certified} checked adversarial{median}")
    unchanged = sum(row.get("objective") == 0.0 for row in rows)
    if unchanged:
        output.print(f"{unchanged} of them needed no change: the image is an answer already")
    fooled_nobody = sum(row["status"] == Status.NOT_ADVERSARIAL for row in rows)
    if fooled_nobody:
        output.print(f"{fooled_nobody} meet the bare condition without fooling the network")


def _save(drawn: Figure | None, path: Path) -> None:
    """Save a figure, or say that there is nothing to draw."""
    from reluopt.figures import save_figure

    if drawn is None:
        errors.print(f"--figure {path}: no image to draw", markup=False)
        return
    save_figure(drawn, path)
    errors.print(f"figure in {path}", markup=False)


@app.command()
def ideal(
    network_name: options.NetworkName,
    activation: options.Activation = None,
    label: Annotated[str, typer.Option(help="A label, several (0,3,7), or all.")] = "all",
    engine: options.EngineName = "auto",
    formulation: options.Formulation = None,
    bounds: options.Bounds = None,
    optimizer: options.Optimizer = None,
    time_limit: options.TimeLimit = 60.0,
    gap: options.Gap = 1e-6,
    threads: options.Threads = 1,
    seed: options.Seed = 0,
    out: options.Out = None,
    figure: options.Figure = None,
    jsonl: options.JsonLines = False,
    verbose: options.Verbose = False,
) -> None:
    """Find the input that maximises the logit of a label (the network's ideal of a class)."""
    from reluopt.networks.zoo import open_network

    options.check_figure_path(figure)
    options.check_method(engine, formulation, bounds)
    network = open_network(network_name, activation)
    labels = _labels(label, network.output_size)

    from reluopt.cli.runs import open_store
    from reluopt.engines.base import EngineOptions
    from reluopt.runs.ideal import COLUMNS, IdealJob, run_ideal
    from reluopt.runs.rows import check_method
    from reluopt.runs.store import plain

    engine_options = EngineOptions(
        time_limit, gap, threads, seed, verbose, options.extra_settings(engine, optimizer)
    )
    method = options.method(engine, formulation, bounds, engine_options)
    experiment = IdealJob(network, method)
    check_method(network, method)
    store = None
    if out is not None:
        store = open_store(out, COLUMNS, experiment.describe(), network, method)
    with progress_bar("ideal inputs", len(labels), visible=not verbose) as bar:

        def on_finished(result: Finished) -> None:
            bar.advance(str(result.row["status"]))
            if jsonl:
                print(json.dumps({name: plain(result.row.get(name)) for name in COLUMNS}))
                sys.stdout.flush()

        finished = run_ideal(experiment, labels, store, on_finished, bar.search)
    if not jsonl:
        _print_ideal(network, finished)
    if figure is not None:
        from reluopt.runs.drawing import ideal_figure

        _save(ideal_figure(finished), figure)


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


def _print_ideal(network: ReLUNetwork, finished: list[Finished]) -> None:
    columns = [("label", "right"), ("status", "left"), ("logit", "right"), ("bound", "right")]
    columns += [("seconds", "right"), ("nodes", "right"), ("answers", "right"), ("checked", "left")]
    shown = table(f"{shown_text(network.metadata.name)}: inputs that maximise a logit", columns)
    for result in finished:
        row = result.row
        shown.add_row(
            str(row["label"]),
            str(row["status"]),
            number(row.get("objective"), ".6g"),
            number(row.get("bound"), ".6g"),
            number(row.get("seconds"), ".3f"),
            number(row.get("nodes"), ".0f"),
            number(row.get("predicted"), ".0f"),
            "yes" if row["certified"] else "[red]no[/]",
        )
    output.print(shown)
