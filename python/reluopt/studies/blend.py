"""L1 against L2 against a blend of both: what each answer is in the other's measure.

Linkola (2023) compares the nearest images in L1 and in L2 and leaves open what lies between them.
Here blends :math:`w |delta|_1 + (1 - w) |delta|_2^2` (an elastic net, Chen et al. 2018, EAD) are
minimised exactly as well, and every answer is measured in both norms.
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

from reluopt.figures import blend_figure, blend_pictures
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.zoo import load_bundled
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.problems import Blend, Measure, Norm, RelativeMargin, ShiftTarget
from reluopt.runs.attack import AttackSettings, Finished
from reluopt.runs.instances import Instance, load_instances
from reluopt.runs.tables import fixed, markdown_table
from reluopt.studies import STUDIES
from reluopt.studies.base import (
    Study,
    StudyContext,
    StudyFolder,
    StudyResult,
    read_facts,
)
from reluopt.studies.selection import count_unproven, proof_words

NAME = "blend"
NETWORK = "thesis"
TARGET = ShiftTarget(5)
MARGIN = RelativeMargin(0.2)

MEASURES: tuple[Measure, ...] = (
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

Groups = Mapping[Measure, Sequence[Finished]]

QUANTITIES = ("l1", "l2", "changed_pixels", "largest_change", "lead")
"""What is measured of every answer."""


def run(context: StudyContext) -> StudyResult:
    """Solve all images in all measures."""
    folder = StudyFolder(context, NAME)
    count = context.count(REDUCED, COMPLETE)
    network = load_bundled(NETWORK)
    instances = load_instances(network, [f"test:0-{count - 1}"])
    method = context.method(SECONDS)
    groups = {
        measure: folder.solve(
            str(measure).replace(":", "-"),
            network,
            instances,
            AttackSettings(TARGET, measure, MARGIN, method),
        )
        for measure in MEASURES
    }
    table = result_table(instances, groups)
    parts = [_facts(measure, table) for measure in MEASURES]
    drawable = _ratios(table, "l1").dropna()
    if len(drawable):
        folder.figure(NAME, _figure(table, parts))
    folder.figure(f"{NAME}-pictures", _pictures(network, instances, groups))
    folder.table(f"{NAME}-rows", _rounded(table), texts=False)
    folder.table(
        NAME,
        summary(parts),
        f"Smallest changes of {count} test images in L1, L2 and blends of both (medians).",
    )
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
    return folder.finish(facts, [_sentence(facts)], complete=context.full and count == COMPLETE)


def weight_of(measure: Measure) -> float:
    """Weight of L1, 0 for L2 and 1 for L1."""
    return measure.costs[0]


def result_table(instances: Sequence[Instance], groups: Groups) -> pd.DataFrame:
    """Every problem on a line of its own, without timings; NaN without a checked answer."""
    rows = []
    for measure, results in groups.items():
        for instance, result in zip(instances, results, strict=True):
            rows.append(
                {
                    "image": instance.key,
                    "label": instance.label,
                    "measure": str(measure),
                    "weight": weight_of(measure),
                    "status": str(result.row["status"]),
                    "objective": result.row["objective"],
                    "bound": result.row["bound"],
                    **_quantities(instance, result),
                }
            )
    return pd.DataFrame(rows)


def _quantities(instance: Instance, result: Finished) -> dict[str, float]:
    """What one answer is in every respect."""
    if result.image is None or not result.row["certified"]:
        return dict.fromkeys(QUANTITIES, math.nan)
    size = np.abs(np.asarray(result.image, dtype=np.float64).ravel() - instance.image)
    values = (size.sum(), math.sqrt(size @ size), (size > CHANGED).sum(), size.max())
    found = (*(float(value) for value in values), float(result.row["margin"]))
    return dict(zip(QUANTITIES, found, strict=True))


def _wide(table: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """One quantity with a line for each image and a column for each measure, L2 first."""
    wide = table.pivot(index="image", columns="weight", values=quantity)
    return wide.sort_index(axis=1)


def _ratios(table: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """Lengths over the least one of each image; images that need no change are left out."""
    wide = _wide(table, quantity)
    least = wide[weight_of(Norm(quantity))]
    return wide[least > 0.0].div(least[least > 0.0], axis=0)


def _median(values: pd.Series) -> float | None:
    known = [round(float(value), 6) for value in values if math.isfinite(value)]
    return statistics.median(known) if known else None


def _facts(measure: Measure, table: pd.DataFrame) -> dict[str, Any]:
    """Medians of one measure."""
    weight = weight_of(measure)
    own = table[table["weight"] == weight]
    medians = {quantity: _median(own[quantity]) for quantity in QUANTITIES}
    ratios = {f"{norm}_ratio": _median(_ratios(table, norm)[weight]) for norm in ("l1", "l2")}
    return {"measure": str(measure), "weight": weight, **medians, **ratios}


def _worse_ratio(part: Mapping[str, Any]) -> float:
    """The larger of both ratios."""
    return max(part["l1_ratio"] or math.inf, part["l2_ratio"] or math.inf)


def _rounded(table: pd.DataFrame) -> pd.DataFrame:
    """Numbers as they are published."""
    places = {"objective": 6, "bound": 6, "l1": 6, "l2": 6, "largest_change": 6, "lead": 4}
    rounded = table.astype(object)
    for name, count in places.items():
        rounded[name] = [fixed(value, count) for value in table[name].astype(float)]
    rounded["changed_pixels"] = [fixed(value, 0) for value in table["changed_pixels"]]
    return rounded.drop(columns="weight")


def summary(parts: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One line for each measure."""
    rows = [
        {
            "measure": _title(part["weight"]),
            "L1 length": fixed(part["l1"], 2),
            "L1 above the least": _excess(part["l1_ratio"]),
            "L2 length": fixed(part["l2"], 3),
            "L2 above the least": _excess(part["l2_ratio"]),
            "pixels changed": fixed(part["changed_pixels"], 0),
            "largest change": fixed(part["largest_change"], 2),
        }
        for part in parts
    ]
    return pd.DataFrame(rows, dtype=object)


def _excess(ratio: float | None) -> str | None:
    """A ratio as ``12 %`` above 1."""
    text = None if ratio is None else fixed(abs(100.0 * (ratio - 1.0)), 1)
    return None if text is None else f"{text} %"


def _title(weight: float) -> str:
    """What a measure is called."""
    return {0.0: "L2", 1.0: "L1"}.get(weight, f"w = {weight:g}")


def _label(weight: float) -> str:
    """The same in a figure."""
    return {0.0: "$L_2$", 1.0: "$L_1$"}.get(weight, f"$w$ = {weight:g}")


def _figure(table: pd.DataFrame, parts: Sequence[Mapping[str, Any]]) -> Figure:
    """Curve and panels; images without all answers are left out."""
    ratios = [_ratios(table, norm) for norm in ("l1", "l2")]
    kept = ratios[0].dropna().index.intersection(ratios[1].dropna().index)
    others = [_wide(table, name).loc[kept] for name in ("changed_pixels", "largest_change")]
    weights = [part["weight"] for part in parts]
    return blend_figure(
        weights,
        [_label(weight) for weight in weights],
        *(ratio.loc[kept].to_numpy() for ratio in ratios),
        *(other.to_numpy() for other in others),
    )


def _pictures(network: ReLUNetwork, instances: Sequence[Instance], groups: Groups) -> Figure | None:
    """The first image that has an answer in every measure."""
    for place, instance in enumerate(instances):
        results = [groups[measure][place] for measure in MEASURES]
        if all(result.image is not None and result.row["certified"] for result in results):
            answers: list[FloatArray] = [
                np.asarray(result.image, dtype=np.float64).ravel() for result in results
            ]
            found = [_quantities(instance, result) for result in results]
            return blend_pictures(
                instance.image.reshape(network.input_shape),
                answers,
                [_label(weight_of(measure)) for measure in MEASURES],
                [
                    (rf"$L_1$ {each['l1']:.2f}, $L_2$ {each['l2']:.2f}",
                     f"{each['changed_pixels']:.0f} pixels")
                    for each in found
                ],
            )  # fmt: skip
    return None


def _part(facts: Mapping[str, Any], measure: str) -> dict[str, Any]:
    """The facts of one measure."""
    found: dict[str, Any] = next(part for part in facts["measures"] if part["measure"] == measure)
    return found


def _sentence(facts: Mapping[str, Any]) -> str:
    """What came out."""
    best = _part(facts, facts["compromise"])
    return (
        f"{facts['images']} images, {facts['problems']} problems "
        f"({proof_words(facts['unproven'])}): a blend of {_title(best['weight'])} is "
        f"{_excess(best['l1_ratio'])} above the least L1 length and {_excess(best['l2_ratio'])} "
        "above the least L2 length (medians)."
    )


def readme(data: Path) -> str:
    """What a blend costs in either norm."""
    facts = read_facts(data, NAME)
    table = pd.read_csv(data / f"{NAME}.csv", dtype=str, keep_default_na=False)
    best, l1, l2 = (_part(facts, name) for name in (facts["compromise"], "l1", "l2"))
    return f"""### L1 against L2 against a blend

The blend `w |delta|_1 + (1 - w) |delta|_2^2` is minimised exactly too (`--norm blend:W`). Of
{facts["images"]} test images ({facts["problems"]} problems, {proof_words(facts["unproven"])}) the
L2 optimum is {_excess(l2["l1_ratio"])} longer in L1 than need be, and the L1 optimum
{_excess(l1["l2_ratio"])} longer in L2; the blend with {_title(best["weight"])} is
{_excess(best["l1_ratio"])} above the least L1 length and {_excess(best["l2_ratio"])} above the
least L2 length, and changes {best["changed_pixels"]:.0f} pixels by more than {facts["changed"]:g}
in place of {l1["changed_pixels"]:.0f} (L1) and {l2["changed_pixels"]:.0f} (L2). All numbers are
medians.

![L1 length against L2 length, changed pixels, largest change](figures/{NAME}.png)

![One digit under each measure](figures/{NAME}-pictures.png)

*Above: lengths over the least possible ones (medians), and pixels changed by more than
{facts["changed"]:g} and the largest change of one (medians and quartiles). Below: the nearest
images of one digit and their changes (red brighter, blue darker).*

{markdown_table(table)}
    reluopt experiment {NAME} --full
"""


STUDY = Study(NAME, STUDIES[NAME], run, readme)
