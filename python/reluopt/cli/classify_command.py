"""``reluopt classify``."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import typer

from reluopt.cli import app, options
from reluopt.cli.console import errors, number, output, progress_bar

if TYPE_CHECKING:  # a help text must not wait for numba and pandas
    from reluopt.runs.job import Row
    from reluopt.runs.runner import Finished

DISAGREEMENT = 1
"""Exit code when the program and the network disagree."""


@app.command()
def classify(
    network_name: options.NetworkName,
    images: options.Images,
    activation: options.Activation = None,
    engine: options.EngineName = "auto",
    formulation: options.Formulation = None,
    bounds: options.Bounds = None,
    optimizer: options.Optimizer = None,
    time_limit: options.TimeLimit = 60.0,
    threads: options.Threads = 1,
    seed: options.Seed = 0,
    data_dir: options.DataDir = None,
    workers: options.Workers = None,
    scheduler: options.Scheduler = None,
    limit: options.Limit = None,
    shard: options.ShardName = None,
    retry_failed: options.RetryFailed = False,
    out: options.Out = None,
    jsonl: options.JsonLines = False,
) -> None:
    """Classify images by the mixed-integer program and compare with the forward pass."""
    from reluopt.networks.zoo import open_network

    options.check_method(engine, formulation, bounds)
    network = open_network(network_name, activation)

    from reluopt.cli.runs import (
        chosen_instances,
        open_store,
        report_interruption,
        report_results,
        session_record,
    )
    from reluopt.engines.base import EngineOptions
    from reluopt.runs.classify import ClassifyJob, run_classify
    from reluopt.runs.executors import choose_executor
    from reluopt.runs.rows import check_method

    extra = options.extra_settings(engine, optimizer)
    engine_options = EngineOptions(time_limit, threads=threads, seed=seed, extra=extra)
    method = options.method(engine, formulation, bounds, engine_options)
    instances = chosen_instances(network, images, data_dir, limit, shard)
    check_method(network, method)
    executor = choose_executor(workers, scheduler)
    experiment = ClassifyJob(network, method)
    store = None
    if out is not None:
        described = experiment.describe()
        store = open_store(out, experiment.columns, described, network, method, retry_failed)
    done = 0
    with progress_bar("classify", len(instances)) as bar:

        def on_finished(result: Finished) -> None:
            nonlocal done
            done += 1
            bar.advance("agrees" if result.row["agrees"] else "differs")
            if jsonl:
                print(json.dumps(_line(result.row)), flush=True)
            elif not result.row["agrees"]:
                errors.print(f"{result.row['image']}: {result.row['message']}", markup=False)

        session = session_record(network, method, shard)
        try:
            finished = run_classify(
                experiment, instances, store, on_finished, executor=executor, session=session
            )
        except KeyboardInterrupt:
            report_interruption(done, len(instances), out)
            raise
    _report([result.row for result in finished], errors.print if jsonl else output.print)
    if out is not None:
        report_results(finished, out)
    if not all(result.row["agrees"] for result in finished):
        raise typer.Exit(DISAGREEMENT)


def _line(row: Row) -> Any:
    """The JSON object of one image; ``network`` is the network's answer."""
    from reluopt.runs.store import plain

    names = ["image", "label", "program", "predicted", "agrees", "seconds"]
    names += ["engine", "formulation", "bounds"]
    called = {"predicted": "network"}
    return plain({called.get(name, name): row.get(name) for name in names})


def _report(rows: Sequence[Row], report: Callable[..., None]) -> None:
    """How many agree, and the program's size."""
    agreeing = sum(bool(row["agrees"]) for row in rows)
    right = sum(row.get("program") == row["label"] for row in rows)
    seconds = [float(row["seconds"]) for row in rows if row.get("seconds") is not None]
    mean = statistics.fmean(seconds) if seconds else math.nan
    report(
        f"program and network agree on {agreeing} of {len(rows)} images ({right} of {len(rows)} "
        f"classified correctly), {mean:.4f} s an image"
    )
    size = next((row for row in reversed(rows) if row.get("variables") is not None), {})
    names = ("variables", "constraints", "binaries")
    report("program: " + ", ".join(f"{number(size.get(name), '.0f')} {name}" for name in names))
