"""The runs of a benchmark: a schedule, a process for each method, and rows in a store."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import reluopt
from reluopt.answers.solution import Status
from reluopt.bench.worker import BenchWorker, Job, Outcome
from reluopt.engines.base import EngineOptions
from reluopt.errors import InputError, ReluoptError
from reluopt.networks.layers.dense import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.pipeline import Method, engine_for
from reluopt.preparation import prepare_solve
from reluopt.questions.problems import Margin, Measure, MinimalPerturbation, Target
from reluopt.runs.attack import COLUMNS as ATTACK_COLUMNS
from reluopt.runs.attack import AttackSettings, attack_row
from reluopt.runs.experiment import hard_limit
from reluopt.runs.instances import Instance
from reluopt.runs.lock import ANOTHER_FOLDER
from reluopt.runs.row_table import read_rows
from reluopt.runs.schema import text_of
from reluopt.runs.store import ResultStore, Row, machine

_FIRST = ("run", "network", "image", "method", "proven", "status", "seconds")
COLUMNS = (
    *_FIRST,
    *(name for name in ATTACK_COLUMNS if name not in (*_FIRST, "image_sha256")),
    "cpu_seconds",
    "memory_before",
    "memory_peak",
    "neurons",
    "load",
    "order",
    "session",
    "network_sha256",
    "image_sha256",
    "code_sha256",
)
"""Columns of ``results.csv``: those of an attack, and what was measured around it. ``run`` is the
key; memory is in MiB; ``load`` is the machine's one-minute load when the run began; ``order`` is
its turn on the image; ``code_sha256`` tells the sources of reluopt that ran."""

WARM_UP_RUNS = 2
WARM_UP_SECONDS = 5.0
"""Warm-up solves for each method and network, and their time limit. They import and load; kernels
are compiled before, see :func:`_compile`."""


@dataclass(frozen=True)
class BenchSettings:
    """What is asked of every image, and with which limits."""

    target: Target
    norm: Measure
    margin: Margin
    options: EngineOptions

    def describe(self) -> dict[str, Any]:
        """What a folder's rows must have in common, JSON-serialisable."""
        return {
            "experiment": "bench",
            "target": str(self.target),
            "norm": str(self.norm),
            "margin": str(self.margin),
            "time_limit": self.options.time_limit,
            "gap": self.options.gap,
            "threads": self.options.threads,
            "seed": self.options.seed,
        }

    def problem(self, instance: Instance) -> MinimalPerturbation:
        """The problem of one image."""
        return MinimalPerturbation(
            instance.image, instance.label, self.target, self.norm, self.margin
        )


@dataclass(frozen=True)
class BenchProgress:
    """A step of a benchmark, for progress bars.

    Attributes:
        stage: ``warm-up`` or ``solve`` before a run, ``finished`` after it.
        network, image, method: of that run.
        done: finished runs, those of earlier sessions included.
        total: all runs.
        resumed: finished runs that earlier sessions left.
        row: the finished row (stage ``finished`` only).
    """

    stage: str
    network: str
    image: str
    method: str
    done: int
    total: int
    resumed: int
    row: Row | None = None


BenchCallback = Callable[[BenchProgress], None]


def bench(
    networks: Mapping[str, ReLUNetwork],
    instances: Mapping[str, Sequence[Instance]],
    methods: Mapping[str, Method],
    settings: BenchSettings,
    store: ResultStore,
    *,
    record: Mapping[str, Any] | None = None,
    progress: BenchCallback | None = None,
) -> pd.DataFrame:
    """Run what ``store`` does not hold yet, interleaved.

    Args:
        networks: networks by name.
        instances: the images of each network.
        methods: methods by name; each must have the options of ``settings``.
        settings: what is asked.
        store: with :data:`COLUMNS`.
        record: what ``sessions.jsonl`` shall hold about this session.
        progress: called before and after each run.

    Returns:
        The rows of these networks, instances and methods, earlier sessions' included.

    Raises:
        InputError: ``store`` holds rows of another network or image of the same name.
        ReluoptError: a method cannot solve this kind of problem at all.
    """
    runs = _schedule(networks, instances, methods)
    _refuse_other_inputs(runs, store)
    store.expect(run.key for run in runs)
    _compile([run for run in runs if run.key not in store.done], settings)
    session = _Session(settings, store, progress, runs, dict(record or {}))
    try:
        for run in runs:
            if run.key not in session.done:
                session.run(run)
        store.finish()
    finally:
        session.close()
    return read_table(store.folder, [run.key for run in runs])


def _compile(runs: Sequence[_Run], settings: BenchSettings) -> None:
    """Compile what the methods need: once, and not in processes that are killed after a while.

    A method that cannot solve such problems is told at its warm-up.
    """
    firsts: dict[str, _Run] = {}
    for run in runs:
        firsts.setdefault(run.method_name, run)
    for run in firsts.values():
        with suppress(ReluoptError):
            task = settings.problem(run.instance).task(run.network)
            prepare_solve(engine_for(run.method, task, run.network), run.method, task)


def read_table(folder: Path, keys: Sequence[str] | None = None) -> pd.DataFrame:
    """The rows of a benchmark's folder, in the order of ``keys`` if given."""
    table = read_rows(folder / "results.csv").frame()
    table["message"] = table["message"].fillna("")
    return table if keys is None else table.set_index("run").loc[list(keys)].reset_index()


@dataclass(frozen=True, eq=False)
class _Run:
    """One instance, one method."""

    name: str
    network: ReLUNetwork
    instance: Instance
    method_name: str
    method: Method
    order: int

    @property
    def key(self) -> str:
        """The key of its row."""
        return text_of(f"{self.name} {self.instance.key} {self.method_name}")

    @property
    def inputs(self) -> Row:
        """What identifies network and image whatever they are called."""
        return {
            "network_sha256": self.network.fingerprint,
            "image_sha256": self.instance.fingerprint,
        }


def _schedule(
    networks: Mapping[str, ReLUNetwork],
    instances: Mapping[str, Sequence[Instance]],
    methods: Mapping[str, Method],
) -> list[_Run]:
    """All runs: method after method on each image, starting with another one each time."""
    names = list(methods)
    runs = []
    for name, network in networks.items():
        for number, instance in enumerate(instances[name]):
            for order in range(len(names)):
                method = names[(number + order) % len(names)]
                runs.append(_Run(name, network, instance, method, methods[method], order))
    return runs


def _refuse_other_inputs(runs: Sequence[_Run], store: ResultStore) -> None:
    """Rows of another network or image under the same name must not be mixed in."""
    done = store.done
    for run in runs:
        row = done.get(run.key)
        if row is not None and any(row[name] != value for name, value in run.inputs.items()):
            raise InputError(
                f"{store.folder}: holds results of another network called '{run.name}' or another "
                f"image called '{run.instance.key}'; {ANOTHER_FOLDER}"
            )


class _Session:
    """One start of a benchmark: its workers, and the rows it adds."""

    def __init__(
        self,
        settings: BenchSettings,
        store: ResultStore,
        progress: BenchCallback | None,
        runs: Sequence[_Run],
        record: dict[str, Any],
    ) -> None:
        self._settings = settings
        self._store = store
        self._progress = progress
        self._total = len(runs)
        self._workers: dict[str, BenchWorker] = {}
        self._warm: set[tuple[str, str]] = set()
        self.done = {run.key for run in runs} & set(store.done)
        self._resumed = len(self.done)
        self._number = 1 + max((int(row["session"]) for row in store.rows), default=0)
        found = {"machine": machine(), "code_sha256": code_fingerprint()}
        self._log({"event": "start", **found, **record})

    def run(self, run: _Run) -> None:
        """Do one run, after a warm-up if its process is new to the network."""
        worker = self._workers.setdefault(
            run.method_name, BenchWorker(self._settings.options.threads)
        )
        if not worker.alive:
            self._warm = {pair for pair in self._warm if pair[0] != run.method_name}
        if (run.method_name, run.name) not in self._warm:
            self._tell("warm-up", run)
            self._warm_up(worker, run)
            self._warm.add((run.method_name, run.name))
        self._tell("solve", run)
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
        job = Job(run.name, self._settings.problem(run.instance), run.method)
        outcome = worker.run(job, run.network, self._hard_limit(run.method))
        row = self._row(run, outcome, load)
        self._store.append(row, None)
        self.done.add(run.key)
        self._tell("finished", run, row)

    def close(self) -> None:
        """End all processes."""
        for worker in self._workers.values():
            worker.close()

    def _warm_up(self, worker: BenchWorker, run: _Run) -> None:
        """Import and load on the same instance with its pixels shuffled.

        That is as hard as the instance itself, and leaves nothing behind that could help it.
        """
        network, instance = shuffled(run.network, run.instance)
        seconds = min(WARM_UP_SECONDS, run.method.options.time_limit)
        method = replace(run.method, options=replace(run.method.options, time_limit=seconds))
        job = Job(f"{run.name} (shuffled)", self._settings.problem(instance), method)
        times = []
        for _ in range(WARM_UP_RUNS):
            started = time.perf_counter()
            outcome = worker.run(job, network, self._hard_limit(method))
            if outcome.error is not None:
                raise type(outcome.error)(f"method {run.method_name!r}: {outcome.error}")
            times.append(round(time.perf_counter() - started, 3))
        self._log(
            {"event": "warm-up", "method": run.method_name, "network": run.name, "seconds": times}
        )

    def _row(self, run: _Run, outcome: Outcome, load: float) -> Row:
        """The row of a finished run."""
        settings = self._settings
        row: Row = {
            "label": run.instance.label,
            "norm": str(settings.norm),
            "margin_rule": str(settings.margin),
            "engine": run.method.engine,
            "formulation": run.method.formulation_name,
            "bounds": run.method.bounds_name,
            "certified": False,
            "time_limit": settings.options.time_limit,
        }
        solution = outcome.solution
        if solution is not None:
            asked = AttackSettings(settings.target, settings.norm, settings.margin, run.method)
            row = attack_row(run.network, run.instance, asked, solution, outcome.seconds)
        return {
            **row,
            "run": run.key,
            "network": run.name,
            "image": run.instance.key,
            "method": run.method_name,
            "proven": _settled(outcome) and outcome.seconds <= settings.options.time_limit,
            "status": outcome.status,
            "seconds": outcome.seconds,
            "message": outcome.message,
            "cpu_seconds": outcome.cpu_seconds,
            "memory_before": outcome.memory_before,
            "memory_peak": outcome.memory_peak,
            "neurons": sum(run.network.hidden_sizes),
            "load": load,
            "order": run.order,
            "session": self._number,
            **run.inputs,
            "code_sha256": code_fingerprint(),
        }

    def _hard_limit(self, method: Method) -> float:
        return hard_limit(method.options.time_limit)

    def _tell(self, stage: str, run: _Run, row: Row | None = None) -> None:
        if self._progress is not None:
            done, resumed = len(self.done), self._resumed
            names = (run.name, run.instance.key, run.method_name)
            self._progress(BenchProgress(stage, *names, done, self._total, resumed, row))

    def _log(self, entry: Mapping[str, Any]) -> None:
        """Add a line to ``sessions.jsonl``."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        line = json.dumps({"session": self._number, "time": now, **entry})
        with (self._store.folder / "sessions.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")


@cache
def code_fingerprint() -> str:
    """SHA-256 (hex) of the Python sources of reluopt, as they were when first asked."""
    root = Path(reluopt.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def shuffled(network: ReLUNetwork, instance: Instance) -> tuple[ReLUNetwork, Instance]:
    """The same task with its inputs in another order: equally hard, but not the same arrays."""
    order = np.random.default_rng(0).permutation(network.input_size)
    first = network.affine_layers[0]
    layers = (Dense(first.weight[:, order], first.bias), *network.affine_layers[1:])
    key = f"{instance.key} (shuffled)"
    moved = Instance(key, instance.image[order], instance.label)
    return ReLUNetwork(layers, network.metadata), moved


def _settled(outcome: Outcome) -> bool:
    """Whether the asked question was answered with proof, in whatever time."""
    solution = outcome.solution
    if solution is None:
        return False
    bare = solution.status is Status.NOT_ADVERSARIAL and solution.gap <= solution.gap_tolerance
    return solution.proven or bare
