"""What commands share that solve one problem after the other: units in, rows and words out."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reluopt.cli.console import errors, progress_bar, tell
from reluopt.networks.network import ReLUNetwork
from reluopt.runs.executors import choose_executor
from reluopt.runs.instances import Instance, load_instances
from reluopt.runs.job import FAILURES, Finished, RowT, UnitT
from reluopt.runs.record import machine
from reluopt.runs.runner import parse_shard, run_job, select
from reluopt.runs.solving import NetworkJob
from reluopt.runs.store import ResultStore
from reluopt.versions import all_versions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from reluopt.cli.options import RunOptions


def chosen_instances(
    network: ReLUNetwork, images: Sequence[str], asked: RunOptions, label: int | None = None
) -> list[Instance]:
    """The images that the shared options name.

    Raises:
        InputError: an option cannot be read, or a file is not what it should be.
    """
    part = None if asked.shard is None else parse_shard(asked.shard)
    return select(load_instances(network, images, asked.data_dir, label), asked.limit, part)


def run_units(
    title: str,
    job: NetworkJob[UnitT, RowT],
    units: Sequence[UnitT],
    asked: RunOptions,
    line: Callable[[RowT], dict[str, Any]] = lambda row: row.values(),
    on_finished: Callable[[Finished[RowT]], None] = lambda _: None,
) -> list[Finished[RowT]]:
    """Run a job behind a progress bar; JSON lines go out as they come.

    Args:
        title: of the bar.
        job: what is done.
        units: to what.
        asked: where it is computed, and where rows go.
        line: the JSON object of a row.
        on_finished: called for each finished unit.
    """
    done = 0

    def finish(result: Finished[RowT]) -> None:
        nonlocal done
        done += 1
        if asked.jsonl:
            print(json.dumps(line(result.row)), flush=True)
        on_finished(result)

    with progress_bar(title, len(units), visible=not job.verbose) as bar:
        executor = choose_executor(asked.workers, asked.scheduler, bar.search)
        store = None if asked.out is None else _open_store(asked.out, job, asked.retry_failed)
        session = {**_call(job), "machine": machine(), "shard": asked.shard}
        try:
            finished = run_job(
                job,
                units,
                store,
                executor,
                session=session,
                on_finished=finish,
                on_progress=bar.run,
            )
        except KeyboardInterrupt:
            _report_interruption(done, len(units), asked.out)
            raise
    if asked.out is not None:
        kept = sum(result.resumed for result in finished)
        earlier = f" ({kept} of {len(finished)} rows from earlier sessions)" if kept else ""
        errors.print(f"results in {asked.out}{earlier}", markup=False, soft_wrap=True)
    return finished


def _call(job: NetworkJob[UnitT, RowT]) -> dict[str, Any]:
    """What was called, how the network's ReLUs are known, and the versions of what computes."""
    return {
        "command": ["reluopt", *sys.argv[1:]],
        "activation": f"relu ({job.network.metadata.activation})",
        "versions": all_versions(job.engines),
    }


def _open_store(out: Path, job: NetworkJob[UnitT, RowT], retry_failed: bool) -> ResultStore[RowT]:
    """The result folder, with the command on record; without its failures to try them again.

    What was lost from the folder, and is run again, is told.
    """
    store = ResultStore(out, job.row_class, job.describe(), _call(job))
    for sentence in store.repairs:
        tell(sentence)
    if retry_failed:
        store.forget({key for key, row in store.done.items() if row.status in FAILURES})
    return store


def _report_interruption(done: int, total: int, out: Path | None) -> None:
    """What Ctrl-C left."""
    errors.print(f"stopped after {done} of {total} images")
    if out is not None:
        errors.print(f"finished rows are in {out}; the same command resumes", markup=False)


def save(drawn: Figure | None, path: Path) -> None:
    """Save a figure, or say that there is nothing to draw."""
    from reluopt.figures import save_figure

    if drawn is None:
        errors.print(f"--figure {path}: no image to draw", markup=False)
        return
    save_figure(drawn, path)
    errors.print(f"figure in {path}", markup=False)
