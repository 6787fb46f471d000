"""What the checks of all kinds of runs share: a stored row, and what is found out about it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

import numpy as np

from reluopt.engines.base import ProgressCallback
from reluopt.errors import ReluoptError
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.runs.evidence import Evidence
from reluopt.runs.instances import load_by_key
from reluopt.runs.job import CRASHED, Procedure, RowT


@dataclass(frozen=True)
class Verified:
    """What verification found out about one row.

    Attributes:
        image: key of the instance.
        status: status that the row claims; ``MISSING`` where there should be a row and is none.
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


@dataclass(frozen=True, eq=False)
class StoredRow(Generic[RowT]):
    """A row, the image stored with it, what it is about, and its place in the table."""

    row: RowT
    image: FloatArray | None
    instance: Any
    place: int

    @property
    def key(self) -> str:
        """Its place: damaged tables hold several rows of one key."""
        return str(self.place)


@dataclass(frozen=True, eq=False)
class FolderCheck(Procedure[StoredRow[RowT], Verified], Generic[RowT]):
    """The check of every row of a run, here or in worker processes."""

    folder: Path
    network: ReLUNetwork
    settings: Mapping[str, Any]

    def instances(self, rows: Sequence[RowT], data_dir: Path | None = None) -> Mapping[str, Any]:
        """What rows are about, by their column ``image``.

        Raises:
            InputError: it cannot be read.
        """
        return load_by_key(self.network, {row.image: row.label for row in rows}, data_dir)

    @abstractmethod
    def check(self, unit: StoredRow[RowT]) -> Verified:
        """Check one row.

        Raises:
            InputError: a proof is damaged.
        """

    def run(self, unit: StoredRow[RowT], progress: ProgressCallback | None = None) -> Verified:
        """:meth:`check`; stored images may hold anything, and what overflows is no answer."""
        del progress
        with np.errstate(over="ignore", invalid="ignore"):
            return self.check(unit)

    def failed(
        self, unit: StoredRow[RowT], status: str, message: str, seconds: float | None = None
    ) -> ReluoptError:
        """Nothing is known of the row: verification ends."""
        if status != CRASHED:
            return ReluoptError(f"{unit.row.row_key}: {message}")
        return ReluoptError(
            f"{self.folder}: a process died while it verified rows (out of memory?); fewer "
            "--workers need less"
        )

    def unlike_records(self, unit: StoredRow[RowT], names: Sequence[str]) -> Iterator[str]:
        """What a row repeats of settings (``names``) and instance, and repeats wrongly."""
        row, instance = unit.row, unit.instance
        columns = {column.name: column for column in row.schema()}
        asked = {name: columns[name].keep(self.settings[name]) for name in names}
        asked |= {"label": instance.label, "image_sha256": instance.fingerprint}
        asked |= {"original_predicted": int(self.network.predict(instance.image))}
        if self.settings["engine"] != "auto":
            asked["engine"] = self.settings["engine"]
        for name, value in asked.items():
            if row[name] != value:
                yield f"{name} is {value}, not {row[name]}"
