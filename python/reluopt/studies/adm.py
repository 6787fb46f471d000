"""Davoli (2022): a convolutional network as a program, first with its input fixed, then attacked.

*MILP-Adversarial-Instances* prints logs of three programs whose input is fixed to a test image. One
of them had no solution after four hours: its logits are not below 0 there, Gurobi's default bound.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from reluopt.answers.solution import Status
from reluopt.figures import feature_map_figure
from reluopt.images.mnist import load_images
from reluopt.networks.layers.conv2d import Conv2d
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.zoo import open_network
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.problems import BareRelativeMargin, Norm, RelativeMargin
from reluopt.runs.activations import PIXELS, VARIANTS, InferenceJob, InferenceUnit
from reluopt.runs.attack import AttackJob, AttackSettings
from reluopt.runs.instances import Instance, load_instances
from reluopt.runs.job import Finished
from reluopt.runs.row import InferenceRow, known
from reluopt.runs.tables import DASH, fixed
from reluopt.studies.base import Study, StudyContext, StudyFolder, StudyResult
from reluopt.studies.published import ADM, ADM_LOGITS
from reluopt.studies.solved import (
    SAME,
    FinishedAttack,
    count_unproven,
    perturbations,
    printed,
    row_table,
)
from reluopt.studies.words import count_text

NAME = "adm"
NETWORK = "adm"

FIXED_IMAGES, REDUCED, COMPLETE = 2, 1, 5
"""Images of the programs with fixed inputs, as in the logs; images that are attacked."""

FIXED_LIMIT, REDUCED_FIXED_LIMIT = 30.0, 10.0
"""Seconds for a program with fixed input. Those that are solved take a few."""

LIMIT, REDUCED_LIMIT = 30.0, 5.0
"""Seconds for a nearest image. Proofs would take longer than anybody waits."""

METHODS = (("highs", "constant"), ("highs", "interval"), ("scip", "interval"))
"""Engines and bounds of programs with fixed inputs."""

MARGIN, BARE = RelativeMargin(0.1), BareRelativeMargin(0.1)
TARGETS, BESIDE = 3, 2
"""Targets for each image; images that HiGHS gets as well."""

ROWS, DISTANCES, DISTANCE_ROWS = f"{NAME}-rows", f"{NAME}-distances", f"{NAME}-distances-rows"


@dataclass(frozen=True)
class RankTarget:
    """The label with the n-th largest logit among all but the true one."""

    rank: int

    def candidates(self, label: int, logits: FloatArray) -> tuple[int, ...]:
        """That label (the lowest first among ties)."""
        order = np.argsort(-logits, kind="stable")
        return (int(order[order != label][self.rank]),)

    def __str__(self) -> str:
        return f"best-{self.rank + 1}"


@dataclass(frozen=True)
class DrawnTarget:
    """The n-th of the other labels in an order drawn for each true label."""

    number: int
    seed: int

    def candidates(self, label: int, logits: FloatArray) -> tuple[int, ...]:
        """That label."""
        others = np.delete(np.arange(logits.size), label)
        return (int(np.random.default_rng([self.seed, label]).permutation(others)[self.number]),)

    def __str__(self) -> str:
        return f"random-{self.number + 1}-seed-{self.seed}"


@dataclass
class _Fixed:
    """Programs with fixed inputs: their units and results."""

    units: list[InferenceUnit]
    finished: list[Finished[InferenceRow]]

    @property
    def rows(self) -> list[InferenceRow]:
        return [result.row for result in self.finished]


@dataclass
class _Attacked:
    """Nearest images by policy, and those that HiGHS found beside."""

    images: Sequence[Instance]
    policies: dict[str, list[list[FinishedAttack]]] = field(default_factory=dict)
    beside: list[FinishedAttack] = field(default_factory=list)

    def groups(self) -> dict[str, list[FinishedAttack]]:
        """What the table tells, a line each."""
        found = {name: list(itertools.chain(*groups)) for name, groups in self.policies.items()}
        own = {"best-1, the same by bnb": self.policies["best"][0][: len(self.beside)]}
        return {**found, **own, "best-1, by HiGHS": self.beside}


def run(context: StudyContext) -> StudyResult:
    """Programs with fixed inputs, then nearest images."""
    folder = StudyFolder(context, NAME)
    network = open_network(NETWORK if context.network is None else context.network)
    fixed_inputs = _solve_fixed(folder, network)
    attacked = _attack(folder, network)
    facts = _facts(context, network, fixed_inputs, attacked)
    folder.figure(f"{NAME}-maps", _maps(network, fixed_inputs))
    folder.figure(NAME, _pictures(attacked))
    folder.table(NAME, _table(fixed_inputs.rows), facts)
    folder.table(ROWS, row_table(fixed_inputs.finished).round({"seconds": 3}))
    folder.table(DISTANCES, _distance_table(attacked), facts)
    folder.table(DISTANCE_ROWS, _distance_rows(attacked))
    complete = context.full and context.limit is None and context.time_limit is None
    return folder.finish(facts, complete=complete)


def _solve_fixed(folder: StudyFolder, network: ReLUNetwork) -> _Fixed:
    """All variants of all images on both scales of pixels."""
    context = folder.context
    limit = FIXED_LIMIT if context.full else REDUCED_FIXED_LIMIT
    method = context.method(limit, engine="highs", formulation="thesis")
    count = context.count(1, FIXED_IMAGES)
    units = [
        InferenceUnit(instance, pixels, variant, *how)
        for instance in load_instances(network, [f"test:0-{count - 1}"])
        for pixels, variant, how in itertools.product(PIXELS, VARIANTS, METHODS)
    ]
    job = InferenceJob(network, method.options)
    stage = f"fixed-{method.options.time_limit:g}s"
    return _Fixed(units, folder.run(stage, job, units, method, context.executor()))


def _attack(folder: StudyFolder, network: ReLUNetwork) -> _Attacked:
    """Nearest images of all targets, and of the first ones by HiGHS too."""
    context = folder.context
    limit = LIMIT if context.full else REDUCED_LIMIT
    count = context.count(REDUCED, COMPLETE)
    images = load_instances(network, [f"test:0-{count - 1}"])
    found = _Attacked(images)

    def solve(target: RankTarget | DrawnTarget, **how: Any) -> list[FinishedAttack]:
        method = context.method(limit, **how)
        stage = f"{method.engine}-{target}-{method.options.time_limit:g}s"
        job = AttackJob(network, AttackSettings(target, Norm.L1, MARGIN, method))
        units = images if method.engine == "bnb" else images[:BESIDE]
        return folder.run(stage, job, units, method, context.executor())

    drawn = [DrawnTarget(number, context.seed) for number in range(TARGETS)]
    found.policies["best"] = [solve(RankTarget(n), engine="bnb") for n in range(TARGETS)]
    found.policies["random"] = [solve(target, engine="bnb") for target in drawn]
    found.beside = solve(RankTarget(0), engine="highs", formulation="bigm")
    return found


def _facts(
    context: StudyContext, network: ReLUNetwork, fixed_inputs: _Fixed, attacked: _Attacked
) -> dict[str, Any]:
    """What is told."""
    rows = fixed_inputs.rows
    return {
        "network": network.metadata.name,
        "given": context.network is not None,
        "images": len(attacked.images),
        "fixed_images": len({row.image for row in rows}),
        "fixed_limit": rows[0].time_limit,
        "limit": attacked.beside[0].row.time_limit,
        "margin": str(MARGIN),
        **{variant: _variant_facts(rows, variant) for variant in VARIANTS},
        "sums": {
            pixels: [round(known(row.expected), 4) for row in _of(rows, pixels, "without")[::3]]
            for pixels in PIXELS
        },
        "pixels": {pixels: _pixel_facts(network, pixels) for pixels in PIXELS},
        "unproven": count_unproven(attacked.groups().values()),
        **{name: _distance_facts(group) for name, group in attacked.groups().items()},
        "printed": _printed_facts(),
    }


def _of(rows: Sequence[InferenceRow], pixels: str, variant: str) -> list[InferenceRow]:
    return [row for row in rows if (row.pixels, row.variant) == (pixels, variant)]


def _variant_facts(rows: Sequence[InferenceRow], variant: str) -> dict[str, Any]:
    """What became of a variant, by bounds."""
    found = {}
    for bounds in ("constant", "interval"):
        own = [row for row in rows if (row.variant, row.bounds) == (variant, bounds)]
        found[bounds] = {
            "programs": len(own),
            "solved": sum(row.status == Status.OPTIMAL for row in own),
            "infeasible": sum(row.status == Status.INFEASIBLE for row in own),
            "above": sum((row.bound or 0.0) > known(row.expected) * (1.0 + SAME) for row in own),
            "difference": max((row.difference or 0.0 for row in own), default=0.0),
            "seconds": round(max(known(row.seconds) for row in own), 2),
        }
    return found


def _pixel_facts(network: ReLUNetwork, pixels: str) -> dict[str, Any]:
    """Errors, negative logits and the trap of the bare condition, of all unchanged test images."""
    data = load_images("test")
    logits = ReLUNetwork(PIXELS[pixels](network.layers)).forward(
        data.images.reshape(len(data.images), -1)
    )
    answers = logits.argmax(axis=1)
    accepted = np.zeros(len(logits), dtype=np.bool_)
    for target in range(logits.shape[1]):
        meets = (BARE.conditions(target, logits.shape[1]).slack(logits) >= 0.0).all(axis=1)
        accepted |= meets & (answers != target)
    return {
        "images": len(logits),
        "error": round(float((answers != data.labels).mean()), 4),
        "no_negative": int((logits >= 0.0).all(axis=1).sum()),
        "all_negative": int((logits < 0.0).all(axis=1).sum()),
        "bare": int(accepted.sum()),
        "logits": [round(float(value), 3) for value in logits[0]],
    }


def _printed_facts() -> dict[str, Any]:
    """What the logs say, and what follows from them."""
    objective = known(ADM["without"].objectives)[0]
    return {
        "objectives": ADM["without"].objectives,
        "relu": known(ADM["relu"].objectives)[0],
        "with_relu": round(objective + sum(max(x, 0.0) for x in ADM_LOGITS), 4),
        "with_logits": round(objective + sum(ADM_LOGITS), 2),
        "bound": ADM["nonnegative"].bound,
        "seconds": ADM["nonnegative"].seconds[0],
        "negative": sum(x < 0.0 for x in ADM_LOGITS),
        "logits": [round(x, 3) for x in ADM_LOGITS],
    }


_ENDS = {
    "without": "without linear layer",
    "nonnegative": "logits ≥ 0",
    "relu": "ReLU on logits",
    "free": "logits free",
}


def _table(rows: Sequence[InferenceRow]) -> pd.DataFrame:
    """The first image on normalised pixels, and what was printed."""
    table = [
        {"variant": ending, **_measured(row)}
        for variant, ending in _ENDS.items()
        for row in _of(rows, "normalised", variant)
        if row.image == rows[0].image
    ]
    for variant, log in ADM.items():
        told = {
            "variant": _ENDS[variant],
            "method": "printed: Gurobi 9.5",
            "rows": count_text(log.rows),
            "columns": count_text(log.columns),
            "nonzeros": count_text(log.nonzeros),
            "binaries": count_text(log.binaries),
            "status": str(Status.OPTIMAL if log.objectives else Status.TIME_LIMIT),
            "objective": fixed(log.objectives[0], 4) if log.objectives else None,
            "bound": fixed(log.bound, 4),
            "seconds": fixed(log.seconds[0], 2),
        }
        table.append(told)
    return pd.DataFrame(table, dtype=object).fillna(DASH)


def _measured(row: InferenceRow) -> dict[str, str | None]:
    """What the table says of one program."""
    difference = row.difference
    return {
        "method": f"{row.engine}, {row.bounds} bounds",
        "rows": count_text(row.constraints),
        "columns": count_text(row.variables),
        "nonzeros": count_text(row.nonzeros),
        "binaries": count_text(row.binaries),
        "status": row.status,
        "objective": fixed(row.objective, 4),
        "bound": fixed(row.bound, 4),
        "forward pass": fixed(row.expected, 4),
        "difference": None if difference is None else f"{difference:.0e}",
        "seconds": fixed(row.seconds, 2),
    }


def _distance_facts(group: Sequence[FinishedAttack]) -> dict[str, Any]:
    """Distances found and proven of a group."""
    rows = [result.row for result in group]
    found = [known(row.distance) for row in rows if row.certified]
    bounds = [max(row.bound or 0.0, 0.0) for row in rows]
    shown = sum(max(row.bound or 0.0, 0.0) for row in rows if row.certified)
    return {
        "problems": len(rows),
        "found": len(found),
        "proven": sum(row.status == Status.OPTIMAL for row in rows),
        "mean": round(statistics.fmean(found), 4) if found else None,
        "deviation": round(statistics.stdev(found), 4) if len(found) > 1 else None,
        "bound": round(statistics.fmean(bounds), 4) if bounds else None,
        "share": round(shown / sum(found), 4) if sum(found) > 0.0 else None,
        "seconds": round(statistics.fmean(row.seconds or 0.0 for row in rows), 1),
    }


def _distance_table(attacked: _Attacked) -> pd.DataFrame:
    """A line for each group."""
    rows = []
    for name, group in attacked.groups().items():
        found = _distance_facts(group)
        rows.append(
            {
                "targets": name,
                "problems": str(found["problems"]),
                "found": str(found["found"]),
                "proven": str(found["proven"]),
                "mean distance": fixed(found["mean"], 4),
                "deviation": fixed(found["deviation"], 4),
                "mean bound": fixed(found["bound"], 4),
                "mean seconds": fixed(found["seconds"], 1),
            }
        )
    return pd.DataFrame(rows, dtype=object)


def _distance_rows(attacked: _Attacked) -> pd.DataFrame:
    """Every problem on a line of its own."""
    parts = [
        row_table(group, policy=f"{policy}-{number}")
        for policy, groups in attacked.policies.items()
        for number, group in enumerate(groups, start=1)
    ]
    rows = pd.concat([*parts, row_table(attacked.beside, policy="best-1")])
    names = ["image", "label", "policy", "target", "engine", "status", "distance", "bound"]
    places = {"distance": 6, "bound": 6, "seconds": 1}
    return printed(rows[[*names, "predicted", "seconds"]], places)


def _maps(network: ReLUNetwork, fixed_inputs: _Fixed) -> Figure | None:
    """The feature maps of the first program that was solved with free logits."""
    convolutions = [layer for layer in network.layers[:-1] if isinstance(layer, Conv2d)]
    if len(convolutions) != len(network.layers) - 1:
        return None
    for unit, result in zip(fixed_inputs.units, fixed_inputs.finished, strict=True):
        if unit.variant == "free" and result.image is not None:
            before = unit.network(network).pre_activations(unit.instance.image)
            true = [np.maximum(values, 0.0) for values in before[: len(convolutions)]]
            ends = np.cumsum([values.size for values in true])[:-1]
            shapes = [(len(layer.bias), *layer.windows.output_sides) for layer in convolutions]
            parts = np.split(np.ravel(result.image), ends)
            return feature_map_figure(
                [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)],
                [part.reshape(shape) for part, shape in zip(true, shapes, strict=True)],
            )
    return None


def _pictures(attacked: _Attacked) -> Figure | None:
    """The nearest image of the best target of each image."""
    best = zip(attacked.images, attacked.policies["best"][0], strict=True)
    if not (shown := [pair for pair in best if pair[1].row.certified]):
        return None
    images, results = (list(each) for each in zip(*shown, strict=True))
    words = [f"bound {max(result.row.bound or 0.0, 0.0):.3g}" for result in results]
    return perturbations(images, results, Norm.L1, words)


def _more(_data: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """By how much the printed sums exceed those of the network on normalised pixels."""
    own = facts["sums"]["normalised"]
    printed = facts["printed"]["objectives"]
    return {"ratios": [theirs / mine for theirs, mine in zip(printed, own, strict=False)]}


STUDY = Study(NAME, run, more=_more, any_network=True, minutes=15)
