"""The runs of a benchmark: a schedule, and rows in a store."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

import reluopt
from reluopt.bench.job import WARM_UP, BenchJob, BenchSettings, BenchUnit, TakingTurns
from reluopt.errors import InputError, ReluoptError
from reluopt.method import Method, engine_for
from reluopt.networks.network import ReLUNetwork
from reluopt.preparation import prepare_solve
from reluopt.runs.instances import Instance
from reluopt.runs.lock import ANOTHER_FOLDER
from reluopt.runs.progress import RESUMED, RunProgress, Tracker
from reluopt.runs.record import machine
from reluopt.runs.row import BenchRow
from reluopt.runs.row_table import read_rows
from reluopt.runs.runner import run_job
from reluopt.runs.store import ResultStore


def bench(
    networks: Mapping[str, ReLUNetwork],
    instances: Mapping[str, Sequence[Instance]],
    methods: Mapping[str, Method],
    settings: BenchSettings,
    store: ResultStore[BenchRow],
    *,
    record: Mapping[str, Any] | None = None,
    progress: Callable[[RunProgress], None] = lambda _: None,
) -> pd.DataFrame:
    """Run what ``store`` does not hold yet, interleaved.

    Args:
        networks: networks by name.
        instances: the images of each network.
        methods: methods by name; each must have the options of ``settings``.
        settings: what is asked.
        store: where rows go.
        record: what ``sessions.jsonl`` shall hold about this session.
        progress: called before and after each run.

    Returns:
        The rows of these networks, instances and methods, earlier sessions' included.

    Raises:
        InputError: ``store`` holds rows of another network or image of the same name.
        ReluoptError: a method cannot solve this kind of problem at all.
    """
    units = _schedule(instances, list(methods))
    done = store.done
    number = 1 + max((row.session for row in store.rows), default=0)
    job = BenchJob(networks, methods, settings, number, code_fingerprint())
    _refuse_other_inputs(job, units, store)
    log = _SessionLog(store.folder, number)
    compile_kernels(job, [unit for unit in units if unit.key not in done])
    log.add(event="start", machine=machine(), code_sha256=job.code, **(record or {}))
    tracker = Tracker(len(units))
    executor = TakingTurns(lambda stage, key: progress(tracker.now(stage, key)), log.add_warm_up)

    def tell(now: RunProgress) -> None:
        if now.stage != RESUMED:
            progress(now)

    run_job(job, units, store, executor, on_progress=tell, tracker=tracker)
    return read_table(store.folder, [unit.key for unit in units])


def compile_kernels(job: BenchJob, units: Sequence[BenchUnit]) -> None:
    """Compile what the methods need: once, and not in processes that are killed after a while.

    A method that cannot solve such problems is told at its warm-up.
    """
    firsts: dict[str, BenchUnit] = {}
    for unit in units:
        firsts.setdefault(unit.method, unit)
    for name, unit in firsts.items():
        with suppress(ReluoptError):
            network, method = job.networks[unit.network], job.methods[name]
            task = job.settings.problem(unit.instance).task(network)
            prepare_solve(engine_for(method, task, network), method, task)


def read_table(folder: Path, keys: Sequence[str] | None = None) -> pd.DataFrame:
    """The rows of a benchmark's folder, in the order of ``keys`` if given."""
    table = read_rows(folder / "results.csv").frame()
    table["message"] = table["message"].fillna("")
    return table if keys is None else table.set_index("run").loc[list(keys)].reset_index()


def _schedule(
    instances: Mapping[str, Sequence[Instance]], methods: Sequence[str]
) -> list[BenchUnit]:
    """All runs: method after method on each image, starting with another one each time."""
    count = len(methods)
    return [
        BenchUnit(name, instance, methods[(number + order) % count], order)
        for name, images in instances.items()
        for number, instance in enumerate(images)
        for order in range(count)
    ]


def _refuse_other_inputs(
    job: BenchJob, units: Sequence[BenchUnit], store: ResultStore[BenchRow]
) -> None:
    """Rows of another network or image under the same name must not be mixed in."""
    done = store.done
    for unit in units:
        row = done.get(unit.key)
        if row is None:
            continue
        found = row.network_sha256, row.image_sha256
        if found != (job.networks[unit.network].fingerprint, unit.instance.fingerprint):
            raise InputError(
                f"{store.folder}: holds results of another network called '{unit.network}' or "
                f"another image called '{unit.instance.key}'; {ANOTHER_FOLDER}"
            )


class _SessionLog:
    """``sessions.jsonl``: what each start found, a JSON object a line."""

    def __init__(self, folder: Path, number: int) -> None:
        self._path = folder / "sessions.jsonl"
        self._number = number

    def add_warm_up(self, unit: BenchUnit, seconds: list[float]) -> None:
        """Add the times of the solves before the first run of a method on a network."""
        self.add(event=WARM_UP, method=unit.method, network=unit.network, seconds=seconds)

    def add(self, **entry: Any) -> None:
        """Add a line."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        line = json.dumps({"session": self._number, "time": now, **entry})
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")


@cache
def code_fingerprint() -> str:
    """SHA-256 (hex) of the Python sources of reluopt, as they were when first asked."""
    root = Path(reluopt.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
