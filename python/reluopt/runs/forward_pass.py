"""How long the forward pass of a single image takes."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import Any

from reluopt.engines.base import ProgressCallback
from reluopt.runs.job import Row
from reluopt.runs.instances import Instance
from reluopt.runs.rows import ImageJob, image_row, network_settings
from reluopt.numerics.arrays import FloatArray
from reluopt.networks.network import ReLUNetwork

COLUMNS = (
    "image",
    "label",
    "predicted",
    "status",
    "seconds",
    "repeats",
    "network",
    "image_sha256",
    "message",
)
"""Columns of the results; ``seconds`` is the median of ``repeats`` passes."""

REPEATS = 1000
"""Passes for each image: some take ten times as long because something else ran meanwhile, and a
median of this many does not mind."""

DONE = "DONE"


@dataclass(frozen=True, eq=False)
class ForwardJob(ImageJob):
    """The float64 forward pass as the runner knows it (:mod:`reluopt.runs.runner`)."""

    network: ReLUNetwork
    repeats: int = REPEATS

    columns = COLUMNS
    threads = 1
    hard_limit = 60.0

    def describe(self) -> dict[str, Any]:
        """Everything that determines the results, JSON-serialisable."""
        return {
            "experiment": "forward-pass",
            **network_settings(self.network),
            "repeats": self.repeats,
        }

    def warm_up(self) -> None:
        """Nothing is compiled, and a median minds no slow first pass."""

    def run(
        self, task: Instance, progress: ProgressCallback | None = None
    ) -> tuple[Row, FloatArray | None]:
        """The median time of one image; ``progress`` has nothing to show."""
        del progress
        times = []
        for _ in range(self.repeats):
            started = time.perf_counter()
            self.network.forward(task.image)
            times.append(time.perf_counter() - started)
        row = {"seconds": statistics.median(times), "repeats": self.repeats}
        return {**self._asked(task), **row, "status": DONE}, None

    def failed(self, task: Instance, status: str, message: str) -> Row:
        """The row of an image whose pass crashed."""
        return {**self._asked(task), "status": status, "message": message}

    def _asked(self, task: Instance) -> Row:
        predicted = int(self.network.predict(task.image))
        return {**image_row(self.network, task), "predicted": predicted}
