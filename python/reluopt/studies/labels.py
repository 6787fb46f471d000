"""Table 1 of Linkola (2023): what the network answers before and after.

The images are those of the study ``adversarial``, whose rows are read, and completed if need be;
answers and leads are computed here from the pixels by the forward pass.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.problems import Norm
from reluopt.runs.tables import fixed
from reluopt.studies import adversarial
from reluopt.studies.adversarial import NearestImages, nearest_images
from reluopt.studies.base import Study, StudyContext, StudyFolder, StudyResult
from reluopt.studies.digits import NETWORK, answer_and_lead
from reluopt.studies.solved import MARGIN, NORMS, TARGET

NAME = "labels"

ORIGINAL = "original"
"""Column of the answers for the digits themselves."""


def run(context: StudyContext) -> StudyResult:
    """Ask the network about every digit and its nearest images."""
    folder = StudyFolder(context, NAME)
    table = _table(nearest_images(StudyFolder(context, adversarial.NAME)))
    facts = {
        "network": NETWORK,
        "seed": context.seed,
        "images": len(table),
        "least_lead": MARGIN.strict_gap,
        "correct": int((table[ORIGINAL] == table["label"]).sum()),
        **{str(norm): int((table[_heading(norm)] == table["target"]).sum()) for norm in NORMS},
    }
    folder.table(NAME, table, facts)
    return folder.finish(facts, complete=context.limit is None)


def _heading(norm: Norm) -> str:
    """Column of the answers for the nearest images in ``norm``."""
    return f"{str(norm).upper()} image"


def _table(nearest: NearestImages) -> pd.DataFrame:
    """One row for each digit: label, target, and answer and lead for three images."""
    rows = []
    for place, instance in enumerate(nearest.instances):
        logits = nearest.network.forward(instance.image)
        row: dict[str, Any] = {
            "image": instance.key,
            "label": instance.label,
            "target": TARGET.candidates(instance.label, logits)[0],
            **_answer(nearest.network, instance.image, ORIGINAL),
        }
        for norm, results in nearest.finished.items():
            row |= _answer(nearest.network, results[place].image, _heading(norm))
        rows.append(row)
    return pd.DataFrame(rows, dtype=object)


def _answer(network: ReLUNetwork, image: FloatArray | None, heading: str) -> dict[str, Any]:
    """Answer and lead for one image; None for both where there is no image."""
    answer, lead = (None, None) if image is None else answer_and_lead(network, image)
    return {heading: answer, f"{heading} lead": fixed(lead, 4)}


STUDY = Study(NAME, run)
