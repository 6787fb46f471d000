"""Kronqvist (2024): correct a few adversarial images by the smallest change of weights.

The quadratic programs have as many variables as the network has weights, and few conditions; they
are solved in their dual. What becomes of the accuracy under attacks is compared with Table 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from reluopt.attacks.adversaries import Steps, worst_adversaries
from reluopt.attacks.methods.base import AttackMethod
from reluopt.attacks.methods.fgsm import Fgsm
from reluopt.attacks.methods.pgd import Pgd
from reluopt.figures import Tradeoff, tradeoff_figure
from reluopt.images.mnist import load_images
from reluopt.networks.finetuning.correction import Candidate, Correction, Examples, correct
from reluopt.networks.finetuning.parameters import mean_loss, weights_of
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.zoo import open_network
from reluopt.numerics.arrays import FloatArray
from reluopt.runs.ball_attack import Attacked, BallAttackJob, accuracies
from reluopt.runs.instances import Instance, load_instances
from reluopt.runs.tables import DASH, fixed
from reluopt.studies import exact_tuning
from reluopt.studies.base import (
    Study,
    StudyContext,
    StudyFolder,
    StudyResult,
    read_facts,
    read_table,
)
from reluopt.studies.published import CORRECTIONS
from reluopt.studies.words import share_text

NAME = "finetuning"
EXACT = f"{NAME}-exact"
NETWORK = "cnn-small"

OMEGAS = (None, 0.0, 0.2, 0.4)
"""Weights of the loss; None stands for the last optimum itself, where the lecture prints none."""

EPS, STEP, STEPS = 0.1, 0.01, 50
"""Radius of the balls, and the steps of PGD."""


@dataclass(frozen=True)
class Size:
    """How much is done.

    Attributes:
        points: adversarial images, a fine-tuning for each number.
        pool: training images of which the worst are taken.
        training: training images whose loss may not rise.
        judged: those that tell the loss of candidates.
        test: test images that are attacked.
        iterations: quadratic programs.
    """

    points: tuple[int, ...]
    pool: int
    training: int
    judged: int
    test: int
    iterations: int


COMPLETE = Size((10, 50), 5000, 5000, 1000, 1000, 20)
REDUCED = Size((10,), 200, 200, 100, 50, 3)

ATTACKS: dict[str, tuple[AttackMethod, bool, Attacked]] = {
    "fgsm": (Fgsm(), False, Attacked.PREDICTED),
    "pgd": (Pgd(STEPS, STEP), False, Attacked.PREDICTED),
    "inside": (Pgd(STEPS, STEP), True, Attacked.TRUE),
}
"""As printed: away from the network's answer, and out of [0, 1] if need be; the last one is not."""


def run(context: StudyContext) -> StudyResult:
    """Fine-tune, choose, attack, compare."""
    folder = StudyFolder(context, NAME)
    size = COMPLETE if context.full else REDUCED
    network = open_network(NETWORK if context.network is None else context.network)
    data = load_images("train")
    pixels = data.images[: size.pool].reshape(size.pool, -1)
    labels = data.labels[: size.pool].astype(np.intp)
    training = Examples(pixels[: size.training], labels[: size.training])
    judged = Examples(pixels[: size.judged], labels[: size.judged])
    instances = load_instances(network, [f"test:0-{context.count(size.test, size.test) - 1}"])
    rows = [_measured(folder, network, network, instances, "0")]
    attacked = Steps(EPS, seed=context.seed)(network, pixels)
    made: dict[int, Correction] = {}
    for points in size.points:
        worst = worst_adversaries(network, attacked, labels, points)
        adversaries = Examples(attacked[worst], labels[worst])
        made[points] = correct(network, adversaries, training, size.iterations, judged)
        for omega in OMEGAS:
            candidate = _chosen(made[points], omega)
            after = made[points].corrected(candidate)
            key = f"{after.fingerprint[:8]}-{points}-{candidate.iteration}-{candidate.share:g}"
            found = _measured(folder, after, network, instances, key)
            rows.append({**found, **asdict(candidate), "points": points, "omega": omega})
    exact, verdicts = exact_tuning.measure(folder)
    facts = {**_facts(context, network, size, len(instances), made, rows), "exact": exact}
    candidates = _candidates(made)
    folder.table(NAME, _table(rows), facts)
    folder.table(f"{NAME}-candidates", candidates)
    folder.table(f"{EXACT}-rows", verdicts)
    _tell(folder, candidates, facts)
    complete = context.full and context.limit is None
    return folder.finish(facts, complete=complete)


def _chosen(made: Correction, omega: float | None) -> Candidate:
    """By omega, or the last optimum all the way."""
    return made.candidates[-1] if omega is None else made.chosen(omega)


def _measured(
    folder: StudyFolder,
    network: ReLUNetwork,
    before: ReLUNetwork,
    instances: Sequence[Instance],
    key: str,
) -> dict[str, Any]:
    """Loss, accuracy, and what attacks leave of it."""
    test, train = load_images("test"), load_images("train")
    pixels, seen = _flat(test.images), _flat(train.images)
    if not folder.context.full:
        seen = seen[: REDUCED.training]
    change = weights_of(network) - weights_of(before)
    told: dict[str, Any] = {
        "points": 0,
        "omega": None,
        "train_loss": mean_loss(network, seen, train.labels[: len(seen)].astype(np.intp)),
        "accuracy": float((network.predict(pixels) == test.labels).mean()),
        "change": float(np.linalg.norm(change) / np.linalg.norm(weights_of(before))),
    }
    method = folder.context.method()
    for name, (attack, clip, attacked) in ATTACKS.items():
        job = BallAttackJob(network, attack, EPS, clip=clip, attacked=attacked)
        stage = f"{key}-{name}-{'all' if folder.context.full else 'few'}"
        results = folder.run(stage, job, instances, method)
        told[name] = accuracies([each.row for each in results]).attacked
    return told


def _flat(images: FloatArray) -> FloatArray:
    return images.reshape(len(images), -1)


def _facts(
    context: StudyContext,
    network: ReLUNetwork,
    size: Size,
    images: int,
    made: dict[int, Correction],
    rows: list[dict[str, Any]],
) -> dict[str, Any]:
    """What is told."""
    return {
        "network": network.metadata.name,
        "given": context.network is not None,
        "weights": int(weights_of(network).size),
        "images": images,
        **{f"size_{name}": value for name, value in asdict(size).items()},
        "eps": EPS,
        "steps": STEPS,
        "before": {str(points): asdict(each.before) for points, each in made.items()},
        "optima": {str(points): len(each.optima) for points, each in made.items()},
        "rows": [
            {name: round(x, 6) if isinstance(x, float) else x for name, x in row.items()}
            for row in rows
        ],
    }


def _table(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Table 1, printed and here."""
    lines = []
    for row in rows:
        printed = CORRECTIONS[row["points"], row["omega"]]
        line = {
            "images": str(row["points"]),
            "omega": DASH if row["omega"] is None else f"{row['omega']:g}",
            "loss printed": fixed(printed.loss, 4),
            "here": fixed(row["train_loss"], 4),
        }
        for title, name in (("accuracy", "accuracy"), ("FGSM", "fgsm"), ("PGD", "pgd")):
            line[f"{title} printed"] = share_text(getattr(printed, name), 2)
            line[f"here, {title}"] = share_text(row[name], 2)
        line["PGD in [0, 1], true label"] = share_text(row["inside"], 2)
        line["weights changed by"] = share_text(row["change"], 2)
        lines.append(line)
    return pd.DataFrame(lines, dtype=object).fillna(DASH)


def _candidates(made: dict[int, Correction]) -> pd.DataFrame:
    """All that were looked at."""
    rows = [
        {"points": points, **asdict(each)} for points, m in made.items() for each in m.candidates
    ]
    return pd.DataFrame(rows).round(6)


def _draw(candidates: pd.DataFrame, facts: Mapping[str, Any]) -> Figure:
    """Violations and losses of all candidates, and of those that are chosen."""
    series = {}
    for points in facts["size_points"]:
        own = candidates[candidates["points"].astype(int) == points]
        chosen = [row for row in facts["rows"] if row["points"] == points]
        series[f"{points} images"] = Tradeoff(
            own[["violation", "loss"]].astype(float).to_numpy(),
            [(row["violation"], row["loss"]) for row in chosen],
            facts["before"][str(points)]["loss"],
        )
    return tradeoff_figure(series, f"loss of the first {facts['size_judged']:,} training images")


def _tell(folder: StudyFolder, candidates: pd.DataFrame, facts: Mapping[str, Any]) -> None:
    """What candidates and facts suffice for."""
    folder.figure(NAME, _draw(candidates, facts))
    folder.figure(EXACT, exact_tuning.tuning_figure(facts["exact"]))
    folder.table(EXACT, exact_tuning.tuning_table(facts["exact"]), facts)


def _redraw(folder: StudyFolder, data: Path) -> None:
    _tell(folder, read_table(data, f"{NAME}-candidates"), read_facts(data, NAME))


def _more(_data: Path, _facts: Mapping[str, Any]) -> dict[str, Any]:
    """How many training images tell the loss of a complete study."""
    return {"seen": len(load_images("train").images)}


STUDY = Study(NAME, run, _redraw, _more, any_network=True, minutes=20)
