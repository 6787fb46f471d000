"""Figures 3 and 4 of Linkola (2023): the nearest images of another class, L1 and L2.

For each of the ten digits the smallest change that makes the network answer ``(label + 5) mod 10``
with a margin of 1.2. The differences are inverted: what changes stands on white.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from reluopt.networks.network import ReLUNetwork
from reluopt.questions.problems import Norm
from reluopt.runs.drawing import attack_figure
from reluopt.runs.instances import Instance
from reluopt.runs.row import known
from reluopt.studies.base import Study, StudyContext, StudyFolder, StudyResult
from reluopt.studies.digits import NETWORK, thesis_digits
from reluopt.studies.solved import (
    MARGIN,
    NORMS,
    TARGET,
    FinishedAttack,
    finite,
    is_proven,
    median,
    printed,
    row_table,
)

NAME = "adversarial"

TABLE_COLUMNS = (
    "image",
    "label",
    "target",
    "norm",
    "status",
    "distance",
    "distance_bound",
    "gap",
    "predicted",
    "margin",
    "certified",
)
"""What the published table shows: results, not timings, which differ from machine to machine."""


@dataclass(frozen=True)
class NearestImages:
    """The ten digits and their nearest images of the target class.

    Attributes:
        network: the network.
        instances: the digits.
        finished: for each norm one result for each digit, in their order.
    """

    network: ReLUNetwork
    instances: Sequence[Instance]
    finished: dict[Norm, list[FinishedAttack]]


def nearest_images(folder: StudyFolder) -> NearestImages:
    """Solve, or take up from earlier, both norms for all digits.

    Args:
        folder: this study's folder; other studies that read its rows open the same one.
    """
    network, instances = thesis_digits(folder.context)
    finished = {n: folder.solve(str(n), network, instances, n, MARGIN, TARGET) for n in NORMS}
    return NearestImages(network, instances, finished)


def run(context: StudyContext) -> StudyResult:
    """Nearest images, their figures and their table."""
    folder = StudyFolder(context, NAME)
    nearest = nearest_images(folder)
    facts = {
        "network": NETWORK,
        "seed": context.seed,
        "images": len(nearest.instances),
        "target": str(TARGET),
        "margin": str(MARGIN),
        **{str(norm): _facts(results) for norm, results in nearest.finished.items()},
    }
    for norm, results in nearest.finished.items():
        drawn = attack_figure(nearest.network, nearest.instances, results, norm)
        folder.figure(f"{NAME}-{norm}", drawn)
    table = pd.concat([_table(results, norm) for norm, results in nearest.finished.items()])
    folder.table(NAME, table, facts)
    return folder.finish(facts, complete=context.limit is None)


def _table(results: Sequence[FinishedAttack], norm: Norm) -> pd.DataFrame:
    """One row for each digit, without timings."""
    rows = row_table(results)
    rows["distance_bound"] = [
        b if b is None else norm.distance_of(max(b, 0.0)) for b in rows["bound"]
    ]
    rows["gap"] = [gap if gap is None else f"{gap:.0e}" for gap in rows["gap"]]
    places = {"distance": 6, "distance_bound": 6, "predicted": 0, "margin": 6}
    return printed(rows, places)[list(TABLE_COLUMNS)]


def _facts(results: Sequence[FinishedAttack]) -> dict[str, Any]:
    """How many, and how far."""
    distances = finite(known(r.row.distance) for r in results if r.row.certified)
    return {
        "proven": sum(map(is_proven, results)),
        "adversarial": len(distances),
        "smallest": min(distances, default=None),
        "median": median(distances),
        "largest": max(distances, default=None),
    }


STUDY = Study(NAME, run, minutes=2)
