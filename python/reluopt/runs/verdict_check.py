"""Everything that is wrong with one row of a run of verdicts, recomputed.

A witness goes through the network again, and its distance is measured. A kept proof is replayed,
and must show that no input of the ball is answered otherwise; where none was kept, linear bounds
may show it (``root``), and an attack is run against the claim.
"""

from __future__ import annotations

from reluopt.answers.check import check_maximum
from reluopt.answers.solution import Status
from reluopt.attacks.slack import largest_found
from reluopt.bounds import BOUNDING_METHODS
from reluopt.bounds.conditions import hopeless_alternatives
from reluopt.engines.proving import proving_engine
from reluopt.errors import InputError
from reluopt.questions.problems import Task, Verification
from reluopt.runs.checking import FolderCheck, StoredRow, Verified
from reluopt.runs.claims import keeps_proof
from reluopt.runs.evidence import Evidence, close
from reluopt.runs.job import FAILURES
from reluopt.runs.row import VerifyRow
from reluopt.runs.store import proof_path
from reluopt.runs.verification import SETTLED, Ball

RECORDED = ("norm", "seed", "threads", "time_limit", "network")
"""Columns that repeat a setting of the run."""

_LENGTH = 1e-6
"""Distances and leads below it count as it, as zero objectives do."""


class VerdictCheck(FolderCheck[VerifyRow]):
    """The check of every row of a run of verdicts."""

    def check(self, unit: StoredRow[VerifyRow]) -> Verified:
        """Check one row.

        Raises:
            InputError: a proof is damaged.
        """
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

    def _records(self, unit: StoredRow[VerifyRow]) -> list[str]:
        """What the row repeats, and what its status says of it."""
        row = unit.row
        wrong = list(self.unlike_records(unit, RECORDED))
        key = Ball(unit.instance, row.eps).key
        if row.run != key:
            wrong.append(f"run is {key}, not {row.run}")
        if row.certified is not (row.status in SETTLED):
            wrong.append(f"{row.status} is claimed with certified = {row.certified}")
        return wrong

    def _witness(self, unit: StoredRow[VerifyRow], task: Task) -> list[str]:
        """What is wrong with the witness, or with there being one or none."""
        row, image = unit.row, unit.image
        if row.status != Status.NOT_ROBUST:
            told = [name for name in ("lead", "distance", "predicted") if row[name] is not None]
            wrong = [f"{name} is told without a witness" for name in told]
            return wrong if image is None else [*wrong, "a witness is stored that is not claimed"]
        if image is None or image.size != self.network.input_size:
            return ["NOT_ROBUST is claimed, but no witness is stored"]
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
        found = largest_found(self.network, task, int(self.settings["seed"]))
        if found is None:
            return []
        seen = check_maximum(self.network, task, found.image)
        if not seen.certified:
            return []
        return [f"ROBUST is claimed, but an input at {seen.distance:g} is answered otherwise"]
