"""Rows, tables and facts of the study of targets: arithmetic only, nothing is solved or drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import BoolArray, FloatArray
from reluopt.questions.problems import Norm
from reluopt.runs.attack import Finished
from reluopt.runs.instances import Instance
from reluopt.runs.tables import fixed
from reluopt.studies.selection import SAME, proven_distances, share_text
from reluopt.studies.visibility import visibility

NORMS = (Norm.L1, Norm.L2)

ANY, RUNNER_UP, PLUS_5 = "any", "runner-up", "+5"
CHOICES = {ANY: "any", RUNNER_UP: "runner-up", PLUS_5: "plus5"}
"""Targets that depend on the image, and the folder names of their rows."""

_SEEN = ("changed", "largest", "mean", "black_share", "similarity")
"""Measures of :mod:`reluopt.studies.visibility`."""


@dataclass(frozen=True, eq=False)
class Answers:
    """All answers in one norm.

    Attributes:
        norm: the norm.
        chosen: by choice, one result for each image.
        fixed: by label, one result for each of the first images of another label.
    """

    norm: Norm
    chosen: Mapping[str, Sequence[Finished]]
    fixed: Mapping[int, Sequence[Finished]]

    @property
    def groups(self) -> dict[str, Sequence[Finished]]:
        """Everything by choice, labels for all digits last."""
        return {**self.chosen, **{str(label): rows for label, rows in self.fixed.items()}}


def image_rows(
    network: ReLUNetwork, images: Sequence[Instance], answers: Answers, black: BoolArray
) -> pd.DataFrame:
    """One line for each problem, with distance (NaN if not proven), rank and visibility.

    ``rank`` is the place of the target's logit among the labels other than the true one at the
    unchanged image: 1 is the runner-up. ``over_any`` is the distance over that of the nearest.
    """
    shape = network.input_shape
    originals = {image.key: image.image for image in images}
    nearest = proven_distances(answers.chosen[ANY])
    lines = []
    for choice, finished in answers.groups.items():
        for result, distance in zip(finished, proven_distances(finished), strict=True):
            key, label = str(result.row["image"]), int(result.row["label"])
            line = {
                "image": key,
                "label": label,
                "norm": str(answers.norm),
                "choice": choice,
                "target": result.row.get("target"),
                "status": result.row["status"],
                "distance": distance,
                "over_any": distance / nearest[key],
            }
            original = originals[key]
            if result.image is not None:
                line["rank"] = _rank(network.forward(original), label, int(result.row["target"]))
                changed = result.image.reshape(shape)
                line |= asdict(visibility(original.reshape(shape), changed, black))
            lines.append(line)
    columns = ["image", "label", "norm", "choice", "target", "status", "distance", "over_any"]
    return pd.DataFrame(lines, columns=[*columns, "rank", *_SEEN])


def _rank(logits: FloatArray, label: int, target: int) -> int:
    """1 for the largest logit among the others."""
    others = np.delete(logits, label)
    return int((others > logits[target]).sum()) + 1


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Quartiles of distance and medians of visibility for each norm and choice."""
    lines = []
    for (norm, choice), own in rows.groupby(["norm", "choice"], sort=False):
        quartiles = own["distance"].quantile(np.array([0.25, 0.5, 0.75])).to_list()
        lines.append(
            {
                "norm": norm,
                "choice": choice if choice in CHOICES else f"{choice} for all",
                "images": len(own),
                "q1": fixed(quartiles[0], 3),
                "median": fixed(quartiles[1], 3),
                "q3": fixed(quartiles[2], 3),
                "times any": fixed(own["over_any"].median(), 3),
                "is nearest": share_text(_share_nearest(own), 1),
                "pixels changed": fixed(own["changed"].median(), 0),
                "largest change": fixed(own["largest"].median(), 3),
                "mean change": fixed(own["mean"].median(), 5),
                "on black frame": share_text(own["black_share"].median()),
                "similarity": fixed(own["similarity"].median(), 3),
            }
        )
    return pd.DataFrame(lines, dtype=object)


def _share_nearest(rows: pd.DataFrame) -> float:
    """Share of images whose distance is that of the nearest label."""
    return float((rows["over_any"] <= 1.0 + SAME).mean())


def distance_matrix(rows: pd.DataFrame, norm: Norm) -> pd.DataFrame:
    """Mean distance by label (down) and target (across), from one target for all digits."""
    own = rows[(rows["norm"] == str(norm)) & ~rows["choice"].isin(list(CHOICES))]
    means = own.assign(to=own["choice"].astype(int)).groupby(["label", "to"])["distance"].mean()
    labels = range(10)
    return means.unstack().reindex(index=labels, columns=labels)


def norm_facts(answers: Answers, rows: pd.DataFrame) -> dict[str, Any]:
    """What is told about one norm."""
    own = rows[rows["norm"] == str(answers.norm)]
    by_choice = dict(iter(own.groupby("choice", sort=False)))
    nearest = by_choice[ANY]
    # Labels count equally, however many images each has.
    means = distance_matrix(rows, answers.norm).mean(axis=0)
    order = means.dropna().sort_values().index.tolist()
    fixed_only = own[~own["choice"].isin(list(CHOICES))]
    least = fixed_only.groupby("image")["over_any"].min()
    return {
        "choices": {str(choice): _choice_facts(part) for choice, part in by_choice.items()},
        "nearest_ranks": [int((nearest["rank"] == rank).sum()) for rank in range(1, 10)],
        "cheapest": int(order[0]) if order else None,
        "dearest": int(order[-1]) if order else None,
        "mean_by_target": {str(t): round(float(v), 4) for t, v in means.dropna().items()},
        "any_is_least_of_nine": int((np.abs(least - 1.0) <= SAME).sum()),
        "checked_least": len(least),
    }


def _choice_facts(own: pd.DataFrame) -> dict[str, Any]:
    """One choice: distance and visibility; ``over_any_mean`` is the ratio of mean distances."""
    nearest = own["distance"] / own["over_any"]
    return {
        "images": len(own),
        "median": _rounded(own["distance"].median()),
        "mean": _rounded(own["distance"].mean()),
        "over_any_median": _rounded(own["over_any"].median()),
        "over_any_mean": _rounded(own["distance"].sum() / nearest.sum()),
        "over_any_largest": _rounded(own["over_any"].max()),
        "nearest": round(_share_nearest(own), 4),
        **{name: _rounded(own[name].median()) for name in _SEEN},
    }


def _rounded(value: float) -> float | None:
    return round(float(value), 5) if np.isfinite(value) else None


def published(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with numbers as short as they are meaningful."""
    places = {
        "distance": 5,
        "over_any": 4,
        "largest": 3,
        "mean": 5,
        "black_share": 3,
        "similarity": 4,
    }
    shown = rows.copy()
    for name, count in places.items():
        shown[name] = [fixed(value, count) for value in rows[name]]
    for name in ("target", "rank", "changed"):
        shown[name] = rows[name].astype("Int64")
    return shown
