"""Everything that is wrong with one row of a run of verdicts, recomputed.

A witness goes through the network again, and its distance is measured. A kept proof is replayed,
and must show that no input of the ball is answered otherwise; where none was kept, linear bounds
may show it (``root``), and an attack is run against the claim.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reluopt.answers.check import check_maximum
from reluopt.answers.solution import Status
from reluopt.bounds import BOUNDING_METHODS
from reluopt.bounds.conditions import hopeless_alternatives
from reluopt.engines.base import ProgressCallback
from reluopt.engines.proving import proving_engine
from reluopt.errors import InputError, ReluoptError
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.problems import Norm, Task, Verification
from reluopt.runs.claims import keeps_proof
from reluopt.runs.evidence import Evidence, close
from reluopt.runs.instances import Instance
from reluopt.runs.job import CRASHED, FAILURES, Procedure
from reluopt.runs.row import VerifyRow
from reluopt.runs.row_check import Verified
from reluopt.runs.store import proof_path

RECORDED = ("norm", "seed", "threads", "time_limit", "network")
"""Columns that repeat a setting of the run."""

_LENGTH = 1e-6
"""Distances and leads below it count as it, as zero objectives do."""

_COLUMNS = {column.name: column for column in VerifyRow.schema()}


@dataclass(frozen=True, eq=False)
class StoredVerdict:
    """A row, the witness stored with it, the instance that it names, and its place in the table."""

    row: VerifyRow
    image: FloatArray | None
    instance: Instance
    place: int

    @property
    def key(self) -> str:
        """Its place: damaged tables hold several rows of a ball."""
        return str(self.place)


@dataclass(frozen=True, eq=False)
class VerdictCheck(Procedure[StoredVerdict, Verified]):
    """The check of every row of a run of verdicts, here or in worker processes."""

    folder: Path
    network: ReLUNetwork
    settings: Mapping[str, Any]

    def run(self, unit: StoredVerdict, progress: ProgressCallback | None = None) -> Verified:
        """Check one row.

        Raises:
            InputError: a proof is damaged.
        """
        del progress
        row, failures = unit.row, self._records(unit)
        if row.status in FAILURES:
            return Verified(row.run, row.status, tuple(failures))
        task = Verification(unit.instance.image, row.label, row.eps, row.norm).task(self.network)
        failures += self._witness(unit, task)
        evidence = Evidence.NONE
        more: list[str] = []
        if row.status == Status.ROBUST:
            evidence, more = self._proven(row, task)
        elif row.status not in (Status.NOT_ROBUST, Status.UNDECIDED, Status.NUMERICAL):
            more = [f"there is no verdict {row.status}"]
        return Verified(row.run, row.status, (*failures, *more), evidence, row.bound)

    def failed(
        self, unit: StoredVerdict, status: str, message: str, seconds: float | None = None
    ) -> ReluoptError:
        """Nothing is known of the row: verification ends."""
        text = message if status != CRASHED else "a process died while it verified rows"
        return ReluoptError(f"{self.folder}: {unit.row.run}: {text}")

    def _records(self, unit: StoredVerdict) -> list[str]:
        """What the row repeats of settings and instance."""
        row, instance = unit.row, unit.instance
        answered = int(self.network.predict(instance.image))
        asked = {name: _COLUMNS[name].keep(self.settings[name]) for name in RECORDED}
        asked |= {"label": instance.label, "original_predicted": answered}
        asked |= {"image_sha256": instance.fingerprint}
        asked |= {"run": f"{row.image} within {row.eps!r}"}
        asked |= {"certified": row.status in (Status.ROBUST, Status.NOT_ROBUST)}
        return [
            f"{name} is {value}, not {row[name]}"
            for name, value in asked.items()
            if row[name] != value
        ]

    def _witness(self, unit: StoredVerdict, task: Task) -> list[str]:
        """What is wrong with the witness, or with there being one or none."""
        row, image = unit.row, unit.image
        if row.status != Status.NOT_ROBUST:
            told = [name for name in ("lead", "distance", "predicted") if row[name] is not None]
            wrong = [f"{name} is told without a witness" for name in told]
            return wrong if image is None else [*wrong, "a witness is stored that is not claimed"]
        if image is None or image.size != self.network.input_size:
            return ["NOT_ROBUST is claimed, but no witness is stored"]
        with np.errstate(over="ignore", invalid="ignore"):
            found = check_maximum(self.network, task, image.reshape(-1))
        failures = list(found.failures)
        if not found.objective >= 0.0:
            failures.append(f"the witness is answered {found.predicted}, as it should be")
        if row.predicted != found.predicted:
            failures.append(f"predicted is {found.predicted}, not {row.predicted}")
        for name, value in (("lead", found.objective), ("distance", found.distance)):
            if not close(row[name], value, _LENGTH):
                failures.append(f"{name} is {value:.12g}, not {row[name]}")
        return failures

    def _proven(self, row: VerifyRow, task: Task) -> tuple[Evidence, list[str]]:
        """What stands behind ROBUST."""
        if not (row.bound is not None and row.bound < 0.0):
            return Evidence.NONE, [f"ROBUST is claimed with a bound of {row.bound}"]
        proof = proof_path(self.folder, row.run)
        if proof.exists():
            engine = proving_engine()
            try:
                shown = -engine.replay(engine.read_proof(proof), self.network, task)
            except InputError as error:
                return Evidence.NONE, [str(error)]
            wrong = [] if shown < 0.0 else [f"the proof shows {shown:.12g}, which is not below 0"]
            return Evidence.REPLAYED, wrong
        wrong = (
            ["a proof was to be kept, but there is none"] if keeps_proof(self.settings, row) else []
        )
        bounds = BOUNDING_METHODS.get("linear").compute(self.network, task.inputs)
        hopeless = hopeless_alternatives(self.network, task.inputs, bounds, task)
        if len(hopeless) == len(task.alternatives):
            return Evidence.ROOT, wrong
        return Evidence.STORED, [*wrong, *self._refuted(task)]

    def _refuted(self, task: Task) -> list[str]:
        """Whether an attack finds what a claim denies."""
        from reluopt.attacks.criteria import Misclassification
        from reluopt.attacks.gradient import pgd

        inputs = task.inputs
        assert inputs.center is not None
        label = int(np.argmin(task.alternatives[0].conditions.matrix[0]))
        radius = inputs.radius if math.isfinite(inputs.radius) else 0.0
        criterion = Misclassification(np.array([label]))
        norm, seed = inputs.norm or Norm.LINF, int(self.settings["seed"])
        _, clipped, success = pgd(
            self.network,
            inputs.center[None],
            criterion,
            radius,
            norm=norm,
            box=inputs.box,
            seed=seed,
        )
        if not success[0]:
            return []
        found = check_maximum(self.network, task, np.asarray(clipped)[0].reshape(-1))
        if not (found.certified and found.objective >= 0.0):
            return []
        return [f"ROBUST is claimed, but an input at {found.distance:g} is answered otherwise"]
