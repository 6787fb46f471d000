"""Which target is nearest, and what its images look like.

Targets by choice: ``any`` (the nearest of all other labels), the runner-up, ``+5`` (the thesis'
rule), and one label for all digits, for each of the ten labels (images of that label left out).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from reluopt.figures import distance_matrix_figure, distribution_figure
from reluopt.images.mnist import load_images
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.zoo import load_bundled
from reluopt.numerics.arrays import BoolArray, FloatArray
from reluopt.questions.problems import Norm, parse_target
from reluopt.runs.instances import Instance
from reluopt.runs.row import known
from reluopt.runs.tables import fixed, markdown_table
from reluopt.studies.base import (
    Study,
    StudyContext,
    StudyFolder,
    StudyResult,
    read_facts,
    read_table,
)
from reluopt.studies.solved import (
    MARGIN,
    NORMS,
    SAME,
    FinishedAttack,
    count_unproven,
    image_index,
    perturbations,
    printed,
    proven_distances,
    recognised_images,
    row_table,
)
from reluopt.studies.visibility import VISIBLE_CHANGE, always_black, visibility
from reluopt.studies.words import share_text

NAME = "targets"
NETWORK = "thesis"
ROWS = f"{NAME}-rows"
"""The table of rows."""

ANY, RUNNER_UP, PLUS_5 = "any", "runner-up", "+5"
CHOICES = {ANY: "any", RUNNER_UP: "runner-up", PLUS_5: "plus5"}
"""Targets that depend on the image, and the folder names of their rows."""

REDUCED, COMPLETE = 10, 500
"""Numbers of images."""

FIXED = 200
"""Images for which every label is a target; the first ones of all."""

_SEEN = ("changed", "largest", "mean", "black_share", "similarity")
"""Measures of :mod:`reluopt.studies.visibility`."""

_PLACES = {"distance": 5, "over_any": 4, "largest": 3, "mean": 5, "black_share": 3, "similarity": 4}
"""Decimals of published rows."""


@dataclass(frozen=True, eq=False)
class NormAnswers:
    """All answers in one norm.

    Attributes:
        norm: the norm.
        chosen: by choice, one result for each image.
        fixed: by label, one result for each of the first images of another label.
    """

    norm: Norm
    chosen: Mapping[str, Sequence[FinishedAttack]]
    fixed: Mapping[int, Sequence[FinishedAttack]]

    @property
    def groups(self) -> dict[str, Sequence[FinishedAttack]]:
        """Everything by choice, labels for all digits last."""
        return {**self.chosen, **{str(label): rows for label, rows in self.fixed.items()}}


def run(context: StudyContext) -> StudyResult:
    """Solve all images for all choices, in both norms."""
    folder = StudyFolder(context, NAME)
    network = load_bundled(NETWORK)
    images = recognised_images(network, context.count(REDUCED, COMPLETE))
    answers = [_solve(folder, network, images, norm) for norm in NORMS]
    black = always_black(load_images("train").pixels.reshape(-1, *network.input_shape))
    rows = pd.concat(
        [_image_rows(network, images, found, black) for found in answers], ignore_index=True
    )
    facts = {
        "network": NETWORK,
        "margin": str(MARGIN),
        "images": len(images),
        "last_image": image_index(images[-1]),
        "images_fixed": min(len(images), FIXED),
        "problems": len(rows),
        "unproven": sum(count_unproven(found.groups.values()) for found in answers),
        **{str(norm): _norm_facts(rows, norm) for norm in NORMS},
    }
    _draw(folder, rows, facts)
    for found in answers:
        folder.figure(f"{NAME}-{found.norm}", _example(images, found))
    folder.table(NAME, summary(rows), facts)
    whole = {name: rows[name].astype("Int64") for name in ("target", "rank", "changed")}
    folder.table(ROWS, printed(rows, _PLACES).assign(**whole))
    return folder.finish(facts, complete=len(images) == COMPLETE)


def _solve(
    folder: StudyFolder, network: ReLUNetwork, images: Sequence[Instance], norm: Norm
) -> NormAnswers:
    """All choices in one norm."""

    def ask(stage: str, target: str, asked: Sequence[Instance]) -> list[FinishedAttack]:
        return folder.solve(f"{norm}-{stage}", network, asked, norm, MARGIN, parse_target(target))

    first = images[:FIXED]
    return NormAnswers(
        norm,
        {choice: ask(stage, choice, images) for choice, stage in CHOICES.items()},
        {
            label: ask(f"to-{label}", str(label), [i for i in first if i.label != label])
            for label in range(network.output_size)
        },
    )


def _image_rows(
    network: ReLUNetwork, images: Sequence[Instance], answers: NormAnswers, black: BoolArray
) -> pd.DataFrame:
    """One line for each problem, with distance (NaN if not proven), rank and visibility.

    ``rank`` is the place of the target's logit among the labels other than the true one at the
    unchanged image: 1 is the runner-up. ``over_any`` is the distance over that of the nearest.
    """
    shape = network.input_shape
    originals = {image.key: image.image for image in images}
    nearest = proven_distances(answers.chosen[ANY])
    parts = []
    for choice, finished in answers.groups.items():
        rows = row_table(finished, norm=str(answers.norm), choice=choice)
        distances = proven_distances(finished)
        rows["distance"] = distances.to_numpy()
        rows["over_any"] = (distances / nearest[distances.index]).to_numpy()
        seen: list[dict[str, Any]] = [{} for _ in finished]
        for line, result in zip(seen, finished, strict=True):
            original, row = originals[result.row.image], result.row
            if result.image is not None:
                logits = network.forward(original)
                line["rank"] = _rank(logits, row.label, known(row.target))
                changed = result.image.reshape(shape)
                line |= asdict(visibility(original.reshape(shape), changed, black))
        names = ["image", "label", "norm", "choice", "target", "status", "distance", "over_any"]
        parts.append(rows[names].join(pd.DataFrame(seen, columns=["rank", *_SEEN])))
    return pd.concat(parts)


def _rank(logits: FloatArray, label: int, target: int) -> int:
    """1 for the largest logit among the others."""
    return int((np.delete(logits, label) > logits[target]).sum()) + 1


def _draw(folder: StudyFolder, rows: pd.DataFrame, facts: Mapping[str, Any]) -> None:
    """The figures of distances; none unless all are proven."""
    if rows["distance"].notna().all():
        folder.figure(NAME, distribution_figure(_distributions(rows, facts)))
        matrices = {str(norm): distance_matrix(rows, norm) for norm in NORMS}
        labels = [str(label) for label in range(len(next(iter(matrices.values()))))]
        folder.figure(f"{NAME}-matrix", distance_matrix_figure(matrices, labels))


def _redraw(folder: StudyFolder, data: Path) -> None:
    """:func:`_draw` from what is published."""
    rows = pd.read_csv(data / f"{ROWS}.csv", dtype={"choice": str})
    _draw(folder, rows, read_facts(data, NAME))


def _distributions(
    rows: pd.DataFrame, facts: Mapping[str, Any]
) -> dict[str, dict[str, pd.Series[float]]]:
    """Series of the figure: choices, then the cheapest and the dearest label for all."""
    panels: dict[str, dict[str, pd.Series[float]]] = {}
    for norm in map(str, NORMS):
        own = rows[rows["norm"] == norm].set_index("choice")["distance"]
        panels[norm] = {
            "any other label": own.loc[[ANY]],
            "runner-up": own.loc[[RUNNER_UP]],
            "label + 5": own.loc[[PLUS_5]],
            "cheapest label for all": own.loc[[str(facts[norm]["cheapest"])]],
            "dearest label for all": own.loc[[str(facts[norm]["dearest"])]],
        }
    return panels


def _example(images: Sequence[Instance], answers: NormAnswers) -> Figure | None:
    """One digit with all nine targets: the first for which all choices take different ones.

    The figure says which target each choice takes. None when there is no such digit.
    """
    chosen = {c: {r.row.image: r for r in rows} for c, rows in answers.chosen.items()}
    for image in images[:FIXED]:
        targets = {choice: known(rows[image.key].row.target) for choice, rows in chosen.items()}
        if len(set(targets.values())) == len(targets):
            break
    else:
        return None
    shown = [r for rows in answers.fixed.values() for r in rows if r.row.image == image.key]
    names = {target: choice for choice, target in targets.items()}
    words = [names.get(known(result.row.target), "") for result in shown]
    return perturbations([image] * len(shown), shown, answers.norm, words)


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


def _norm_facts(rows: pd.DataFrame, norm: Norm) -> dict[str, Any]:
    """What is told about one norm."""
    own = rows[rows["norm"] == str(norm)]
    by_choice = dict(iter(own.groupby("choice", sort=False)))
    # Labels count equally, however many images each has.
    means = distance_matrix(rows, norm).mean(axis=0).dropna()
    order = means.sort_values().index.tolist()
    fixed_only = own[~own["choice"].isin(list(CHOICES))]
    least = fixed_only.groupby("image")["over_any"].min()
    ranks = by_choice[ANY]["rank"]
    return {
        "choices": {str(choice): _choice_facts(part) for choice, part in by_choice.items()},
        "nearest_ranks": [int((ranks == rank).sum()) for rank in range(1, 10)],
        "cheapest": int(order[0]) if order else None,
        "dearest": int(order[-1]) if order else None,
        "mean_by_target": {str(t): round(float(v), 4) for t, v in means.items()},
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


def _more(data: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The table of choices, and of the cheapest and dearest label for all."""
    table = read_table(data, NAME)
    parts = []
    for norm in map(str, NORMS):
        labels = [f"{facts[norm][name]} for all" for name in ("cheapest", "dearest")]
        own = table[(table["norm"] == norm) & table["choice"].isin([*CHOICES, *labels])]
        parts.append(own.assign(norm=norm.upper()))
    brief = pd.concat(parts).drop(columns=["q1", "q3", "mean change"])
    return {"brief_table": markdown_table(brief), "visible_change": VISIBLE_CHANGE}


STUDY = Study(NAME, run, _redraw, _more, minutes=4)
