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

from reluopt.experiments.attack import AttackSettings, Finished
from reluopt.experiments.instances import Instance
from reluopt.experiments.speed import fill
from reluopt.experiments.studies import STUDIES
from reluopt.experiments.studies.base import (
    Study,
    StudyContext,
    StudyFolder,
    StudyResult,
    read_facts,
    read_table,
)
from reluopt.experiments.studies.selection import (
    SAME,
    count_unproven,
    last_index,
    proof_words,
    proven_distances,
    recognised_images,
    share_text,
)
from reluopt.experiments.tables import fixed, markdown_table
from reluopt.experiments.visibility import VISIBLE_CHANGE, always_black, visibility
from reluopt.figures import distance_matrix_figure, distribution_figure, perturbation_figure
from reluopt.mnist import load_images
from reluopt.network import BoolArray, FloatArray, ReLUNetwork
from reluopt.problems import Norm, RelativeMargin, parse_target
from reluopt.zoo import load_bundled

NAME = "targets"
NETWORK = "thesis"
REDUCED, COMPLETE = 10, 500
"""Numbers of images."""

FIXED = 200
"""Images for which every label is a target; the first ones of all."""

NORMS = (Norm.L1, Norm.L2)
MARGIN = RelativeMargin(0.2)

ANY, RUNNER_UP, PLUS_5 = "any", "runner-up", "+5"
CHOICES = {ANY: "any", RUNNER_UP: "runner-up", PLUS_5: "plus5"}
"""Targets that depend on the image, and the folder names of their rows."""

_SEEN = ("changed", "largest", "mean", "black_share", "similarity")
"""Measures of :mod:`reluopt.experiments.visibility`."""


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


def run(context: StudyContext) -> StudyResult:
    """Solve all images for all choices, in both norms."""
    folder = StudyFolder(context, NAME)
    network = load_bundled(NETWORK)
    images = recognised_images(network, context.count(REDUCED, COMPLETE))
    answers = [_solve(folder, network, images, norm) for norm in NORMS]
    black = always_black(load_images("train").pixels.reshape(-1, *network.input_shape))
    rows = pd.concat([_rows(network, images, found, black) for found in answers], ignore_index=True)
    facts = {
        "network": NETWORK,
        "margin": str(MARGIN),
        "images": len(images),
        "last_image": last_index(images),
        "images_fixed": min(len(images), FIXED),
        "problems": len(rows),
        "unproven": sum(count_unproven(found.groups.values()) for found in answers),
        **{str(found.norm): _facts(found, rows) for found in answers},
    }
    table = summary(rows)
    matrices = {str(norm): distance_matrix(rows, norm) for norm in NORMS}
    labels = [str(label) for label in range(network.output_size)]
    if rows["distance"].notna().all():
        folder.figure(NAME, distribution_figure(_distributions(rows, facts)))
        folder.figure(f"{NAME}-matrix", distance_matrix_figure(matrices, labels))
    for found in answers:
        folder.figure(f"{NAME}-{found.norm}", _example(images, found))
    folder.table(NAME, table, "Distance and visibility by choice of the target (medians).")
    folder.table(f"{NAME}-rows", _published(rows), texts=False)
    return folder.finish(facts, _lines(facts), complete=len(images) == COMPLETE)


def _solve(
    folder: StudyFolder, network: ReLUNetwork, images: Sequence[Instance], norm: Norm
) -> Answers:
    """All choices in one norm."""

    def ask(stage: str, target: str, asked: Sequence[Instance]) -> list[Finished]:
        method = folder.context.method()
        settings = AttackSettings(parse_target(target), norm, MARGIN, method)
        return folder.solve(f"{norm}-{stage}", network, asked, settings)

    first = images[:FIXED]
    return Answers(
        norm,
        {choice: ask(stage, choice, images) for choice, stage in CHOICES.items()},
        {
            label: ask(f"to-{label}", str(label), [i for i in first if i.label != label])
            for label in range(network.output_size)
        },
    )


def _rows(
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


def _facts(answers: Answers, rows: pd.DataFrame) -> dict[str, Any]:
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


def _published(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with numbers as short as they are meaningful."""
    places = {
        "distance": 5,
        "over_any": 4,
        "largest": 3,
        "mean": 5,
        "black_share": 3,
        "similarity": 4,
    }
    published = rows.copy()
    for name, count in places.items():
        published[name] = [fixed(value, count) for value in rows[name]]
    for name in ("target", "rank", "changed"):
        published[name] = rows[name].astype("Int64")
    return published


def _distributions(
    rows: pd.DataFrame, facts: Mapping[str, Any]
) -> dict[str, dict[str, pd.Series[float]]]:
    """Series of the figure: choices, then the cheapest and the dearest label for all."""
    panels: dict[str, dict[str, pd.Series[float]]] = {}
    for norm in map(str, NORMS):
        own = rows[rows["norm"] == norm].set_index("choice")["distance"]
        told = facts[norm]
        panels[norm] = {
            "any other label": own.loc[[ANY]],
            "runner-up": own.loc[[RUNNER_UP]],
            "label + 5": own.loc[[PLUS_5]],
            "cheapest label for all": own.loc[[str(told["cheapest"])]],
            "dearest label for all": own.loc[[str(told["dearest"])]],
        }
    return panels


def _example(images: Sequence[Instance], answers: Answers) -> Figure | None:
    """One digit with all nine targets: the first for which all choices take different ones.

    The figure says which target each choice takes. None when there is no such digit.
    """
    chosen = {c: {r.row["image"]: r for r in rows} for c, rows in answers.chosen.items()}
    for image in images[:FIXED]:
        targets = {choice: int(rows[image.key].row["target"]) for choice, rows in chosen.items()}
        if len(set(targets.values())) == len(targets):
            break
    else:
        return None
    shown = [r for rows in answers.fixed.values() for r in rows if r.row["image"] == image.key]
    names = {target: choice for choice, target in targets.items()}
    return perturbation_figure(
        [image.image] * len(shown),
        [result.image for result in shown],
        labels=[image.label] * len(shown),
        predicted_original=[int(result.row["original_predicted"]) for result in shown],
        predicted_changed=[int(result.row["predicted"]) for result in shown],
        distances=[float(result.row["distance"]) for result in shown],
        norm=str(answers.norm),
        proven=[names.get(int(result.row["target"]), "") for result in shown],
    )


def _lines(facts: Mapping[str, Any]) -> list[str]:
    """What came out, a sentence for each norm."""
    head = f"{facts['problems']:,} problems, {proof_words(facts['unproven'])}"
    return [head, *(_sentence(facts, str(norm)) for norm in NORMS)]


def _sentence(facts: Mapping[str, Any], norm: str) -> str:
    """One norm in words."""
    told = facts[norm]
    runner, plus = told["choices"][RUNNER_UP], told["choices"][PLUS_5]
    cheapest = told["choices"][str(told["cheapest"])]
    dearest = told["choices"][str(told["dearest"])]
    return (
        f"{norm.upper()}: the runner-up is the nearest label for {100 * runner['nearest']:.0f} % "
        f"of the images ({_times(runner['over_any_mean'])} the nearest distance on average), "
        f"label + 5 for {100 * plus['nearest']:.0f} % ({_times(plus['over_any_mean'])}); of one "
        f"label for all digits, {told['cheapest']} is the cheapest "
        f"({_times(cheapest['over_any_mean'])}) and {told['dearest']} the dearest "
        f"({_times(dearest['over_any_mean'])})"
    )


def _times(value: float | None) -> str:
    return "? times" if value is None else f"{value:.2f} times"


def readme(data: Path) -> str:
    """The distributions, the matrix, one digit and a table."""
    facts = read_facts(data, NAME)
    l1, l2 = (facts[str(norm)] for norm in NORMS)
    lead = (
        f"How much does the choice of the label cost, against the nearest of all? "
        f"{_sentence(facts, 'l1')}. {_sentence(facts, 'l2')}."
    )
    caption = (
        f"*Share of images whose nearest image of the chosen target is at most so far away. One "
        f"label for all: {l1['cheapest']} and {l1['dearest']} in L1, {l2['cheapest']} and "
        f"{l2['dearest']} in L2.*"
    )
    measures = (
        f"Medians over images. *Pixels changed*: by more than {VISIBLE_CHANGE:g} of the range from "
        f"black to white. *On black frame*: share of the change on pixels that are black in all "
        f"bundled training images. *Similarity*: mean structural similarity (SSIM) of original and "
        f"changed image."
    )
    return f"""### Which target is nearest?

{fill(lead)}

![Distances by choice of the target, in the L1 and L2 norms](figures/{NAME}.png)

{fill(caption)}

{fill(_details(facts))}

![Mean distance from each label to each target](figures/{NAME}-matrix.png)

{markdown_table(_brief_table(data, facts))}
{fill(measures)}

![One digit and its nearest image for each target, L1](figures/{NAME}-{NORMS[0]}.png)

    reluopt experiment {NAME} --full
"""


def _details(facts: Mapping[str, Any]) -> str:
    """Which images, where the nearest label ranks, and the cross-check of *any*."""
    l1, l2 = (facts[str(norm)] for norm in NORMS)
    ranks = l1["nearest_ranks"]
    return (
        f"{facts['problems']:,} problems, {proof_words(facts['unproven'])}: the first "
        f"{facts['images']} test images that `{facts['network']}` recognises (up to "
        f"test:{facts['last_image']}), margin {facts['margin']}; for one label for all digits, the "
        f"first {facts['images_fixed']} of them. By the logits of the unchanged image, the nearest "
        f"label in L1 is the runner-up for {ranks[0]} images, the next for {ranks[1]}, the third "
        f"for {ranks[2]} and a lower one for {sum(ranks[3:])}. A cross-check: the least distance "
        f"of the nine labels, proven one by one, is the one proven for *any* for "
        f"{l1['any_is_least_of_nine']} of {l1['checked_least']} images in L1 and "
        f"{l2['any_is_least_of_nine']} of {l2['checked_least']} in L2."
    )


def _brief_table(data: Path, facts: Mapping[str, Any]) -> pd.DataFrame:
    """Choices, and the cheapest and dearest label for all."""
    table = read_table(data, NAME)
    parts = []
    for norm in map(str, NORMS):
        told = facts[norm]
        labels = [f"{told[name]} for all" for name in ("cheapest", "dearest")]
        own = table[(table["norm"] == norm) & table["choice"].isin([*CHOICES, *labels])]
        parts.append(own.assign(norm=norm.upper()))
    return pd.concat(parts).drop(columns=["q1", "q3", "mean change"])


STUDY = Study(NAME, STUDIES[NAME], run, readme)
