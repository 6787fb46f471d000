"""Interleaved measurements of several methods: their plan, their rows and their numbers.

Times are taken by :func:`~reluopt.bench.run.run_bench`, one run after the other whatever
``--workers`` says: runs side by side would slow each other down.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from reluopt.bench.run import BenchPlan, run_bench, usable_method
from reluopt.bench.statistics import (
    AT_LEAST,
    EXACT,
    Estimate,
    MethodSummary,
    count_comparable,
    find_disagreements,
    summarise_methods,
    summarise_ratios,
)
from reluopt.studies.base import StudyContext, StudyFolder

TARGET, MARGIN = "+5", "x1.2"
"""What the thesis asks: (label + 5) mod 10, with a logit of at least 1.2 times every other."""

OWN = "bnb"
"""Our engine."""

RUN_COLUMNS = (
    "network",
    "image",
    "method",
    "status",
    "proven",
    "seconds",
    "bounds_seconds",
    "search_seconds",
    "time_limit",
    "objective",
    "bound",
    "nodes",
    "variables",
    "constraints",
    "binaries",
    "load",
    "session",
)
"""Columns of the published rows."""


@dataclass(frozen=True)
class Measurement:
    """What is measured in one interleaved run.

    Attributes:
        stage: name of its subfolder.
        networks: bundled networks.
        norm: ``l1`` or ``l2``.
        methods: in the order of their first turn.
        split: ``train`` or ``test``.
        time_limit: seconds for each run of the whole study.
        reduced_limit: seconds for each run of the reduced one.
    """

    stage: str
    networks: Sequence[str]
    norm: str
    methods: Sequence[str]
    time_limit: float
    reduced_limit: float
    split: str = "train"

    def limit(self, context: StudyContext) -> float:
        """Seconds for each run in ``context``."""
        if context.time_limit is not None:
            return context.time_limit
        return self.time_limit if context.full else self.reduced_limit

    def subfolder(self, context: StudyContext) -> str:
        """Where the rows lie: those of another limit beside those of the whole study."""
        limit = self.limit(context)
        return self.stage if limit == self.time_limit else f"{self.stage}-{limit:g}s"


def check_methods(context: StudyContext, measurements: Sequence[Measurement]) -> None:
    """Refuse methods that this machine cannot run before the first of them has taken minutes.

    Raises:
        EngineUnavailableError: an engine cannot be used.
    """
    options = context.method().options
    for measurement in measurements:
        for method in measurement.methods:
            usable_method(method, options)


def measure(folder: StudyFolder, measurement: Measurement, images: int) -> pd.DataFrame:
    """The rows of a measurement on the first ``images`` of its split, taken up from earlier.

    Raises:
        ReluoptError: see :func:`~reluopt.bench.run.run_bench`.
    """
    context, stage = folder.context, measurement.subfolder(folder.context)
    plan = BenchPlan(
        networks=measurement.networks,
        images=[f"{measurement.split}:0-{images - 1}"],
        methods=measurement.methods,
        out=folder.path / stage,
        norm=measurement.norm,
        target=TARGET,
        margin=MARGIN,
        time_limit=measurement.limit(context),
        threads=context.threads,
        seed=context.seed,
        baseline=measurement.methods[-1],
        command=context.session()["command"],
    )
    return run_bench(plan, folder.progress(stage)).table


def published_rows(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that are published, with times to the microsecond."""
    rounded = {name: 6 for name in RUN_COLUMNS if name.endswith("seconds")}
    return table[list(RUN_COLUMNS)].round({**rounded, "load": 2})


def named(table: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """Rows in the order of ``names``, with methods called by them: figures show both."""
    order = list(names)
    chosen = table[table["method"].isin(order)]
    sorted_rows = chosen.sort_values("method", key=lambda c: c.map(order.index), kind="stable")
    return sorted_rows.assign(method=sorted_rows["method"].map(names))


def machine_facts(folder: StudyFolder, stage: str, table: pd.DataFrame) -> dict[str, Any]:
    """Where the rows in the subfolder ``stage`` were measured, and how busy that machine was."""
    record = json.loads((folder.path / stage / "run.json").read_text(encoding="utf-8"))
    return {
        "processor": record["machine"]["processor"],
        "cores": record["machine"]["cores"],
        "versions": record["versions"],
        "median_load": round(float(table["load"].median()), 1),
        "sessions": int(table["session"].nunique()),
        "code_states": int(table["code_sha256"].nunique()),
    }


def estimate_facts(estimate: Estimate) -> dict[str, Any] | None:
    """An estimate as JSON; None where there is none."""
    return asdict(estimate) if math.isfinite(estimate.value) else None


def method_facts(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Times and sizes of each method in the rows of one network."""
    groups = dict(list(table.groupby("method", sort=False)))
    return {s.method: _summary_facts(s, groups[s.method]) for s in summarise_methods(table)}


def _summary_facts(summary: MethodSummary, rows: pd.DataFrame) -> dict[str, Any]:
    return {
        "images": summary.images,
        "proven": summary.proven,
        "failed": summary.failed,
        "median": estimate_facts(summary.median),
        "average": estimate_facts(summary.mean),
        "fastest": estimate_facts(Estimate(summary.smallest)),
        "slowest": estimate_facts(summary.largest),
        "search": estimate_facts(mean_of_step(rows, "search_seconds")),
        "bounds": estimate_facts(mean_of_step(rows, "bounds_seconds")),
        **size_facts(rows),
    }


def mean_of_step(rows: pd.DataFrame, column: str) -> Estimate:
    """Mean seconds of one step of the pipeline.

    The search of a run that was stopped would have gone on, so that its mean is a lower bound; the
    steps before it were over. Runs that died (their row has no such time) count as zero.
    """
    seconds = rows[column].astype(float)
    whole = column != "search_seconds" or bool(rows["proven"].all())
    return Estimate(float(seconds.fillna(0.0).mean()), EXACT if whole else AT_LEAST)


def size_facts(rows: pd.DataFrame) -> dict[str, float | None]:
    """Medians of the programs' sizes; None for what an engine does not have or tell."""
    sizes = {}
    for name in ("variables", "constraints", "binaries"):
        known = rows[name].dropna().astype(float)
        sizes[name] = None if known.empty else float(known.median())
    return sizes


def ratio_facts(table: pd.DataFrame, baseline: str, candidate: str = OWN) -> dict[str, Any]:
    """How many times faster ``candidate`` is than ``baseline``, on one network."""
    (ratio,) = summarise_ratios(table, baseline, [candidate])
    return {
        "baseline": ratio.baseline,
        "candidate": ratio.candidate,
        "pairs": ratio.pairs,
        "geometric_mean": estimate_facts(ratio.geometric_mean),
        "interval": list(ratio.interval),
        "of_means": estimate_facts(ratio.of_means),
    }


def agreement_facts(table: pd.DataFrame) -> dict[str, int]:
    """Instances that two methods or more settled, and contradictions among all claims."""
    return {
        "settled_by_several": count_comparable(table),
        "contradictions": len(find_disagreements(table)),
    }
