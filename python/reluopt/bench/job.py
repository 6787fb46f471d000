"""A benchmark as a job: one image, one method, measured in a process of the method's own.

Every method runs in one long-lived process (:mod:`reluopt.runs.worker`), so that its peak memory
is its own and that imports and compilation are paid once, before the clock runs. It loads the
solving pipeline only (no pandas, no matplotlib).
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from reluopt.answers.solution import Solution, Status
from reluopt.engines.base import ProgressCallback
from reluopt.engines.options import EngineOptions
from reluopt.errors import ReluoptError
from reluopt.method import Method
from reluopt.networks.network import ReLUNetwork
from reluopt.pipeline import solve
from reluopt.questions.problems import Margin, MinimalPerturbation, Norm, Target
from reluopt.runs.attack import AttackJob, AttackSettings
from reluopt.runs.column import text_of
from reluopt.runs.instances import Instance
from reluopt.runs.job import ERROR, Finished, Outcome, Procedure, ResultT
from reluopt.runs.row import BenchRow
from reluopt.runs.solving import LimitedJob, limit_settings
from reluopt.runs.worker import WorkerProcess

MEBIBYTE = 1024.0
"""Kibibytes in a mebibyte: the kernel counts memory in kibibytes."""

UNSUPPORTED = "UNSUPPORTED"
"""Status of a run whose method cannot solve the problem."""

WARM_UP, SOLVE = "warm-up", "solve"
"""Stages of a run before it is finished."""

WARM_UP_RUNS = 2
WARM_UP_SECONDS = 5.0
"""Warm-up solves for each method and network, and their time limit. They import and load; kernels
are compiled before, see :func:`~reluopt.bench.session.compile_kernels`."""


@dataclass(frozen=True)
class BenchSettings:
    """What is asked of every image, and with which limits."""

    target: Target
    norm: Norm
    margin: Margin
    options: EngineOptions

    def describe(self) -> dict[str, Any]:
        """What a folder's rows must have in common, JSON-serialisable."""
        asked = {name: str(getattr(self, name)) for name in ("target", "norm", "margin")}
        return {"experiment": "bench", **asked, **limit_settings(self.options)}

    def problem(self, instance: Instance) -> MinimalPerturbation:
        """The problem of one image."""
        return MinimalPerturbation(
            instance.image, instance.label, self.target, self.norm, self.margin
        )


@dataclass(frozen=True, eq=False)
class BenchUnit:
    """One image of one network, solved by one method.

    Attributes:
        network: name of the network.
        instance: the image.
        method: name of the method.
        order: its turn on the image.
        stage: :data:`WARM_UP` to do what must not be measured, else :data:`SOLVE`.
    """

    network: str
    instance: Instance
    method: str
    order: int
    stage: str = SOLVE

    @property
    def key(self) -> str:
        """The key of its row."""
        return text_of(f"{self.network} {self.instance.key} {self.method}")


@dataclass(frozen=True, eq=False)
class BenchJob(LimitedJob[BenchUnit, BenchRow]):
    """Norm methods on images.

    Attributes:
        networks, methods: by name.
        settings: what is asked.
        session: number of this start of the benchmark.
        code: fingerprint of the sources that run.
    """

    networks: Mapping[str, ReLUNetwork]
    methods: Mapping[str, Method]
    settings: BenchSettings
    session_number: int
    code: str

    row_class = BenchRow

    @property
    def options(self) -> EngineOptions:
        """Limits of every run."""
        return self.settings.options

    def describe(self) -> dict[str, Any]:
        """What a folder's rows must have in common, JSON-serialisable."""
        return self.settings.describe()

    def run(self, unit: BenchUnit, progress: ProgressCallback | None = None) -> Finished[BenchRow]:
        """Solve one instance in this process and measure it, or warm up."""
        del progress
        return self._warm_up(unit) if unit.stage == WARM_UP else self._measure(unit)

    def failed(
        self, unit: BenchUnit, status: str, message: str, seconds: float | None = None
    ) -> Finished[BenchRow]:
        """The row of a run without an answer, which took its time all the same."""
        return Finished(self.blank(unit, status).but(message=message, seconds=seconds))

    def blank(self, unit: BenchUnit, status: str) -> BenchRow:
        """What is known before a run."""
        method = self.methods[unit.method]
        return BenchRow(
            run=unit.key,
            network=unit.network,
            image=unit.instance.key,
            method=unit.method,
            proven=False,
            status=status,
            label=unit.instance.label,
            norm=str(self.settings.norm),
            margin_rule=str(self.settings.margin),
            engine=method.engine,
            formulation=method.formulation_name,
            bounds=method.bounds_name,
            certified=False,
            time_limit=self.settings.options.time_limit,
            neurons=sum(self.networks[unit.network].hidden_sizes),
            load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
            order=unit.order,
            session=self.session_number,
            network_sha256=self.networks[unit.network].fingerprint,
            image_sha256=unit.instance.fingerprint,
            code_sha256=self.code,
        )

    def _warm_up(self, unit: BenchUnit) -> Finished[BenchRow]:
        """Import and load on the same instance with its pixels shuffled.

        That is as hard as the instance itself, and leaves nothing behind that could help it.

        Returns:
            A row whose message tells the seconds that each solve took.
        """
        network, instance = shuffled(self.networks[unit.network], unit.instance)
        method = self.methods[unit.method]
        seconds = min(WARM_UP_SECONDS, method.options.time_limit)
        method = replace(method, options=replace(method.options, time_limit=seconds))
        times = []
        for _ in range(WARM_UP_RUNS):
            started = time.perf_counter()
            try:
                solve(network, self.settings.problem(instance), method)
            except ReluoptError as error:
                raise type(error)(f"method {unit.method!r}: {error}") from error
            times.append(str(round(time.perf_counter() - started, 3)))
        return self.failed(unit, WARM_UP, " ".join(times))

    def _measure(self, unit: BenchUnit) -> Finished[BenchRow]:
        """Solve one instance and measure it."""
        network, method = self.networks[unit.network], self.methods[unit.method]
        problem = self.settings.problem(unit.instance)
        blank = self.blank(unit, ERROR)
        gc.collect()
        _reset_peak()
        before = resident_memory()
        cpu, wall = time.process_time(), time.perf_counter()
        status, solution, message = ERROR, None, ""
        try:
            solution = solve(network, problem, method)
            status, message = str(solution.status), solution.message
        except ReluoptError as found:
            status, message = UNSUPPORTED, str(found)
        except Exception as found:
            message = f"{type(found).__name__}: {found}"
        seconds = time.perf_counter() - wall
        measured: dict[str, Any] = {
            "seconds": seconds,
            "cpu_seconds": time.process_time() - cpu,
            "memory_before": before,
            "memory_peak": peak_memory(),
            "status": status,
            "message": " ".join(message.split()),
        }
        if solution is not None:
            settings = self.settings
            asked = AttackSettings(settings.target, settings.norm, settings.margin, method)
            solved = AttackJob(network, asked).row(unit.instance, solution, seconds).values()
            in_time = seconds <= settings.options.time_limit
            proven = is_settled(solution) and in_time
            measured = solved | {"network": unit.network, "proven": proven} | measured
        return Finished(replace(blank, **measured))


def is_settled(solution: Solution) -> bool:
    """Whether the asked question was answered with proof, in whatever time."""
    bare = solution.status is Status.NOT_ADVERSARIAL and solution.gap <= solution.gap_tolerance
    return solution.proven or bare


def shuffled(network: ReLUNetwork, instance: Instance) -> tuple[ReLUNetwork, Instance]:
    """The same task with its inputs in another order: equally hard, but not the same arrays."""
    order = np.random.default_rng(0).permutation(network.input_size)
    first = network.affine_layers[0]
    layers = (first.of_columns(order), *network.affine_layers[1:])
    key = f"{instance.key} (shuffled)"
    moved = Instance(key, instance.image[order], instance.label)
    return ReLUNetwork(layers, network.metadata), moved


@dataclass(eq=False)
class TakingTurns:
    """The executor of a benchmark: one run at a time, each method in a process of its own.

    Attributes:
        tell: called with the stage and the key of each run that begins.
        log: called with each warm-up and the seconds of its solves.
    """

    tell: Callable[[str, str], None]
    log: Callable[[BenchUnit, list[float]], None]
    _workers: dict[str, WorkerProcess[BenchUnit, Any]] = field(default_factory=dict)

    def describe(self) -> str:
        """One line for the record."""
        return "a process for each method, taking turns"

    def outcomes(
        self, work: Procedure[Any, ResultT], units: Sequence[Any]
    ) -> Iterator[Outcome[ResultT]]:
        """Outcomes in the order of ``units``."""
        warm: set[tuple[str, str]] = set()
        try:
            for unit in units:
                worker = self._workers.get(unit.method)
                if worker is None:
                    worker = self._workers[unit.method] = WorkerProcess(work, attempts=1)
                if not worker.alive:
                    warm = {pair for pair in warm if pair[0] != unit.method}
                if (unit.method, unit.network) not in warm:
                    warm.add((unit.method, unit.network))
                    self.tell(WARM_UP, unit.key)
                    key, outcome = worker.run(replace(unit, stage=WARM_UP))
                    if isinstance(outcome, ReluoptError):
                        yield key, outcome
                        return
                    times = outcome.row.message.split() if outcome.row.status == WARM_UP else []
                    self.log(unit, [float(seconds) for seconds in times])
                self.tell(SOLVE, unit.key)
                yield worker.run(unit)
        finally:
            for worker in self._workers.values():
                worker.close()


def resident_memory() -> float:
    """Resident memory of this process in MiB; NaN where the system does not tell."""
    return _from_status("VmRSS")


def peak_memory() -> float:
    """Largest resident memory of this process in MiB since the last reset.

    ``VmHWM`` rather than ``ru_maxrss`` where there is a choice: Linux lets the latter start from
    the memory of the *parent*.
    """
    peak = _from_status("VmHWM")
    if peak == peak:
        return peak
    try:
        import resource
    except ImportError:
        return float("nan")
    kibibytes = 1.0 if sys.platform != "darwin" else 1.0 / 1024.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kibibytes / MEBIBYTE


def _from_status(field: str) -> float:
    """A line such as ``VmHWM:  123456 kB`` of /proc/self/status, in MiB."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return float("nan")
    for line in lines.splitlines():
        if line.startswith(f"{field}:"):
            return float(line.split()[1]) / MEBIBYTE
    return float("nan")


def _reset_peak() -> None:
    """Set the high-water mark back to what is resident now, where the system lets us."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
