"""A process of its own for each method of a benchmark.

Every method runs in one long-lived process, so that its peak memory is its own and that imports
and compilation are paid once, before the clock runs. The process is started afresh (``spawn``),
imports the solving pipeline only (no pandas, no matplotlib), has its numerical libraries held to
the asked number of threads, ignores Ctrl-C, and goes when its parent goes.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import signal
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from reluopt.answers.solution import Solution
from reluopt.errors import ReluoptError
from reluopt.networks.network import ReLUNetwork
from reluopt.pipeline import Method, solve
from reluopt.questions.problems import MinimalPerturbation
from reluopt.runs.worker import threads_in_environment

MEBIBYTE = 1024.0

STOP_SECONDS = 5.0
"""How long a worker that was told to go may take before it is killed."""


@dataclass(frozen=True, eq=False)
class Request:
    """One instance for one method.

    Attributes:
        network: key of a network sent before.
        problem: what is asked.
        method: how to solve it.
    """

    network: str
    problem: MinimalPerturbation
    method: Method


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of a request.

    Attributes:
        status: the solution's status, or ``UNSUPPORTED`` (the method cannot solve it),
            ``ERROR`` (an unexpected exception), ``CRASHED`` (the process died) or ``KILLED`` (it
            ran far beyond its time limit).
        solution: the checked solution, if there is one.
        seconds: wall-clock time of the whole pipeline.
        cpu_seconds: processor time of all threads meanwhile (NaN when unknown).
        memory_before: resident memory before the request, in MiB (NaN when unknown).
        memory_peak: largest resident memory meanwhile, in MiB (NaN when unknown). Where the
            system cannot reset its high-water mark: since the process started.
        error: the reluopt error behind ``UNSUPPORTED``.
        message: one line when something needs saying.
    """

    status: str
    solution: Solution | None = None
    seconds: float = 0.0
    cpu_seconds: float = float("nan")
    memory_before: float = float("nan")
    memory_peak: float = float("nan")
    error: ReluoptError | None = None
    message: str = ""


class BenchWorker:
    """The parent's end of one process; it is started on first use and again after a death.

    Args:
        threads: what the numerical libraries of the process are held to.
    """

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads
        self._process: Any = None
        self._connection: Connection | None = None
        self._sent: set[str] = set()

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.is_alive()

    @property
    def pid(self) -> int | None:
        """Number of the process, if it was started."""
        return None if self._process is None else int(self._process.pid)

    def run(self, request: Request, network: ReLUNetwork, hard_limit: float) -> Outcome:
        """Run one request and wait for it, at most ``hard_limit`` seconds."""
        if not self.alive:
            self._start()
        started = time.perf_counter()
        try:
            connection = self._open_connection()
            if request.network not in self._sent:
                connection.send((request.network, network))
                self._sent.add(request.network)
            connection.send(request)
            if connection.poll(hard_limit):
                outcome: Outcome = connection.recv()
                return outcome
        except (EOFError, OSError):
            elapsed = time.perf_counter() - started
            code = self._bury()
            return Outcome("CRASHED", seconds=elapsed, message=f"the process died, code {code}")
        self._bury()
        message = f"killed after {hard_limit:.0f} s: it did not keep its time limit"
        return Outcome("KILLED", seconds=time.perf_counter() - started, message=message)

    def close(self) -> None:
        """End the process, whatever it does."""
        self._bury()

    def _open_connection(self) -> Connection:
        if self._connection is None:
            raise EOFError
        return self._connection

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._sent.clear()
        self._connection, theirs = context.Pipe()
        # A daemon: it must not outlive an interpreter that ends with an exception.
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        with threads_in_environment(self._threads):
            self._process.start()
        theirs.close()

    def _bury(self) -> int | None:
        """Kill and collect the process; its exit code."""
        if self._process is None:
            return None
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        # One that is already dying keeps the exit code that tells why.
        self._process.join(0.1)
        self._process.kill()
        self._process.join(STOP_SECONDS)
        code: int | None = self._process.exitcode
        self._process = None
        return code


def _serve(connection: Connection) -> None:
    """The process: keep networks, answer jobs, go when the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    networks: dict[str, ReLUNetwork] = {}
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            message = connection.recv()
            if isinstance(message, Request):
                connection.send(answer_request(message, networks[message.network]))
            else:
                key, network = message
                networks[key] = network


def answer_request(request: Request, network: ReLUNetwork) -> Outcome:
    """Solve one instance in this process and measure it."""
    gc.collect()
    _reset_peak()
    before = resident_memory()
    cpu, wall = time.process_time(), time.perf_counter()
    status, solution, error, message = "ERROR", None, None, ""
    try:
        solution = solve(network, request.problem, request.method)
        status, message = str(solution.status), solution.message
    except ReluoptError as found:
        status, error, message = "UNSUPPORTED", found, str(found)
    except Exception as found:
        message = f"{type(found).__name__}: {found}"
    return Outcome(
        status=status,
        solution=solution,
        seconds=time.perf_counter() - wall,
        cpu_seconds=time.process_time() - cpu,
        memory_before=before,
        memory_peak=peak_memory(),
        error=error,
        message=" ".join(message.split()),
    )


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
