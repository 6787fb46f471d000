"""How many optima of the bare condition ``x_t >= 1.2 x_j`` do not fool the network.

The thesis asks for no more than this ratio. Where the logits are negative it admits ``x_t < x_j``:
-1.1 is more than 1.2 times -1. Such an image is optimal, and the network does not answer t.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from reluopt.answers.solution import Status
from reluopt.figures import lead_figure, logit_figure
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.zoo import load_bundled
from reluopt.questions.problems import (
    STRICT_GAP,
    BareRelativeMargin,
    Norm,
)
from reluopt.runs.instances import Instance
from reluopt.runs.row import known
from reluopt.runs.tables import fixed
from reluopt.studies.base import Study, StudyContext, StudyFolder, StudyResult
from reluopt.studies.solved import (
    MARGIN,
    NORMS,
    TARGET,
    FinishedAttack,
    image_index,
    is_proven,
    printed,
    recognised_images,
    row_table,
)
from reluopt.studies.words import share_text

NAME = "bare"
REDUCED = {"thesis": 5}
COMPLETE = {"thesis": 200, "thesis-96": 100, "dnn2": 50, "ctu": 50, "dnn3": 20}
"""Networks and numbers of images; fewer where proofs take longer."""

FRACTION = MARGIN.fraction
TIME_LIMIT = 30.0
"""Seconds for one problem; some of ``dnn3`` are not settled in it, and counted as open."""


@dataclass(frozen=True, eq=False)
class Part:
    """One network in one norm.

    Attributes:
        network: the network.
        norm: the norm.
        images: the images.
        bare: the answers to the bare condition.
        true: the answers with the target strictly ahead, by image, where the bare optimum fools
            nobody.
    """

    network: ReLUNetwork
    norm: Norm
    images: Sequence[Instance]
    bare: Sequence[FinishedAttack]
    true: Mapping[str, FinishedAttack]

    @property
    def name(self) -> str:
        """Name of the network."""
        return str(self.network.metadata.name)


def is_optimum(result: FinishedAttack, gap: float) -> bool:
    """Whether the row is a proven optimum of the bare condition, adversarial or not."""
    if not fools_nobody(result):
        return is_proven(result)
    own = result.row.gap
    return own is not None and float(own) <= gap


def fools_nobody(result: FinishedAttack) -> bool:
    """Whether the network does not classify the answer as the target."""
    return bool(result.row.status == Status.NOT_ADVERSARIAL)


def run(context: StudyContext) -> StudyResult:
    """Solve the bare condition on several networks, and the true one where it fools nobody."""
    folder = StudyFolder(context, NAME)
    counts = COMPLETE if context.full else REDUCED
    parts = []
    for name, count in counts.items():
        network = load_bundled(name)
        images = recognised_images(network, context.count(count, count))
        parts += [_solve(folder, network, images, norm) for norm in NORMS]
    gap = context.method().options.gap
    example = _example(parts[0], gap)
    facts: dict[str, Any] = {
        "target": str(TARGET),
        "ratio": 1.0 + FRACTION,
        "parts": [_facts(part, gap) for part in parts],
        "example": example,
    }
    folder.figure(NAME, _leads(parts, gap))
    if example is not None:
        folder.figure(f"{NAME}-example", _example_figure(parts[0], example))
    folder.table(NAME, pd.DataFrame(map(_line, facts["parts"]), dtype=object), facts)
    folder.table(f"{NAME}-rows", pd.concat(map(_rows, parts)))
    whole = context.full and all(len(part.images) == COMPLETE[part.name] for part in parts)
    return folder.finish(facts, complete=whole)


def _solve(
    folder: StudyFolder, network: ReLUNetwork, images: Sequence[Instance], norm: Norm
) -> Part:
    """Both conditions for one network and norm."""
    name = f"{network.metadata.name}-{norm}"
    asked = BareRelativeMargin(FRACTION)
    bare = folder.solve(f"{name}-bare", network, images, norm, asked, TARGET, time_limit=TIME_LIMIT)
    wrong = [image for image, result in zip(images, bare, strict=True) if fools_nobody(result)]
    if not wrong:
        return Part(network, norm, images, bare, {})
    true = folder.solve(f"{name}-x1.2", network, wrong, norm, MARGIN, TARGET, time_limit=TIME_LIMIT)
    return Part(network, norm, images, bare, {r.row.image: r for r in true})


def _facts(part: Part, gap: float) -> dict[str, Any]:
    """What is told about one network and norm."""
    optima = [result for result in part.bare if is_optimum(result, gap)]
    wrong = [result for result in optima if fools_nobody(result)]
    leads = [known(result.row.margin) for result in wrong]
    unchanged = sum(r.row.original_predicted in _foremost(part, r) for r in wrong)
    farther = [
        known(true.row.distance) / known(result.row.distance) - 1.0
        for result in wrong
        if is_proven(true := part.true[result.row.image])
    ]
    logits = [part.network.forward(r.image.ravel()).max() for r in wrong if r.image is not None]
    return {
        "network": part.name,
        "norm": str(part.norm),
        "images": len(part.images),
        "last_image": image_index(part.images[-1]),
        "optima": len(optima),
        "fool_nobody": len(wrong),
        "same_answer": unchanged,
        "all_negative": sum(float(value) < 0.0 for value in logits),
        "median_lead": round(float(np.median(leads)), 4) if leads else None,
        "lowest_lead": round(min(leads), 4) if leads else None,
        "true_optima": len(farther),
        "median_farther": round(float(np.median(farther)), 6) if farther else None,
        "largest_farther": round(max(farther), 6) if farther else None,
    }


def _foremost(part: Part, result: FinishedAttack) -> list[int]:
    """Labels whose logits are the largest, or level with it by less than the strict gap.

    Many optima lie where several labels tie. Which of them is ahead by some 1e-12 differs from one
    machine to the next.
    """
    if result.image is None:
        return []
    logits = part.network.forward(np.ravel(result.image))
    return [int(label) for label in np.flatnonzero(logits > logits.max() - STRICT_GAP)]


def _line(told: Mapping[str, Any]) -> dict[str, Any]:
    """Facts as a line of the table."""
    share = told["fool_nobody"] / told["optima"] if told["optima"] else None
    return {
        "network": told["network"],
        "norm": told["norm"].upper(),
        "images": told["images"],
        "optima": told["optima"],
        "fool nobody": told["fool_nobody"],
        "share": share_text(share),
        "still the old label": told["same_answer"],
        "median lead": fixed(told["median_lead"], 3),
        "median farther": share_text(told["median_farther"], 2),
        "largest farther": share_text(told["largest_farther"], 2),
    }


def _rows(part: Part) -> pd.DataFrame:
    """Every image on a line of its own."""
    rows = row_table(part.bare, network=part.name, norm=str(part.norm))
    rows = rows.assign(foremost=[" ".join(map(str, _foremost(part, r))) for r in part.bare])
    true = [part.true.get(str(key)) for key in rows["image"]]
    for name in ("status", "distance"):
        values = [None if result is None else result.row.get(name) for result in true]
        rows[f"true_{name}"] = pd.Series(values, dtype=object)
    places = {"distance": 6, "margin": 6, "true_distance": 6}
    names = ["network", "norm", "image", "label", "target", "status", "distance", "margin",
             "foremost", "true_status", "true_distance"]  # fmt: skip
    return printed(rows, places)[names].rename(columns={"margin": "lead"})


def _leads(parts: Sequence[Part], gap: float) -> Figure | None:
    """A strip for each network, a panel for each norm."""
    panels: dict[str, dict[str, list[float]]] = {}
    for part in parts:
        leads = [known(r.row.margin) for r in part.bare if is_optimum(r, gap)]
        panels.setdefault(str(part.norm), {})[part.name] = leads
    return lead_figure(panels) if any(any(p.values()) for p in panels.values()) else None


def _example(part: Part, gap: float) -> dict[str, Any] | None:
    """The proven optimum that is farthest from fooling the network; None when all do."""
    wrong = [r for r in part.bare if is_optimum(r, gap) and fools_nobody(r) and r.image is not None]
    if not wrong:
        return None
    chosen = min(wrong, key=lambda result: known(result.row.margin))
    row, true = chosen.row, part.true[chosen.row.image]
    logits = part.network.forward(np.ravel(np.asarray(chosen.image)))
    return {
        "image": row.image,
        "label": row.label,
        "target": known(row.target),
        "answer": known(row.predicted),
        "distance": round(known(row.distance), 4),
        "true_distance": round(known(true.row.distance), 4) if is_proven(true) else None,
        "logits": [round(float(value), 4) for value in logits],
    }


def _example_figure(part: Part, example: Mapping[str, Any]) -> Figure:
    """The picture of the example, with its logits."""
    place = next(n for n, image in enumerate(part.images) if image.key == example["image"])
    changed = np.asarray(part.bare[place].image)
    original = part.images[place].image.reshape(changed.shape)
    logits = part.network.forward(changed.ravel())
    return logit_figure(original, changed, logits, example["target"], 1.0 + FRACTION)


STUDY = Study(NAME, run, more=lambda _data, _facts: {"strict_gap": STRICT_GAP}, minutes=3)
