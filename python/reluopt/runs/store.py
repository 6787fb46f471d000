"""A folder of results that survives interruption.

``RUN/results.csv``
    one row for each finished instance, appended with a single write; a line torn by a crash is
    dropped on the next start, and its instance is run again. :mod:`.schema` tells its types.
``RUN/images/part-0000.safetensors``
    the answers (``float64``, the network's input shape), up to 100 a file, keyed by instance.
    A file is written anew and swapped in before the row that speaks of it is appended, so every
    row has its image.
``RUN/proofs/``
    one safetensors file for each instance whose engine kept a proof, written before its row.
``RUN/run.json``
    what was run: command, settings, versions, machine, the instances that were asked for, and an
    entry for every session; see :mod:`.record`.
``RUN/run.lock``
    while a process writes here; see :mod:`reluopt.runs.lock`.

A process that is killed loses no finished row. What was appended within the last second
(:data:`SYNC_SECONDS`) may still be on its way to the disk when the power fails; rows whose answers
or proofs did not get there, or were removed since, are run again.

Opening a folder that holds results of other settings is refused, and nothing in it is touched.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Generic
from urllib.parse import quote

from reluopt.errors import InputError
from reluopt.files import read_regular_file, write_atomically
from reluopt.numerics.arrays import FloatArray
from reluopt.runs.answers import Answers
from reluopt.runs.claims import keeps_answer, keeps_proof
from reluopt.runs.job import Finished, RowT
from reluopt.runs.lock import lock_folder
from reluopt.runs.record import RECORD, Record
from reluopt.runs.row import Row, row_class
from reluopt.runs.row_table import RowTable, read_rows

SYNC_SECONDS = 1.0
"""How long appended rows may wait for the disk. Waiting for it after each would take up to a tenth
of a second, several times as long as a small problem does."""

LONGEST_NAME = 200
"""Longest name of a file made from a key; file systems allow 255 bytes."""

MAX_NAMED = 5
"""Folders or instances that a message names."""


class ResultStore(Generic[RowT]):
    """Results of one run in one folder; see the module's docstring.

    Args:
        folder: created if missing.
        cls: what the rows of ``results.csv`` are; their first column is the key of an instance.
        settings: what determines the results. A folder with other settings is refused.
        record: anything else worth keeping in ``run.json`` (command, versions).

    Attributes:
        rows: finished rows.
        record: what ``run.json`` holds.
        repairs: a sentence for each thing that was lost or doubled in the folder, and what is
            done about it.

    Raises:
        InputError: the folder is not one, holds results of other settings, or another process
            writes to it.
    """

    def __init__(
        self,
        folder: Path,
        cls: type[RowT],
        settings: Mapping[str, Any],
        record: Mapping[str, Any],
    ) -> None:
        self.folder = folder
        self.cls = cls
        self.rows: list[RowT] = []
        self.repairs: list[str] = []
        self._table = folder / "results.csv"
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder}: expected a folder for results, found a file")
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = lock_folder(folder)  # ours until this object goes
        self.record = Record.opened(folder, settings, record, self._table)
        self._answers = Answers(folder)
        self._recover()
        self._synced = time.monotonic()
        if not (folder / RECORD).exists():
            self.record.save()

    @property
    def done(self) -> dict[str, RowT]:
        """Finished rows by key."""
        return {row.row_key: row for row in self.rows}

    def append(self, finished: Finished[RowT]) -> None:
        """Add a finished instance: its answer and its proof first, then its row.

        An answer or a proof that an earlier try left, when it did not live to write its row, goes.
        """
        key = finished.row.row_key
        place = proof_path(self.folder, key)
        if finished.proof is not None:
            write_atomically(place, finished.proof)
        else:
            place.unlink(missing_ok=True)
        now = time.monotonic()
        durable = now - self._synced >= SYNC_SECONDS
        if finished.image is not None:
            self._answers.add(key, finished.image, durable)
        else:
            self._answers.drop({key})
        if not self._table.exists():
            write_atomically(self._table, self.cls.header())
        with self._table.open("ab") as stream:
            stream.write(finished.row.line())
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
                self._synced = now
        self.rows.append(finished.row)

    def forget(self, keys: Collection[str]) -> None:
        """Drop the rows of these instances, so that they can be run again."""
        kept = [row for row in self.rows if row.row_key not in keys]
        if len(kept) < len(self.rows):
            self._rewrite(kept)

    def image(self, key: str) -> FloatArray | None:
        """The answer of a finished instance, or None."""
        return self._answers.find(key)

    def expect(self, keys: Iterable[str]) -> None:
        """Note instances that are asked for: a finished run has a row of each."""
        # Folders of earlier versions do not tell: what has a row was asked for.
        known = [] if self.record.instances else list(self.done)
        self.record.expect([*known, *keys])

    def add_session(self, session: Mapping[str, Any]) -> None:
        """Note who computes what, when and where, and what was lost or doubled before."""
        repairs = {"repairs": list(self.repairs)} if self.repairs else {}
        self.record.add_session({**session, **repairs})

    def finish(self) -> None:
        """Note that everything that was asked for now has a row."""
        self.record.finish(len(self.rows))

    def _recover(self) -> None:
        """Rows of an earlier session; what cannot be kept is dropped, with a sentence."""
        if not self._table.exists():
            return
        data = read_regular_file(self._table, "a table")
        end = data.rfind(b"\n") + 1
        if not end:
            self._table.unlink()
            return
        table, columns = read_rows(self._table, self.cls), self.cls.columns()
        if table.columns != columns:
            found = ",".join(table.columns)
            raise InputError(f"{self._table}: expected columns {','.join(columns)}, found {found}")
        if end < len(data):
            write_atomically(self._table, data[:end])
        self.rows = table.typed(self.cls)
        self._drop_repeated(table)
        self._drop_incomplete()
        self._tell_missing()

    def _drop_repeated(self, table: RowTable) -> None:
        """Of several rows of an instance the last one counts: its answer is the one stored."""
        if table.repeated:
            self._rewrite(list(self.done.values()))
            self.repairs.append(
                f"{self._table}: several rows of {named(table.repeated)}; the last of each is kept"
            )

    def _drop_incomplete(self) -> None:
        """Rows whose answer or proof is gone are dropped, and their instances run again."""
        settings, any_answers = self.record.settings, bool(self._answers)
        answers = [
            row.row_key
            for row in self.rows
            if keeps_answer(settings, row, any_answers) and self.image(row.row_key) is None
        ]
        proofs = [
            key
            for row in self.rows
            if keeps_proof(settings, row)
            and not proof_path(self.folder, key := row.row_key).exists()
        ]
        rows = len(self.rows)
        self.forget({*answers, *proofs})
        for what, keys in (("answer", answers), ("proof", proofs)):
            if keys:
                self.repairs.append(
                    f"{self.folder}: {len(keys)} of {rows} rows have lost their {what} and are "
                    f"computed again: {named(keys)}"
                )

    def _tell_missing(self) -> None:
        """Say it when a run that was finished has lost rows."""
        missing = [] if self.repairs else self.record.missing(self.done)
        if missing and self.record.had_more(len(self.rows)):
            self.repairs.append(
                f"{self._table}: the run was finished, but has lost rows, which are computed "
                f"again: {named(missing)}"
            )

    def _rewrite(self, rows: list[RowT]) -> None:
        """Write the table anew, with these rows."""
        lines = [self.cls.header(), *(row.line() for row in rows)]
        write_atomically(self._table, b"".join(lines))
        self.rows = rows


def named(keys: Collection[str]) -> str:
    """A few keys, and how many more there are."""
    shown = ", ".join(list(keys)[:MAX_NAMED])
    return shown if len(keys) <= MAX_NAMED else f"{shown} and {len(keys) - MAX_NAMED} more"


def proof_path(folder: Path, key: str) -> Path:
    """Where the proof of an instance lies, if there is one."""
    name = quote(key, safe="")
    if len(name) > LONGEST_NAME:
        name = hashlib.sha256(key.encode()).hexdigest()
    return folder / "proofs" / f"{name}.safetensors"


def runs_inside(folder: Path) -> str:
    """Which folders directly in this one hold results, as the end of a message; often nothing."""
    inside = sorted(str(path.parent) for path in folder.glob("*/results.csv"))
    return f"; such folders in it: {named(inside)}" if inside else ""


def read_table(folder: Path, cls: type[Row] | None = None) -> RowTable:
    """Finished rows of a folder, also while a run is still writing to it; nothing is touched.

    Raises:
        InputError: the folder holds no results, or a cell is not what its column holds.
    """
    table = folder / "results.csv"
    if not table.exists():
        hint = runs_inside(folder)
        raise InputError(f"{folder}: expected a folder with results.csv, found none{hint}")
    return read_rows(table, cls)


def read_store(
    folder: Path, cls: type[Row] | None = None
) -> Iterator[tuple[Row, FloatArray | None]]:
    """Rows (of their class, or of the job whose columns they have) and answers of a folder.

    Nothing is touched, and its settings do not matter.

    Raises:
        InputError: the folder holds no results, a file is damaged, or no job has such rows.
    """
    table = read_table(folder, cls)
    answers = Answers(folder)
    for row in table.typed(cls or class_of(table)):
        yield row, answers.find(row.row_key)


def class_of(table: RowTable) -> type[Row]:
    """What the rows of a table are.

    Raises:
        InputError: its columns are no names.
    """
    try:
        return row_class(table.columns)
    except ValueError as error:
        raise InputError(f"{table.path}: {error}") from None
