"""Compile the kernels that a task needs before its clock runs, once on a machine, in parallel.

:mod:`.sets` names the kernels by what they serve. :func:`prepare` loads them from numba's cache;
what is not there is compiled by worker processes, kernel after kernel, the slow ones first, and
loaded then. Large kernels call each other by symbol (:func:`reluopt.numerics.jit.apart`), so that
none has to wait for another, and none is compiled twice.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import reluopt
from reluopt.errors import InputError
from reluopt.numerics.jit import compile_only, load, make, place_of, with_called
from reluopt.numerics.sets import COSTS, SETS, USUAL_COST

MAX_WORKERS = 8
"""Most processes: each takes 0.3 GB, and there are few kernels that take long."""

WORTH_PROCESSES = 1.5
"""Seconds of compilation from which processes, which take one to start, are worth it."""

_COMMAND = "from reluopt.numerics.prepare import serve; serve()"


@dataclass(frozen=True)
class Preparation:
    """How far a compilation is.

    Attributes:
        done, total: kernels.
        workers: processes.
        remaining: seconds until the end, estimated.
    """

    done: int
    total: int
    workers: int
    remaining: float


_listeners: list[Callable[[Preparation], None]] = []
_ready: set[str] = set()


@contextmanager
def on_compilation(report: Callable[[Preparation], None]) -> Iterator[None]:
    """Call ``report`` before the first kernel is compiled meanwhile, and after each.

    Nothing is reported where everything is in the cache.
    """
    _listeners.append(report)
    try:
        yield
    finally:
        _listeners.remove(report)


def prepare(names: Sequence[str], workers: int | None = None) -> int:
    """Load the kernels of these sets; compile those that the cache does not hold.

    Args:
        names: keys of :data:`~reluopt.numerics.sets.SETS`.
        workers: processes that compile; None takes one for each core, at most :data:`MAX_WORKERS`.

    Returns:
        How many were compiled.

    Raises:
        InputError: there is no such set, or fewer than one worker is asked for.
    """
    if _ready.issuperset(names):
        return 0
    unknown = [name for name in names if name not in SETS]
    if unknown:
        raise InputError(f"kernels: expected some of {', '.join(SETS)}, found {unknown[0]!r}")
    if workers is not None and workers < 1:
        raise InputError(f"workers: expected at least 1, found {workers}")
    wanted = [_find(place) for name in names for place in SETS[name]]
    count = 0
    if not _all_there(wanted):
        with _one_at_a_time():
            absent = _absent(wanted)  # another process may have compiled them meanwhile
            count = len(absent)
            if sum(absent.values()) > WORTH_PROCESSES:
                _ParallelCompilation(absent, workers or _cores()).run()
        for each in wanted:
            make(each)
    _ready.update(names)
    return count


def _all_there(wanted: Iterable[Any]) -> bool:
    """Load what the cache holds of these kernels; whether that is all."""
    there = [load(each) for each in wanted]  # all of them, not until one is absent
    return all(there)


def _absent(wanted: Iterable[Any]) -> dict[str, float]:
    """The kernels that the cache does not hold, those behind them included, and their costs."""
    kernels = {place_of(each): each for kernel in wanted for each in with_called(kernel)}
    places = [place for place, each in kernels.items() if not load(each)]
    return {place: COSTS.get(place, USUAL_COST) for place in places}


def _find(place: str) -> Any:
    """The kernel at ``module:name``."""
    module, name = place.split(":")
    return getattr(importlib.import_module(f"reluopt.{module}"), name)


def _cores() -> int:
    """How many processes may as well run at once."""
    with suppress(AttributeError):  # not on every system
        return min(len(os.sched_getaffinity(0)), MAX_WORKERS)
    return min(os.cpu_count() or 1, MAX_WORKERS)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Wait for other processes of this user that compile the same."""
    place = os.environ.get("NUMBA_CACHE_DIR") or str(Path(reluopt.__file__).parent)
    digest = hashlib.sha256(f"{os.getuid()} {place}".encode()).hexdigest()[:16]
    with (Path(tempfile.gettempdir()) / f"reluopt-compile-{digest}.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


class _ParallelCompilation:
    """Kernels that are compiled by processes, the slow ones first."""

    def __init__(self, costs: Mapping[str, float], workers: int) -> None:
        self._costs = costs
        self._workers = min(workers, len(costs))
        self._waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
        for place in sorted(costs, key=lambda place: -costs[place]):
            self._waiting.put(place)
        self._finished: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._started = time.monotonic()
        self._done: list[str] = []

    def run(self) -> None:
        """Compile them all; what a worker cannot compile is left to the first call."""
        self._report()
        processes = [_spawn() for _ in range(self._workers)]
        threads = [
            threading.Thread(target=self._drive, args=(process,), daemon=True)
            for process in processes
        ]
        try:
            for thread in threads:
                thread.start()
            working = len(threads)
            while working:
                place = self._finished.get()
                if place is None:
                    working -= 1
                    continue
                self._done.append(place)
                self._report()
        finally:
            for process in processes:
                process.kill()
                process.wait()

    def _drive(self, process: subprocess.Popen[str]) -> None:
        """Give one process kernel after kernel until none is left, or it dies."""
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(queue.Empty, OSError):
            while True:
                place = self._waiting.get_nowait()
                process.stdin.write(f"{place}\n")
                process.stdin.flush()
                if not process.stdout.readline():
                    break
                self._finished.put(place)
        self._finished.put(None)

    def _report(self) -> None:
        """Tell all listeners."""
        total = sum(self._costs.values())
        done = sum(self._costs[place] for place in self._done)
        elapsed = time.monotonic() - self._started
        pace = elapsed / done if done else 1.0 / self._workers
        state = Preparation(len(self._done), len(self._costs), self._workers, pace * (total - done))
        for listener in list(_listeners):
            listener(state)


def _spawn() -> subprocess.Popen[str]:
    """A process that finds the same modules as this one, and compiles what it is told to."""
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    return subprocess.Popen(
        [sys.executable, "-c", _COMMAND],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": path},
        text=True,
    )


def serve() -> None:
    """The process: compile kernels until stdin ends, which it does when the parent goes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for line in sys.stdin:
        place = line.strip()
        with suppress(Exception):  # whoever calls the kernel will see it
            compile_only(_find(place))
        print(place, flush=True)
