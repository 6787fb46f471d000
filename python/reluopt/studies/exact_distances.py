"""Exact distances of many images, and what attacks say of the same images: the arithmetic.

Tables have one row for each image: ``index`` (in its split), ``label``, ``predicted``, and by stage
(what was asked) ``STAGE_distance``, ``STAGE_bound`` (a proven lower bound on the distance),
``STAGE_target`` and ``STAGE_status``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from reluopt.answers.solution import Status
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.problems import Norm

EXACT = 1e-6
"""Overestimates up to this count as none: proofs themselves stop at a gap of 1e-6."""

BRACKET = 1e-4
"""Widest bracket, relative to the distance, of distances that count: less than what is printed.
Where an image is nearer than 0.005 in L2, the engine may stop short of a gap of 1e-6 in the square
of the distance, since answers keep 1e-9 away from the border."""

QUANTILES = {"lowest quarter": 0.25, "median": 0.5, "highest quarter": 0.75, "95 %": 0.95}

RADII = {
    Norm.L1: (0.5, 1.0, 2.0, 3.0, 5.0),
    Norm.L2: (0.1, 0.2, 0.3, 0.5, 1.0),
    Norm.LINF: (0.005, 0.01, 0.02, 0.03, 0.05),
}
"""Lengths at which certified accuracy is told; they span what the test set shows."""


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


def estimates(
    table: pd.DataFrame, stage: str, indices: Sequence[int], found: Iterable[float]
) -> pd.DataFrame:
    """What an attack found for some images (``found``), beside their exact distances."""
    own = table.set_index("index", drop=False).loc[list(indices)].reset_index(drop=True)
    exact = [f"{stage}_{name}" for name in ("distance", "bound", "status")]
    return own[["index", "label", "predicted", *exact]].assign(found=list(found))


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


def agreement(table: pd.DataFrame, stages: Mapping[str, str]) -> dict[str, dict[str, float]]:
    """How alike two norms order images and name the nearest class, by pair such as ``l1 l2``.

    ``stages`` are those of the norms; only images whose distance is known in all of them count.
    """
    own = table
    for stage in stages.values():
        own = known(own, stage)
    return {
        f"{one} {two}": {
            "rank correlation": rank_correlation(
                own[f"{stages[one]}_distance"], own[f"{stages[two]}_distance"]
            ),
            "same nearest": float(
                (own[f"{stages[one]}_target"] == own[f"{stages[two]}_target"]).mean()
            ),
        }
        for one, two in combinations(stages, 2)
    }
