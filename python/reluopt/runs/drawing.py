"""From result rows to figures: what the pictures of a job show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from reluopt.answers.solution import Status
from reluopt.figures import (
    feature_figure,
    optimal_input_figure,
    perturbation_figure,
    shared_change_figure,
)
from reluopt.figures.pictures import length_words
from reluopt.figures.style import INK
from reluopt.figures.tiles import proof_mark
from reluopt.images.display import as_picture, pixel_span
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.problems import Norm
from reluopt.runs.distance_rows import DistanceRow
from reluopt.runs.instances import Instance
from reluopt.runs.job import Finished
from reluopt.runs.row import AttackRow, IdealRow, UniversalRow, known
from reluopt.runs.universal import UniversalJob
from reluopt.runs.wording import change_words


def attack_figure(
    network: ReLUNetwork,
    instances: Sequence[Instance],
    finished: Sequence[Finished[AttackRow]],
    norm: Norm,
) -> Figure | None:
    """Original, answer and difference of every certified answer; None when there is none.

    Inputs that are no pictures are drawn as the features that changed.
    """
    by_key = {instance.key: instance for instance in instances}
    shown = [r for r in finished if r.image is not None and bool(r.row.certified)]
    if not shown:
        return None
    originals = [by_key[str(result.row.image)].image for result in shown]
    answers = [np.ravel(np.asarray(result.image)) for result in shown]
    rows = [result.row for result in shown]
    if not _pictured(network):
        names = [change_words(row.label, row.original_predicted, row.predicted) for row in rows]
        captions = [_length_and_proof(row, norm) for row in rows]
        ends = network.metadata.input_ends()
        return feature_figure(answers, originals, ends, names, captions)
    shape = (-1, *network.input_shape)
    return perturbation_figure(
        list(np.reshape(originals, shape)),
        list(np.reshape(answers, shape)),
        labels=[row.label for row in rows],
        predicted_original=[known(row.original_predicted) for row in rows],
        predicted_changed=[known(row.predicted) for row in rows],
        distances=[known(row.distance) for row in rows],
        norm=str(norm),
        proven=[_proof(row) for row in rows],
        span=pixel_span(*network.metadata.input_ends()),
    )


def change_figure(job: UniversalJob, finished: Finished[UniversalRow]) -> Figure | None:
    """All images before and after the change, and the change; None without a certified one.

    Inputs that are no pictures are drawn as the features that changed.
    """
    row, network = finished.row, job.network
    if finished.image is None or not row.certified:
        return None
    change, images = np.ravel(finished.image), np.stack(job.images.images)
    before, after = (list(map(known, row.by_image(n))) for n in ("original_answers", "answers"))
    if not _pictured(network):
        names = [*map(change_words, job.images.labels, before, after)]
        captions = [_length_and_proof(row, job.settings.norm)] * len(names)
        ends = network.metadata.input_ends()
        return feature_figure(list(images + change), list(images), ends, names, captions)
    return shared_change_figure(
        images.reshape(-1, *network.input_shape),
        change.reshape(network.input_shape),
        job.images.labels,
        before,
        after,
        [(length_words(row.norm, known(row.distance)), INK), proof_mark(_proof(row))],
        span=pixel_span(*network.metadata.input_ends()),
    )


def _length_and_proof(row: DistanceRow, norm: Norm) -> list[tuple[str, str]]:
    """What stands below the features of a change."""
    length = f"{norm.label} {known(row.distance):#.3g}".rstrip(".")
    return [(length, INK), proof_mark(_proof(row))]


def _pictured(network: ReLUNetwork) -> bool:
    """Whether inputs are pictures."""
    return as_picture(np.zeros(network.input_shape)) is not None


def _proof(row: DistanceRow | IdealRow) -> bool | float:
    """True for a proven optimum, else the relative gap that is left."""
    if row.status == Status.OPTIMAL:
        return True
    return False if row.gap is None else row.gap


def ideal_figure(network: ReLUNetwork, finished: Sequence[Finished[IdealRow]]) -> Figure | None:
    """The inputs that maximise each label's logit; None when there is none."""
    shown = [result for result in finished if result.image is not None]
    if not shown:
        return None
    answers = [np.asarray(result.image) for result in shown]
    rows = [result.row for result in shown]
    if not _pictured(network):
        titles = [f"label {row.label}, logit {known(row.objective):.4g}" for row in rows]
        captions = [
            [(f"classified as {known(row.predicted):.0f}", INK), proof_mark(_proof(row))]
            for row in rows
        ]
        flat = [answer.ravel() for answer in answers]
        return feature_figure(flat, None, network.metadata.input_ends(), titles, captions)
    return optimal_input_figure(
        np.array(answers),
        labels=[row.label for row in rows],
        logits=[known(row.objective) for row in rows],
        predicted=[known(row.predicted) for row in rows],
        proven=[_proof(row) for row in rows],
        span=pixel_span(*network.metadata.input_ends()),
    )
