"""Exact robustness of the whole test set, and what attacks overestimate.

For every test image the smallest L1, L2 and Linf change after which the network misclassifies it
(any wrong label leads by the strict gap), and the smallest L1 change to the thesis' target, label
+ 5 with a margin of 1.2. PGD and the region attack look at the first of these images, so that their
distances can be held against the exact ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

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
from reluopt.numerics.softmax import softmax
from reluopt.questions.problems import (
    STRICT_GAP,
    AnyTarget,
    Norm,
    RelativeMargin,
    Target,
)
from reluopt.runs.instances import Instance, load_instances
from reluopt.runs.row import known as answered
from reluopt.runs.upper_bound import FOUND, Attack, UpperBoundJob
from reluopt.studies.base import Study, StudyContext, StudyFolder, StudyResult
from reluopt.studies.exact_distances import (
    EXACT,
    QUANTILES,
    agreement,
    attack_summary,
    certified_distances,
    estimates,
    known,
    norm_facts,
    overestimates,
    right,
)
from reluopt.studies.solved import MARGIN, TARGET, FinishedAttack, image_index, row_table

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
NEAREST = {Norm.L1: "l1_any", Norm.L2: "l2_any", Norm.LINF: "linf_any"}
"""Stages that ask for any wrong label, by norm."""

QUESTIONS: dict[str, tuple[Norm, Target, RelativeMargin]] = {
    "l1_any": (Norm.L1, AnyTarget(), MISCLASSIFIED),
    SHIFTED: (Norm.L1, TARGET, MARGIN),
    "l2_any": (Norm.L2, AnyTarget(), MISCLASSIFIED),
    "linf_any": (Norm.LINF, AnyTarget(), MISCLASSIFIED),
}
"""Stages, and what each asks."""

ATTACK_NAMES = {Attack.PGD: "PGD", Attack.REGION: "region attack"}

DIGITS = {Norm.L1: 6, Norm.L2: 6, Norm.LINF: 8}
"""Decimals of published distances, in pixel units: 6 are a 4000th of a grey level, and a median of
0.03 in Linf asks for more."""

_Estimated = Mapping[Norm, Mapping[Attack, pd.DataFrame]]
"""For each norm and attack its distances beside the exact ones, see :func:`estimates`."""


def run(context: StudyContext) -> StudyResult:
    """Solve, attack, draw and count."""
    folder = StudyFolder(context, NAME)
    network = load_bundled("thesis")
    count = context.count(REDUCED, COMPLETE)
    instances = load_instances(network, [f"test:0-{count - 1}"])
    exact: dict[str, Sequence[FinishedAttack]] = {}
    for stage, (norm, target, margin) in QUESTIONS.items():
        name = stage.replace("_", "-")
        exact[stage] = folder.solve(name, network, instances, norm, margin, target)
    table = image_table(network, instances, exact)
    some = instances[: min(context.count(ATTACKED_REDUCED, ATTACKED), count)]
    estimated = {
        norm: {attack: _attack(folder, network, some, attack, norm, table) for attack in Attack}
        for norm in NEAREST
    }
    summaries = [
        attack_summary(ATTACK_NAMES[attack], norm, asked, NEAREST[norm])
        for norm, attacks in estimated.items()
        for attack, asked in attacks.items()
        if len(overestimates(asked, NEAREST[norm]))
    ]
    facts = {
        "images": len(table),
        "correct": len(right(table)),
        **{str(norm): norm_facts(table, norm, stage) for norm, stage in NEAREST.items()},
        "agreement": agreement(table, {str(norm): stage for norm, stage in NEAREST.items()}),
        "shift": _shift_facts(table),
        "attacks": summaries,
        "seconds": {stage: _seconds(finished) for stage, finished in exact.items()},
    }
    _write_tables(folder, table, estimated, facts)
    _draw(folder, table, estimated)
    _draw_overestimates(folder, estimated)
    for norm, stage in NEAREST.items():
        gallery = _gallery(instances, exact[stage], table, norm, stage)
        folder.figure(f"{NAME}-extremes-{norm}", gallery)
    return folder.finish(facts, complete=count == COMPLETE)


def _attack(
    folder: StudyFolder,
    network: ReLUNetwork,
    instances: Sequence[Instance],
    attack: Attack,
    norm: Norm,
    table: pd.DataFrame,
) -> pd.DataFrame:
    """What one attack finds, infinitely far where nothing passed the check."""
    context = folder.context
    job = UpperBoundJob(network, attack, norm, MISCLASSIFIED, context.seed)
    finished = folder.run(f"{attack}-{norm}", job, instances, context.method(), context.executor())
    found = [answered(r.row.distance) if r.row.status == FOUND else np.inf for r in finished]
    return estimates(table, NEAREST[norm], list(map(image_index, instances)), found)


def image_table(
    network: ReLUNetwork,
    instances: Sequence[Instance],
    exact: Mapping[str, Sequence[FinishedAttack]],
) -> pd.DataFrame:
    """One row for each image: the network's answer and what each stage found out.

    Returns:
        Columns ``index`` (in the split), ``label``, ``predicted``, ``runner_up`` (the largest
        logit but for the true label's), ``lead`` (of the true label's logit over the runner-up's),
        ``probability`` (softmax of the answer), and for each stage
        ``STAGE_distance``, ``STAGE_bound`` (proven lower bound on the distance), ``STAGE_target``
        and ``STAGE_status``.
    """
    labels = np.array([each.label for each in instances])
    logits = network.forward(np.stack([each.image for each in instances]))
    own = np.arange(len(labels)), labels
    others = logits.copy()
    others[own] = -np.inf
    columns: dict[str, Any] = {
        "index": list(map(image_index, instances)),
        "label": labels,
        "predicted": logits.argmax(axis=1),
        "runner_up": others.argmax(axis=1),
        "lead": logits[own] - others.max(axis=1),
        "probability": softmax(logits).max(axis=1),
    }
    for stage, finished in exact.items():
        rows, norm = row_table(finished), QUESTIONS[stage][0]
        bounds = [norm.distance_of(max(float(bound or 0.0), 0.0)) for bound in rows["bound"]]
        columns[f"{stage}_distance"] = rows["distance"].astype(float)
        columns[f"{stage}_bound"] = bounds
        columns[f"{stage}_target"] = rows["target"].astype("Int64")
        columns[f"{stage}_status"] = rows["status"]
    return pd.DataFrame(columns)


def _published(table: pd.DataFrame, norm: Norm) -> pd.DataFrame:
    """The columns of one norm's stages, rounded: distances to the nearest, bounds downward."""
    first = ["index", "label", "predicted", "runner_up", "lead", "probability"]
    stages = [stage for stage, asked in QUESTIONS.items() if asked[0] is norm]
    names = [name for name in table.columns if any(name.startswith(f"{s}_") for s in stages)]
    shown = table[[*first, *names]].copy()
    for name in shown.filter(regex="_bound$"):
        scale = 10.0 ** DIGITS[norm]
        shown[name] = np.floor(shown[name] * scale) / scale
    own = shown.columns.difference(first)
    return shown.round({name: DIGITS[norm] if name in own else DIGITS[Norm.L1] for name in shown})


def _percent(share: float) -> str:
    """A share with three digits at most, such as ``0.12 %``; rounding noise is 0."""
    return f"{0.0 if abs(share) < EXACT else 100.0 * share:.3g} %"


def _write_tables(
    folder: StudyFolder, table: pd.DataFrame, estimated: _Estimated, facts: Mapping[str, Any]
) -> None:
    """One row for each image, and the small tables."""
    for norm in NEAREST:
        folder.table(f"{NAME}-{norm}", _published(table, norm))
    digits = pd.DataFrame([_digit_line(table, digit) for digit in range(10)])
    folder.table(f"{NAME}-digits", digits, facts)
    attacks = pd.DataFrame(facts["attacks"]).drop(columns="below bound", errors="ignore")
    if len(attacks):
        shares = [*QUANTILES, "largest", "exact", "within 1 %"]
        attacks = attacks.assign(norm=attacks["norm"].str.capitalize())
        attacks[shares] = attacks[shares].map(_percent)
    folder.table(f"{NAME}-attacks", attacks, facts)
    for norm, stage in NEAREST.items():
        folder.table(f"{NAME}-nearest-{norm}", _nearest_table(table, stage), facts)
    found = {
        f"{norm}_{attack}": asked.set_index("index")["found"].round(DIGITS[norm])
        for norm, attacks in estimated.items()
        for attack, asked in attacks.items()
    }
    folder.table(ATTACKED_TABLE, pd.DataFrame(found).reset_index())


def _digit_line(table: pd.DataFrame, digit: int) -> dict[str, Any]:
    """Distances of one digit: quartiles for each norm, and which class is nearest how often."""
    of_digit = table[table["label"] == digit]
    wrong = len(of_digit) - len(right(of_digit))
    line: dict[str, Any] = {"digit": digit, "images": len(of_digit), "misclassified": wrong}
    for norm, stage in NEAREST.items():
        name, own = str(norm).capitalize(), known(of_digit, stage)
        median = quartiles = nearest = ""
        if len(own):
            distances = own[f"{stage}_distance"]
            low, median, high = (f"{distances.quantile(q):.3g}" for q in (0.25, 0.5, 0.75))
            counts = own[f"{stage}_target"].value_counts().sort_index()
            quartiles = f"{low} to {high}"
            nearest = f"{counts.idxmax()} ({100 * counts.max() / len(own):.0f} %)"
        line |= {f"{name} median": median, f"{name} quartiles": quartiles}
        line[f"nearest in {name}"] = nearest
    far = known(of_digit, SHIFTED)[f"{SHIFTED}_distance"]
    return {**line, "L1 median to +5": f"{far.median():.3g}" if len(far) else ""}


def _nearest_table(table: pd.DataFrame, stage: str) -> pd.DataFrame:
    """How often each class is the nearest wrong one (columns), by digit (rows)."""
    own = known(table, stage)
    counts = pd.crosstab(own["label"], own[f"{stage}_target"].astype(int))
    counts = counts.reindex(index=range(10), columns=range(10), fill_value=0)
    return counts.rename_axis(index="digit", columns=None).reset_index()


def _redraw(folder: StudyFolder, data: Path) -> None:
    """:func:`_draw` and :func:`_draw_overestimates` from what is published.

    Galleries need the images.
    """
    table = _read_published(data)
    attacked = pd.read_csv(data / f"{ATTACKED_TABLE}.csv")
    estimated = {
        norm: {attack: _read_attack(table, attacked, attack, norm) for attack in Attack}
        for norm in NEAREST
    }
    _draw(folder, table, estimated)
    _draw_overestimates(folder, estimated)


def _read_published(data: Path) -> pd.DataFrame:
    """The table of images; bounds of what is proven are as close as proofs are, not as digits."""
    tables = [pd.read_csv(data / f"{NAME}-{norm}.csv") for norm in NEAREST]
    parts = [own.filter(regex=f"^{norm}_") for norm, own in zip(NEAREST, tables, strict=True)]
    table = pd.concat([tables[0].drop(columns=parts[0].columns), *parts], axis=1)
    for stage in QUESTIONS:
        proven = table[f"{stage}_status"] == str(Status.OPTIMAL)
        closed = table[f"{stage}_distance"].where(proven, 0.0) * (1.0 - EXACT)
        table[f"{stage}_bound"] = np.maximum(table[f"{stage}_bound"], closed)
    return table


def _read_attack(
    table: pd.DataFrame, attacked: pd.DataFrame, attack: Attack, norm: Norm
) -> pd.DataFrame:
    """What an attack found; distances that differ by their rounding only are the exact ones."""
    stage = NEAREST[norm]
    asked = estimates(table, stage, attacked["index"].to_list(), attacked[f"{norm}_{attack}"])
    exact = asked[f"{stage}_distance"]
    apart = (asked["found"] - exact).abs() > 1.01 * 10.0 ** -DIGITS[norm]
    return asked.assign(found=asked["found"].where(apart, exact))


def _draw(folder: StudyFolder, table: pd.DataFrame, estimated: _Estimated) -> None:
    """Distances of all images."""
    curves = {str(norm): certified_distances(table, stage) for norm, stage in NEAREST.items()}
    pairs = {str(norm): _curve_pairs(estimated[norm], stage) for norm, stage in NEAREST.items()}
    folder.figure(f"{NAME}-certified", certified_accuracy_figure(curves, pairs))
    own = table
    for stage in NEAREST.values():
        own = known(own, stage)
    if own.empty:
        return
    distances = {str(norm): own[f"{stage}_distance"] for norm, stage in NEAREST.items()}
    by_digit = {n: [far[own["label"] == d] for d in range(10)] for n, far in distances.items()}
    names = [str(digit) for digit in range(10)]
    folder.figure(f"{NAME}-digits", class_distance_figure(by_digit, names))
    label = "lead of the true label's logit over the next"
    folder.figure(f"{NAME}-confidence", confidence_figure(own["lead"], distances, label))


def _curve_pairs(attacks: Mapping[Attack, pd.DataFrame], stage: str) -> dict[str, tuple[Any, Any]]:
    """Distances found and certified, of the images that each attack looked at."""
    pairs = {}
    for attack, asked in attacks.items():
        found = asked["found"].where(asked["label"] == asked["predicted"], 0.0).to_numpy()
        pairs[ATTACK_NAMES[attack]] = (found, certified_distances(asked, stage))
    return pairs


def _draw_overestimates(folder: StudyFolder, estimated: _Estimated) -> None:
    """What attacks overestimate, unless one found nothing."""
    over = {
        str(n): {ATTACK_NAMES[a]: overestimates(asked, NEAREST[n]) for a, asked in attacks.items()}
        for n, attacks in estimated.items()
    }
    if all(len(each) for attacks in over.values() for each in attacks.values()):
        folder.figure(f"{NAME}-overestimate", overestimate_figure(over))


def _gallery(
    instances: Sequence[Instance],
    exact: Sequence[FinishedAttack],
    table: pd.DataFrame,
    norm: Norm,
    stage: str,
) -> Figure | None:
    """The least robust images above, the most robust ones below; changes on a scale for each."""
    own = known(table, stage).sort_values(f"{stage}_distance", kind="stable")
    half = min(EXTREMES, len(own) // 2)
    if not half:
        return None
    rows = pd.concat([own[:half], own[-half:]])
    return perturbation_figure(
        [instances[place].image for place in rows.index],
        [exact[place].image for place in rows.index],
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
    own = known(table, SHIFTED)
    values = own[f"{SHIFTED}_distance"]
    return {
        "proven": int((table[f"{SHIFTED}_status"] == Status.OPTIMAL).sum()),
        "median": values.median(),
        "smallest": values.min(),
        "largest": values.max(),
        "median over nearest": (values / own["l1_any_distance"]).median(),
    }


def _seconds(finished: Sequence[FinishedAttack]) -> dict[str, float]:
    """Median and slowest time in seconds; these differ from run to run."""
    seconds = np.array([result.row.seconds for result in finished], dtype=np.float64)
    return {"median": float(np.median(seconds)), "slowest": float(seconds.max())}


def _more(_data: Path, _facts: Mapping[str, Any]) -> dict[str, Any]:
    return {"attacked": ATTACKED, "strict_gap": STRICT_GAP}


STUDY = Study(NAME, run, _redraw, _more, minutes=22)
