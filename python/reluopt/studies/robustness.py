"""Exact robustness of the whole test set, and what attacks overestimate.

For every test image the smallest L1 and L2 change after which the network misclassifies it (any
wrong label leads by the strict gap), and the smallest L1 change to the thesis' target, label + 5
with a margin of 1.2. PGD and the region attack look at the first of these images, so that their
distances can be held against the exact ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from reluopt.answers.solution import Status
from reluopt.figures import (
    certified_accuracy_figure,
    class_distance_figure,
    confidence_figure,
    overestimate_figure,
    perturbation_figure,
)
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.zoo import load_bundled
from reluopt.questions.problems import (
    STRICT_GAP,
    AnyTarget,
    Norm,
    RelativeMargin,
    ShiftTarget,
    Target,
)
from reluopt.runs.attack import AttackSettings
from reluopt.runs.instances import Instance, load_instances
from reluopt.runs.runner import Finished
from reluopt.runs.upper_bound import Attack, UpperBoundJob
from reluopt.studies import STUDIES
from reluopt.studies import robustness_tables as tables
from reluopt.studies.base import (
    Study,
    StudyContext,
    StudyFolder,
    StudyResult,
    read_facts,
)

NAME = "robustness"

COMPLETE, REDUCED = 10_000, 50
"""Images of the whole study and of a first look."""

ATTACKED, ATTACKED_REDUCED = 1000, 20
"""Images that attacks look at: enough for quantiles, and PGD is slower than the proof."""

ATTACKED_TABLE = f"{NAME}-attacked"
"""The table of what they found, one row for each image."""

EXTREMES = 10
"""Images in each half of the gallery."""

MISCLASSIFIED = RelativeMargin(0.0)
"""A wrong label leads by the strict gap."""

SHIFTED = "l1_shift5"
NEAREST = {Norm.L1: "l1_any", Norm.L2: "l2_any"}
"""Stages that ask for any wrong label, by norm."""

_QUESTIONS: dict[str, tuple[Norm, Target, RelativeMargin]] = {
    "l1_any": (Norm.L1, AnyTarget(), MISCLASSIFIED),
    SHIFTED: (Norm.L1, ShiftTarget(5), RelativeMargin(0.2)),
    "l2_any": (Norm.L2, AnyTarget(), MISCLASSIFIED),
}

_Estimated = dict[Norm, dict[Attack, pd.DataFrame]]

_ATTACK_NAMES = {Attack.PGD: "PGD", Attack.REGION: "region attack"}


@dataclass(frozen=True, eq=False)
class _Results:
    """Everything that was computed.

    Attributes:
        instances: the images.
        exact: results of each stage.
        table: :func:`~.robustness_tables.image_table` of them.
        estimated: for each norm and attack, its distances beside the exact ones.
    """

    instances: Sequence[Instance]
    exact: dict[str, Sequence[Finished]]
    table: pd.DataFrame
    estimated: _Estimated


def run(context: StudyContext) -> StudyResult:
    """Solve, attack, draw and count."""
    folder = StudyFolder(context, NAME)
    network = load_bundled("thesis")
    count = context.count(REDUCED, COMPLETE)
    results = _compute(context, folder, network, load_instances(network, [f"test:0-{count - 1}"]))
    table = results.table
    summaries = [
        tables.attack_summary(_ATTACK_NAMES[attack], norm, asked, NEAREST[norm])
        for norm, attacks in results.estimated.items()
        for attack, asked in attacks.items()
        if len(tables.overestimates(asked, NEAREST[norm]))
    ]
    _write_tables(folder, table, summaries)
    folder.table(ATTACKED_TABLE, tables.attacked_table(results.estimated), texts=False)
    _draw(folder, table, results.estimated)
    _draw_overestimates(folder, results.estimated)
    for norm, stage in NEAREST.items():
        folder.figure(f"{NAME}-extremes-{norm}", _gallery(results, norm, stage))
    facts = {
        "images": len(table),
        "correct": len(tables.right(table)),
        **{str(norm): tables.norm_facts(table, norm, stage) for norm, stage in NEAREST.items()},
        "shift": _shift_facts(table),
        "attacks": summaries,
        "seconds": tables.second_table(results.exact),
    }
    complete = count == COMPLETE
    return folder.finish(facts, _lines(facts), complete=complete)


def _compute(
    context: StudyContext, folder: StudyFolder, network: ReLUNetwork, instances: list[Instance]
) -> _Results:
    """All stages, resumed where rows are there."""
    exact: dict[str, Sequence[Finished]] = {}
    for stage, (norm, target, margin) in _QUESTIONS.items():
        settings = AttackSettings(target, norm, margin, context.method())
        exact[stage] = folder.solve(stage.replace("_", "-"), network, instances, settings)
    norms = {stage: (_QUESTIONS[stage][0], finished) for stage, finished in exact.items()}
    table = tables.image_table(network, instances, norms)
    some = instances[: min(context.count(ATTACKED_REDUCED, ATTACKED), len(instances))]
    estimated: dict[Norm, dict[Attack, pd.DataFrame]] = {}
    for norm, stage in NEAREST.items():
        for attack in Attack:
            found = _attack(context, folder, network, some, attack, norm)
            indices = [int(each.key.partition(":")[2]) for each in some]
            asked = tables.estimates(table, stage, indices, tables.found_distances(found))
            estimated.setdefault(norm, {})[attack] = asked
    return _Results(instances, exact, table, estimated)


def _attack(
    context: StudyContext,
    folder: StudyFolder,
    network: ReLUNetwork,
    instances: Sequence[Instance],
    attack: Attack,
    norm: Norm,
) -> list[Finished]:
    """One attack on some images."""
    experiment = UpperBoundJob(network, attack, norm, MISCLASSIFIED, context.seed)
    return folder.run(
        f"{attack}-{norm}", experiment, instances, context.method(), context.executor()
    )


def _write_tables(
    folder: StudyFolder, table: pd.DataFrame, summaries: Sequence[dict[str, Any]]
) -> None:
    """All tables: one row for each image, and the small ones."""
    for norm, stages in ((Norm.L1, ("l1_any", SHIFTED)), (Norm.L2, ("l2_any",))):
        folder.table(f"{NAME}-{norm}", tables.published(table, stages), texts=False)
    folder.table(
        f"{NAME}-digits",
        tables.digit_table(table, NEAREST, SHIFTED),
        "Exact distance to misclassification by digit, correctly classified test images.",
    )
    folder.table(
        f"{NAME}-attacks",
        tables.attack_table(summaries),
        "What attacks overestimate: their distance over the exact one, minus one.",
    )
    for norm, stage in NEAREST.items():
        folder.table(
            f"{NAME}-nearest-{norm}",
            tables.nearest_table(table, stage),
            f"How often each class is the nearest wrong one in {str(norm).upper()}, by digit.",
        )


def _redraw(folder: StudyFolder, data: Path) -> None:
    """:func:`_draw` from what is published.

    Galleries need the images, and overestimates more digits than are published.
    """
    one, two = (pd.read_csv(data / f"{NAME}-{norm}.csv") for norm in NEAREST)
    table = one.join(two.filter(regex="^l2_"))
    attacked = pd.read_csv(data / f"{ATTACKED_TABLE}.csv")
    indices = attacked["index"].to_list()
    estimated = {
        norm: {
            attack: tables.estimates(table, stage, indices, attacked[f"{norm}_{attack}"].to_list())
            for attack in Attack
        }
        for norm, stage in NEAREST.items()
    }
    _draw(folder, table, estimated)


def _draw(folder: StudyFolder, table: pd.DataFrame, estimated: _Estimated) -> None:
    """Distances of all images."""
    curves = {str(n): tables.certified_distances(table, stage) for n, stage in NEAREST.items()}
    pairs = {str(norm): _curve_pairs(estimated[norm], stage) for norm, stage in NEAREST.items()}
    folder.figure(f"{NAME}-certified", certified_accuracy_figure(curves, pairs))
    own = table
    for stage in NEAREST.values():
        own = tables.known(own, stage)
    if own.empty:
        return
    digits = range(10)
    folder.figure(
        f"{NAME}-digits",
        class_distance_figure(
            {
                str(norm): [own.loc[own["label"] == digit, f"{stage}_distance"] for digit in digits]
                for norm, stage in NEAREST.items()
            },
            [str(digit) for digit in digits],
        ),
    )
    folder.figure(
        f"{NAME}-confidence",
        confidence_figure(
            own["lead"],
            {str(norm): own[f"{stage}_distance"] for norm, stage in NEAREST.items()},
            "lead of the true label's logit over the next",
        ),
    )


def _draw_overestimates(folder: StudyFolder, estimated: _Estimated) -> None:
    """What attacks overestimate, unless one found nothing."""
    over = {
        str(norm): {
            _ATTACK_NAMES[attack]: tables.overestimates(asked, NEAREST[norm])
            for attack, asked in attacks.items()
        }
        for norm, attacks in estimated.items()
    }
    if all(len(each) for attacks in over.values() for each in attacks.values()):
        folder.figure(f"{NAME}-overestimate", overestimate_figure(over))


def _curve_pairs(attacks: dict[Attack, pd.DataFrame], stage: str) -> dict[str, tuple[Any, Any]]:
    """Distances found and certified, of the images that each attack looked at."""
    pairs = {}
    for attack, asked in attacks.items():
        stays = asked["label"] == asked["predicted"]
        found = asked["found"].where(stays, 0.0).to_numpy()
        pairs[_ATTACK_NAMES[attack]] = (found, tables.certified_distances(asked, stage))
    return pairs


def _gallery(results: _Results, norm: Norm, stage: str) -> Any:
    """The least robust images above, the most robust ones below; changes on a scale for each."""
    own = tables.known(results.table, stage).sort_values(f"{stage}_distance", kind="stable")
    half = min(EXTREMES, len(own) // 2)
    if not half:
        return None
    chosen = [*own.index[:half], *own.index[-half:]]
    rows = results.table.loc[chosen]
    originals = [results.instances[place].image for place in chosen]
    return perturbation_figure(
        originals,
        [results.exact[stage][place].image for place in chosen],
        rows["label"].tolist(),
        rows["predicted"].tolist(),
        [int(target) for target in rows[f"{stage}_target"]],
        rows[f"{stage}_distance"].tolist(),
        str(norm),
        [f"test {index}" for index in rows["index"]],
        scale_each_band=True,
    )


def _shift_facts(table: pd.DataFrame) -> dict[str, Any]:
    """Numbers about the thesis' question, for all correctly classified images."""
    own = tables.known(table, SHIFTED)
    values = own[f"{SHIFTED}_distance"]
    ratios = values / own["l1_any_distance"]
    return {
        "proven": int((table[f"{SHIFTED}_status"] == Status.OPTIMAL).sum()),
        "median": values.median(),
        "smallest": values.min(),
        "largest": values.max(),
        "median over nearest": ratios.median(),
    }


def _lines(facts: dict[str, Any]) -> list[str]:
    """What came out, in a few sentences."""
    lines = [
        f"{facts['correct']} of {facts['images']} test images are classified correctly; numbers "
        "below are theirs"
    ]
    for norm in NEAREST:
        own = facts[str(norm)]
        lines.append(
            f"{str(norm).upper()}: {own['proven']} of {facts['images']} distances proven, median "
            f"{own['median']:.3g} (quartiles {own['lowest quarter']:.3g} and "
            f"{own['highest quarter']:.3g}), from {own['smallest']:.2g} to {own['largest']:.3g}; "
            f"digit {own['least robust digit']} is the least robust, "
            f"{own['most robust digit']} the most"
        )
    lines.append(
        f"L1 to label + 5, margin x1.2: {facts['shift']['proven']} proven, median "
        f"{facts['shift']['median']:.3g}"
    )
    lines += [
        f"{each['attack']} in {each['norm'].upper()} overestimates by "
        f"{tables.percent(each['median'])} in the median and {tables.percent(each['largest'])} at "
        f"most ({each['found']} of "
        f"{each['images']} images)"
        for each in facts["attacks"]
    ]
    return lines


def readme(data: Path) -> str:
    """The README's section, from the published facts and tables."""
    facts = read_facts(data, NAME)
    one, two, shift = facts["l1"], facts["l2"], facts["shift"]
    radius = {"l1": "1", "l2": "0.3"}
    attacked = max(each["images"] for each in facts["attacks"])
    attacks = (data / f"{NAME}-attacks.md").read_text(encoding="utf-8")
    return f"""### Exact robustness of every test image

The smallest changes that make `thesis` misclassify a test image are proven for {one["proven"]:,} of
{facts["images"]:,} images in L1 and {two["proven"]:,} in L2{_unproven(facts)}, and the
smallest L1 change to label + 5 with a margin of 1.2 for {shift["proven"]:,}.
{facts["images"] - facts["correct"]:,} images are misclassified as they are.

Of the others, half are within {one["median"]:.3g} (L1) or {two["median"]:.3g} (L2) of another
class, and within {shift["median"]:.3g} (L1) of the thesis' target.
Digit {one["least robust digit"]} is the least robust in L1 (median
{one["least robust digit's median"]:.3g}), {one["most robust digit"]} the most
({one["most robust digit's median"]:.3g}); in L2 these are {two["least robust digit"]} and
{two["most robust digit"]}.

![Certified accuracy against the length of the change](figures/robustness-certified.png)

*Share of the {facts["images"]:,} test images that provably stay correct under every change up to a
length: {100 * one["certified accuracy"][radius["l1"]]:.1f} % at L1 {radius["l1"]},
{100 * two["certified accuracy"][radius["l2"]]:.1f} % at L2 {radius["l2"]}. Misclassified means
that a wrong label leads by {STRICT_GAP:g}. Below: how much more attacks say about the first
{ATTACKED:,} of them.*

![Distance by digit](figures/robustness-digits.png)

*Exact distances of correctly classified images by digit. Dots are medians, bars reach from the
first to the third quartile, and dotted is the median of all.*

The network's lead says much about it, but not all: its rank correlation with the distance is
{one["rank correlation with lead"]:.2f} in L1 and {two["rank correlation with lead"]:.2f} in L2;
the nearest class is the runner-up for
{100 * one["nearest is the runner-up"]:.0f} % and {100 * two["nearest is the runner-up"]:.0f} %.

![Distance against the network's lead](figures/robustness-confidence.png)

*Exact distances of correctly classified images by the lead of the true label's logit. The darker a
cell, the more images; dots are medians of twentieths of the images, from the narrowest lead to the
widest, bars their quartiles. The highest 0.5 % of leads and distances lie outside.*

What attacks overestimate, for the {attacked:,} correct ones of the first {ATTACKED:,} images;
{_refuted(facts)}:

{attacks}
![What attacks overestimate](figures/robustness-overestimate.png)

*Share of these images for which an attack's distance lies at most so far above the exact one.*

The least and the most robust images: [L1](figures/robustness-extremes-l1.png),
[L2](figures/robustness-extremes-l2.png) (the changes of either half on a scale of its own). One
row for each image is in `figures/data/robustness-l1.csv` and `robustness-l2.csv`.

    reluopt experiment robustness --full
"""


def _unproven(facts: dict[str, Any]) -> str:
    """A remark on images that were not proven to a gap of 1e-6, if there are any."""
    left = sum(facts["images"] - facts[str(norm)]["proven"] for norm in NEAREST)
    if not left:
        return ""
    widest = max(facts[str(norm)]["widest bracket"] for norm in NEAREST)
    return f" (the other {left} are known to {widest:.2g} of their distance)"


def _refuted(facts: dict[str, Any]) -> str:
    """Whether an attack contradicts a proof."""
    count = sum(each["below bound"] for each in facts["attacks"])
    return f"{count or 'none'} came nearer than what is proven to be nearest"


STUDY = Study(NAME, STUDIES[NAME], run, readme, _redraw)
