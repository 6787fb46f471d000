"""L1 against L2 against a blend of both: what each answer is in the other's measure.

Linkola (2023) compares the nearest images in L1 and in L2 and leaves open what lies between them.
Here blends :math:`w |delta|_1 + (1 - w) |delta|_2^2` (an elastic net, Chen et al. 2018, EAD) are
minimised exactly as well, and every answer is measured in both norms.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from reluopt.figures import blend_figure, blend_pictures
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.zoo import load_bundled
from reluopt.questions.problems import Blend, Norm, parse_norm
from reluopt.runs.instances import Instance, load_instances
from reluopt.runs.row import known
from reluopt.runs.tables import fixed
from reluopt.studies.base import Study, StudyContext, StudyFolder, StudyResult
from reluopt.studies.solved import (
    MARGIN,
    TARGET,
    FinishedAttack,
    change_of,
    count_unproven,
    median,
    printed,
    row_table,
)
from reluopt.studies.words import excess_text

NAME = "blend"
NETWORK = "thesis"

MEASURES: tuple[Norm, ...] = (
    Norm.L2,
    *(Blend(weight) for weight in (0.1, 0.25, 0.5, 0.75, 0.9)),
    Norm.L1,
)
"""From L2 (weight 0 of L1) to L1 (weight 1)."""

REDUCED, COMPLETE = 5, 100
"""Test images of a first look, and of the whole study: the first ones."""

SECONDS = 300.0
"""Limit for one problem; they take 0.01 to 2 s on a free core."""

CHANGED = 0.01
"""Change from which on a pixel counts as changed: two and a half grey levels of 255."""

Groups = Mapping[Norm, Sequence[FinishedAttack]]

QUANTITIES = ("l1", "l2", "changed_pixels", "largest_change", "lead")
"""What is measured of every answer."""

_PLACES = {
    "objective": 6,
    "bound": 6,
    "l1": 6,
    "l2": 6,
    "changed_pixels": 0,
    "largest_change": 6,
    "lead": 4,
}
"""Decimals of published rows."""


def run(context: StudyContext) -> StudyResult:
    """Solve all images in all measures."""
    folder = StudyFolder(context, NAME)
    count = context.count(REDUCED, COMPLETE)
    network = load_bundled(NETWORK)
    instances = load_instances(network, [f"test:0-{count - 1}"])
    groups = {}
    for measure in MEASURES:
        stage = str(measure).replace(":", "-")
        groups[measure] = folder.solve(
            stage, network, instances, measure, MARGIN, TARGET, time_limit=SECONDS
        )
    table = result_table(instances, groups)
    parts = [_facts(measure, table) for measure in MEASURES]
    blends = [part for part in parts if 0.0 < part["weight"] < 1.0]
    facts = {
        "network": NETWORK,
        "images": count,
        "target": str(TARGET),
        "margin": str(MARGIN),
        "problems": count * len(MEASURES),
        "unproven": count_unproven(groups.values()),
        "changed": CHANGED,
        "measures": parts,
        "compromise": min(blends, key=_worse_ratio)["measure"],
    }
    if len(_ratios(table, "l1").dropna()):
        folder.figure(NAME, _figure(table, parts))
    folder.figure(f"{NAME}-pictures", _pictures(network, instances, groups))
    folder.table(f"{NAME}-rows", printed(table, _PLACES).drop(columns="weight"))
    folder.table(NAME, summary(parts), facts)
    return folder.finish(facts, complete=context.full and count == COMPLETE)


def weight_of(measure: Norm) -> float:
    """Weight of L1, 0 for L2 and 1 for L1."""
    return measure.costs[0]


def result_table(instances: Sequence[Instance], groups: Groups) -> pd.DataFrame:
    """Every problem on a line of its own, without timings; NaN without a checked answer."""
    parts = []
    for measure, results in groups.items():
        rows = row_table(results, measure=str(measure), weight=weight_of(measure))
        pairs = zip(instances, results, strict=True)
        found = pd.DataFrame([_quantities(*pair) for pair in pairs], columns=list(QUANTITIES))
        names = ["image", "label", "measure", "weight", "status", "objective", "bound"]
        parts.append(rows[names].join(found))
    return pd.concat(parts, ignore_index=True)


def _quantities(instance: Instance, result: FinishedAttack) -> list[float]:
    """What one answer is in every respect."""
    change = change_of(instance, result)
    if change is None:
        return [math.nan] * len(QUANTITIES)
    size = np.abs(change)
    found = (size.sum(), math.sqrt(size @ size), (size > CHANGED).sum(), size.max())
    return [*map(float, found), known(result.row.margin)]


def _wide(table: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """One quantity with a line for each image and a column for each measure, L2 first."""
    return table.pivot(index="image", columns="weight", values=quantity).sort_index(axis=1)


def _ratios(table: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """Lengths over the least one of each image; images that need no change are left out."""
    wide = _wide(table, quantity)
    least = wide[weight_of(parse_norm(quantity))]
    return wide[least > 0.0].div(least[least > 0.0], axis=0)


def _facts(measure: Norm, table: pd.DataFrame) -> dict[str, Any]:
    """Medians of one measure."""
    weight = weight_of(measure)
    own = table[table["weight"] == weight]
    medians = {quantity: median(own[quantity]) for quantity in QUANTITIES}
    ratios = {f"{norm}_ratio": median(_ratios(table, norm)[weight]) for norm in ("l1", "l2")}
    return {"measure": str(measure), "weight": weight, **medians, **ratios}


def _worse_ratio(part: Mapping[str, Any]) -> float:
    """The larger of both ratios."""
    return max(part["l1_ratio"] or math.inf, part["l2_ratio"] or math.inf)


def summary(parts: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One line for each measure."""
    rows = [
        {
            "measure": {0.0: "L2", 1.0: "L1"}.get(part["weight"], f"w = {part['weight']:g}"),
            "L1 length": fixed(part["l1"], 2),
            "L1 above the least": excess_text(part["l1_ratio"]),
            "L2 length": fixed(part["l2"], 3),
            "L2 above the least": excess_text(part["l2_ratio"]),
            "pixels changed": fixed(part["changed_pixels"], 0),
            "largest change": fixed(part["largest_change"], 2),
        }
        for part in parts
    ]
    return pd.DataFrame(rows, dtype=object)


def _label(weight: float) -> str:
    """What a measure is called in a figure."""
    return {0.0: "$L_2$", 1.0: "$L_1$"}.get(weight, f"$w$ = {weight:g}")


def _figure(table: pd.DataFrame, parts: Sequence[Mapping[str, Any]]) -> Figure:
    """Curve and panels; images without all answers are left out."""
    ratios = [_ratios(table, norm) for norm in ("l1", "l2")]
    kept = ratios[0].dropna().index.intersection(ratios[1].dropna().index)
    others = [_wide(table, name) for name in ("changed_pixels", "largest_change")]
    weights = [part["weight"] for part in parts]
    tables = [each.loc[kept].to_numpy() for each in (*ratios, *others)]
    return blend_figure(weights, [_label(weight) for weight in weights], *tables)


def _pictures(network: ReLUNetwork, instances: Sequence[Instance], groups: Groups) -> Figure | None:
    """The first image that has an answer in every measure."""
    for place, instance in enumerate(instances):
        results = [groups[measure][place] for measure in MEASURES]
        changes = [change_of(instance, result) for result in results]
        if all(change is not None for change in changes):
            found = [_quantities(instance, result) for result in results]
            return blend_pictures(
                instance.image.reshape(network.input_shape),
                [np.ravel(np.asarray(result.image, dtype=np.float64)) for result in results],
                [_label(weight_of(measure)) for measure in MEASURES],
                [
                    (rf"$L_1$ {l1:.2f}, $L_2$ {l2:.2f}", f"{pixels:.0f} pixels")
                    for l1, l2, pixels, *_ in found
                ],
            )
    return None


STUDY = Study(NAME, run, minutes=2)
