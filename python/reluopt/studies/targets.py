"""Which target is nearest, and what its images look like.

Targets by choice: ``any`` (the nearest of all other labels), the runner-up, ``+5`` (the thesis'
rule), and one label for all digits, for each of the ten labels (images of that label left out).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from reluopt.bench.speed import fill
from reluopt.figures import distance_matrix_figure, distribution_figure, perturbation_figure
from reluopt.images.mnist import load_images
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.zoo import load_bundled
from reluopt.questions.problems import Norm, RelativeMargin, parse_target
from reluopt.runs.attack import AttackSettings, Finished
from reluopt.runs.instances import Instance
from reluopt.runs.tables import markdown_table
from reluopt.studies import STUDIES
from reluopt.studies.base import (
    Study,
    StudyContext,
    StudyFolder,
    StudyResult,
    read_facts,
    read_table,
)
from reluopt.studies.selection import (
    count_unproven,
    last_index,
    proof_words,
    recognised_images,
)
from reluopt.studies.targets_tables import (
    ANY,
    CHOICES,
    NORMS,
    PLUS_5,
    RUNNER_UP,
    Answers,
    distance_matrix,
    image_rows,
    norm_facts,
    published,
    summary,
)
from reluopt.studies.visibility import VISIBLE_CHANGE, always_black

NAME = "targets"
NETWORK = "thesis"
ROWS = f"{NAME}-rows"
"""The table of rows."""

REDUCED, COMPLETE = 10, 500
"""Numbers of images."""

FIXED = 200
"""Images for which every label is a target; the first ones of all."""

MARGIN = RelativeMargin(0.2)


def run(context: StudyContext) -> StudyResult:
    """Solve all images for all choices, in both norms."""
    folder = StudyFolder(context, NAME)
    network = load_bundled(NETWORK)
    images = recognised_images(network, context.count(REDUCED, COMPLETE))
    answers = [_solve(folder, network, images, norm) for norm in NORMS]
    black = always_black(load_images("train").pixels.reshape(-1, *network.input_shape))
    rows = pd.concat(
        [image_rows(network, images, found, black) for found in answers], ignore_index=True
    )
    facts = {
        "network": NETWORK,
        "margin": str(MARGIN),
        "images": len(images),
        "last_image": last_index(images),
        "images_fixed": min(len(images), FIXED),
        "problems": len(rows),
        "unproven": sum(count_unproven(found.groups.values()) for found in answers),
        **{str(found.norm): norm_facts(found, rows) for found in answers},
    }
    table = summary(rows)
    _draw(folder, rows, facts)
    for found in answers:
        folder.figure(f"{NAME}-{found.norm}", _example(images, found))
    folder.table(NAME, table, "Distance and visibility by choice of the target (medians).")
    folder.table(ROWS, published(rows), texts=False)
    return folder.finish(facts, _lines(facts), complete=len(images) == COMPLETE)


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
        f"of the images (its mean distance is {_times(runner['over_any_mean'])} the nearest's), "
        f"label + 5 for {100 * plus['nearest']:.0f} % ({_times(plus['over_any_mean'])}); of one "
        f"label for all digits, {told['cheapest']} is the cheapest "
        f"({_times(cheapest['over_any_mean'])}) and {told['dearest']} the dearest "
        f"({_times(dearest['over_any_mean'])})"
    )


def _brief(facts: Mapping[str, Any]) -> str:
    """The answer to the question, both norms in one sentence."""
    told = [facts[str(norm)] for norm in NORMS]
    shares = [f"{100 * one['choices'][RUNNER_UP]['nearest']:.0f} %" for one in told]
    plus = [_times(one["choices"][PLUS_5]["over_any_mean"]) for one in told]
    cheapest = [_times(one["choices"][str(one["cheapest"])]["over_any_mean"]) for one in told]
    return (
        f"The runner-up is the nearest label for {shares[0]} of the images in L1 and {shares[1]} "
        f"in L2. The mean distance to the thesis' label + 5 is {plus[0]} (L1) and {plus[1]} (L2) "
        f"that to the nearest label, and even the one to the cheapest label for all digits "
        f"{cheapest[0]} and {cheapest[1]}."
    )


_EXAMPLE = (
    f"*One digit (original), its nearest images for all nine targets in L1 (adversarial), and what "
    f"changed (red brighter, blue darker); the last line names the targets that each choice takes. "
    f"[The same in L2](figures/{NAME}-{NORMS[1]}.png).*"
)
"""Below the pictures of one digit."""


def _times(value: float | None) -> str:
    return "? times" if value is None else f"{value:.2f} times"


def readme(data: Path) -> str:
    """The distributions, the matrix, one digit and a table."""
    facts = read_facts(data, NAME)
    l1, l2 = (facts[str(norm)] for norm in NORMS)
    choices = f"{_sentence(facts, 'l1')}. {_sentence(facts, 'l2')}."
    caption = (
        f"*Share of images whose nearest image of the chosen target is at most so far away. One "
        f"label for all: {l1['cheapest']} and {l1['dearest']} in L1, {l2['cheapest']} and "
        f"{l2['dearest']} in L2.*"
    )
    matrix = (
        f"*Mean distance of the nearest image that `{facts['network']}` takes for the target "
        f"(across), by true label (down), over the first {facts['images_fixed']} images; the "
        f"darker, the farther.*"
    )
    measures = (
        f"Medians over images, also of *times any* (the distance over that of the nearest label, "
        f"image by image). *Pixels changed*: by more than {VISIBLE_CHANGE:g} of the range from "
        f"black to white. *On black frame*: share of the change on pixels that are black in all "
        f"bundled training images. *Similarity*: mean structural similarity (SSIM) of original and "
        f"changed image."
    )
    return f"""### Which target is nearest?

{fill(_brief(facts))}

{fill(choices)}

![Distances by choice of the target, in the L1 and L2 norms](figures/{NAME}.png)

{fill(caption)}

{fill(_details(facts))}

![Mean distance from each label to each target](figures/{NAME}-matrix.png)

{fill(matrix)}

{markdown_table(_brief_table(data, facts))}
{fill(measures)}

![One digit and its nearest image for each target, L1](figures/{NAME}-{NORMS[0]}.png)

{fill(_EXAMPLE)}

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


STUDY = Study(NAME, STUDIES[NAME], run, readme, _redraw)
