"""Neighbouring pixels must change alike: what that costs, and what it looks like.

Linkola (2023) asks in her outlook whether changes look natural once a pixel may not change much
more than its neighbours. Here the changes of pixels that share an edge may differ by at most s:
two linear rows for each of the 1512 pairs of a 28 x 28 image
(:mod:`reluopt.questions.change_limits`).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from reluopt.answers.solution import Status
from reluopt.bench.speed import fill
from reluopt.figures import limit_figure, limit_pictures
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.problems import Norm, RelativeMargin, ShiftTarget
from reluopt.runs.attack import AttackSettings, Finished
from reluopt.runs.instances import Instance
from reluopt.runs.tables import fixed, markdown_table
from reluopt.studies import STUDIES
from reluopt.studies.base import (
    Study,
    StudyContext,
    StudyFolder,
    StudyResult,
    read_facts,
)
from reluopt.studies.digits import NETWORK, thesis_digits
from reluopt.studies.selection import count_unproven, proof_words

NAME = "smoothness"
NORM = Norm.L1
TARGET = ShiftTarget(5)
MARGIN = RelativeMargin(0.2)

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

Groups = Mapping[float | None, Sequence[Finished]]


def run(context: StudyContext) -> StudyResult:
    """Solve all digits under all limits."""
    folder = StudyFolder(context, NAME)
    network, digits = thesis_digits(context)
    whole = context.full and context.limit is None
    if not context.full and context.limit is None:
        digits = digits[:REDUCED]
    limits = LIMITS if whole else (None, *FEW_LIMITS)
    method = context.method(SECONDS if whole else FEW_SECONDS)
    groups = {
        limit: folder.solve(
            _stage(limit, whole),
            network,
            digits,
            AttackSettings(TARGET, NORM, MARGIN, method, smoothness=limit),
        )
        for limit in limits
    }
    changes = {
        limit: [_change(digit, result) for digit, result in zip(digits, rows, strict=True)]
        for limit, rows in groups.items()
    }
    _draw(folder, network, digits, groups, changes)
    table = result_table(groups, changes)
    folder.table(f"{NAME}-rows", table, texts=False)
    folder.table(
        NAME,
        summary(groups, changes),
        f"Smallest L1 changes of {len(digits)} digits when neighbouring changes differ by at most "
        "s.",
    )
    facts = {
        "network": NETWORK,
        "images": len(digits),
        "target": str(TARGET),
        "margin": str(MARGIN),
        "norm": str(NORM),
        "pairs": _pairs(network),
        "unproven": count_unproven(groups.values()),
        "problems": len(digits) * len(groups),
        "limits": [_facts(limit, groups, changes) for limit in groups],
    }
    return folder.finish(facts, [_sentence(facts)], complete=whole)


def _stage(limit: float | None, whole: bool) -> str:
    """Name of the subfolder; the first look has another time limit, and so folders of its own."""
    name = "none" if limit is None else f"{limit:g}"
    return name if whole else f"few-{name}"


def _pairs(network: ReLUNetwork) -> int:
    """Pairs of pixels that share an edge."""
    rows, columns = network.input_shape
    return rows * (columns - 1) + columns * (rows - 1)


def _change(digit: Instance, result: Finished) -> FloatArray | None:
    """The change of a checked answer, shape ``(n_0,)``."""
    if result.image is None or not result.row["certified"]:
        return None
    return np.asarray(result.image, dtype=np.float64).ravel() - digit.image


def _largest(change: FloatArray | None) -> float:
    return math.nan if change is None else float(np.abs(change).max())


def _touched(change: FloatArray | None) -> float:
    """How many pixels change."""
    return math.nan if change is None else float((np.abs(change) > CHANGED).sum())


def _distance(result: Finished) -> float:
    """Distance of a checked answer, NaN without one."""
    return float(result.row["distance"]) if result.row["certified"] else math.nan


def result_table(
    groups: Groups, changes: Mapping[float | None, Sequence[FloatArray | None]]
) -> pd.DataFrame:
    """Every problem on a line of its own, without timings."""
    rows = []
    for limit, results in groups.items():
        for result, change in zip(results, changes[limit], strict=True):
            bound = result.row.get("bound")
            rows.append(
                {
                    "image": result.row["image"],
                    "label": result.row["label"],
                    "target": result.row["target"],
                    "limit": limit,
                    "status": result.row["status"],
                    "distance": fixed(_distance(result), 6),
                    "bound": None if bound is None else fixed(max(float(bound), 0.0), 6),
                    "largest_change": fixed(_largest(change), 6),
                    "changed_pixels": fixed(_touched(change), 0),
                }
            )
    return pd.DataFrame(rows, dtype=object)


def summary(
    groups: Groups, changes: Mapping[float | None, Sequence[FloatArray | None]]
) -> pd.DataFrame:
    """One line for each limit."""
    rows = []
    for limit in groups:
        found = _facts(limit, groups, changes)
        rows.append(
            {
                "limit s": "none" if limit is None else f"{limit:g}",
                "proven nearest": str(found["proven"]),
                "proven impossible": str(found["impossible"]),
                "times as far, median": fixed(found["times_as_far"], 2),
                "times as far, largest": fixed(found["times_as_far_largest"], 2),
                "largest change, median": fixed(found["largest_change"], 2),
                "pixels changed, median": fixed(found["changed_pixels"], 0),
            }
        )
    return pd.DataFrame(rows, dtype=object)


def _facts(
    limit: float | None,
    groups: Groups,
    changes: Mapping[float | None, Sequence[FloatArray | None]],
) -> dict[str, Any]:
    """What is told of one limit; distances, changes and medians are of proven nearest images."""
    statuses = [str(result.row["status"]) for result in groups[limit]]
    proven = [status == Status.OPTIMAL for status in statuses]
    nearest = [change for change, sure in zip(changes[limit], proven, strict=True) if sure]
    free = [_distance(result) for result in groups[None]]
    own = [
        _distance(result) if sure else math.nan
        for result, sure in zip(groups[limit], proven, strict=True)
    ]
    ratios = [after / before for before, after in zip(free, own, strict=True) if before > 0.0]
    return {
        "limit": limit,
        "proven": statuses.count(Status.OPTIMAL),
        "impossible": statuses.count(Status.INFEASIBLE),
        "distance": _median(own),
        "times_as_far": _median(ratios),
        "times_as_far_largest": max(_known(ratios), default=None),
        "largest_change": _median([_largest(change) for change in nearest]),
        "changed_pixels": _median([_touched(change) for change in nearest]),
    }


def _known(values: Sequence[float]) -> list[float]:
    return [round(value, 6) for value in values if math.isfinite(value)]


def _median(values: Sequence[float]) -> float | None:
    known = _known(values)
    return statistics.median(known) if known else None


def _draw(
    folder: StudyFolder,
    network: ReLUNetwork,
    digits: Sequence[Instance],
    groups: Groups,
    changes: Mapping[float | None, Sequence[FloatArray | None]],
) -> None:
    """Both figures."""
    results = list(groups.values())
    distances = np.array([[_distance(result) for result in rows] for rows in results]).T
    bounds = np.array([[_bound(result) for result in rows] for rows in results]).T
    largest = np.array([[_largest(change) for change in changes[limit]] for limit in groups]).T
    labels = [digit.label for digit in digits]
    folder.figure(NAME, limit_figure(list(groups), distances, bounds, largest, labels, str(NORM)))
    folder.figure(f"{NAME}-pictures", _pictures(network, digits[:SHOWN], groups, changes))


def _bound(result: Finished) -> float:
    bound = result.row.get("bound")
    return math.nan if bound is None else float(bound)


def _pictures(
    network: ReLUNetwork,
    digits: Sequence[Instance],
    groups: Groups,
    changes: Mapping[float | None, Sequence[FloatArray | None]],
) -> Figure:
    """Changed images and changes of the first digits."""
    shape = network.input_shape
    images = [digit.image.reshape(shape) for digit in digits]
    targets = [groups[None][place].row["target"] for place in range(len(digits))]
    changed = {
        number: [
            None if change is None else image + change.reshape(shape)
            for image, change in zip(images, changes[limit], strict=False)
        ]
        for number, limit in enumerate(groups)
    }
    words = [[_caption(result) for result in rows[: len(digits)]] for rows in groups.values()]
    titles = [
        f"{digit.label} \N{RIGHTWARDS ARROW} {target}"
        for digit, target in zip(digits, targets, strict=True)
    ]
    return limit_pictures(list(groups), np.array(images), changed, titles, words)


def _caption(result: Finished) -> str:
    """The distance, and what is known about it."""
    status, distance = result.row["status"], _distance(result)
    if status == Status.INFEASIBLE:
        return "proven: there is none"
    if not math.isfinite(distance):
        return "no image found"
    length = rf"$L_1$ = {distance:#.3g}"
    return length if status == Status.OPTIMAL else f"{length}, at least {_bound(result):#.3g}"


def _sentence(facts: Mapping[str, Any]) -> str:
    """What came out."""
    told = [f for f in facts["limits"] if f["limit"] is not None and f["times_as_far"] is not None]
    impossible = sum(found["impossible"] for found in facts["limits"])
    far = f"{_series(told)} (medians of proven ones; " if told else "none is proven nearest ("
    return (
        f"Nearest images of {facts['images']} digits under limits on neighbouring changes: {far}"
        f"{impossible} of {facts['problems']} problems have no answer, "
        f"{proof_words(facts['unproven'])})"
    )


def readme(data: Path) -> str:
    """What it costs, and what it looks like."""
    facts = read_facts(data, NAME)
    table = pd.read_csv(data / f"{NAME}.csv", dtype=str, keep_default_na=False)
    lines = (
        f"*Nearest images of {facts['images']} digits for `{facts['network']}`, target "
        f"{facts['target']}, margin {facts['margin']}: one line for each digit, named at its end. "
        f"Open markers are not proven and have a bar down to the bound; a line ends where no image "
        f"exists or none was found.*"
    )
    pictures = (
        f"*Changed images and changes (red brighter, blue darker) of the first {SHOWN} digits by "
        f"limit; every row has its own scale.*"
    )
    return f"""### Neighbouring pixels that change alike

{fill(_brief(facts))}

{fill(_lead(facts))}

![Distance and largest change of a pixel against the limit](figures/{NAME}.png)

{fill(lines)}

![Changed images and changes under each limit](figures/{NAME}-pictures.png)

{fill(pictures)}

{markdown_table(table)}
    reluopt experiment {NAME} --full
"""


def _brief(facts: Mapping[str, Any]) -> str:
    """What it costs, in one sentence."""
    told = [found for found in facts["limits"][1:] if found["times_as_far"] is not None]
    if not told:
        return "No limit on neighbouring changes was settled."
    mild, hard = told[0], told[-1]
    return (
        f"When the changes of neighbouring pixels must be within s of each other, bright dots "
        f"become soft spots, and the nearest L1 image is {mild['times_as_far']:.2f} (s = "
        f"{mild['limit']:g}) to {hard['times_as_far']:.2f} times (s = {hard['limit']:g}) as far; "
        f"then {hard['impossible']} of {facts['images']} digits have none at all, which is proven."
    )


def _lead(facts: Mapping[str, Any]) -> str:
    """What the limit costs and does, in one paragraph."""
    free, *limited = facts["limits"]
    told = [found for found in limited if found["times_as_far"] is not None]
    impossible = [
        f"{found['impossible']} of {facts['images']} digits at s = {found['limit']:g}"
        for found in limited
        if found["impossible"]
    ]
    far = f"lie {_series(told)} (medians of proven ones; " if told else "were not proven ("
    text = (
        "Do changes look natural when a pixel may not change much more than its neighbours, as the "
        f"thesis' outlook asks? With all {facts['pairs']:,} pairs of neighbouring changes within s "
        f"of each other, nearest L1 images {far}"
        f"{facts['problems']} problems, {proof_words(facts['unproven'])})."
    )
    if impossible:
        *first, final = impossible
        listed = f"{', '.join(first)} and {final}" if first else final
        text += f" That no image exists at all is proven for {listed}."
    if not told:
        return text
    last = told[-1]
    return (
        f"{text} Single bright dots become soft spots: the largest change of a pixel falls from "
        f"{free['largest_change']:.2f} to {last['largest_change']:.2f} at s = {last['limit']:g} "
        f"(medians), and {free['changed_pixels']:.0f} changed pixels become "
        f"{last['changed_pixels']:.0f}."
    )


def _series(told: Sequence[Mapping[str, Any]]) -> str:
    """``1.10 times as far at s = 0.5, ...``."""
    return ", ".join(
        f"{found['times_as_far']:.2f} times as far at s = {found['limit']:g}" for found in told
    )


STUDY = Study(NAME, STUDIES[NAME], run, readme)
