"""Tables and numbers of the study ``robustness``, from rows alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from reluopt.answers.solution import Status
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.problems import Norm
from reluopt.runs.instances import Instance
from reluopt.runs.runner import Finished
from reluopt.runs.upper_bound import FOUND, Attack

EXACT = 1e-6
"""Overestimates up to this count as none: proofs themselves stop at a gap of 1e-6."""

BRACKET = 1e-4
"""Widest bracket, relative to the distance, of distances that count: less than what is printed.
Where an image is nearer than 0.005 in L2, the engine may stop short of a gap of 1e-6 in the square
of the distance, since answers keep 1e-9 away from the border."""

DIGITS = 6
"""Decimals of published distances, in pixel units: a 2550th of a grey level."""

QUANTILES = {"lowest quarter": 0.25, "median": 0.5, "highest quarter": 0.75, "95 %": 0.95}

RADII = {Norm.L1: (0.5, 1.0, 2.0, 3.0, 5.0), Norm.L2: (0.1, 0.2, 0.3, 0.5, 1.0)}
"""Lengths at which certified accuracy is told; they span what the test set shows."""


def image_table(
    network: ReLUNetwork,
    instances: Sequence[Instance],
    exact: Mapping[str, tuple[Norm, Sequence[Finished]]],
) -> pd.DataFrame:
    """One row for each image: the network's answer and what each stage found out.

    Args:
        network: the network.
        instances: the images.
        exact: for each stage its norm and its results, in the order of the images.

    Returns:
        Columns ``index`` (in the split), ``label``, ``predicted``, ``runner_up`` (the largest
        logit but for the true label's), ``lead`` (of the true label's logit over the runner-up's),
        ``probability`` (softmax of the answer), and for each stage
        ``STAGE_distance``, ``STAGE_bound`` (proven lower bound on the distance), ``STAGE_target``
        and ``STAGE_status``.
    """
    labels = np.array([each.label for each in instances])
    logits = network.forward(np.stack([each.image for each in instances]))
    others = logits.copy()
    others[np.arange(len(labels)), labels] = -np.inf
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    table = pd.DataFrame(
        {
            "index": [int(each.key.partition(":")[2]) for each in instances],
            "label": labels,
            "predicted": logits.argmax(axis=1),
            "runner_up": others.argmax(axis=1),
            "lead": logits[np.arange(len(labels)), labels] - others.max(axis=1),
            "probability": powers.max(axis=1) / powers.sum(axis=1),
        }
    )
    for stage, (norm, finished) in exact.items():
        rows = pd.DataFrame([result.row for result in finished])
        bounds = [norm.distance_of(max(float(bound), 0.0)) for bound in rows["bound"].fillna(0.0)]
        table[f"{stage}_distance"] = rows["distance"].astype(float)
        table[f"{stage}_bound"] = bounds
        table[f"{stage}_target"] = rows["target"].astype("Int64")
        table[f"{stage}_status"] = rows["status"]
    return table


def published(table: pd.DataFrame, stages: Sequence[str]) -> pd.DataFrame:
    """The columns of some stages, rounded: distances to the nearest, bounds downward."""
    first = ["index", "label", "predicted", "runner_up", "lead", "probability"]
    names = [name for name in table.columns if any(name.startswith(f"{s}_") for s in stages)]
    shown = table[[*first, *names]].copy()
    for name in shown.columns:
        if name.endswith("_bound"):
            scale = 10.0**DIGITS
            shown[name] = (np.floor(shown[name] * scale) / scale).round(DIGITS)
        elif name.endswith("_distance") or name in ("lead", "probability"):
            shown[name] = shown[name].round(DIGITS)
    return shown


def right(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of images that the network classifies correctly as they are."""
    return table[table["label"] == table["predicted"]]


def known(table: pd.DataFrame, stage: str) -> pd.DataFrame:
    """Correctly classified images whose distance is known to :data:`BRACKET`."""
    own = right(table)
    return own[_brackets(own, stage) <= BRACKET]


def _brackets(own: pd.DataFrame, stage: str) -> pd.Series[Any]:
    """(distance - proven bound) / distance; NaN where there is no distance, or it is 0."""
    return 1.0 - own[f"{stage}_bound"] / own[f"{stage}_distance"].where(lambda far: far > 0.0)


def certified_distances(table: pd.DataFrame, stage: str) -> FloatArray:
    """The length up to which each image provably stays correct; 0 for misclassified ones."""
    stays = table["label"] == table["predicted"]
    return np.asarray(table[f"{stage}_bound"].where(stays, 0.0), dtype=np.float64)


def found_distances(finished: Sequence[Finished]) -> list[float]:
    """Distances that an attack found; infinite where nothing passed the check."""
    return [
        float(result.row["distance"]) if result.row["status"] == FOUND else np.inf
        for result in finished
    ]


def estimates(
    table: pd.DataFrame, stage: str, indices: Sequence[int], distances: Sequence[float]
) -> pd.DataFrame:
    """What an attack found, beside the exact distances of the same images.

    Args:
        table: :func:`image_table`.
        stage: what is proven.
        indices: the images that the attack was asked about.
        distances: :func:`found_distances`.

    Returns:
        Their rows, with ``found`` (the attack's distance).
    """
    own = table.set_index("index", drop=False).loc[list(indices)].reset_index(drop=True)
    return own.assign(found=list(distances))[
        ["index", "label", "predicted", f"{stage}_distance", f"{stage}_bound", f"{stage}_status",
         "found"]
    ]  # fmt: skip


def attacked_table(estimated: Mapping[Norm, Mapping[Attack, pd.DataFrame]]) -> pd.DataFrame:
    """What all attacks found, one row for each image, in columns such as ``l1_pgd``."""
    columns = {
        f"{norm}_{attack}": asked.set_index("index")["found"].round(DIGITS)
        for norm, attacks in estimated.items()
        for attack, asked in attacks.items()
    }
    return pd.DataFrame(columns).reset_index()


def overestimates(asked: pd.DataFrame, stage: str) -> FloatArray:
    """Attack distance / exact distance - 1 of correct images, where both are known."""
    own = known(asked, stage)
    own = own[np.isfinite(own["found"])]
    return np.asarray(own["found"] / own[f"{stage}_distance"] - 1.0, dtype=np.float64)


def attack_summary(name: str, norm: Norm, asked: pd.DataFrame, stage: str) -> dict[str, Any]:
    """Numbers about what one attack overestimates.

    ``below bound`` counts images that an attack found nearer than what was proven, which would
    refute the proof; a 1e-9th is left for rounding.
    """
    over = overestimates(asked, stage)
    correct = right(asked)
    refuted = correct["found"] < correct[f"{stage}_bound"] * (1.0 - 1e-9)
    return {
        "norm": str(norm),
        "attack": name,
        "images": len(correct),
        "found": int(np.isfinite(correct["found"]).sum()),
        **{key: float(np.quantile(over, share)) for key, share in QUANTILES.items()},
        "largest": float(over.max()),
        "exact": float((over <= EXACT).mean()),
        "within 1 %": float((over <= 0.01).mean()),
        "below bound": int(refuted.sum()),
    }


def attack_table(summaries: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Summaries as people read them, in per cent."""
    shown = [
        {
            "norm": str(each["norm"]).upper(),
            "attack": each["attack"],
            "images": each["images"],
            "found": each["found"],
            **{key: percent(each[key]) for key in (*QUANTILES, "largest", "exact", "within 1 %")},
        }
        for each in summaries
    ]
    return pd.DataFrame(shown)


def percent(share: float) -> str:
    """A share with three digits at most, such as ``0.12 %``; rounding noise is 0."""
    return f"{0.0 if abs(share) < EXACT else 100.0 * share:.3g} %"


def digit_table(table: pd.DataFrame, norms: Mapping[Norm, str], shifted: str) -> pd.DataFrame:
    """Distances by digit: quartiles for each norm, and which class is nearest how often."""
    rows = []
    for digit in range(10):
        of_digit = table[table["label"] == digit]
        row: dict[str, Any] = {
            "digit": digit,
            "images": len(of_digit),
            "misclassified": len(of_digit) - len(right(of_digit)),
        }
        for norm, stage in norms.items():
            own = known(of_digit, stage)
            shares = (0.25, 0.5, 0.75)
            values = [own[f"{stage}_distance"].quantile(share) for share in shares]
            low, median, high = (f"{value:.3g}" if len(own) else "" for value in values)
            row[f"{str(norm).upper()} median"] = median
            row[f"{str(norm).upper()} quartiles"] = f"{low} to {high}" if len(own) else ""
            counts = own[f"{stage}_target"].value_counts().sort_index()
            row[f"nearest in {str(norm).upper()}"] = (
                f"{counts.idxmax()} ({100 * counts.max() / len(own):.0f} %)" if len(own) else ""
            )
        far = known(of_digit, shifted)[f"{shifted}_distance"]
        row["L1 median to +5"] = f"{far.median():.3g}" if len(far) else ""
        rows.append(row)
    return pd.DataFrame(rows)


def nearest_table(table: pd.DataFrame, stage: str) -> pd.DataFrame:
    """How often each class is the nearest wrong one (columns), by digit (rows)."""
    own = known(table, stage)
    counts = pd.crosstab(own["label"], own[f"{stage}_target"].astype(int))
    counts = counts.reindex(index=range(10), columns=range(10), fill_value=0)
    return counts.rename_axis(index="digit", columns=None).reset_index()


def rank_correlation(first: pd.Series[Any], second: pd.Series[Any]) -> float:
    """Spearman's rank correlation; ties share the mean of their ranks."""
    return float(first.rank().corr(second.rank())) if len(first) > 1 else float("nan")


def norm_facts(table: pd.DataFrame, norm: Norm, stage: str) -> dict[str, Any]:
    """Numbers about the exact distances in one norm."""
    own = known(table, stage)
    values = own[f"{stage}_distance"]
    medians = own.groupby("label")[f"{stage}_distance"].median().sort_values(kind="stable")
    certified = certified_distances(table, stage)
    return {
        "proven": int((table[f"{stage}_status"] == str(Status.OPTIMAL)).sum()),
        "known": len(own),
        "widest bracket": _brackets(own, stage).max(),
        "median": values.median(),
        "lowest quarter": values.quantile(0.25),
        "highest quarter": values.quantile(0.75),
        "smallest": values.min(),
        "largest": values.max(),
        "least robust digit": int(medians.index[0]),
        "least robust digit's median": medians.iloc[0],
        "most robust digit": int(medians.index[-1]),
        "most robust digit's median": medians.iloc[-1],
        "half of all images": float(np.median(certified)),
        "rank correlation with lead": rank_correlation(own["lead"], values),
        "rank correlation with probability": rank_correlation(own["probability"], values),
        "nearest is the runner-up": float((own[f"{stage}_target"] == own["runner_up"]).mean()),
        "certified accuracy": {
            f"{radius:g}": float((certified > radius).mean()) for radius in RADII[norm]
        },
    }


def second_table(exact: Mapping[str, Sequence[Finished]]) -> dict[str, dict[str, float]]:
    """Median and slowest time of each stage, in seconds; these differ from run to run."""
    result = {}
    for stage, finished in exact.items():
        seconds = np.array([result.row["seconds"] for result in finished], dtype=np.float64)
        result[stage] = {"median": float(np.median(seconds)), "slowest": float(seconds.max())}
    return result
