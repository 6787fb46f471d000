"""Which images studies take, and what they count of problems that were solved."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from reluopt.answers.solution import Status
from reluopt.errors import InputError
from reluopt.figures import perturbation_figure
from reluopt.images.mnist import load_images
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.problems import Norm, RelativeMargin, ShiftTarget
from reluopt.runs.instances import Instance, load_instances
from reluopt.runs.job import Finished
from reluopt.runs.row import AttackRow, WorstCaseRow, known
from reluopt.runs.tables import fixed

NORMS = (Norm.L1, Norm.L2)
TARGET, MARGIN = ShiftTarget(5), RelativeMargin(0.2)
"""What the thesis asks: (label + 5) mod 10, by 1.2 times every other logit."""

FinishedAttack = Finished[AttackRow]
"""A smallest change, its row and its image."""

SAME = 1e-5
"""Relative difference below which two distances count as equal: ten times the gap that each of the
two proofs may leave open."""


def recognised_images(network: ReLUNetwork, count: int) -> list[Instance]:
    """The first ``count`` test images that the network classifies correctly.

    Images that it misreads already would have a distance of 0 to some other label.

    Raises:
        InputError: there are fewer of them.
    """
    data = load_images("test")
    right = np.flatnonzero(network.predict(data.images) == data.labels)[:count]
    if right.size < count:
        raise InputError(
            f"network {network.metadata.name}: expected {count} test images that it classifies "
            f"correctly, found {right.size}"
        )
    return load_instances(network, [f"test:{','.join(map(str, right))}"])


def image_index(instance: Instance) -> int:
    """Index of an image in its split."""
    return int(instance.key.partition(":")[2])


def row_table(finished: Iterable[Finished[Any]], **same: Any) -> pd.DataFrame:
    """Rows as a table of objects, None for what is missing; ``same`` are columns of one value."""
    table = pd.DataFrame([result.row.values() for result in finished], dtype=object)
    return table.assign(**same)


def printed(table: pd.DataFrame, places: Mapping[str, int]) -> pd.DataFrame:
    """A table with some columns as text of so many decimals; None for what is not finite."""
    texts = {name: [fixed(value, count) for value in table[name]] for name, count in places.items()}
    return table.assign(
        **{name: pd.Series(text, table.index, object) for name, text in texts.items()}
    )


def is_proven(result: Finished[Any]) -> bool:
    """Whether the answer is checked, and proven best."""
    return bool(result.row.status == Status.OPTIMAL)


def count_unproven(groups: Iterable[Iterable[FinishedAttack]]) -> int:
    """How many problems are not settled: neither a proven optimum nor proven to have no answer."""
    settled = (Status.OPTIMAL, Status.INFEASIBLE)
    return sum(result.row.status not in settled for group in groups for result in group)


def proven_distances(finished: Iterable[FinishedAttack]) -> pd.Series[float]:
    """Distances of proven and checked nearest images, by key; NaN for all others.

    The index holds every image, in the order of ``finished``.
    """
    found = {
        result.row.image: known(result.row.distance) if is_proven(result) else math.nan
        for result in finished
    }
    return pd.Series(found, dtype=float)


def median(values: Iterable[float]) -> float | None:
    """The median of what is finite, to six decimals each; None of nothing."""
    known = finite(values)
    return statistics.median(known) if known else None


def finite(values: Iterable[float]) -> list[float]:
    """What is finite, to six decimals."""
    return [round(float(value), 6) for value in values if math.isfinite(value)]


def change_of(
    instance: Instance, result: FinishedAttack | Finished[WorstCaseRow]
) -> FloatArray | None:
    """The change of a checked answer, shape ``(n_0,)``."""
    if result.image is None or not result.row.certified:
        return None
    return np.asarray(result.image, dtype=np.float64).ravel() - instance.image


def perturbations(
    images: Sequence[Instance], results: Sequence[FinishedAttack], norm: Norm, words: Sequence[str]
) -> Figure:
    """A column for each answer, with ``words`` below."""
    return perturbation_figure(
        [image.image for image in images],
        [result.image for result in results],
        labels=[image.label for image in images],
        predicted_original=[known(result.row.original_predicted) for result in results],
        predicted_changed=[known(result.row.predicted) for result in results],
        distances=[known(result.row.distance) for result in results],
        norm=str(norm),
        proven=words,
    )
