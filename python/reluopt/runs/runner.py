"""One runner for every job: tasks in, rows out, wherever they are computed.

Finished rows go to a :class:`~reluopt.runs.store.ResultStore` one by one, so a run may be
killed at any moment; the same call continues it. Rows are stored in the order in which tasks
finish and carry a key; what is returned is in the order of the tasks.
"""

from __future__ import annotations

import contextlib
import math
import re
import time
from bisect import insort
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from reluopt.errors import InputError
from reluopt.runs.executors import Executor, SerialExecutor
from reluopt.runs.job import Job, Row, UnitT
from reluopt.runs.forecast import UNKNOWN, Forecast, Forecaster
from reluopt.runs.lock import ANOTHER_FOLDER
from reluopt.runs.schema import kept
from reluopt.numerics.arrays import FloatArray

if TYPE_CHECKING:
    from reluopt.runs.store import ResultStore

_Item = TypeVar("_Item")


@dataclass(frozen=True, eq=False)
class Finished:
    """One finished task.

    Attributes:
        row: its row.
        image: its image, if it has one.
        resumed: whether an earlier session computed it.
    """

    row: Row
    image: FloatArray | None
    resumed: bool


@dataclass(frozen=True)
class RunProgress:
    """How far a run is.

    Attributes:
        done: finished tasks, those of earlier sessions included.
        total: all tasks.
        resumed: finished tasks of earlier sessions.
        counts: finished tasks by status.
        median_seconds: median of the rows' ``seconds`` (NaN without any).
        elapsed: seconds since this session began.
        remaining: seconds until the end (NaN before there are rows to learn from).
        forecast: what tells how that goes on while no row comes.
    """

    done: int
    total: int
    resumed: int
    counts: Mapping[str, int]
    median_seconds: float
    elapsed: float
    remaining: float
    forecast: Forecast = UNKNOWN


@dataclass(frozen=True)
class Shard:
    """Part ``index`` of ``count`` (from 1): every ``count``-th task."""

    index: int = 1
    count: int = 1

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


def parse_shard(text: str) -> Shard:
    """Read ``i/n``, such as ``2/8``.

    Raises:
        InputError: anything else, or i is not from 1 to n.
    """
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    shard = Shard(int(match[1]), int(match[2])) if match else Shard(0, 0)
    if not 1 <= shard.index <= shard.count:
        raise InputError(f"--shard: expected i/n with i from 1 to n, found {text!r}")
    return shard


def select(
    tasks: Sequence[_Item], limit: int | None = None, shard: Shard | None = None
) -> list[_Item]:
    """The first ``limit`` tasks, and of these the part that ``shard`` names.

    Shards of the same tasks and limit share no task, and together hold all of them.

    Raises:
        InputError: a limit below 1, or nothing is left.
    """
    if limit is not None and limit < 1:
        raise InputError(f"--limit: expected at least 1, found {limit}")
    part = Shard() if shard is None else shard
    chosen = list(tasks[:limit])[part.index - 1 :: part.count]
    if not chosen:
        raise InputError(f"--shard {part}: expected at least as many tasks as shards, found none")
    return chosen


def run_job(
    job: Job[UnitT],
    tasks: Sequence[UnitT],
    store: ResultStore | None = None,
    executor: Executor | None = None,
    *,
    session: Mapping[str, Any] | None = None,
    on_finished: Callable[[Finished], None] = lambda _: None,
    on_progress: Callable[[RunProgress], None] = lambda _: None,
) -> list[Finished]:
    """Run all tasks that ``store`` does not hold yet.

    Args:
        job: what is done to each task.
        tasks: what to run, each with a key of its own.
        store: where finished rows go; None keeps them in memory only.
        executor: where tasks run; None means one after the other in this process.
        session: what ``run.json`` shall tell of this session (command, data).
        on_finished: called for each task, first for those of earlier sessions, then as they
            finish.
        on_progress: called after each task.

    Returns:
        One entry for each task, in the order of ``tasks``.

    Raises:
        ReluoptError: the job cannot work for any task (a wrong engine, say), the store
            holds a row of another task under the same key, or the executor is out of reach.
            Finished rows are in the store by then.
    """
    chosen = SerialExecutor() if executor is None else executor
    done = {} if store is None else store.done
    _refuse_strangers(job, tasks, done, store)
    pending = [task for task in tasks if task.key not in done]
    if store is not None:
        store.expect(task.key for task in tasks)
    tracker = Tracker(len(tasks))
    finished: dict[str, Finished] = {}

    def add(key: str, result: Finished) -> None:
        finished[key] = result
        on_finished(result)
        on_progress(tracker.add(result))

    for task in tasks:
        if store is not None and task.key in done:
            add(task.key, Finished(done[task.key], store.image(task.key), resumed=True))
    if pending:
        if store is not None:
            counts = {"executor": chosen.describe(), "tasks": len(tasks), "pending": len(pending)}
            store.add_session({**(session or {}), **counts})
        job.warm_up()
        tracker.start()
        with contextlib.closing(_generator(chosen, job, pending)) as outcomes:
            for outcome in outcomes:
                if outcome.error is not None:
                    raise outcome.error
                if store is not None:
                    store.append(outcome.row, outcome.image)
                add(outcome.key, Finished(outcome.row, outcome.image, resumed=False))
    if store is not None:
        store.finish()
    return [finished[task.key] for task in tasks]


def _generator(executor: Executor, job: Job[UnitT], tasks: Sequence[UnitT]) -> Any:
    """The executor's outcomes as a generator, which can be closed."""
    yield from executor.outcomes(job, tasks)


def _refuse_strangers(
    job: Job[UnitT],
    tasks: Iterable[UnitT],
    done: Mapping[str, Row],
    store: ResultStore | None,
) -> None:
    """Rows of another image (or whatever a task is) under the same key must not be mixed in."""
    for task in tasks:
        row = done.get(task.key)
        if row is None or store is None:
            continue
        for name, value in job.identify(task).items():
            if row.get(name) != kept(name, value):
                raise InputError(
                    f"{store.folder}: expected {name} of {task.key} to be {value}, found "
                    f"{row.get(name)}; these are other data: {ANOTHER_FOLDER}"
                )


class Tracker:
    """Counts what is finished and guesses what remains."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._counts: Counter[str] = Counter()
        self._seconds: list[float] = []
        self._forecaster = Forecaster()
        self._done = self._resumed = 0
        self._started = time.perf_counter()
        self._ended = 0.0

    def start(self) -> None:
        """The clock runs from here on."""
        self._started = time.perf_counter()
        self._ended = 0.0

    def add(self, result: Finished) -> RunProgress:
        """Count a finished task."""
        self._done += 1
        self._resumed += result.resumed
        self._counts[str(result.row.get("status", "done"))] += 1
        seconds = result.row.get("seconds")
        elapsed = time.perf_counter() - self._started
        if seconds is not None and math.isfinite(seconds):
            insort(self._seconds, float(seconds))
            self._forecaster.add(float(seconds), fresh=not result.resumed)
        elif not result.resumed:  # it failed, which took its time too
            self._forecaster.add(elapsed - self._ended)
        self._ended = elapsed
        forecast = self._forecaster.now(self._total - self._done, elapsed)
        return RunProgress(
            done=self._done,
            total=self._total,
            resumed=self._resumed,
            counts=dict(self._counts),
            median_seconds=self._median(),
            elapsed=elapsed,
            remaining=forecast.after(0.0),
            forecast=forecast,
        )

    def _median(self) -> float:
        """Median of the seconds, which are sorted: thousands of resumed rows should not wait."""
        middle, odd = divmod(len(self._seconds), 2)
        if not self._seconds:
            return math.nan
        upper = self._seconds[middle]
        return upper if odd else 0.5 * (self._seconds[middle - 1] + upper)
