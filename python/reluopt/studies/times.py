"""Table 2 of Linkola (2023): sizes and times of forward pass, classification, L1 and L2.

The thesis counts the weights as constraints; :func:`weight_count` does so too, beside the rows of
the programs that were really solved. Its model runs beside our engine and others in the same
interleaved run.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from reluopt.answers.solution import Status
from reluopt.bench.statistics import AT_LEAST, EXACT, Estimate
from reluopt.figures import benchmark_figure, time_figure
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.zoo import load_bundled
from reluopt.runs.classify import ClassifyJob
from reluopt.runs.forward_pass import ForwardJob
from reluopt.runs.instances import Instance, load_instances
from reluopt.runs.job import Finished
from reluopt.runs.methods import method_titles, method_words
from reluopt.runs.tables import DASH
from reluopt.studies.base import Study, StudyContext, StudyFolder, StudyResult, read_facts
from reluopt.studies.measuring import (
    OWN,
    Measurement,
    agreement_facts,
    check_methods,
    estimate_facts,
    machine_facts,
    measure,
    method_facts,
    named,
    published_rows,
    ratio_facts,
)
from reluopt.studies.published import (
    CLASSIFICATION,
    FORWARD,
    L1,
    L2,
    TABLE_2,
    TABLE_2_SETTING,
)
from reluopt.studies.words import count_text, seconds_text

NAME = "times"

RUNS = f"{NAME}-runs"
"""The table of rows."""

NETWORK = "thesis"

COMPLETE, REDUCED = 100, 3
"""Images: as many as in the thesis, or a first look of a minute or two."""

MEASUREMENTS = {
    L1: Measurement(
        L1,
        (NETWORK,),
        "l1",
        (OWN, "highs:bigm:ball", "gurobi:bigm:ball", "gurobi:thesis:thesis"),
        time_limit=60.0,
        reduced_limit=30.0,
    ),
    # Gurobi's free licence does not take the quadratic program, and HiGHS no quadratic objective
    # with integers. SCIP proves none of them within minutes, hence a short limit.
    L2: Measurement(
        L2,
        (NETWORK,),
        "l2",
        (OWN, "scip:thesis:thesis"),
        time_limit=10.0,
        reduced_limit=10.0,
    ),
}

CLASSIFY_LIMIT = 60.0
"""Seconds for one classification, which takes a small part of one."""

_PROBLEMS = {
    FORWARD: "forward pass",
    CLASSIFICATION: "classification",
    L1: "smallest L1 change",
    L2: "smallest L2 change",
}

_WEIGHTS = "constraints as the thesis counts"
_SIZES = ("variables", "constraints", "binaries")


def run(context: StudyContext) -> StudyResult:
    """Norm all four problems, draw the last two, and put the sizes beside the thesis'."""
    check_methods(context, list(MEASUREMENTS.values()))
    folder = StudyFolder(context, NAME)
    network = load_bundled(NETWORK)
    count = context.count(REDUCED, COMPLETE)
    instances = load_instances(network, [f"train:0-{count - 1}"])
    facts: dict[str, Any] = {
        "network": NETWORK,
        "images": count,
        FORWARD: _simple_facts(_forward_passes(folder, network, instances)),
        CLASSIFICATION: _classification_facts(_classifications(folder, network, instances)),
    }
    tables = {}
    for norm, measurement in MEASUREMENTS.items():
        table = measure(folder, measurement, count)
        tables[norm] = published_rows(table).assign(norm=norm)
        facts[norm] = {
            "time_limit": measurement.limit(context),
            "methods": method_facts(table),
            "ratio": ratio_facts(table, measurement.methods[-1]),
            **agreement_facts(table),
            "machine": machine_facts(folder, measurement.subfolder(context), table),
        }
    facts["weights"] = {
        CLASSIFICATION: weight_count(network, changed=False),
        L1: weight_count(network, changed=True),
        L2: weight_count(network, changed=True),
    }
    folder.table(RUNS, pd.concat(list(tables.values())))
    _show(folder, facts, tables)
    complete = context.full and context.limit is None and context.time_limit is None
    return folder.finish(facts, complete=complete)


def _show(
    folder: StudyFolder, facts: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]
) -> None:
    """Figures and table, from facts and published rows by norm."""
    for norm in MEASUREMENTS:
        folder.figure(f"{NAME}-{norm}", _figure(tables[norm], facts[norm]["methods"]))
    folder.table(NAME, _table(facts), facts)


def _redraw(folder: StudyFolder, data: Path) -> None:
    """:func:`_show` from what is published."""
    rows = pd.read_csv(data / f"{RUNS}.csv")
    tables = {norm: rows[rows["norm"] == norm] for norm in MEASUREMENTS}
    _show(folder, read_facts(data, NAME), tables)


def _figure(table: pd.DataFrame, methods: Mapping[str, Any]) -> Figure:
    """Times of every image, with performance profiles where these compare something."""
    shown = named(table, method_titles(list(methods)))
    return benchmark_figure(shown) if _proving(methods) > 1 else time_figure(shown)


def _proving(methods: Mapping[str, Any]) -> int:
    """How many methods proved anything."""
    return sum(found["proven"] > 0 for found in methods.values())


def weight_count(network: ReLUNetwork, *, changed: bool) -> int:
    """What the thesis counts as constraints: the weights, which the rows of the program hold.

    With the change it adds two rows for each pixel and one for each label.
    """
    weights = sum(int(layer.weight.size) for layer in network.affine_layers)
    return weights + (2 * network.input_size + network.output_size if changed else 0)


def _forward_passes(
    folder: StudyFolder, network: ReLUNetwork, instances: Sequence[Instance]
) -> list[Finished]:
    """The network itself, image by image."""
    return folder.run(FORWARD, ForwardJob(network), instances, folder.context.method())


def _classifications(
    folder: StudyFolder, network: ReLUNetwork, instances: Sequence[Instance]
) -> list[Finished]:
    """The thesis' program with its input fixed, on HiGHS."""
    method = folder.context.method(CLASSIFY_LIMIT, engine="highs", formulation="thesis")
    limit = method.options.time_limit
    stage = CLASSIFICATION if limit == CLASSIFY_LIMIT else f"{CLASSIFICATION}-{limit:g}s"
    experiment = ClassifyJob(network, method)
    return folder.run(stage, experiment, instances, method)


def _simple_facts(finished: Sequence[Finished]) -> dict[str, Any]:
    """Average, fastest and slowest; dashes when a run died, lower bounds when one was stopped."""
    seconds = [result.row.seconds for result in finished]
    known = [float(value) for value in seconds if value is not None]
    if len(known) < len(seconds):
        return {"images": len(seconds), "average": None, "fastest": None, "slowest": None}
    stopped = any(result.row.status == Status.TIME_LIMIT for result in finished)
    relation = AT_LEAST if stopped else EXACT
    return {
        "images": len(known),
        "average": estimate_facts(Estimate(statistics.fmean(known), relation)),
        "fastest": estimate_facts(Estimate(min(known))),
        "slowest": estimate_facts(Estimate(max(known), relation)),
    }


def _classification_facts(finished: Sequence[Finished]) -> dict[str, Any]:
    """Times, sizes, and how many answers are those of the network."""
    rows = [result.row for result in finished]
    sizes = {name: rows[0].get(name) for name in _SIZES}
    agreeing = sum(row.agrees for row in rows)
    return {**_simple_facts(finished), "agreeing": agreeing, **sizes}


def _table(facts: Mapping[str, Any]) -> pd.DataFrame:
    """The table: what was measured, and below it what the thesis printed."""
    found, weights = facts[CLASSIFICATION], facts["weights"]
    agreeing = f"{found['agreeing']}/{found['images']}"
    rows = [
        _row(FORWARD, "float64", facts[FORWARD], None, DASH),
        _printed(FORWARD),
        _row(CLASSIFICATION, "HiGHS, thesis' model", found, weights[CLASSIFICATION], agreeing),
        _printed(CLASSIFICATION),
    ]
    for norm, measurement in MEASUREMENTS.items():
        for method in measurement.methods:
            found = facts[norm]["methods"][method]
            counted = weights[norm] if ":thesis" in method else None
            proven = f"{found['proven']}/{found['images']}"
            rows.append(_row(norm, method_words(method), found, counted, proven))
        rows.append(_printed(norm))
    return pd.DataFrame(rows, columns=list(_COLUMNS), dtype=object).fillna(DASH)


_TIMES = ("average", "fastest", "slowest")
_COLUMNS = (
    *("problem", "method", "variables", "constraints", _WEIGHTS, "binaries", "proven"),
    *(f"{name} (s)" for name in _TIMES),
)


def _row(
    problem: str, method: str, found: Mapping[str, Any], weights: int | None, proven: str
) -> dict[str, str]:
    """One measured row."""
    return {
        "problem": _PROBLEMS[problem],
        "method": method,
        **{name: count_text(found.get(name)) for name in _SIZES},
        _WEIGHTS: count_text(weights),
        "proven": proven,
        **{f"{name} (s)": seconds_text(found[name]) for name in _TIMES},
    }


def _printed(problem: str) -> dict[str, str]:
    """One row of the thesis' table."""
    published = TABLE_2[problem]
    return {
        "problem": _PROBLEMS[problem],
        "method": "as the thesis printed it",
        "variables": count_text(published.variables),
        _WEIGHTS: count_text(published.constraints),
        **{f"{name} (s)": f"{getattr(published, name):.5g}" for name in _TIMES},
    }


def _more(_data: Path, _facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "printed": {norm: TABLE_2[norm].average for norm in (L1, L2)},
        "setting": TABLE_2_SETTING,
    }


STUDY = Study(NAME, run, _redraw, _more, minutes=29)
