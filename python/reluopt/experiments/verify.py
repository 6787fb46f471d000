"""Verify a finished run from its files alone, trusting none of its numbers.

For every row the network is loaded anew (and must be the very same one, by its fingerprint), the
original image is read again, the stored answer goes through the forward pass, and norm, box,
margins, labels, gap and status are compared with what the row says.

A stored bound is a number that an engine claimed; what can be said about it differs
(:class:`Evidence`). For engine ``bnb`` the root relaxation is solved anew over the ball of the
row's answer, which gives a bound that is proven here and now; where the run kept proofs
(``--proof``) they are replayed, and a row that claims more than its proof shows fails.
"""

from __future__ import annotations

import json
import math
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from enum import StrEnum
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeAlias

from reluopt.check import check_perturbation
from reluopt.engines.branch_and_bound.driver import GAP_SHARE
from reluopt.engines.branch_and_bound.proof import replay
from reluopt.engines.branch_and_bound.proof_file import read_proof
from reluopt.engines.branch_and_bound.proof_search import root_bound
from reluopt.errors import InputError, ReluoptError
from reluopt.experiments.experiment import FAILURES
from reluopt.experiments.instances import Instance, load_by_key
from reluopt.experiments.row_reader import RowReader, at_most
from reluopt.experiments.runner import Finished, RunProgress, Tracker
from reluopt.experiments.store import proof_path, read_store, runs_inside
from reluopt.experiments.worker import threads_in_environment
from reluopt.network import FloatArray, ReLUNetwork
from reluopt.problems import (
    MinimalPerturbation,
    Norm,
    PerturbationTask,
    parse_margin,
    parse_norm,
    parse_target,
)
from reluopt.solution import (
    GAP_DENOMINATOR_FLOOR,
    Certificate,
    Incumbent,
    Status,
    relative_gap,
)
from reluopt.zoo import open_network

ROWS_AT_ONCE = 16
"""Rows that a worker process is given at a time, at most."""

ANSWERED = (Status.OPTIMAL, Status.FEASIBLE)
"""Statuses that claim an image that passes the check."""

RECORDED = {
    "norm": "norm",
    "margin_rule": "margin",
    "seed": "seed",
    "threads": "threads",
    "time_limit": "time_limit",
    "network": "network",
}
"""Columns that repeat a setting of the run."""


class Evidence(StrEnum):
    """What stands behind a row's bound now.

    * ``REPLAYED``: its proof was replayed and shows it.
    * ``ROOT``: the root relaxation, solved anew, shows it.
    * ``STORED``: nothing but the stored number; gap and status were recomputed from it.
    * ``NONE``: the row has no bound above zero.
    """

    REPLAYED = "proof replayed"
    ROOT = "root solved"
    STORED = "stored number"
    NONE = "none"


@dataclass(frozen=True)
class Verified:
    """What verification found out about one row.

    Attributes:
        image: key of the instance.
        status: status that the row claims.
        failures: one sentence for each thing that is not as the row says; empty when all is well.
        evidence: what stands behind its bound.
        bound: the bound that the row claims, None without one.
        root: bound of the root relaxation (engine ``bnb``), else None.
        proven: bound that the kept proof shows, else None.
    """

    image: str
    status: str
    failures: tuple[str, ...]
    evidence: Evidence = Evidence.NONE
    bound: float | None = None
    root: float | None = None
    proven: float | None = None


def verify_run(
    folder: Path,
    network_name: str | None = None,
    data_dir: Path | None = None,
    workers: int = 1,
    on_progress: Callable[[RunProgress], None] = lambda _: None,
) -> Iterator[Verified]:
    """Verify all rows of a run, in the order of the file.

    Args:
        folder: a folder written by ``reluopt attack --out``.
        network_name: weights to use; by default what the run recorded.
        data_dir: folder of idx files, if the run used one.
        workers: processes that share the work; 1 for this one alone.
        on_progress: called after each row, before it is handed out.

    Raises:
        InputError: the folder holds no such run, a file or a row is damaged, the network is
            another one, or there are no workers.
        ReluoptError: a worker process died.
    """
    if workers < 1:
        raise InputError(f"--workers: expected at least 1, found {workers}")
    settings = _settings(folder)
    network = _network(folder, settings, network_name)
    stored = [
        (RowReader(folder / "results.csv", number, row), image)
        for number, (row, image) in enumerate(read_store(folder), start=2)
    ]
    labels = {reader.text("image"): reader.integer("label") for reader, _ in stored}
    instances = load_by_key(network, labels, data_dir)
    rows = [(reader, image, instances[reader.text("image")]) for reader, image in stored]
    seen: set[str] = set()
    tracker = Tracker(len(rows))
    for verified in _verify_rows(_RunCheck(folder, network, settings), rows, workers):
        if verified.image in seen:
            failures = (*verified.failures, "the image has an earlier row")
            verified = Verified(verified.image, verified.status, failures)
        seen.add(verified.image)
        outcome = "failed" if verified.failures else "verified"
        on_progress(tracker.add(Finished({"status": outcome}, None, resumed=False)))
        yield verified


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / "run.json"
    try:
        settings: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["settings"]
        if settings["experiment"] != "attack":
            raise ValueError
    except FileNotFoundError:
        raise InputError(
            f"{folder}: expected a result folder, found no run.json{runs_inside(folder)}"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise InputError(
            f"{path}: expected the record of an attack, found something else"
        ) from None
    needed = ("network_path", "network_sha256", "target", "gap", "engine", *RECORDED.values())
    for name in needed:
        if name not in settings:
            raise InputError(f"{path}: expected settings with {name}, found none")
    return settings


def _network(folder: Path, settings: Mapping[str, Any], name: str | None) -> ReLUNetwork:
    """The network of the run, by its fingerprint."""
    path = str(settings["network_path"])
    try:
        network = open_network(name or path)
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


_Stored: TypeAlias = tuple[RowReader, FloatArray | None, Instance]
"""A row, the image stored with it, and the instance that it names."""


@dataclass(frozen=True, eq=False)
class _RunCheck:
    """What the checks of all rows of a run share."""

    folder: Path
    network: ReLUNetwork
    settings: Mapping[str, Any]

    def verify(self, stored: _Stored) -> Verified:
        """Check one row."""
        return _RowCheck(self.folder, self.network, self.settings, *stored).verify()


def _verify_rows(check: _RunCheck, rows: Sequence[_Stored], workers: int) -> Iterator[Verified]:
    """Check rows here, or in processes that are given the network once."""
    processes = min(workers, len(rows))
    if processes <= 1:
        yield from map(check.verify, rows)
        return
    at_once = max(1, min(ROWS_AT_ONCE, len(rows) // (4 * processes)))
    with ProcessPoolExecutor(processes, get_context("spawn"), _start_worker, (check,)) as pool:
        with threads_in_environment(1):
            verified = pool.map(_verify_in_worker, rows, chunksize=at_once)  # starts them all
        try:
            yield from verified
        except BrokenProcessPool:
            raise ReluoptError(
                f"{check.folder}: a process died while it verified rows (out of memory?); "
                "fewer --workers need less"
            ) from None


_checks: list[_RunCheck] = []
"""In a worker process: the run that it verifies."""


def _start_worker(check: _RunCheck) -> None:
    """Remember the run; Ctrl-C is the parent's business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _checks.append(check)


def _verify_in_worker(stored: _Stored) -> Verified:
    return _checks[-1].verify(stored)


class _RowCheck:
    """Everything that is wrong with one row."""

    def __init__(
        self,
        folder: Path,
        network: ReLUNetwork,
        settings: Mapping[str, Any],
        row: RowReader,
        image: FloatArray | None,
        instance: Instance,
    ) -> None:
        self._folder, self._network, self._settings = folder, network, settings
        self._row, self._image = row, None if image is None else image.reshape(-1)
        self._key, self._status = row.text("image"), row.text("status")
        self._label, self._certified = row.integer("label"), row.flag("certified")
        self._instance = instance
        self._failures: list[str] = []

    def verify(self) -> Verified:
        """Check the row."""
        self._check_records(self._instance)
        self._check_status()
        if self._status in FAILURES:
            return self._verified(Evidence.NONE)
        task = self._task(self._instance)
        certificate = self._check_answer(task)
        return self._check_bound(task, certificate)

    def _fail_unless(self, holds: bool, failure: str) -> None:
        if not holds:
            self._failures.append(failure)

    def _check_records(self, instance: Instance) -> None:
        """What the row repeats of settings and instance."""
        row = self._row
        if instance.label != self._label:
            self._failures.append(f"the true label is {instance.label}")
        for column, name in RECORDED.items():
            asked = self._settings[name]
            stored = row.text(column)
            same = row.close(column, asked) if isinstance(asked, int | float) else stored == asked
            self._fail_unless(same, f"{column} is {asked}, not {stored}")
        engine = self._settings["engine"]
        if engine != "auto":
            self._fail_unless(row.text("engine") == engine, f"engine is {engine}")
        answered = int(self._network.predict(instance.image))
        if not row.close("original_predicted", answered):
            self._failures.append(f"original_predicted is {answered}")
        self._fail_unless(
            row.text("image_sha256") == instance.fingerprint,
            "the original image has another SHA-256 now",
        )

    def _check_status(self) -> None:
        """Whether there is such a status, and it fits what the row says about its answer."""
        status = self._status
        if status not in (*Status, *FAILURES):
            self._failures.append(f"there is no status {status}")
        elif self._certified and status not in ANSWERED:
            self._failures.append(f"a certified answer is claimed with status {status}")
        elif not self._certified and status in ANSWERED:
            self._failures.append(f"{status} is claimed without a certified answer")
        if self._image is None and (self._certified or status in ANSWERED):
            self._failures.append("an answer is claimed, but no image is stored")

    def _task(self, instance: Instance) -> PerturbationTask:
        settings = self._settings
        return MinimalPerturbation(
            instance.image,
            instance.label,
            parse_target(str(settings["target"])),
            parse_norm(str(settings["norm"])),
            parse_margin(str(settings["margin"])),
            smoothness=settings.get("smoothness"),
        ).task(self._network)

    def _check_answer(self, task: PerturbationTask) -> tuple[int, Certificate] | None:
        """The check of the stored image against the alternative that the row names."""
        image, row = self._image, self._row
        if image is None:
            return None
        if image.size != self._network.input_size:
            self._failures.append(f"the stored image has {image.size} pixels")
            return None
        target = row.integer("target")
        targets = [alternative.target for alternative in task.alternatives]
        if target not in targets:
            self._failures.append(f"target {target} was not asked for")
            return None
        index = targets.index(target)
        certificate = check_perturbation(self._network, task, task.alternatives[index], image)
        if self._certified and not certificate.certified:
            self._failures += certificate.failures
        if certificate.certified and not self._certified:
            self._failures.append("the row denies an answer that passes the check")
        recomputed = {
            "predicted": float(certificate.predicted),
            "margin": certificate.lead,
            "slack": certificate.margin,
            "box_violation": certificate.box_violation,
        }
        lengths = {"objective": certificate.objective, "distance": certificate.distance}
        if self._certified:
            recomputed |= lengths
        for name, value in recomputed.items():
            if not row.close(name, value, GAP_DENOMINATOR_FLOOR if name in lengths else 1.0):
                self._failures.append(f"{name} is {value:.12g}, not {row.number(name)}")
        return index, certificate

    def _check_bound(
        self, task: PerturbationTask, answer: tuple[int, Certificate] | None
    ) -> Verified:
        """Whether gap and status follow from the bound, and what stands behind it."""
        row = self._row
        stored = row.number("bound")
        # An empty bound of a row without answer is infinite: nothing at all meets the conditions.
        bound = math.inf if stored is None else stored
        objective, good = math.inf, False
        if answer is not None:
            objective, good = answer[1].objective, answer[1].certified
        gap = relative_gap(objective, bound)
        if self._certified and row.number("gap") is not None and not row.close("gap", gap):
            self._failures.append(f"gap is {gap:.3g}, not {row.number('gap')}")
        if self._status == Status.OPTIMAL and not (good and gap <= float(self._settings["gap"])):
            self._failures.append(f"OPTIMAL is claimed with a gap of {gap:.3g}")
        if self._status == Status.INFEASIBLE:
            self._fail_unless(bound == math.inf, f"INFEASIBLE is claimed with a bound of {bound:g}")
        if good:
            # Solvers may be wrong by their tolerances; what our own engine proves may not.
            least = GAP_DENOMINATOR_FLOOR if row.text("engine") == "bnb" else 1.0
            below = at_most(bound, objective, least)
            self._fail_unless(below, "the bound exceeds the objective")
        proven = self._replay(task, bound)
        root = self._root(task, answer) if row.text("engine") == "bnb" else None
        if root is not None and good:
            self._fail_unless(
                at_most(root, objective, GAP_DENOMINATOR_FLOOR),
                f"the root relaxation proves {root:.12g}, more than the objective",
            )
        if bound <= 0.0:
            return self._verified(Evidence.NONE, root, proven)
        if proven is not None and at_most(bound, proven, GAP_DENOMINATOR_FLOOR):
            return self._verified(Evidence.REPLAYED, root, proven)
        by_root = root is not None and at_most(bound, root, GAP_DENOMINATOR_FLOOR)
        return self._verified(Evidence.ROOT if by_root else Evidence.STORED, root, proven)

    def _replay(self, task: PerturbationTask, bound: float) -> float | None:
        """What the kept proof shows, if there is one."""
        path = proof_path(self._folder, self._key)
        if not path.exists():
            wanted = dict(self._settings.get("extra") or {}).get("proof")
            self._fail_unless(not wanted, "a proof was to be kept, but there is none")
            return None
        proof = read_proof(path)
        try:
            proven = replay(proof, self._network, task)
        except InputError as error:
            self._failures.append(str(error))
            return None
        self._fail_unless(
            at_most(bound, proven, GAP_DENOMINATOR_FLOOR),
            f"the proof shows {proven:.12g}, not the bound {bound:.12g}",
        )
        return proven

    def _root(self, task: PerturbationTask, answer: tuple[int, Certificate] | None) -> float | None:
        """Safe bound of the root relaxation over the ball of the row's answer."""
        if task.norm not in (Norm.L1, Norm.L2):
            return None
        incumbent = None
        if answer is not None and answer[1].certified and self._image is not None:
            incumbent = Incumbent(self._image, answer[1].objective, answer[0])
        gap = GAP_SHARE * float(self._settings["gap"])
        return root_bound(self._network, task, incumbent, gap)

    def _verified(
        self, evidence: Evidence, root: float | None = None, proven: float | None = None
    ) -> Verified:
        bound = self._row.number("bound")
        failures = tuple(self._failures)
        return Verified(self._key, self._status, failures, evidence, bound, root, proven)
