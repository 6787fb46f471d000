"""Unstable neurons and linear regions around images: sampled, and proven.

Both are counted over an Linf ball cut by the network's box. A neuron is *unstable* if it is active
at some input and inactive at another one: bounds say which cannot be, samples and an ascent which
are, and a search for the sign of what is left decides the rest while its time lasts.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from reluopt.attacks.region_count import (
    RegionSearch,
    box_samples,
    common_point_count,
    seen_phases,
    truncated,
)
from reluopt.bounds import compute_bounds
from reluopt.deadline import Deadline
from reluopt.engines.base import ProgressCallback
from reluopt.engines.options import EngineOptions
from reluopt.method import Method
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import BoolArray
from reluopt.pipeline import solve
from reluopt.questions.input_sets import Box, InputSet
from reluopt.questions.tasks import LinearForm, fitting_box
from reluopt.questions.worst_case import WorstCase
from reluopt.runs.instances import Instance
from reluopt.runs.job import Finished
from reluopt.runs.row import RegionRow
from reluopt.runs.solving import ImageJob, NetworkJob, network_settings

COUNTED, BOUNDED = "COUNTED", "BOUNDED"
"""Statuses: all linear regions were enumerated, or their number lies between bounds."""

MOST_OPEN = 16
"""Neurons that may have both phases, up to which an enumeration is tried: of more it would end
nowhere within its budget."""


@dataclass(frozen=True, eq=False)
class RegionJob(ImageJob[RegionRow], NetworkJob[Instance, RegionRow]):
    """Count around images.

    Attributes:
        network: the network.
        eps: radius of the ball.
        samples: inputs that are sampled, half of them corners of the ball.
        seconds: for the search that decides about neurons.
        budget: linear programs for the enumeration.
        seed: of the samples.
    """

    network: ReLUNetwork
    eps: float
    samples: int = 6144
    seconds: float = 0.5
    budget: int = 1000
    seed: int = 0

    row_class = RegionRow

    def describe(self) -> dict[str, Any]:
        """Everything that determines the results, JSON-serialisable."""
        names = ("eps", "samples", "seconds", "budget", "seed")
        own = {name: getattr(self, name) for name in names}
        return {"experiment": "regions", **network_settings(self.network), **own}

    def run(self, unit: Instance, progress: ProgressCallback | None = None) -> Finished[RegionRow]:
        """The row of one image."""
        del progress
        started, allowed = time.perf_counter(), fitting_box(self.network, None)
        box = Box(allowed.clip(unit.image - self.eps), allowed.clip(unit.image + self.eps))
        generator = np.random.default_rng(self.seed)
        points = box_samples(box, unit.image, self.eps, self.samples, generator)
        patterns = np.hstack(self.network.activation_pattern(points))
        mixed = patterns.any(axis=0) & ~patterns.all(axis=0)
        seen = len(np.unique(np.packbits(patterns, axis=1), axis=0))
        proven, possible = self._unstable(box, points, unit.label)
        cuts = np.cumsum(self.network.hidden_sizes)[:-1]
        search = RegionSearch(self.network, box, np.split(possible, cuts), self._tried(possible))
        search.run()
        most = int(possible.sum())
        least = max(np.log2(max(search.found, seen)), common_point_count(self.network, box))
        row = self.blank(unit, COUNTED if search.complete else BOUNDED).but(
            sampled_unstable=int(mixed.sum()),
            sampled_regions=seen,
            unstable_least=int(proven.sum()),
            unstable_most=most,
            regions=search.found if search.complete else None,
            log2_least=float(np.log2(search.found) if search.complete else least),
            log2_most=float(np.log2(search.found) if search.complete else most),
            seconds=time.perf_counter() - started,
        )
        return Finished(row)

    def _tried(self, possible: BoolArray) -> int:
        """Linear programs worth spending: none where every pattern may well be there."""
        return self.budget if int(possible.sum()) <= MOST_OPEN else 0

    def _unstable(self, box: Box, points: Any, label: int) -> tuple[BoolArray, BoolArray]:
        """Which neurons are proven to be unstable, and which may be."""
        bounds = compute_bounds("linear", self.network, InputSet(box))
        lower, upper = (np.concatenate(each[:-1]) for each in (bounds.lower, bounds.upper))
        possible = (lower < 0.0) & (upper > 0.0)
        active, inactive = seen_phases(self.network, box, points)
        deadline = Deadline.after(self.seconds)
        offsets = np.cumsum([0, *self.network.hidden_sizes])
        for neuron in np.flatnonzero(possible & ~(active & inactive)):
            layer = int(np.searchsorted(offsets, neuron, side="right")) - 1
            cut = truncated(self.network, layer)
            place, sign = int(neuron - offsets[layer]), -1.0 if active[neuron] else 1.0
            if deadline.passed:
                break
            form = LinearForm(((place, sign),))
            question = WorstCase(points[0], 0, 1.0, objective=form, box=box)
            options = EngineOptions(deadline.solver_seconds)
            found = solve(cut, question, Method(options=options))
            if found.certified and found.objective > 0.0:
                (active if sign > 0.0 else inactive)[neuron] = True
            elif found.bound <= 0.0:
                possible[neuron] = False
        return possible & active & inactive, possible

    def blank(self, unit: Instance, status: str) -> RegionRow:
        """What is known before anything is counted."""
        return RegionRow(
            image=unit.key,
            label=unit.label,
            eps=self.eps,
            status=status,
            network=self.network.metadata.name,
            image_sha256=unit.fingerprint,
        )
