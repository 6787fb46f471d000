"""Figures 3 and 4 of Linkola (2023): the nearest images of another class, L1 and L2.

For each of the ten digits the smallest change that makes the network answer ``(label + 5) mod 10``
with a margin of 1.2. The differences are inverted: what changes stands on white.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from reluopt.answers.solution import Status
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.problems import Norm, RelativeMargin, ShiftTarget
from reluopt.runs.attack import AttackSettings, Finished
from reluopt.runs.drawing import attack_figure
from reluopt.runs.instances import Instance
from reluopt.runs.tables import fixed
from reluopt.studies import STUDIES
from reluopt.studies.base import (
    Study,
    StudyContext,
    StudyFolder,
    StudyResult,
    read_facts,
)
from reluopt.studies.digits import NETWORK, thesis_digits

NAME = "adversarial"

NORMS = (Norm.L1, Norm.L2)
TARGET = ShiftTarget(5)
MARGIN = RelativeMargin(0.2)

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
    finished: dict[Norm, list[Finished]]


def nearest_images(folder: StudyFolder) -> NearestImages:
    """Solve, or take up from earlier, both norms for all digits.

    Args:
        folder: this study's folder; other studies that read its rows open the same one.
    """
    network, instances = thesis_digits(folder.context)
    finished = {
        norm: folder.solve(
            str(norm),
            network,
            instances,
            AttackSettings(TARGET, norm, MARGIN, folder.context.method()),
        )
        for norm in NORMS
    }
    return NearestImages(network, instances, finished)


def run(context: StudyContext) -> StudyResult:
    """Nearest images, their figures and their table."""
    folder = StudyFolder(context, NAME)
    nearest = nearest_images(folder)
    for norm, results in nearest.finished.items():
        drawn = attack_figure(nearest.network, nearest.instances, results, norm)
        folder.figure(f"{NAME}-{norm}", drawn)
    table = result_table(nearest.finished)
    folder.table(NAME, table, "Smallest changes towards (label + 5) mod 10 with a margin of 1.2.")
    facts = {
        "network": NETWORK,
        "seed": context.seed,
        "images": len(nearest.instances),
        "target": str(TARGET),
        "margin": str(MARGIN),
        **{str(norm): _facts(results) for norm, results in nearest.finished.items()},
    }
    lines = [_sentence(facts, str(norm)) for norm in NORMS]
    return folder.finish(facts, lines, complete=context.limit is None)


def result_table(finished: dict[Norm, list[Finished]]) -> pd.DataFrame:
    """One row for each digit and norm, without timings."""
    rows = []
    for norm, results in finished.items():
        for result in results:
            bound, gap = result.row.get("bound"), result.row.get("gap")
            told = {
                "distance": fixed(result.row.get("distance"), 6),
                "distance_bound": None
                if bound is None
                else fixed(norm.distance_of(max(bound, 0.0)), 6),
                "gap": None if gap is None else f"{gap:.0e}",
                "predicted": fixed(result.row.get("predicted"), 0),
                "margin": fixed(result.row.get("margin"), 6),
            }
            rows.append({**result.row, **told})
    return pd.DataFrame(rows, columns=list(TABLE_COLUMNS), dtype=object)


def _facts(results: Sequence[Finished]) -> dict[str, Any]:
    """How many, and how far."""
    rows = [result.row for result in results]
    distances = [round(float(row["distance"]), 6) for row in rows if row["certified"]]
    return {
        "proven": sum(row["status"] == Status.OPTIMAL for row in rows),
        "adversarial": len(distances),
        "smallest": min(distances, default=None),
        "median": statistics.median(distances) if distances else None,
        "largest": max(distances, default=None),
    }


def _sentence(facts: Mapping[str, Any], norm: str) -> str:
    """The facts of one norm in words."""
    found = facts[norm]
    text = (
        f"{norm.upper()}: {found['proven']} of {facts['images']} nearest images proven, "
        f"{found['adversarial']} checked adversarial"
    )
    if not found["adversarial"]:
        return text
    return (
        f"{text}, at distances from {found['smallest']:#.3g} to {found['largest']:#.3g} "
        f"(median {found['median']:#.3g})"
    )


def readme(data: Path) -> str:
    """Both figures."""
    facts = read_facts(data, NAME)
    pictures = "\n\n".join(
        f"![Digits, nearest {norm.upper()} images, and differences](figures/{NAME}-{norm}.png)"
        for norm in map(str, NORMS)
    )
    return f"""### Nearest images of another class (Figures 3 and 4)

{". ".join(_sentence(facts, str(norm)) for norm in NORMS)}.

{pictures}

*The digits, the nearest images that `{facts["network"]}` classifies as (digit + 5) mod 10 with a
margin of 1.2, and the differences on white (red brighter, blue darker), in the L1 norm above and
the L2 norm below.*

    reluopt experiment {NAME}
"""


STUDY = Study(NAME, STUDIES[NAME], run, readme)
