"""Are decision trees and random forests as fragile as networks? Their exact nearest images.

The last question of *Adversarial DNN and ILP* (CTU Prague, 2022). Trees are fitted to the bundled
training images, as they are or in black and white.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from reluopt.answers.solution import Status
from reluopt.figures import distribution_figure, perturbation_figure
from reluopt.forests.forest import Forest, Values, sklearn_classes
from reluopt.images.mnist import load_images
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.zoo import load_bundled
from reluopt.questions.problems import AbsoluteMargin, AnyTarget, Norm
from reluopt.runs.attack import AttackJob, AttackSettings
from reluopt.runs.forest import ForestJob
from reluopt.runs.instances import Instance, load_instances
from reluopt.runs.row import known
from reluopt.runs.tables import DASH, fixed
from reluopt.studies.base import (
    Study,
    StudyContext,
    StudyFolder,
    StudyResult,
    read_facts,
    read_table,
)
from reluopt.studies.solved import FinishedAttack, is_proven, median, row_table
from reluopt.studies.words import count_text, share_text

NAME = "shallow"

NETWORKS = ("thesis", "ctu")
MARGIN = AbsoluteMargin(1e-4)
"""How networks are asked: misclassified at all."""

NORMS = (Norm.L1, Norm.LINF)
FLOATS, GREYS = Values(), Values(255)
"""What inputs may be: any float32, or what a picture of 8 bits can hold."""

REDUCED, COMPLETE = 2, 10
"""Images: the first ones that all models recognise."""

LIMIT, FEW_LIMIT = 60.0, 5.0
"""Seconds for each problem."""


@dataclass(frozen=True)
class Model:
    """What is fitted.

    Attributes:
        trees: number of them; one means a decision tree.
        depth: of the deepest leaf; None for any.
        two_levels: whether the training images are made black and white first, at one half.
        greys: whether its nearest images in grey levels are asked for, too.
        large: whether a first look leaves it out.
    """

    trees: int
    depth: int | None
    two_levels: bool = False
    greys: bool = True
    large: bool = False

    def fitted(self, name: str) -> Forest:
        """The forest, by scikit-learn with seed 0."""
        tree, forest = sklearn_classes()
        data = load_images("train")
        pixels = data.images.reshape(len(data.images), -1).astype(np.float32)
        if self.two_levels:
            pixels = (pixels >= 0.5).astype(np.float32)
        how: dict[str, Any] = {"max_depth": self.depth, "random_state": 0}
        model = tree(**how) if self.trees == 1 else forest(self.trees, **how)
        return Forest.of(model.fit(pixels, data.labels), name)


MODELS = {
    "tree": Model(1, None),
    "10 trees": Model(10, 8),
    "100 trees": Model(100, 8, greys=False, large=True),
    "tree, two levels": Model(1, None, two_levels=True, greys=False),
    "10 trees, two levels": Model(10, 8, two_levels=True, greys=False),
}

Answers = Mapping[tuple[str, Norm, Values], Sequence[FinishedAttack]]
"""By model, norm and values."""


def run(context: StudyContext) -> StudyResult:
    """Fit, find the nearest images of every model, and compare."""
    folder = StudyFolder(context, NAME)
    forests = {n: each.fitted(n) for n, each in MODELS.items() if context.full or not each.large}
    networks = {name: load_bundled(name) for name in NETWORKS}
    images = _recognised([*forests.values(), *networks.values()], context)
    answers = _solve(folder, forests, networks, images)
    models = _facts(forests, networks, answers)
    facts = {
        "images": len(images),
        "keys": [image.key for image in images],
        "seen": len(load_images("train").images),
        "limit": context.method(_limit(context)).options.time_limit,
        "scikit-learn": version("scikit-learn"),
        "models": models,
        "problems": sum(len(each) for each in answers.values()),
        "unproven": sum(not is_proven(each) for group in answers.values() for each in group),
    }
    tables = [row_table(each, values=str(key[2])) for key, each in answers.items()]
    rows = pd.concat(tables, ignore_index=True)
    folder.figure(NAME, _distances(rows, models))
    folder.figure(f"{NAME}-pictures", _pictures(images[0], answers))
    folder.table(NAME, _table(models), facts)
    folder.table(f"{NAME}-rows", rows)
    complete = context.full and context.limit is None and context.time_limit is None
    return folder.finish(facts, complete=complete)


def _limit(context: StudyContext) -> float:
    return LIMIT if context.full else FEW_LIMIT


def _recognised(models: Iterable[Forest | ReLUNetwork], context: StudyContext) -> list[Instance]:
    """The first test images that all models recognise."""
    data = load_images("test")
    pixels = data.images.reshape(len(data.images), -1)
    right = np.all([model.predict(pixels) == data.labels for model in models], axis=0)
    count = context.count(REDUCED, COMPLETE)
    chosen = ",".join(map(str, np.flatnonzero(right)[:count]))
    return load_instances(load_bundled(NETWORKS[0]), [f"test:{chosen}"])


def _solve(
    folder: StudyFolder,
    forests: Mapping[str, Forest],
    networks: Mapping[str, ReLUNetwork],
    images: Sequence[Instance],
) -> Answers:
    """The nearest images of all models."""
    context, found = folder.context, {}
    limit = _limit(context)
    executor = context.executor() if context.full else None  # processes start longer than a look
    method, own = context.method(limit, engine="highs"), context.method(limit)
    for name, forest in forests.items():
        for norm in NORMS:
            for values in (FLOATS, GREYS) if MODELS[name].greys else (FLOATS,):
                job = ForestJob(forest, norm, values, "highs", method.options)
                stage = f"{name} {norm} {values} {method.options.time_limit:g}s"
                stage = stage.replace(",", "").replace(" ", "-")
                found[name, norm, values] = folder.run(stage, job, images, method, executor)
    for name, network in networks.items():
        for norm in NORMS:
            settings = AttackSettings(AnyTarget(), norm, MARGIN, own)
            stage = f"{name}-{norm}-{own.options.time_limit:g}s"
            job_ = AttackJob(network, settings)
            found[name, norm, FLOATS] = folder.run(stage, job_, images, own, executor)
    return found


def _facts(
    forests: Mapping[str, Forest], networks: Mapping[str, ReLUNetwork], answers: Answers
) -> dict[str, Any]:
    """Of each model its accuracy, size and distances."""
    data = load_images("test")
    pixels = data.images.reshape(len(data.images), -1)
    told: dict[str, Any] = {}
    models: dict[str, Forest | ReLUNetwork] = {**forests, **networks}
    for name, model in models.items():
        leaves = None
        if isinstance(model, Forest):
            leaves = int(sum(tree.n_leaves for tree in model.trees))
        told[name] = {
            "accuracy": round(float((model.predict(pixels) == data.labels).mean()), 4),
            "leaves": leaves,
            "distances": {
                f"{norm} {values}": _summary(each)
                for (whose, norm, values), each in answers.items()
                if whose == name
            },
        }
    return told


def _least(group: Sequence[FinishedAttack]) -> list[float]:
    """Distances; what is not proven counts with its bound, infinite where nothing is nearest."""

    def least(each: FinishedAttack) -> float:
        if each.row.status == str(Status.INFEASIBLE):
            return math.inf
        return known(each.row.distance) if is_proven(each) else max(each.row.bound or 0.0, 0.0)

    return [least(each) for each in group]


def _summary(group: Sequence[FinishedAttack]) -> dict[str, Any]:
    """Distances of a group; the median is one of bounds where not all are proven."""
    proven, least = sum(is_proven(each) for each in group), _least(group)
    return {
        "proven": proven,
        "problems": len(group),
        "found": sum(each.row.certified for each in group),
        "median": median(least),
        "relation": "" if proven == len(group) else "≥ ",
        "smallest": min(least),
        "seconds": round(known(median(each.row.seconds or 0.0 for each in group)), 1),
    }


def _table(models: Mapping[str, Any]) -> pd.DataFrame:
    """A line for each model."""
    asked = {
        "L1, median": f"{Norm.L1} {FLOATS}",
        "in grey levels": f"{Norm.L1} {GREYS}",
        "Linf, median": f"{Norm.LINF} {FLOATS}",
        "in grey levels ": f"{Norm.LINF} {GREYS}",
    }
    rows = []
    for name, told in models.items():
        groups = told["distances"]
        proven = sum(each["proven"] for each in groups.values())
        row = {
            "model": name,
            "accuracy": share_text(told["accuracy"], 1),
            "leaves": count_text(told["leaves"]),
            "proven": f"{proven} of {sum(each['problems'] for each in groups.values())}",
        }
        for title, key in asked.items():
            found = groups.get(key)
            row[title] = found and found["relation"] + str(fixed(found["median"], 4))
        rows.append(row)
    return pd.DataFrame(rows, dtype=object).fillna(DASH)


def _distances(rows: pd.DataFrame, models: Iterable[str]) -> Figure:
    """Distances of all models where inputs may be any float32, or their bounds."""
    proven = rows["status"] == str(Status.OPTIMAL)
    bounds = rows["bound"].astype(float).clip(lower=0.0)
    least = rows["distance"].astype(float).where(proven, bounds)
    least = least.where(rows["status"] != str(Status.INFEASIBLE), math.inf)

    def of(values: pd.Series[Any]) -> dict[str, dict[str, pd.Series[Any]]]:
        return {
            str(norm): {
                name: values[
                    (rows["network"] == name)
                    & (rows["norm"] == str(norm))
                    & (rows["values"] == str(FLOATS))
                ]
                for name in models
            }
            for norm in NORMS
        }

    return distribution_figure(of(least), of(~proven))


def _redraw(folder: StudyFolder, data: Path) -> None:
    models = read_facts(data, NAME)["models"]
    folder.figure(NAME, _distances(read_table(data, f"{NAME}-rows"), models))


def _pictures(image: Instance, answers: Answers) -> Figure:
    """The nearest images of one image in L1, by every model."""
    shown = {
        name: group[0]
        for (name, norm, values), group in answers.items()
        if norm is Norm.L1 and values == FLOATS and group[0].row.certified
    }
    return perturbation_figure(
        [image.image] * len(shown),
        [np.ravel(known(each.image)) for each in shown.values()],
        labels=[image.label] * len(shown),
        predicted_original=[image.label] * len(shown),
        predicted_changed=[known(each.row.predicted) for each in shown.values()],
        distances=[known(each.row.distance) for each in shown.values()],
        norm=str(Norm.L1),
        proven=list(shown),
    )


STUDY = Study(NAME, run, _redraw, minutes=12)
