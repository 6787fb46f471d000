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
from typing import TYPE_CHECKING, Any, TypeVar

from reluopt.errors import InputError, ReluoptError
from reluopt.runs.executors import Executor, SerialExecutor
from reluopt.runs.job import Finished as Finished
from reluopt.runs.job import Job, RowT, UnitT
from reluopt.runs.lock import ANOTHER_FOLDER
from reluopt.runs.progress import RunProgress as RunProgress
from reluopt.runs.progress import Tracker
from reluopt.runs.row import Row

if TYPE_CHECKING:
    from reluopt.runs.store import ResultStore

_Item = TypeVar("_Item")


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
    chosen = SerialExecutor() if executor is None else executor
    done = {} if store is None else store.done
    counter = Tracker(len(units)) if tracker is None else tracker
    finished: dict[str, Finished[RowT]] = {}

    def add(key: str, result: Finished[RowT]) -> None:
        finished[key] = result
        on_finished(result)
        row = result.row
        seconds: float | None = row.get("seconds")
        on_progress(counter.add(row.status, seconds, resumed=result.resumed, unit=key, row=row))

    if store is not None:
        _refuse_strangers(job, units, done, store.folder)
        store.expect(unit.key for unit in units)
        for unit in units:
            if unit.key in done:
                add(unit.key, Finished(done[unit.key], store.image(unit.key), resumed=True))
    pending = [unit for unit in units if unit.key not in done]
    if pending:
        if store is not None:
            told = {**job.session(units), **(session or {})}
            counts = {"executor": chosen.describe(), "tasks": len(units), "pending": len(pending)}
            store.add_session({**told, **counts})
        job.warm_up()
        counter.start()
        with contextlib.closing(_generator(chosen, job, pending)) as outcomes:
            for key, outcome in outcomes:
                if isinstance(outcome, ReluoptError):
                    raise outcome
                if store is not None:
                    store.append(outcome)
                add(key, outcome)
    if store is not None:
        store.finish()
    return [finished[unit.key] for unit in units]


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
