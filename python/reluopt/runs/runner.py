"""One runner for every job: units in, rows out, wherever they are computed.

Finished rows go to a :class:`~reluopt.runs.store.ResultStore` one by one, so a run may be
killed at any moment; the same call continues it. Rows are stored in the order in which units
finish and carry a key; what is returned is in the order of the units.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from reluopt.errors import InputError, ReluoptError
from reluopt.runs.executors import Executor, SerialExecutor
from reluopt.runs.job import Finished, Job, RowT, UnitT
from reluopt.runs.lock import ANOTHER_FOLDER
from reluopt.runs.progress import RunProgress as RunProgress
from reluopt.runs.progress import Tracker
from reluopt.runs.row import Row

if TYPE_CHECKING:
    from reluopt.runs.store import ResultStore

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Shard:
    """Part ``index`` of ``count`` (from 1): every ``count``-th unit."""

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
    units: Sequence[_Item], limit: int | None = None, shard: Shard | None = None
) -> list[_Item]:
    """The first ``limit`` units, and of these the part that ``shard`` names.

    Shards of the same units and limit share no unit, and together hold all of them.

    Raises:
        InputError: a limit below 1, or nothing is left.
    """
    if limit is not None and limit < 1:
        raise InputError(f"--limit: expected at least 1, found {limit}")
    part = Shard() if shard is None else shard
    chosen = list(units[:limit])[part.index - 1 :: part.count]
    if not chosen:
        raise InputError(f"--shard {part}: expected at least as many tasks as shards, found none")
    return chosen


def run_job(
    job: Job[UnitT, RowT],
    units: Sequence[UnitT],
    store: ResultStore[RowT] | None = None,
    executor: Executor | None = None,
    *,
    session: Mapping[str, Any] | None = None,
    on_finished: Callable[[Finished[RowT]], None] = lambda _: None,
    on_progress: Callable[[RunProgress], None] = lambda _: None,
    tracker: Tracker | None = None,
) -> list[Finished[RowT]]:
    """Do all units that ``store`` does not hold yet.

    Args:
        job: what is done to each unit.
        units: what to do, each with a key of its own.
        store: where finished rows go; None keeps them in memory only.
        executor: where units are done; None means one after the other in this process.
        session: what ``run.json`` shall tell of this session (command, machine).
        on_finished: called for each unit, first for those of earlier sessions, then as they
            finish.
        on_progress: called after each unit.
        tracker: what counts them, if somebody else looks at it as well.

    Returns:
        One entry for each unit, in the order of ``units``.

    Raises:
        ReluoptError: the job cannot work for any unit (a wrong engine, say), the store holds a
            row of another unit under the same key, or the executor is out of reach. Finished rows
            are in the store by then.
    """
    counter = Tracker(len(units)) if tracker is None else tracker
    run = _Run(job, units, store, counter, on_finished, on_progress)
    pending = run.resume()
    if pending:
        run.solve(pending, SerialExecutor() if executor is None else executor, session or {})
    if store is not None:
        store.finish()
    return [run.finished[unit.key] for unit in units]


class _Run(Generic[UnitT, RowT]):
    """One call of :func:`run_job`; the arguments are its own."""

    def __init__(
        self,
        job: Job[UnitT, RowT],
        units: Sequence[UnitT],
        store: ResultStore[RowT] | None,
        tracker: Tracker,
        on_finished: Callable[[Finished[RowT]], None],
        on_progress: Callable[[RunProgress], None],
    ) -> None:
        self._job, self._units, self._store, self._tracker = job, units, store, tracker
        self._on_finished, self._on_progress = on_finished, on_progress
        self.finished: dict[str, Finished[RowT]] = {}

    def resume(self) -> list[UnitT]:
        """Take up the rows of earlier sessions; what is left."""
        store = self._store
        if store is None:
            return list(self._units)
        done = store.done
        _refuse_strangers(self._job, self._units, done, store.folder)
        store.expect(unit.key for unit in self._units)
        for unit in self._units:
            if unit.key in done:
                image = store.image(unit.key)
                self._add(unit.key, Finished(done[unit.key], image, resumed=True))
        return [unit for unit in self._units if unit.key not in done]

    def solve(self, units: Sequence[UnitT], executor: Executor, session: Mapping[str, Any]) -> None:
        """Do these units, and store what comes of them."""
        if self._store is not None:
            counts = {"tasks": len(self._units), "pending": len(units)}
            entry = {**self._job.session(self._units), **session}
            self._store.add_session({**entry, "executor": executor.describe(), **counts})
        self._job.warm_up()
        self._tracker.start()
        with contextlib.closing(_generator(executor, self._job, units)) as outcomes:
            for key, outcome in outcomes:
                if isinstance(outcome, ReluoptError):
                    raise outcome
                if self._store is not None:
                    self._store.append(outcome)
                self._add(key, outcome)

    def _add(self, key: str, result: Finished[RowT]) -> None:
        """Pass a finished unit on."""
        self.finished[key] = result
        self._on_finished(result)
        row, resumed = result.row, result.resumed
        seconds: float | None = row.get("seconds")
        self._on_progress(
            self._tracker.add(row.status, seconds, resumed=resumed, unit=key, row=row)
        )


def _generator(executor: Executor, job: Job[UnitT, RowT], units: Sequence[UnitT]) -> Any:
    """The executor's outcomes as a generator, which can be closed."""
    yield from executor.outcomes(job, units)


def _refuse_strangers(
    job: Job[UnitT, RowT], units: Iterable[UnitT], done: Mapping[str, Row], folder: Path
) -> None:
    """Rows of another image (or whatever a unit is) under the same key must not be mixed in."""
    kinds = {column.name: column for column in job.row_class.schema()}
    for unit in units:
        row = done.get(unit.key)
        for name, value in job.identify(unit).items() if row is not None else ():
            found = getattr(row, name)
            if found != kinds[name].keep(value):
                raise InputError(
                    f"{folder}: expected {name} of {unit.key} to be {value}, found {found}; these "
                    f"are other data: {ANOTHER_FOLDER}"
                )
