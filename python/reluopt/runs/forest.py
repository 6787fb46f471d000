"""Nearest inputs that forests answer otherwise: instances in, checked rows out."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any

from reluopt.engines.base import ProgressCallback
from reluopt.engines.options import EngineOptions
from reluopt.forests.forest import Forest, Values
from reluopt.forests.nearest import LEAD, nearest_otherwise
from reluopt.questions.problems import Norm
from reluopt.runs.instances import Instance
from reluopt.runs.job import Finished
from reluopt.runs.row import AttackRow
from reluopt.runs.solving import ImageJob, LimitedJob, limit_settings


@dataclass(frozen=True, eq=False)
class ForestJob(ImageJob[AttackRow], LimitedJob[Instance, AttackRow]):
    """Find nearest inputs of one forest; its rows tell it in the place of a network.

    Attributes:
        forest, norm, values, engine, options: see
            :func:`~reluopt.forests.nearest.nearest_otherwise`.
    """

    forest: Forest
    norm: Norm
    values: Values = Values()
    engine: str = "highs"
    options: EngineOptions = field(default_factory=EngineOptions)

    row_class = AttackRow

    def describe(self) -> dict[str, Any]:
        """Everything that determines the results, JSON-serialisable."""
        asked = {"norm": str(self.norm), "values": str(self.values), "engine": self.engine}
        named = {"network": self.forest.name, "network_sha256": self.forest.fingerprint}
        return {"experiment": "forest", **named, **asked, **limit_settings(self.options)}

    def run(self, unit: Instance, progress: ProgressCallback | None = None) -> Finished[AttackRow]:
        """Row and input of one image."""
        del progress
        started = time.perf_counter()
        options = (self.engine, self.options)
        found = nearest_otherwise(self.forest, unit.image, self.norm, self.values, *options)
        row = self.blank(unit, str(found.status)).but(
            bound=found.bound if math.isfinite(found.bound) else None,
            nodes=found.nodes,
            seconds=time.perf_counter() - started,
            **{name: found.size.get(name) for name in ("variables", "constraints", "binaries")},
        )
        if found.image is None:
            return Finished(row)
        distance = found.distance
        row = row.but(
            target=found.target,
            predicted=found.target,
            objective=distance,
            distance=distance,
            gap=(distance - found.bound) / distance,
            certified=True,
        )
        return Finished(row, found.image)

    def blank(self, unit: Instance, status: str) -> AttackRow:
        """All that is known without an answer."""
        return AttackRow(
            image=unit.key,
            label=unit.label,
            norm=str(self.norm),
            margin_rule=f"+{LEAD:g}",
            engine=self.engine,
            status=status,
            original_predicted=int(self.forest.predict(unit.image[None])[0]),
            certified=False,
            image_sha256=unit.fingerprint,
            seed=self.options.seed,
            threads=self.options.threads,
            time_limit=self.options.time_limit,
            network=self.forest.name,
        )
