"""Where units are done: in this process, in local worker processes, or on a Dask cluster.

All executors keep the same promises: every unit gets exactly one outcome, in whatever order they
finish; an unexpected exception is an outcome; a unit whose process dies is tried again elsewhere
and becomes an outcome with its error when that keeps happening.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from reluopt.errors import InputError
from reluopt.runs.job import Outcome, ResultT, UnitT, Work, attempt
from reluopt.runs.worker import WorkerClosedError, WorkerProcess

if TYPE_CHECKING:  # workers should not load every engine before they know their work
    from reluopt.engines.base import ProgressCallback


class Executor(Protocol):
    """Does the units of some work somewhere."""

    def outcomes(
        self, work: Work[UnitT, ResultT], units: Sequence[UnitT]
    ) -> Iterator[Outcome[ResultT]]:
        """Outcomes as they come; closing the iterator ends what still runs.

        Raises:
            ReluoptError: the executor cannot work (a cluster out of reach, say).
        """
        ...

    def describe(self) -> str:
        """One line for the record."""
        ...


class SerialExecutor:
    """One unit after the other in this process, in order.

    Nothing can be killed here: a unit ends when its engine does (engines keep their time limit),
    and a solver that crashes takes the run with it, whose finished rows remain.

    Args:
        progress: called during each search.
    """

    def __init__(self, progress: ProgressCallback | None = None) -> None:
        self._progress = progress

    def outcomes(
        self, work: Work[UnitT, ResultT], units: Sequence[UnitT]
    ) -> Iterator[Outcome[ResultT]]:
        """Outcomes in the order of ``units``."""
        for unit in units:
            outcome = attempt(work, unit, self._progress)
            yield outcome

    def describe(self) -> str:
        """One line for the record."""
        return "serial"


class LocalExecutor:
    """Long-lived worker processes on this machine; see :mod:`reluopt.runs.worker`.

    Args:
        workers: how many processes.

    Raises:
        InputError: fewer than one.
    """

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise InputError(f"workers: expected at least 1, found {workers}")
        self._workers = workers

    def outcomes(
        self, work: Work[UnitT, ResultT], units: Sequence[UnitT]
    ) -> Iterator[Outcome[ResultT]]:
        """Outcomes as units finish."""
        waiting: queue.SimpleQueue[UnitT] = queue.SimpleQueue()
        for unit in units:
            waiting.put(unit)
        ready: queue.SimpleQueue[Outcome[ResultT] | BaseException] = queue.SimpleQueue()
        workers = [WorkerProcess(work) for _ in range(min(self._workers, len(units)))]
        threads = [
            threading.Thread(target=_drive, args=(worker, waiting, ready), daemon=True)
            for worker in workers
        ]
        try:
            for thread in threads:
                thread.start()
            for _ in units:
                outcome = ready.get()
                if isinstance(outcome, BaseException):
                    raise outcome
                yield outcome
        finally:
            for worker in workers:
                worker.close()
            for thread in threads:
                thread.join()

    def describe(self) -> str:
        """One line for the record."""
        return f"{self._workers} local processes"


def _drive(
    worker: WorkerProcess[UnitT, ResultT],
    waiting: queue.SimpleQueue[UnitT],
    ready: queue.SimpleQueue[Outcome[ResultT] | BaseException],
) -> None:
    """Give one worker unit after unit until none is left."""
    try:
        while True:
            ready.put(worker.run(waiting.get_nowait()))
    except (queue.Empty, WorkerClosedError):
        pass
    except BaseException as error:
        ready.put(error)


def choose_executor(
    workers: int | None, scheduler: str | None, progress: ProgressCallback | None = None
) -> Executor:
    """The executor that the options ``--workers`` and ``--scheduler`` ask for.

    Raises:
        InputError: both are given, or fewer than one worker.
        EngineUnavailableError: Dask is asked for and not installed.
    """
    if scheduler is not None:
        if workers is not None:
            raise InputError(
                "--workers: expected it without --scheduler (the cluster has its own workers), "
                "found both"
            )
        from reluopt.runs.dask_executor import DaskExecutor

        return DaskExecutor(scheduler)
    return SerialExecutor(progress) if workers is None else LocalExecutor(workers)
