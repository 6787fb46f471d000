"""A long-lived process that does one kind of work after another, and the parent's end of it.

The process is started afresh (no fork, nothing of the parent's ``__main__`` is run again), gets
a work, warms up, and then answers unit after unit over its standard streams, until it gets another
work: to start, and to load what engines need, takes seconds. Its numerical libraries are held to
the asked number of threads. It ignores Ctrl-C, which is the parent's business, and goes at once
when its parent goes, however that happens. What solvers print goes to stderr.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
from typing import Any, BinaryIO, Generic

from reluopt.errors import ReluoptError
from reluopt.runs.job import CRASHED, KILLED, Outcome, Procedure, ResultT, UnitT, attempt

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)

ATTEMPTS = 3
"""A unit whose worker dies is tried again on a new one, in case somebody else killed the worker;
when three die the unit is to blame."""

LAST_BREATH = 0.1
"""Seconds in which a process that is already dying may end with the exit code that tells why."""

_COMMAND = "from reluopt.runs.worker import serve; serve()"

_READY, _ANOTHER = "ready", "another work"
"""What a process says when it has warmed up, and what it is told before a work."""

_BROKEN = (EOFError, OSError, pickle.UnpicklingError)
"""What reading from and writing to a process that died raises."""


class WorkerClosedError(Exception):
    """The worker was closed while it did a unit."""


class Reserve:
    """Processes that have done their work and wait for another one, by their threads."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._idle: list[tuple[int, subprocess.Popen[bytes]]] = []

    def take(self, threads: int) -> subprocess.Popen[bytes]:
        """An idle process with so many threads, or a new one."""
        with self._guard:
            own = [each for each in self._idle if each[0] == threads]
            for each in own:
                self._idle.remove(each)
                if each[1].poll() is None:
                    return each[1]
                _ended(each[1])
        return _spawn(threads)

    def put(self, threads: int, process: subprocess.Popen[bytes]) -> None:
        """Keep a process that waits for a message."""
        with self._guard:
            self._idle.append((threads, process))

    def close(self) -> None:
        """End all of them."""
        with self._guard:
            for _, process in self._idle:
                _ended(process)
            self._idle = []


class WorkerProcess(Generic[UnitT, ResultT]):
    """The parent's end of one process; it is started on first use and again after a death.

    One thread calls :meth:`run`; :meth:`close` may be called by any.

    Args:
        work: what is done to each unit.
        attempts: how many processes may die of a unit before it is to blame.
        reserve: where processes come from, and go to if they are idle in the end.
    """

    def __init__(
        self,
        work: Procedure[UnitT, ResultT],
        attempts: int = ATTEMPTS,
        reserve: Reserve | None = None,
    ) -> None:
        self._work = work
        self._attempts = attempts
        self._reserve = reserve
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = self._busy = False
        self._guard = threading.Lock()

    @property
    def pid(self) -> int | None:
        """Number of the process, if it was started."""
        return None if self._process is None else self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def run(self, unit: UnitT) -> Outcome[ResultT]:
        """Do one unit and wait for it, at most the work's hard limit.

        Raises:
            WorkerClosedError: :meth:`close` was called.
            ReluoptError: the process cannot be started, or cannot warm up.
        """
        with self._guard:
            if self._closed:
                raise WorkerClosedError
            self._busy = True
        outcome = self._outcome(unit)
        with self._guard:
            self._busy = False
        return outcome

    def _outcome(self, unit: UnitT) -> Outcome[ResultT]:
        codes = []
        for _ in range(self._attempts):
            process = self._ready()
            deadline = _Deadline(process, self._work.hard_limit)
            started = time.perf_counter()
            try:
                with deadline:
                    _send(process, unit)
                    outcome: Outcome[ResultT] = _receive(process)
                    return outcome
            except _BROKEN:
                seconds = time.perf_counter() - started
                codes.append(self._end())
            if deadline.passed:
                limit = self._work.hard_limit
                message = f"killed after {limit:.0f} s: it did not keep its time limit"
                return unit.key, self._work.failed(unit, KILLED, message, seconds)
        ends = ", ".join(map(str, codes))
        message = f"{len(codes)} worker processes died of it (exit codes {ends})"
        if self._attempts == 1:
            message = f"the process died, code {ends}"
        return unit.key, self._work.failed(unit, CRASHED, message, seconds)

    def close(self) -> None:
        """End the process, whatever it does; one that is idle goes to the reserve."""
        with self._guard:
            self._closed, process = True, self._process
            if process is None:
                return
            if self._reserve is not None and not self._busy and self.alive:
                self._process = None
                self._reserve.put(self._work.threads, process)
                return
            process.kill()
            process.wait()

    def _ready(self) -> subprocess.Popen[bytes]:
        """The process, warmed up; a few may die before they are, but not all."""
        if self._process is not None and self.alive:
            return self._process
        codes = []
        for _ in range(ATTEMPTS):
            with self._guard:
                if self._closed:
                    raise WorkerClosedError
                start = _spawn if self._reserve is None else self._reserve.take
                process = self._process = start(self._work.threads)
            try:
                _send(process, _ANOTHER)
                _send(process, self._work)
                answer = _receive(process)
            except _BROKEN:
                codes.append(self._end())
                continue
            if answer == _READY:
                return process
            self._end()
            if isinstance(answer, ReluoptError):
                raise answer
            raise ReluoptError(f"worker process: expected it to load the job, found {answer}")
        raise ReluoptError(
            f"worker process: expected it to start, found that {ATTEMPTS} ended before they were "
            f"ready (exit codes {', '.join(map(str, codes))})"
        )

    def _end(self) -> int | None:
        """Kill and collect the process; its exit code.

        Raises:
            WorkerClosedError: it was us who killed it.
        """
        process = self._process
        if process is None:
            return None
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(LAST_BREATH)
        code = _ended(process)
        with self._guard:
            if self._closed:
                raise WorkerClosedError
            self._process = None
        return code


class WorkerPool(Generic[UnitT, ResultT]):
    """As many processes for one kind of work as threads ask for at a time."""

    def __init__(self, work: Procedure[UnitT, ResultT], reserve: Reserve | None = None) -> None:
        self._work, self._reserve = work, reserve
        self._guard = threading.Lock()
        self._all: list[WorkerProcess[UnitT, ResultT]] = []
        self._idle: list[WorkerProcess[UnitT, ResultT]] = []
        self._closed = False

    def run(self, unit: UnitT) -> Outcome[ResultT]:
        """Do a unit in an idle process, or in a new one; see :meth:`WorkerProcess.run`."""
        with self._guard:
            if self._closed:
                raise WorkerClosedError
            if not self._idle:
                self._idle.append(WorkerProcess(self._work, reserve=self._reserve))
                self._all.append(self._idle[-1])
            worker = self._idle.pop()
        try:
            return worker.run(unit)
        finally:
            with self._guard:
                self._idle.append(worker)

    def close(self) -> None:
        """End all processes, also those at work; idle ones go to the reserve."""
        with self._guard:
            self._closed = True
            for worker in self._all:
                worker.close()


class _Deadline:
    """Kills a process that is still at work when the time is up."""

    def __init__(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        self.passed = False
        self._process = process
        # Longer waits than a timer can express are endless ones.
        endless = seconds > threading.TIMEOUT_MAX
        self._timer = None if endless else threading.Timer(seconds, self._kill)

    def _kill(self) -> None:
        self.passed = True
        self._process.kill()

    def __enter__(self) -> None:
        if self._timer is not None:
            self._timer.daemon = True
            self._timer.start()

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()


def _spawn(threads: int) -> subprocess.Popen[bytes]:
    """A new process that finds the same modules as this one."""
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    environment = {
        **os.environ,
        "PYTHONPATH": path,
        **dict.fromkeys(THREAD_VARIABLES, str(threads)),
    }
    return subprocess.Popen(
        [sys.executable, "-c", _COMMAND],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    )


def _ended(process: subprocess.Popen[bytes]) -> int:
    """Kill and collect a process that nobody reads from; its exit code."""
    process.kill()
    code = process.wait()
    for stream in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):
            stream.close()  # type: ignore[union-attr]
    return code


def _send(process: subprocess.Popen[bytes], message: Any) -> None:
    assert process.stdin is not None
    _write(process.stdin, message)


def _receive(process: subprocess.Popen[bytes]) -> Any:
    return pickle.load(process.stdout)  # type: ignore[arg-type]


def _write(stream: Any, message: Any) -> None:
    pickle.dump(message, stream, protocol=pickle.HIGHEST_PROTOCOL)
    stream.flush()


def serve() -> None:
    """The process: receive a work, then do its units until another comes, or stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, inbox), daemon=True).start()
    work: Any = None
    while True:
        message = inbox.get()
        if isinstance(message, str) and message == _ANOTHER:
            work = inbox.get()
            answer = _warmed_up(work)
            _write(answers, answer)
            if answer != _READY:
                return
        else:
            _write(answers, attempt(work, message))


def _warmed_up(work: Any) -> str | ReluoptError:
    """That a work is ready, or why not."""
    try:
        if isinstance(work, Exception):
            raise work
        work.warm_up()
    except ReluoptError as error:
        return error
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return _READY


def _listen(stream: BinaryIO, inbox: queue.SimpleQueue[Any]) -> None:
    """Pass messages on, and end the process when there can be no more of them."""
    while True:
        try:
            inbox.put(pickle.load(stream))
        except (EOFError, OSError):
            # The parent has gone: whatever is being solved, nobody waits for it.
            os._exit(0)
        except Exception as error:
            inbox.put(error)
