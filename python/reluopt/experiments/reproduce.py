"""The main job: ten real digits, their smallest changes and the network's ideal inputs.

One digit of each class is drawn at random (seeded) from the bundled training images, as in
Figure 1 of Linkola (2023). For each digit the smallest L1 and L2 changes that make the network
answer ``(label + 5) mod 10`` with margin 1.2 are computed (its Figures 3 and 4), and for each
class the input that maximises its logit (its Figure 2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reluopt.engines.base import EngineOptions, ProgressCallback
from reluopt.errors import InputError
from reluopt.experiments.attack import COLUMNS, AttackSettings, Finished, run_attack
from reluopt.experiments.drawing import attack_figure, ideal_figure
from reluopt.experiments.ideal import COLUMNS as IDEAL_COLUMNS
from reluopt.experiments.ideal import IdealExperiment, run_ideal
from reluopt.experiments.instances import load_instances
from reluopt.experiments.store import ResultStore
from reluopt.figures import save_figure
from reluopt.files import write_atomically
from reluopt.mnist import load_images
from reluopt.network import ReLUNetwork
from reluopt.problems import Norm, RelativeMargin, ShiftTarget
from reluopt.solve import Method

NORMS = (Norm.L1, Norm.L2)

IDEAL_GAP = 1e-4
"""Relative gap of the optimal inputs."""

TABLE_COLUMNS = (
    "image",
    "label",
    "target",
    "norm",
    "status",
    "distance",
    "distance_bound",
    "gap",
    "predicted",
    "margin",
    "certified",
)
"""What the committed table shows: results, not timings, which differ from machine to machine."""


@dataclass(frozen=True)
class Reproduction:
    """What the main job made.

    Attributes:
        finished: finished instances by norm.
        ideals: optimal inputs, one for each class.
        table: one row for each digit and norm.
        files: every file written, in order.
    """

    finished: dict[Norm, list[Finished]]
    ideals: list[Finished]
    table: pd.DataFrame
    files: list[Path]


def digits_of_each_class(network: ReLUNetwork, seed: int) -> list[str]:
    """One random bundled training image of each class, as ``train:INDEX``.

    Only images that the network classifies correctly are drawn: changing an answer that is wrong
    already would show nothing.

    Raises:
        InputError: a class has no such image.
    """
    data = load_images("train")
    right = network.predict(data.images) == data.labels
    generator = np.random.default_rng(seed)
    chosen = []
    for label in range(network.output_size):
        candidates = np.flatnonzero(right & (data.labels == label))
        if candidates.size == 0:
            raise InputError(
                f"network {network.metadata.name}: expected it to classify some bundled training "
                f"image of class {label} correctly, found none"
            )
        chosen.append(f"train:{int(generator.choice(candidates))}")
    return chosen


def reproduce(
    network: ReLUNetwork,
    figures: Path,
    runs: Path,
    *,
    seed: int = 0,
    time_limit: float = 60.0,
    threads: int = 1,
    command: Iterable[str] = (),
    on_finished: Callable[[str], None] = lambda _: None,
    progress: ProgressCallback | None = None,
) -> Reproduction:
    """Run the main job.

    Args:
        network: the network, usually ``thesis``.
        figures: folder for pictures and the table.
        runs: folder for results; a second run resumes there.
        seed: which digits are drawn, and the engines' seed.
        time_limit: seconds for each problem.
        threads: solver threads.
        command: the command line, for the record.
        on_finished: called with a word for each finished problem.
        progress: called during each search.
    """
    instances = load_instances(network, digits_of_each_class(network, seed))
    method = Method(options=EngineOptions(time_limit, threads=threads, seed=seed))
    finished: dict[Norm, list[Finished]] = {}
    files: list[Path] = []

    def count(result: Finished) -> None:
        on_finished(str(result.row["status"]))

    for norm in NORMS:
        settings = AttackSettings(ShiftTarget(5), norm, RelativeMargin(0.2), method)
        store = ResultStore(
            runs / f"digits-{norm}",
            COLUMNS,
            {**settings.describe(network), "images": [i.key for i in instances]},
            {"command": list(command)},
        )
        results = run_attack(network, instances, settings, store, count, progress)
        finished[norm] = results
        drawn = attack_figure(network, instances, results, norm)
        if drawn is not None:
            files.append(figures / f"adversarial-{norm}.png")
            save_figure(drawn, files[-1])
    # The last hundredth of a percent of a logit costs most of the time, and nobody can see it.
    coarse = replace(method, options=replace(method.options, gap=IDEAL_GAP))
    experiment = IdealExperiment(network, coarse)
    store = ResultStore(
        runs / "optimal-inputs", IDEAL_COLUMNS, experiment.describe(), {"command": list(command)}
    )
    ideals = run_ideal(experiment, range(network.output_size), store, count, progress)
    drawn = ideal_figure(ideals)
    if drawn is not None:
        files.append(figures / "optimal-inputs.png")
        save_figure(drawn, files[-1])
    table = result_table(finished)
    files += _write_table(table, figures)
    return Reproduction(finished, ideals, table, files)


def result_table(finished: dict[Norm, list[Finished]]) -> pd.DataFrame:
    """One row for each digit and norm, without timings."""
    rows: list[dict[str, Any]] = []
    for norm, results in finished.items():
        for result in results:
            bound = result.row.get("bound")
            distance_bound = None if bound is None else norm.distance_of(max(float(bound), 0.0))
            rows.append({**result.row, "distance_bound": distance_bound})
    return pd.DataFrame(rows, columns=list(TABLE_COLUMNS))


def _write_table(table: pd.DataFrame, figures: Path) -> list[Path]:
    """The table as CSV and Markdown."""
    rounded = table.round({"distance": 6, "distance_bound": 6, "margin": 6})
    rounded["gap"] = rounded["gap"].map(lambda gap: "" if gap is None else f"{float(gap):.0e}")
    csv_file, markdown_file = figures / "digits.csv", figures / "digits.md"
    write_atomically(csv_file, rounded.to_csv(index=False).encode())
    write_atomically(markdown_file, markdown(rounded).encode())
    return [csv_file, markdown_file]


def markdown(table: pd.DataFrame) -> str:
    """A table as Markdown."""
    header = "| " + " | ".join(map(str, table.columns)) + " |"
    rule = "|" + "---|" * len(table.columns)
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in table.to_numpy().tolist()]
    return "\n".join([header, rule, *lines]) + "\n"
