"""Verify a finished run from its files alone, trusting none of its numbers.

For every row the network is loaded anew (and must be the very same one, by its fingerprint), the
original image is read again, the stored answer goes through the forward pass, and everything that
the row claims by its status (:mod:`.claims`) is recomputed (:mod:`.row_check`): norm, box, margins,
labels, gap, and that there is no answer where none is claimed. Instances that the run was asked for
and that have no row are told as well.

A stored bound is a number that an engine claimed; what can be said about it differs
(:mod:`.evidence`). For engine ``bnb`` the root relaxation is solved anew over the ball of the
row's answer, which gives a bound that is proven here and now; where the run kept proofs
(``--proof``) they are replayed, and a row that claims more than its proof shows fails.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reluopt.engines.options import EngineOptions
from reluopt.errors import InputError, ReluoptError, shown
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.zoo import open_network
from reluopt.runs.answers import Answers
from reluopt.runs.checking import FolderCheck, StoredRow, Verified
from reluopt.runs.evidence import Evidence as Evidence
from reluopt.runs.executors import LocalExecutor
from reluopt.runs.progress import RunProgress, Tracker
from reluopt.runs.record import RECORD, Record, read_record, told
from reluopt.runs.row import AttackRow, Row, UniversalRow, VerifyRow, WorstCaseRow
from reluopt.runs.row_check import RECORDED, RunCheck
from reluopt.runs.row_table import RowTable
from reluopt.runs.store import named, read_table, runs_inside
from reluopt.runs.universal_check import UniversalCheck
from reluopt.runs.verdict_check import RECORDED as VERDICT_RECORDED
from reluopt.runs.verdict_check import VerdictCheck
from reluopt.runs.worst_case_check import RECORDED as WORST_CASE_RECORDED
from reluopt.runs.worst_case_check import WorstCaseCheck


@dataclass(frozen=True)
class Kind:
    """How the rows of one kind of run are verified.

    Attributes:
        row: their class.
        check: makes the check from folder, network and settings.
        settings: that the record must have.
    """

    row: type[Row]
    check: Callable[..., Any]
    settings: tuple[str, ...]


KINDS: Mapping[str, Kind] = {
    "attack": Kind(AttackRow, RunCheck, ("target", *RECORDED.values())),
    "universal": Kind(
        UniversalRow, UniversalCheck, ("target", "images", "labels", *RECORDED.values())
    ),
    "verify": Kind(VerifyRow, VerdictCheck, VERDICT_RECORDED),
    "worst-case": Kind(WorstCaseRow, WorstCaseCheck, WORST_CASE_RECORDED),
}
"""Runs that can be verified, by what their record calls them."""

MISSING = "MISSING"
"""Status that is told of an instance that should have a row and has none."""


def verify_run(
    folder: Path,
    network_name: str | None = None,
    data_dir: Path | None = None,
    workers: int = 1,
    on_progress: Callable[[RunProgress], None] = lambda _: None,
    activation: str | None = None,
) -> Iterator[Verified]:
    """Verify all rows of a run, in the order of the file, and then tell those that are missing.

    Args:
        folder: of ``attack``, ``universal``, ``verify``, ``robust-error`` or ``worst-case``.
        network_name: weights to use; by default what the run recorded.
        data_dir: folder of idx files, if the run used one.
        workers: processes that share the work; 1 for this one alone.
        on_progress: called after each row, before it is handed out.
        activation: ``relu`` confirms what stands between the network's layers.

    Raises:
        InputError: the folder holds no such run, a file or a row is damaged, the network is
            another one, or there are no workers.
        ReluoptError: a worker process died.
    """
    if workers < 1:
        raise InputError(f"--workers: expected at least 1, found {workers}")
    record = _record(folder)
    settings = record.settings
    network = _network(folder, settings, network_name, activation)
    kind = KINDS[settings["experiment"]]
    table, answers = read_table(folder), Answers(folder)
    missing = _missing(folder, record, table, answers)
    asked = set(record.instances or table.keys)
    seen: set[str] = set()
    tracker = Tracker(len(table.rows))
    check = kind.check(folder, network, settings)
    rows = _stored(check, table.typed(kind.row), answers, data_dir)
    for verified in _verify_rows(check, rows, workers):
        checks = (
            (verified.image in seen, "the image has an earlier row"),
            (verified.image not in asked, "the run was not asked for this image"),
        )
        wrong = tuple(text for holds, text in checks if holds)
        seen.add(verified.image)
        outcome = "failed" if verified.failures or wrong else "verified"
        on_progress(tracker.add(outcome))
        yield replace(verified, failures=(*verified.failures, *wrong)) if wrong else verified
    yield from missing


def _stored(
    check: FolderCheck[Any], rows: Sequence[Any], answers: Answers, data_dir: Path | None
) -> list[Any]:
    """Every row with its answer and what it is about."""
    instances = check.instances(rows, data_dir)
    return [
        StoredRow(row, answers.find(row.row_key), instances[row.image], place)
        for place, row in enumerate(rows)
    ]


def _missing(folder: Path, record: Record, table: RowTable, answers: Answers) -> list[Verified]:
    """What the run must have and has not.

    Raises:
        InputError: there are no rows at all, and the record does not say which there must be.
    """
    keys = set(table.keys)
    gone = record.had_more(len(table.rows))
    why = "it was in the finished run" if gone else "the run was stopped, or it was removed"
    lost = [Verified(key, MISSING, (f"no row: {why}",)) for key in record.missing(keys)]
    known = {entry.image for entry in lost}
    stray = sorted(answers.keys - keys - known)
    lost += [Verified(key, MISSING, ("no row: only an answer is stored",)) for key in stray]
    counts = [session.get("tasks") for session in record.sessions]
    tasks = max((count for count in counts if isinstance(count, int)), default=0)
    if not record.instances and tasks > len(table.rows):
        text = f"no row: {tasks} instances were asked for, {len(table.rows)} have one"
        lost.append(Verified(f"{tasks - len(table.rows)} rows", MISSING, (text,)))
    computed = {str(session.get("shard")) for session in record.sessions}
    shards = record.absent_shards()
    if shards and len(computed) > 1:  # a single shard is whole by itself
        lost.append(Verified(f"shards {named(shards)}", MISSING, ("no rows: not merged",)))
    if not (table.rows or lost):
        raise InputError(f"{folder / 'results.csv'}: expected finished rows, found none")
    return lost


def _record(folder: Path) -> Record:
    """The record of a run, with all settings that rows are verified by."""
    path = folder / RECORD
    if not path.exists():
        raise InputError(
            f"{folder}: expected a result folder, found no run.json{runs_inside(folder)}"
        )
    record = Record(folder, read_record(folder, "an attack or of verdicts"))
    settings = record.settings
    if settings.get("experiment") not in KINDS:
        raise InputError(
            f"{path}: expected the record of {', '.join(KINDS)}, found "
            f"{shown(repr(settings.get('experiment')))}, whose rows cannot be verified"
        )
    needed = KINDS[settings["experiment"]].settings
    for name in ("network_path", "network_sha256", "gap", "engine", *needed):
        # Without a time limit it is null.
        if name not in settings or (settings[name] is None and name != "time_limit"):
            raise InputError(f"{path}: expected settings with {name}, found none")
    limit = settings["time_limit"]
    limits = (math.inf if limit is None else limit, settings["gap"])
    try:
        EngineOptions(*limits, int(settings["threads"]), int(settings["seed"]))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return record


def _network(
    folder: Path, settings: Mapping[str, Any], name: str | None, activation: str | None
) -> ReLUNetwork:
    """The network of the run, by its fingerprint."""
    path = str(settings["network_path"])
    try:
        network = open_network(name or path, activation, **told(settings))
    except InputError as error:
        if name is not None:
            raise
        raise InputError(
            f"{folder}: expected the run's network at '{path}' (name its weights with --network "
            f"if they are elsewhere now), found: {error}"
        ) from None
    if network.fingerprint != settings["network_sha256"]:
        raise InputError(
            f"{folder}: expected the network with SHA-256 {settings['network_sha256']}, found "
            f"{network.fingerprint}; name the right weights with --network"
        )
    return network


def _verify_rows(check: Any, rows: Sequence[Any], workers: int) -> Iterator[Verified]:
    """Check rows here, or in processes that are given the network once; in their order."""
    if min(workers, len(rows)) <= 1:
        yield from map(check.run, rows)
        return
    ready: dict[str, Verified] = {}
    waiting = iter(rows)
    row = next(waiting, None)
    for key, outcome in LocalExecutor(workers).outcomes(check, rows):
        if isinstance(outcome, ReluoptError):
            raise outcome
        ready[key] = outcome
        while row is not None and row.key in ready:
            yield ready.pop(row.key)
            row = next(waiting, None)
