"""Neighbouring pixels must change alike: what that costs, and what it looks like.

Linkola (2023) asks in her outlook whether changes look natural once a pixel may not change much
more than its neighbours. Here the changes of pixels that share an edge may differ by at most s:
two linear rows for each of the 1512 pairs of a 28 x 28 image
(:mod:`reluopt.questions.change_limits`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from reluopt.answers.solution import Status
from reluopt.figures import limit_figure, limit_pictures
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.problems import Norm
from reluopt.runs.instances import Instance
from reluopt.runs.row import known
from reluopt.runs.tables import fixed
from reluopt.studies.base import Study, StudyContext, StudyFolder, StudyResult
from reluopt.studies.digits import NETWORK, thesis_digits
from reluopt.studies.solved import (
    MARGIN,
    TARGET,
    FinishedAttack,
    change_of,
    count_unproven,
    finite,
    median,
    printed,
    row_table,
)

NAME = "smoothness"
NORM = Norm.L1

LIMITS = (None, 0.5, 0.2, 0.1, 0.05, 0.02)
"""Limits s in pixel units, None for none; at 0.01 most digits have no such image at all."""

FEW_LIMITS = (0.5, 0.1)
"""Limits of a first look."""

SECONDS, FEW_SECONDS = 100.0, 60.0
"""Limits for one problem, of all and of a first look; on a free core it takes 2 to 10 s."""

REDUCED = 2
"""Digits of a first look."""

SHOWN = 4
"""Digits in the grid of pictures: the first ones."""

CHANGED = 1e-6
"""Smallest change of a pixel that counts as one; grey levels are 4e-3 apart."""

Groups = Mapping[float | None, Sequence[FinishedAttack]]


def run(context: StudyContext) -> StudyResult:
    """Solve all digits under all limits."""
    folder = StudyFolder(context, NAME)
    network, digits = thesis_digits(context)
    whole = context.full and context.limit is None
    if not context.full and context.limit is None:
        digits = digits[:REDUCED]
    groups = _solve(folder, network, digits, whole)
    table = pd.concat([_answers(digits, limit, rows) for limit, rows in groups.items()])
    limits = [_facts(table, limit) for limit in groups]
    rows, columns = network.input_shape
    facts = {
        "network": NETWORK,
        "images": len(digits),
        "target": str(TARGET),
        "margin": str(MARGIN),
        "norm": str(NORM),
        "pairs": rows * (columns - 1) + columns * (rows - 1),
        "unproven": count_unproven(groups.values()),
        "problems": len(digits) * len(groups),
        "limits": limits,
    }
    folder.figure(NAME, _lines(table, digits, list(groups)))
    folder.figure(f"{NAME}-pictures", _pictures(network, digits[:SHOWN], groups))
    places = {"distance": 6, "bound": 6, "largest_change": 6, "changed_pixels": 0}
    shown = table.assign(bound=table["bound"].map(_at_least_0).astype(object))
    folder.table(f"{NAME}-rows", printed(shown, places))
    folder.table(NAME, _summary(limits), facts)
    return folder.finish(facts, complete=whole)


def _solve(
    folder: StudyFolder, network: ReLUNetwork, digits: Sequence[Instance], whole: bool
) -> Groups:
    """All limits; the first look has another time limit, and so folders of its own."""
    seconds = SECONDS if whole else FEW_SECONDS
    groups = {}
    for limit in LIMITS if whole else (None, *FEW_LIMITS):
        name = "none" if limit is None else f"{limit:g}"
        stage = name if whole else f"few-{name}"
        groups[limit] = folder.solve(
            stage, network, digits, NORM, MARGIN, TARGET, time_limit=seconds, smoothness=limit
        )
    return groups


def _answers(
    digits: Sequence[Instance], limit: float | None, results: Sequence[FinishedAttack]
) -> pd.DataFrame:
    """Every problem under one limit on a line of its own, without timings."""
    table = row_table(results)[["image", "label", "target", "status", "distance", "bound"]]
    table.insert(3, "limit", pd.Series([limit] * len(table), dtype=object))
    changes = [change_of(*pair) for pair in zip(digits, results, strict=True)]
    table["distance"] = [_distance(result) for result in results]
    table["largest_change"] = [math.nan if c is None else np.abs(c).max() for c in changes]
    table["changed_pixels"] = [math.nan if c is None else (abs(c) > CHANGED).sum() for c in changes]
    return table


def _distance(result: FinishedAttack) -> float:
    """Distance of a checked answer, NaN without one."""
    return known(result.row.distance) if result.row.certified else math.nan


def _at_least_0(bound: float | None) -> float | None:
    return None if bound is None else max(float(bound), 0.0)


def _facts(table: pd.DataFrame, limit: float | None) -> dict[str, Any]:
    """What is told of one limit; distances, changes and medians are of proven nearest images."""
    free, own = (table[[each == at for each in table["limit"]]] for at in (None, limit))
    nearest = own[own["status"] == Status.OPTIMAL]
    ratios = (nearest["distance"] / free["distance"][free["distance"] > 0.0]).dropna()
    return {
        "limit": limit,
        "proven": len(nearest),
        "impossible": int((own["status"] == Status.INFEASIBLE).sum()),
        "distance": median(nearest["distance"]),
        "times_as_far": median(ratios),
        "times_as_far_largest": max(finite(ratios), default=None),
        "largest_change": median(nearest["largest_change"]),
        "changed_pixels": median(nearest["changed_pixels"]),
    }


def _summary(limits: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One line for each limit."""
    rows = [
        {
            "limit s": "none" if found["limit"] is None else f"{found['limit']:g}",
            "proven nearest": str(found["proven"]),
            "proven impossible": str(found["impossible"]),
            "times as far, median": fixed(found["times_as_far"], 2),
            "times as far, largest": fixed(found["times_as_far_largest"], 2),
            "largest change, median": fixed(found["largest_change"], 2),
            "pixels changed, median": fixed(found["changed_pixels"], 0),
        }
        for found in limits
    ]
    return pd.DataFrame(rows, dtype=object)


def _lines(table: pd.DataFrame, digits: Sequence[Instance], limits: list[float | None]) -> Figure:
    """Distance and largest change of every digit against the limit."""
    distances, bounds, largest = (
        table[name].astype(float).to_numpy().reshape(len(limits), len(digits)).T
        for name in ("distance", "bound", "largest_change")
    )
    labels = [digit.label for digit in digits]
    return limit_figure(limits, distances, bounds, largest, labels, str(NORM))


def _pictures(network: ReLUNetwork, digits: Sequence[Instance], groups: Groups) -> Figure:
    """Changed images and changes of the first digits."""
    images = [digit.image.reshape(network.input_shape) for digit in digits]
    changed = {
        number: [
            None if (change := change_of(digit, result)) is None
            else image + change.reshape(network.input_shape)
            for digit, image, result in zip(digits, images, results, strict=False)
        ]
        for number, results in enumerate(groups.values())
    }  # fmt: skip
    words = [[_caption(result) for result in rows[: len(digits)]] for rows in groups.values()]
    titles = [
        f"{digit.label} \N{RIGHTWARDS ARROW} {result.row.target}"
        for digit, result in zip(digits, groups[None], strict=False)
    ]
    return limit_pictures(list(groups), np.array(images), changed, titles, words)


def _caption(result: FinishedAttack) -> str:
    """The distance, and what is known about it."""
    status, distance, bound = result.row.status, _distance(result), result.row.bound
    if status == Status.INFEASIBLE:
        return "proven: there is none"
    if not math.isfinite(distance):
        return "no image found"
    length = rf"$L_1$ = {distance:#.3g}"
    if status == Status.OPTIMAL:
        return length
    return f"{length}, at least {math.nan if bound is None else float(bound):#.3g}"


STUDY = Study(NAME, run, more=lambda _data, _facts: {"shown": SHOWN}, minutes=6)
