"""What several studies share: which images they take, and which rows they may count."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from reluopt.answers.solution import Status
from reluopt.errors import InputError
from reluopt.images.mnist import load_images
from reluopt.networks.network import ReLUNetwork
from reluopt.runs.attack import Finished
from reluopt.runs.instances import Instance, load_instances
from reluopt.runs.tables import fixed

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


def last_index(instances: Sequence[Instance]) -> int:
    """Index in its split of the last image."""
    return int(instances[-1].key.partition(":")[2])


def proven_distances(finished: Iterable[Finished]) -> pd.Series[float]:
    """Distances of proven and checked nearest images, by key; NaN for all others.

    The index holds every image, in the order of ``finished``.
    """
    rows = [result.row for result in finished]
    values = [float(row["distance"]) if row["status"] == Status.OPTIMAL else np.nan for row in rows]
    return pd.Series(values, index=[str(row["image"]) for row in rows], dtype=float)


def count_unproven(groups: Iterable[Iterable[Finished]]) -> int:
    """How many problems are not settled: neither a proven optimum nor proven to have no answer."""
    settled = (Status.OPTIMAL, Status.INFEASIBLE)
    return sum(result.row["status"] not in settled for group in groups for result in group)


def proof_words(unproven: int) -> str:
    """``all proven``, or how many are not."""
    return "all proven" if not unproven else f"{unproven:,} not proven"


def share_text(share: float | None, places: int = 0) -> str | None:
    """A share as ``12 %``; None for what is missing or not finite."""
    text = None if share is None else fixed(100.0 * share, places)
    return None if text is None else f"{text} %"
