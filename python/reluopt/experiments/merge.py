"""Shards of one run, computed in different folders, put together again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reluopt.errors import InputError
from reluopt.experiments.experiment import PROOF
from reluopt.experiments.store import (
    ResultStore,
    Row,
    plain,
    proof_path,
    read_store,
    read_table,
)


def merge_runs(folders: Sequence[Path], out: Path) -> ResultStore:
    """Copy the rows, images and proofs of runs with the same settings into one folder.

    Rows that ``out`` holds already are left alone, so that merging again after more rows have
    come adds these only.

    Args:
        folders: folders written with ``--out``, which are only read.
        out: the folder to fill; made if missing.

    Returns:
        The filled store.

    Raises:
        InputError: a folder holds no results, settings or columns differ, or two folders hold the
            same instance (shards share none).
    """
    if not folders:
        raise InputError("merge: expected at least one folder, found none")
    records = [_record(folder) for folder in folders]
    columns = [tuple(map(str, read_table(folder).columns)) for folder in folders]
    for folder, record, names in zip(folders, records, columns, strict=True):
        if record["settings"] != records[0]["settings"] or names != columns[0]:
            raise InputError(
                f"{folder}: expected the settings and columns of {folders[0]}, found others"
            )
    rows = _all_rows(folders)
    first = {key: value for key, value in records[0].items() if key != "settings"}
    store = ResultStore(out, columns[0], records[0]["settings"], {**first, "sessions": []})
    done = store.done
    known = _record(out).get("sessions", [])
    for record in records:
        for session in record.get("sessions", []):
            if session not in known:
                store.add_session(session)
    for key, (folder, row, image) in rows.items():
        found = done.get(key)
        if found is None:
            proof = proof_path(folder, key)
            kept = {PROOF: proof.read_bytes()} if proof.exists() else {}
            store.append({**row, **kept}, image)
        elif plain(found) != plain(row):
            raise InputError(f"{out}: expected {key} to be as in {folder}, found another row")
    return store


def _record(folder: Path) -> Mapping[str, Any]:
    path = folder / "run.json"
    try:
        record: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        record["settings"]
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{path}: expected the record of a run, found none") from None
    return record


def _all_rows(folders: Sequence[Path]) -> dict[str, tuple[Path, Row, Any]]:
    """Rows by key, each with its folder and image."""
    rows: dict[str, tuple[Path, Row, Any]] = {}
    for folder in folders:
        for row, image in read_store(folder):
            key = str(next(iter(row.values())))
            if key in rows:
                raise InputError(f"{folder}: expected no row of {key}, as {rows[key][0]} has one")
            rows[key] = (folder, row, image)
    return rows
