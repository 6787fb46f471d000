"""All studies in a row, with one record of how long each took.

The record, ``RUNS/reproduce.json``, is kept over sessions and holds ``command``, ``machine``, and
by study:

``seconds``
    wall-clock seconds of the sessions that computed something new. Rows that came otherwise (from a
    session that was killed, from ``reluopt experiment``, copied from elsewhere) count with the
    seconds of their own solves. Drawing again what is there costs nothing.
``rows``, ``solve_seconds``
    how many rows lie in the study's folder, and the seconds of their solves.
``complete``
    whether these rows are those of all images.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from reluopt.errors import InputError, ReluoptError
from reluopt.files import write_atomically
from reluopt.runs.record import machine
from reluopt.runs.runner import RunProgress
from reluopt.runs.store import read_table
from reluopt.studies import STUDIES, load_study
from reluopt.studies.base import Study, StudyContext, StudyResult, publish

RECORD = "reproduce.json"


@dataclass(frozen=True)
class StudyOutcome:
    """What became of one study.

    Attributes:
        name: its name.
        folder: where its rows, figures and tables lie.
        images: how many images (or labels) it took; None where it failed.
        seconds: wall-clock seconds of this session.
        result: what it made; None where it failed.
        error: why it failed, in one line.
        published: copies in the folder of figures; none of a reduced study.
    """

    name: str
    folder: Path
    images: int | None
    seconds: float
    result: StudyResult | None
    error: str = ""
    published: tuple[Path, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether this is the whole study."""
        return self.result is not None and self.result.complete

    @property
    def summary(self) -> str:
        """The first line of what came out, or what went wrong."""
        return f"failed: {self.error}" if self.result is None else "".join(self.result.lines[:1])


@dataclass(frozen=True)
class Reproduction:
    """What all studies made.

    Attributes:
        outcomes: one for each study, in order.
        record: ``reproduce.json``, which tells how long they took.
        published: the copies in the folder of figures, the record's included.
    """

    outcomes: tuple[StudyOutcome, ...]
    record: Path
    published: tuple[Path, ...]

    @property
    def failed(self) -> list[StudyOutcome]:
        """Studies that ended in an error."""
        return [outcome for outcome in self.outcomes if outcome.result is None]

    @property
    def reduced(self) -> list[StudyOutcome]:
        """Studies that ran on a part of their images."""
        return [o for o in self.outcomes if o.result is not None and not o.complete]


def chosen_names(only: Sequence[str] = ()) -> list[str]:
    """The studies to run in the order of the thesis; all of them if ``only`` is empty.

    Raises:
        InputError: there is no study of such a name.
    """
    unknown = next((name for name in only if name not in STUDIES), None)
    if unknown is not None:
        raise InputError(f"--only: expected one of {', '.join(STUDIES)}, found {unknown!r}")
    return [name for name in STUDIES if not only or name in only]


def reproduce(
    context: StudyContext,
    figures: Path,
    only: Sequence[str] = (),
    on_start: Callable[[int, int, str], None] = lambda _place, _count, _name: None,
    on_outcome: Callable[[StudyOutcome], None] = lambda _: None,
) -> Reproduction:
    """Run studies one after the other; what is complete is published.

    A study that ends in a :class:`~reluopt.errors.ReluoptError` (an engine that is not installed,
    a folder with rows of other settings) is an outcome of its own, and the others go on.

    Args:
        context: where and how.
        figures: folder for figures, and in ``data`` for tables.
        only: names of the studies; empty for all.
        on_start: called with the place (from 1), the number of studies and the name of each.
        on_outcome: called after each.

    Raises:
        InputError: an unknown study, or settings that no study can work with.
    """
    names = chosen_names(only)
    studies = [load_study(name) for name in names]
    context.method()
    context.executor()
    for study in studies:
        study.check(context)
    path = context.runs / RECORD
    record = _Record.read(path)
    outcomes = []
    for place, study in enumerate(studies, start=1):
        on_start(place, len(studies), study.name)
        outcomes.append(_run_one(study, context, figures, record))
        on_outcome(outcomes[-1])
    published = [copy for outcome in outcomes for copy in outcome.published]
    if context.full and all(record.complete.get(name) for name in STUDIES):
        published.append(record.write(figures / "data" / RECORD))
    return Reproduction(tuple(outcomes), path, tuple(published))


def _run_one(study: Study, context: StudyContext, figures: Path, record: _Record) -> StudyOutcome:
    """One study, timed and noted; its deliberate errors become an outcome."""
    folder = context.runs / study.name
    totals: dict[str, int] = {}

    def count(stage: str, now: RunProgress) -> None:
        totals[stage] = now.total
        context.on_progress(stage, now)

    before = _Stored.of(folder)
    started = time.perf_counter()
    try:
        result = study.run(replace(context, on_progress=count))
    except ReluoptError as error:
        seconds = time.perf_counter() - started
        return StudyOutcome(study.name, folder, None, seconds, None, " ".join(str(error).split()))
    seconds = time.perf_counter() - started
    record.add(result, before, seconds, context)
    record.write(context.runs / RECORD)
    images = result.facts.get("images")
    taken = images if isinstance(images, int) else max(totals.values(), default=0)
    copies = tuple(publish(result, figures))
    return StudyOutcome(study.name, folder, taken, seconds, result, published=copies)


@dataclass(frozen=True)
class _Stored:
    """How many rows lie in a study's folder, and the seconds of their solves."""

    rows: int = 0
    seconds: float = 0.0

    @classmethod
    def of(cls, folder: Path) -> _Stored:
        """Count all result stores below ``folder``."""
        tables = [read_table(path.parent) for path in sorted(folder.rglob("results.csv"))]
        rows = [row for table in tables for row in table.rows]
        return cls(len(rows), sum(float(row.get("seconds") or 0.0) for row in rows))


@dataclass
class _Record:
    """``reproduce.json``; see the module's docstring."""

    command: str = ""
    machine: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    solve_seconds: dict[str, float] = field(default_factory=dict)
    complete: dict[str, bool] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> _Record:
        """The record in a file, which need not exist.

        Raises:
            InputError: it holds something else.
        """
        if not path.exists():
            return cls()
        try:
            record = cls(**json.loads(path.read_text(encoding="utf-8")))
            for column in (record.seconds, record.rows, record.solve_seconds, record.complete):
                dict(column)
        except (ValueError, TypeError) as error:
            raise InputError(f"{path}: expected a record of times, found {error!r}") from None
        return record

    def write(self, path: Path) -> Path:
        """Put it into a file."""
        write_atomically(path, (json.dumps(asdict(self), indent=2) + "\n").encode())
        return path

    def add(
        self, result: StudyResult, before: _Stored, seconds: float, context: StudyContext
    ) -> None:
        """Note a study that ended well, and what lay in its folder before."""
        name, after = result.name, _Stored.of(result.folder)
        known = _Stored(self.rows.get(name, 0), self.solve_seconds.get(name, 0.0))
        taken = self.seconds.get(name)
        first = taken is None
        if before.rows < known.rows:  # they were deleted, and their time with them
            known, taken = _Stored(), None
            self.complete.pop(name, None)
        total = (taken or 0.0) + max(0.0, before.seconds - known.seconds)
        if after.rows > before.rows or (first and not after.rows):
            total += round(seconds, 1)
        if total != taken:
            self.command, self.machine = _command(context), machine()
        self.seconds[name], self.rows[name] = total, after.rows
        self.solve_seconds[name] = after.seconds
        self.complete[name] = result.complete or self.complete.get(name, False)


def _command(context: StudyContext) -> str:
    """The command, without the places of one machine."""
    words = ["reluopt reproduce", "--full" if context.full else ""]
    words.append(f"--workers {context.workers}" if context.workers is not None else "")
    return " ".join(word for word in words if word)
