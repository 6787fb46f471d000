"""Figure 2 of Linkola (2023): the input that maximises each logit, and how it is classified."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from reluopt.networks.zoo import load_bundled
from reluopt.runs.drawing import ideal_figure
from reluopt.runs.ideal import IdealJob, LabelUnit
from reluopt.runs.job import Finished
from reluopt.studies.base import Study, StudyContext, StudyFolder, StudyResult
from reluopt.studies.digits import NETWORK
from reluopt.studies.solved import is_proven, printed, row_table

NAME = "optimal-inputs"

GAP = 1e-4
"""Relative gap: the last hundredth of a percent of a logit costs most of the time, and nobody can
see it."""

TIME_LIMIT = 300.0
"""Seconds for one label; the hardest takes about ten on one core."""

_SHOWN = {
    "label": "label",
    "status": "status",
    "objective": "logit",
    "bound": "bound",
    "predicted": "classified as",
    "margin": "lead",
}
"""Columns of the table: results, not timings."""


def run(context: StudyContext) -> StudyResult:
    """Maximise each logit over all images."""
    folder = StudyFolder(context, NAME)
    network = load_bundled(NETWORK)
    method = context.method(TIME_LIMIT)
    experiment = IdealJob(network, replace(method, options=replace(method.options, gap=GAP)))
    labels = [LabelUnit(label) for label in range(network.output_size)[: context.limit]]
    finished = folder.run("logits", experiment, labels, experiment.method, context.executor())
    facts = _facts(finished, context.seed)
    places = {"objective": 4, "bound": 4, "predicted": 0, "margin": 4}
    table = printed(row_table(finished).reindex(columns=list(_SHOWN)), places)
    folder.figure(NAME, ideal_figure(network, finished))
    folder.table(NAME, table.rename(columns=_SHOWN), facts)
    return folder.finish(facts, complete=context.limit is None)


def _facts(finished: Sequence[Finished], seed: int) -> dict[str, Any]:
    """What came out."""
    shown = [result.row for result in finished if result.image is not None]
    logits = [round(float(row.objective), 4) for row in shown]
    return {
        "network": NETWORK,
        "seed": seed,
        "images": len(finished),
        "gap": GAP,
        "proven": sum(map(is_proven, finished)),
        "found": len(shown),
        "own": sum(row.predicted == row.label for row in shown),
        "others": [
            {"label": int(row.label), "classified_as": int(row.predicted)}
            for row in shown
            if row.predicted != row.label
        ],
        "largest_logit": max(logits, default=None),
        "smallest_logit": min(logits, default=None),
    }


STUDY = Study(NAME, run)
