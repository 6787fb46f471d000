"""How long the forward pass of a single image takes."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, replace
from typing import Any

from reluopt.engines.base import ProgressCallback
from reluopt.networks.network import ReLUNetwork
from reluopt.runs.instances import Instance
from reluopt.runs.job import Finished
from reluopt.runs.row import ForwardRow
from reluopt.runs.solving import ImageJob, network_settings

REPEATS = 1000
"""Passes for each image: some take ten times as long because something else ran meanwhile, and a
median of this many does not mind."""

DONE = "DONE"


@dataclass(frozen=True, eq=False)
class ForwardJob(ImageJob[ForwardRow]):
    """Time the float64 forward pass; nothing is compiled, and a median minds no slow first one."""

    network: ReLUNetwork
    repeats: int = REPEATS

    row_class = ForwardRow
    hard_limit = 60.0

    def describe(self) -> dict[str, Any]:
        """Everything that determines the results, JSON-serialisable."""
        described = {"experiment": "forward-pass", **network_settings(self.network)}
        return {**described, "repeats": self.repeats}

    def run(self, unit: Instance, progress: ProgressCallback | None = None) -> Finished[ForwardRow]:
        """The median time of one image; ``progress`` has nothing to show."""
        del progress
        times = []
        for _ in range(self.repeats):
            started = time.perf_counter()
            self.network.forward(unit.image)
            times.append(time.perf_counter() - started)
        row = self.blank(unit, DONE)
        return Finished(replace(row, seconds=statistics.median(times), repeats=self.repeats))

    def blank(self, unit: Instance, status: str) -> ForwardRow:
        """What is known without a clock."""
        return ForwardRow(
            image=unit.key,
            label=unit.label,
            predicted=int(self.network.predict(unit.image)),
            status=status,
            network=self.network.metadata.name,
            image_sha256=unit.fingerprint,
        )
