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
from reluopt.figures import growth_figure
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.zoo import load_bundled
from reluopt.questions.problems import Norm, RelativeMargin
from reluopt.runs.instances import Instance
from reluopt.runs.tables import fixed, markdown_table
from reluopt.studies.base import Study, StudyContext, StudyFolder, StudyResult, read_table
from reluopt.studies.solved import (
    NORMS,
    SAME,
    TARGET,
    FinishedAttack,
    count_unproven,
    image_index,
    perturbations,
    printed,
    proven_distances,
    recognised_images,
    row_table,
)
from reluopt.studies.words import share_text

NAME = "margins"
NETWORK = "thesis"
REDUCED, COMPLETE = 5, 100
"""Numbers of images."""

ROWS = f"{NAME}-rows"
"""The table of rows."""

PERCENTS = (0, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)

SHOWN = (0, 5, 10, 20, 30, 40, 50, 60, 80, 100)
"""Margins of the row of pictures."""

TOLD = (0, 10, 20, 50, 100)
"""Margins of the table in the documents."""

Group = Mapping[int, Sequence[FinishedAttack]]
"""Results by margin in per cent."""


def run(context: StudyContext) -> StudyResult:
    """Solve all images at all margins, in both norms."""
    folder = StudyFolder(context, NAME)
    network = load_bundled(NETWORK)
    images = recognised_images(network, context.count(REDUCED, COMPLETE))
    groups = {norm: _solve(folder, network, images, norm) for norm in NORMS}
    tables = {norm: distance_table(group) for norm, group in groups.items()}
    facts = {
        "network": NETWORK,
        "images": len(images),
        "last_image": image_index(images[-1]),
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
    folder.table(NAME, summary(tables), facts)
    folder.table(ROWS, pd.concat([_rows(groups[norm], norm) for norm in NORMS]))
    return folder.finish(facts, complete=len(images) == COMPLETE)


def _solve(
    folder: StudyFolder, network: ReLUNetwork, images: Sequence[Instance], norm: Norm
) -> Group:
    """All margins in one norm."""
    margins = {percent: RelativeMargin(percent / 100) for percent in PERCENTS}
    return {
        percent: folder.solve(f"{norm}-{percent:03d}", network, images, norm, margin, TARGET)
        for percent, margin in margins.items()
    }


def _draw(folder: StudyFolder, tables: Mapping[Norm, pd.DataFrame]) -> None:
    """The figure of growth, of the images that are proven at all margins."""
    whole = {str(norm): table.dropna().to_numpy() for norm, table in tables.items()}
    if all(len(table) for table in whole.values()):
        folder.figure(NAME, growth_figure(PERCENTS, whole))


def _redraw(folder: StudyFolder, data: Path) -> None:
    """:func:`_draw` from what is published."""
    rows = pd.read_csv(data / f"{ROWS}.csv")
    proven = rows[rows["status"] == Status.OPTIMAL]
    parts = {norm: proven[proven["norm"] == str(norm)] for norm in NORMS}
    wide = {"index": "image", "columns": "margin_percent", "values": "distance"}
    _draw(folder, {norm: part.pivot(**wide) for norm, part in parts.items()})


def distance_table(group: Group) -> pd.DataFrame:
    """Proven distances: a row for each image, a column for each margin in per cent."""
    return pd.DataFrame({percent: proven_distances(rows) for percent, rows in group.items()})


def _rows(group: Group, norm: Norm) -> pd.DataFrame:
    """Every problem on a line of its own."""
    rows = pd.concat([row_table(found, margin_percent=p) for p, found in group.items()])
    names = ["image", "label", "norm", "margin_percent", "status", "distance"]
    return printed(rows.assign(norm=str(norm))[names], {"distance": 6})


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


def _answers(network: ReLUNetwork, group: Group) -> dict[str, Any]:
    """Infeasible problems by margin, and how many targets win without a positive logit."""
    nearest = [result.image for result in group[PERCENTS[0]] if result.image is not None]
    winning = np.array([float(network.forward(image.ravel()).max()) for image in nearest])
    return {
        "infeasible": [
            sum(result.row.status == Status.INFEASIBLE for result in group[percent])
            for percent in PERCENTS
        ],
        "not_positive": round(float((winning <= 0.0).mean()), 4) if winning.size else None,
    }


def _example(
    images: Sequence[Instance], group: Group, table: pd.DataFrame, norm: Norm
) -> Figure | None:
    """One digit at all margins: the one whose growth is nearest to the 90th percentile."""
    growth = (table[100] / table[0]).dropna()
    if growth.empty:
        return None
    chosen = (growth - np.quantile(growth, 0.9)).abs().idxmin()
    place = next(number for number, image in enumerate(images) if image.key == chosen)
    shown = [group[percent][place] for percent in SHOWN]
    words = [f"margin {percent} %" for percent in SHOWN]
    return perturbations([images[place]] * len(shown), shown, norm, words)


def _brief_table(data: Path, _facts: Mapping[str, Any]) -> dict[str, str]:
    """Mean growth and unchanged images at a few margins."""
    wide = read_table(data, NAME).pivot(index="margin", columns="norm")
    names = ("median distance", "mean growth", "unchanged")
    columns = {
        f"{norm.upper()} {name}": wide[name, norm] for norm in map(str, NORMS) for name in names
    }
    frame = pd.DataFrame(columns, dtype=object).loc[[f"{percent} %" for percent in TOLD]]
    return {"brief_table": markdown_table(frame.reset_index(names="margin"))}


STUDY = Study(NAME, run, _redraw, _brief_table, minutes=2)
