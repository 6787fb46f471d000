"""Figure 2 of Linkola (2023): the input that maximises each logit, and how it is classified."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from reluopt.answers.solution import Status
from reluopt.networks.zoo import load_bundled
from reluopt.runs.drawing import ideal_figure
from reluopt.runs.ideal import IdealJob, LabelUnit
from reluopt.runs.runner import Finished
from reluopt.runs.tables import fixed
from reluopt.studies import STUDIES
from reluopt.studies.base import (
    Study,
    StudyContext,
    StudyFolder,
    StudyResult,
    read_facts,
)
from reluopt.studies.digits import NETWORK

NAME = "optimal-inputs"

GAP = 1e-4
"""Relative gap: the last hundredth of a percent of a logit costs most of the time, and nobody can
see it."""

TIME_LIMIT = 300.0
"""Seconds for one label; the hardest takes about ten on one core."""


def run(context: StudyContext) -> StudyResult:
    """Maximise each logit over all images."""
    folder = StudyFolder(context, NAME)
    network = load_bundled(NETWORK)
    method = context.method(TIME_LIMIT)
    experiment = IdealJob(network, replace(method, options=replace(method.options, gap=GAP)))
    labels = [LabelUnit(label) for label in range(network.output_size)[: context.limit]]
    finished = folder.run("logits", experiment, labels, experiment.method, context.executor())
    folder.figure(NAME, ideal_figure(finished))
    folder.table(
        NAME, _table(finished), "The largest value of each logit, and how its input is classified."
    )
    facts = _facts(finished, context.seed)
    return folder.finish(facts, [_sentence(facts)], complete=context.limit is None)


def _table(finished: list[Finished]) -> pd.DataFrame:
    """One row for each label, without timings."""
    rows = [
        {
            "label": row["label"],
            "status": row["status"],
            "logit": fixed(row.get("objective"), 4),
            "bound": fixed(row.get("bound"), 4),
            "classified as": fixed(row.get("predicted"), 0),
            "lead": fixed(row.get("margin"), 4),
        }
        for row in (result.row for result in finished)
    ]
    return pd.DataFrame(rows, dtype=object)


def _facts(finished: list[Finished], seed: int) -> dict[str, Any]:
    """What came out."""
    shown = [result.row for result in finished if result.image is not None]
    logits = [round(float(row["objective"]), 4) for row in shown]
    return {
        "network": NETWORK,
        "seed": seed,
        "images": len(finished),
        "gap": GAP,
        "proven": sum(result.row["status"] == Status.OPTIMAL for result in finished),
        "found": len(shown),
        "own": sum(row["predicted"] == row["label"] for row in shown),
        "others": [
            {"label": int(row["label"]), "classified_as": int(row["predicted"])}
            for row in shown
            if row["predicted"] != row["label"]
        ],
        "largest_logit": max(logits, default=None),
        "smallest_logit": min(logits, default=None),
    }


def _sentence(facts: Mapping[str, Any]) -> str:
    """The facts in words."""
    text = (
        f"{facts['proven']} of {facts['images']} maxima proven; {facts['own']} of the "
        f"{facts['found']} inputs are classified as the label whose logit they maximise"
    )
    others = [f"{other['label']} as {other['classified_as']}" for other in facts["others"]]
    return text + (f", the others not ({', '.join(others)})" if others else "")


def readme(data: Path) -> str:
    """What the network's ideals are classified as."""
    facts = read_facts(data, NAME)
    return f"""### Optimal inputs (Figure 2)

{_sentence(facts)}.

![For each label the image that makes its logit largest](figures/{NAME}.png)

*The image in [0, 1] that makes each logit of `{facts["network"]}` as large as possible, from
{facts["smallest_logit"]:.1f} to {facts["largest_logit"]:.1f}, to a relative gap of
{facts["gap"]:g}.*

    reluopt experiment {NAME}
"""


STUDY = Study(NAME, STUDIES[NAME], run, readme)
