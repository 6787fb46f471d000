"""Shards of one run, computed in different folders, put together again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reluopt.errors import InputError
from reluopt.runs.answers import Answers
from reluopt.runs.claims import keeps_answer, keeps_proof
from reluopt.runs.job import Finished
from reluopt.runs.record import Record, read_record
from reluopt.runs.row import Row
from reluopt.runs.row_table import RowTable
from reluopt.runs.store import ResultStore, class_of, named, proof_path, read_table


@dataclass(frozen=True, eq=False)
class Merged:
    """What merging made.

    Attributes:
        store: the filled folder.
        missing: a sentence for each thing that the whole run has and the folders do not, yet.
    """

    store: ResultStore[Row]
    missing: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Source:
    """A folder that is merged, read and found whole."""

    folder: Path
    record: Record
    table: RowTable
    rows: Sequence[Row]
    answers: Answers

    @classmethod
    def read(cls, folder: Path) -> _Source:
        """Read a folder.

        Raises:
            InputError: it holds no results, a file is damaged, an instance has several rows, or an
                answer or a proof that a row speaks of is gone.
        """
        record = Record(folder, read_record(folder))
        table, settings = read_table(folder), record.settings
        source = cls(folder, record, table, table.typed(class_of(table)), Answers(folder))
        for key, lines in table.repeated.items():
            places = ", ".join(map(str, lines))
            raise InputError(f"{table.path}: expected one row of {key}, found lines {places}")
        for row in source.rows:
            key, lost = row.row_key, []
            if keeps_answer(settings, row, bool(source.answers)):
                lost += ["answer"] if source.answers.find(key) is None else []
            if keeps_proof(settings, row):
                lost += [] if proof_path(folder, key).exists() else ["proof"]
            if lost:
                raise InputError(
                    f"{folder}: expected the {lost[0]} of {key} beside its row, found none; the "
                    "command that filled the folder solves it again"
                )
        return source

    def finished(self, row: Row) -> Finished[Row]:
        """A row with its answer and its proof."""
        proof = proof_path(self.folder, row.row_key)
        kept = proof.read_bytes() if proof.exists() else None
        return Finished(row, self.answers.find(row.row_key), kept)


def merge_runs(folders: Sequence[Path], out: Path) -> Merged:
    """Copy the rows, images and proofs of runs with the same settings into one folder.

    Rows that ``out`` holds already are left alone, so that merging again after more rows have
    come adds these only.

    Args:
        folders: folders written with ``--out``, which are only read.
        out: the folder to fill; made if missing.

    Returns:
        The filled store, and what is missing in it.

    Raises:
        InputError: a folder holds no results, has lost some or holds some twice, settings or
            columns differ, or two folders hold the same instance (shards share none).
    """
    if not folders:
        raise InputError("merge: expected at least one folder, found none")
    sources = [_Source.read(folder) for folder in folders]
    first = sources[0]
    for source in sources:
        same = source.record.settings == first.record.settings
        if not same or source.table.columns != first.table.columns:
            raise InputError(
                f"{source.folder}: expected the settings and columns of {first.folder}, found "
                "others"
            )
    _refuse_shared(sources)
    own = ("settings", "sessions", "instances", "finished")
    record = {key: value for key, value in first.record.entries.items() if key not in own}
    store = ResultStore(out, class_of(first.table), first.record.settings, record)
    _copy_records(sources, store)
    done = store.done
    for source in sources:
        for row in source.rows:
            if row.row_key not in done:
                store.append(source.finished(row))
            elif done[row.row_key] != row:
                raise InputError(
                    f"{out}: expected {row.row_key} to be as in {source.folder}, found another row"
                )
    missing = _missing(store)
    if not missing:
        store.finish()
    return Merged(store, tuple(missing))


def _refuse_shared(sources: Sequence[_Source]) -> None:
    """Shards share no instance."""
    holders: dict[str, Path] = {}
    for source in sources:
        for key in source.table.keys:
            if key in holders:
                raise InputError(
                    f"{source.folder}: expected no row of {key}, as {holders[key]} has one"
                )
            holders[key] = source.folder


def _copy_records(sources: Sequence[_Source], store: ResultStore[Row]) -> None:
    """Sessions and instances that the filled folder does not know yet."""
    known = list(store.record.sessions)
    for source in sources:
        for session in source.record.sessions:
            if session not in known:
                store.add_session(session)
        store.expect(source.record.instances or source.table.keys)


def _missing(store: ResultStore[Row]) -> list[str]:
    """What a finished run would have."""
    sentences = []
    keys, shards = store.record.missing(store.done), store.record.absent_shards()
    if keys:
        total = len(store.record.instances)
        sentences.append(f"{len(keys)} of {total} instances have no row yet: {named(keys)}")
    if shards:
        sentences.append(f"shards that were not merged: {named(shards)}")
    return sentences
