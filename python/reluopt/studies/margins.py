"""How the distance to the nearest image grows with the margin, from 0 to 100 %.

A margin of ``x(1 + f)`` asks for ``x_t >= (1 + f) x_j`` and ``x_t > x_j``. Where the target's logit
is not positive at the nearest image, the second condition implies the first for every f, and the
margin costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from reluopt.answers.solution import Status
from reluopt.bench.speed import fill
from reluopt.figures import growth_figure, perturbation_figure
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.zoo import load_bundled
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.problems import Norm, RelativeMargin, ShiftTarget
from reluopt.runs.attack import AttackSettings, Finished
from reluopt.runs.instances import Instance
from reluopt.runs.tables import fixed, markdown_table
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
    SAME,
    count_unproven,
    last_index,
    proof_words,
    proven_distances,
    recognised_images,
    share_text,
)

NAME = "margins"
NETWORK = "thesis"
REDUCED, COMPLETE = 5, 100
"""Numbers of images."""

ROWS = f"{NAME}-rows"
"""The table of rows."""

NORMS = (Norm.L1, Norm.L2)
TARGET = ShiftTarget(5)
PERCENTS = (0, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)

SHOWN = (0, 5, 10, 20, 30, 40, 50, 60, 80, 100)
"""Margins of the row of pictures, and of the table in the README."""


def run(context: StudyContext) -> StudyResult:
    """Solve all images at all margins, in both norms."""
    folder = StudyFolder(context, NAME)
    network = load_bundled(NETWORK)
    images = recognised_images(network, context.count(REDUCED, COMPLETE))
    groups = {
        norm: {
            percent: folder.solve(
                f"{norm}-{percent:03d}",
                network,
                images,
                AttackSettings(TARGET, norm, RelativeMargin(percent / 100), context.method()),
            )
            for percent in PERCENTS
        }
        for norm in NORMS
    }
    tables = {norm: distance_table(group) for norm, group in groups.items()}
    facts = {
        "network": NETWORK,
        "images": len(images),
        "last_image": last_index(images),
        "target": str(TARGET),
        "problems": len(images) * len(PERCENTS) * len(NORMS),
        "unproven": sum(count_unproven(group.values()) for group in groups.values()),
        **{
            str(norm): {**_growth(tables[norm]), **_answers(network, groups[norm])}
            for norm in NORMS
        },
    }
    _draw(folder, tables)
    for norm in NORMS:
        folder.figure(f"{NAME}-{norm}", _example(images, groups[norm], tables[norm], norm))
    folder.table(
        NAME,
        summary(tables),
        f"Nearest images of (label + 5) mod 10 by margin, {len(images)} test images.",
    )
    rows = pd.concat([long_table(groups[norm], norm) for norm in NORMS])
    folder.table(ROWS, rows, texts=False)
    return folder.finish(facts, _lines(facts), complete=len(images) == COMPLETE)


def _draw(folder: StudyFolder, tables: Mapping[Norm, pd.DataFrame]) -> None:
    """The figure of growth, of the images that are proven at all margins."""
    whole = {str(norm): table.dropna().to_numpy() for norm, table in tables.items()}
    if all(len(table) for table in whole.values()):
        folder.figure(NAME, growth_figure(PERCENTS, whole))


def _redraw(folder: StudyFolder, data: Path) -> None:
    """:func:`_draw` from what is published."""
    rows = pd.read_csv(data / f"{ROWS}.csv")
    proven = rows[rows["status"] == Status.OPTIMAL]
    wide = {
        norm: proven[proven["norm"] == str(norm)].pivot(
            index="image", columns="margin_percent", values="distance"
        )
        for norm in NORMS
    }
    _draw(folder, wide)


def distance_table(group: Mapping[int, Sequence[Finished]]) -> pd.DataFrame:
    """Proven distances: a row for each image, a column for each margin in per cent."""
    return pd.DataFrame({percent: proven_distances(rows) for percent, rows in group.items()})


def long_table(group: Mapping[int, Sequence[Finished]], norm: Norm) -> pd.DataFrame:
    """Every problem on a line of its own."""
    rows = [
        {
            "image": result.row["image"],
            "label": result.row["label"],
            "norm": str(norm),
            "margin_percent": percent,
            "status": result.row["status"],
            "distance": fixed(result.row.get("distance"), 6),
        }
        for percent, results in group.items()
        for result in results
    ]
    return pd.DataFrame(rows)


def summary(tables: Mapping[Norm, pd.DataFrame]) -> pd.DataFrame:
    """Quartiles of distance and of growth over margin 0, for each norm and margin."""
    rows = []
    for norm, table in tables.items():
        for percent in table.columns:
            distance = table[percent].dropna()
            growth = (table[percent] / table[PERCENTS[0]]).dropna()
            rows.append(
                {
                    "norm": str(norm),
                    "margin": f"{percent} %",
                    "images": len(distance),
                    "median distance": fixed(distance.median(), 4),
                    "mean distance": fixed(distance.mean(), 4),
                    **{f"growth {n}": fixed(_quantile(growth, q), 4) for n, q in _SHARES.items()},
                    "mean growth": fixed(growth.mean(), 4),
                    "unchanged": share_text(float((growth <= 1 + SAME).mean())),
                }
            )
    return pd.DataFrame(rows, dtype=object)


_SHARES = {"q1": 0.25, "median": 0.5, "q3": 0.75, "largest": 1.0}


def _quantile(values: pd.Series[float], share: float) -> float:
    return float(np.quantile(values, share)) if len(values) else float("nan")


def _growth(table: pd.DataFrame) -> dict[str, Any]:
    """Growth at every margin, and whether it is linear.

    ``halfway`` is the growth at 50 % over that at 100 %, for images that grow by more than 1 % at
    all: 0.5 if growth is linear.
    """
    growth = (table.div(table[PERCENTS[0]], axis=0) - 1.0).dropna()
    rising = growth[growth[100] > 0.01]
    halfway = rising[50] / rising[100]
    return {
        "percents": list(PERCENTS),
        "median": [round(_quantile(growth[p], 0.5), 4) for p in PERCENTS],
        "q3": [round(_quantile(growth[p], 0.75), 4) for p in PERCENTS],
        "mean": [round(float(growth[p].mean()), 4) for p in PERCENTS],
        "largest": [round(float(growth[p].max()), 4) for p in PERCENTS],
        "unchanged": [round(float((growth[p] <= SAME).mean()), 4) for p in PERCENTS],
        "rising": round(len(rising) / max(len(growth), 1), 4),
        "halfway": [round(_quantile(halfway, q), 3) for q in (0.25, 0.5, 0.75)],
        "shrinking": int((np.diff(growth.to_numpy(), axis=1) < -SAME).sum()),
    }


def _answers(network: ReLUNetwork, group: Mapping[int, Sequence[Finished]]) -> dict[str, Any]:
    """Infeasible problems by margin, and how many targets win without a positive logit."""
    nearest = [result.image for result in group[PERCENTS[0]] if result.image is not None]
    winning = np.array([float(network.forward(image.ravel()).max()) for image in nearest])
    return {
        "infeasible": [
            sum(result.row["status"] == Status.INFEASIBLE for result in group[percent])
            for percent in PERCENTS
        ],
        "not_positive": round(float((winning <= 0.0).mean()), 4) if winning.size else None,
    }


def _example(
    images: Sequence[Instance],
    group: Mapping[int, Sequence[Finished]],
    table: pd.DataFrame,
    norm: Norm,
) -> Figure | None:
    """One digit at all margins: the one whose growth is nearest to the 90th percentile."""
    growth = (table[100] / table[0]).dropna()
    if growth.empty:
        return None
    chosen = (growth - np.quantile(growth, 0.9)).abs().idxmin()
    place = next(number for number, image in enumerate(images) if image.key == chosen)
    shown = {percent: group[percent][place] for percent in SHOWN}
    answers = [_square(result.image) for result in shown.values()]
    return perturbation_figure(
        [_square(images[place].image)] * len(shown),
        answers,
        labels=[images[place].label] * len(shown),
        predicted_original=[int(r.row["original_predicted"]) for r in shown.values()],
        predicted_changed=[int(r.row["predicted"]) for r in shown.values()],
        distances=[float(r.row["distance"]) for r in shown.values()],
        norm=str(norm),
        proven=[f"margin {percent} %" for percent in shown],
    )


def _square(image: FloatArray | None) -> FloatArray:
    return np.reshape(np.asarray(image), (28, 28))


def _lines(facts: Mapping[str, Any]) -> list[str]:
    """What came out, a sentence for each norm, and what is not settled."""
    head = f"{facts['problems']:,} problems, {proof_words(facts['unproven'])}"
    return [head, *(_sentence(facts, str(norm)) for norm in NORMS)]


def _sentence(facts: Mapping[str, Any], norm: str) -> str:
    """Growth in one norm."""
    told = facts[norm]
    at = {percent: place for place, percent in enumerate(told["percents"])}
    median, mean, largest = ([share_text(v, 1) for v in told[n]] for n in _TOLD)
    return (
        f"{norm.upper()}: a margin of 20 % costs {median[at[20]]} of distance for the median image "
        f"and {mean[at[20]]} on average, 100 % costs {median[at[100]]} and {mean[at[100]]} (at "
        f"most {largest[at[100]]}); {share_text(told['unchanged'][at[100]])} of the images cost "
        f"nothing at any margin"
    )


def _brief(facts: Mapping[str, Any]) -> str:
    """The answer to the question, both norms in one sentence."""
    told = [facts[str(norm)] for norm in NORMS]
    place = {percent: number for number, percent in enumerate(told[0]["percents"])}
    small, large = (
        " (L1) and ".join(str(share_text(one["mean"][place[percent]], 1)) for one in told) + " (L2)"
        for percent in (20, 100)
    )
    free = " and ".join(str(share_text(one["unchanged"][place[100]])) for one in told)
    return (
        f"A margin of 20 % makes the nearest image {small} farther on average, 100 % makes it "
        f"{large} farther; for {free} of the images no margin costs anything."
    )


_EXAMPLE = (
    f"*The digit whose growth in L1 is nearest to the 90th percentile: original, nearest image at "
    f"each margin (adversarial), and what changed (red brighter, blue darker). "
    f"[The one in L2](figures/{NAME}-{NORMS[1]}.png).*"
)
"""Below the pictures of one digit."""

_TOLD = ("median", "mean", "largest")


def readme(data: Path) -> str:
    """The figure, a small table, and one digit."""
    facts = read_facts(data, NAME)
    growth = f"{_sentence(facts, 'l1')}. {_sentence(facts, 'l2')}."
    caption = (
        f"*The first {facts['images']} test images that `{facts['network']}` recognises (up to "
        f"test:{facts['last_image']}), target {facts['target']}. Above, each image's distance over "
        f"that without a margin (thin lines); below, the distances. Median and quartiles in front.*"
    )
    return f"""### Margin against distance

{fill(_brief(facts))}

{fill(growth)}

![Distance against margin, in the L1 and L2 norms](figures/{NAME}.png)

{fill(caption)}

{fill(_reason(facts))}

{markdown_table(_brief_table(data))}
![One digit at margins from 0 to 100 %, L1](figures/{NAME}-{NORMS[0]}.png)

{fill(_EXAMPLE)}

    reluopt experiment {NAME} --full
"""


def _reason(facts: Mapping[str, Any]) -> str:
    """Why so many cost nothing, whether growth is linear, and whether anything is infeasible."""
    l1, l2 = (facts[str(norm)] for norm in NORMS)
    low, middle, high = l1["halfway"]
    infeasible = sum(l1["infeasible"]) + sum(l2["infeasible"])
    none = f"{infeasible:,} have no answer" if infeasible else "none is infeasible"
    return (
        f"The reason is the sign: where the target wins with a logit that is not positive, being "
        f"ahead at all already implies `x_t >= (1 + f) x_j` for every f. That is so for "
        f"{share_text(l1['not_positive'])} (L1) and {share_text(l2['not_positive'])} (L2) of this "
        f"network's nearest images without a margin. Where the distance grows by more than 1 % "
        f"({share_text(l1['rising'])} and {share_text(l2['rising'])} of the images), "
        f"the first half of the margin costs {share_text(middle)} of the whole in "
        f"L1 (median; quartiles {share_text(low)} and {share_text(high)}) and "
        f"{share_text(l2['halfway'][1])} in L2, where a straight line would give 50 %. Of "
        f"{facts['problems']:,} problems ({proof_words(facts['unproven'])}) {none}."
    )


def _brief_table(data: Path) -> pd.DataFrame:
    """Mean growth and unchanged images at a few margins."""
    table = read_table(data, NAME)
    columns = {}
    for norm in map(str, NORMS):
        own = table[table["norm"] == norm].set_index("margin")
        for name in ("median distance", "mean growth", "unchanged"):
            columns[f"{norm.upper()} {name}"] = own[name]
    frame = pd.DataFrame(columns, dtype=object)
    shown = frame.loc[[f"{percent} %" for percent in (0, 10, 20, 50, 100)]]
    return shown.reset_index(names="margin")


STUDY = Study(NAME, STUDIES[NAME], run, readme, _redraw)
