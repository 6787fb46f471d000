"""From result rows to figures: what the pictures of a job show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from reluopt.answers.solution import Status
from reluopt.figures import optimal_input_figure, perturbation_figure
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.problems import Norm
from reluopt.runs.instances import Instance
from reluopt.runs.job import Finished
from reluopt.runs.row import AttackRow, IdealRow, known


def attack_figure(
    network: ReLUNetwork,
    instances: Sequence[Instance],
    finished: Sequence[Finished[AttackRow]],
    norm: Norm,
) -> Figure | None:
    """Original, answer and difference of every certified answer; None when there is none."""
    by_key = {instance.key: instance for instance in instances}
    shown = [r for r in finished if r.image is not None and bool(r.row.certified)]
    if not shown:
        return None
    originals = [by_key[str(result.row.image)].image for result in shown]
    shape = (-1, *network.input_shape)
    return perturbation_figure(
        list(np.reshape(originals, shape)),
        [result.image for result in shown],
        labels=[result.row.label for result in shown],
        predicted_original=[known(result.row.original_predicted) for result in shown],
        predicted_changed=[known(result.row.predicted) for result in shown],
        distances=[known(result.row.distance) for result in shown],
        norm=str(norm),
        proven=[_proof(result.row) for result in shown],
    )


def _proof(row: AttackRow | IdealRow) -> bool | float:
    """True for a proven optimum, else the relative gap that is left."""
    if row.status == Status.OPTIMAL:
        return True
    return False if row.gap is None else row.gap


def ideal_figure(finished: Sequence[Finished[IdealRow]]) -> Figure | None:
    """The inputs that maximise each label's logit; None when there is none."""
    shown = [result for result in finished if result.image is not None]
    if not shown:
        return None
    return optimal_input_figure(
        np.array([result.image for result in shown]),
        labels=[result.row.label for result in shown],
        logits=[known(result.row.objective) for result in shown],
        predicted=[known(result.row.predicted) for result in shown],
        proven=[_proof(result.row) for result in shown],
    )
