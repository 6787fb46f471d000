"""What commands that solve image by image share: which images, where rows go, what is recorded."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reluopt.cli.console import errors, tell
from reluopt.networks.network import ReLUNetwork
from reluopt.pipeline import Method
from reluopt.runs.instances import Instance, load_instances
from reluopt.runs.job import FAILURES
from reluopt.runs.runner import Finished, parse_shard, select
from reluopt.runs.store import ResultStore, machine
from reluopt.versions import all_versions


def chosen_instances(
    network: ReLUNetwork,
    images: Sequence[str],
    data_dir: Path | None,
    limit: int | None,
    shard: str | None,
    label: int | None = None,
) -> list[Instance]:
    """The images that the shared options name.

    Raises:
        InputError: an option cannot be read, or a file is not what it should be.
    """
    part = None if shard is None else parse_shard(shard)
    return select(load_instances(network, images, data_dir, label), limit, part)


def call_record(network: ReLUNetwork, method: Method) -> dict[str, Any]:
    """What was called, how the network's ReLUs are known, and the versions of what computes."""
    return {
        "command": ["reluopt", *sys.argv[1:]],
        "activation": f"relu ({network.metadata.activation})",
        "versions": all_versions([method.engine]),
    }


def session_record(network: ReLUNetwork, method: Method, shard: str | None) -> dict[str, Any]:
    """What ``run.json`` tells of this session."""
    return {**call_record(network, method), "machine": machine(), "shard": shard}


def open_store(
    out: Path,
    columns: tuple[str, ...],
    described: Mapping[str, Any],
    network: ReLUNetwork,
    method: Method,
    retry_failed: bool = False,
) -> ResultStore:
    """The result folder, with the command on record; without its failures to try them again.

    What was lost from the folder, and is run again, is told.
    """
    store = ResultStore(out, columns, described, call_record(network, method))
    report_repairs(store)
    if retry_failed:
        store.forget({key for key, row in store.done.items() if row["status"] in FAILURES})
    return store


def report_repairs(store: ResultStore) -> None:
    """What was lost from a result folder, and what is done about it."""
    for sentence in store.repairs:
        tell(sentence)


def report_results(finished: Sequence[Finished], out: Path) -> None:
    """Where the rows lie, and how many of them were there before."""
    kept = sum(result.resumed for result in finished)
    earlier = f" ({kept} of {len(finished)} rows from earlier sessions)" if kept else ""
    errors.print(f"results in {out}{earlier}", markup=False, soft_wrap=True)


def report_interruption(done: int, total: int, out: Path | None) -> None:
    """What Ctrl-C left."""
    errors.print(f"stopped after {done} of {total} images")
    if out is not None:
        errors.print(f"finished rows are in {out}; the same command resumes", markup=False)
