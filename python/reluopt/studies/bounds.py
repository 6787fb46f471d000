"""Tighter bounds and deeper networks: what bounds on pre-activations do for the search.

Smallest L1 changes by the same solver with bounds from ±1000 to those over the incumbent's ball,
beside our engine and beside what Linkola and colleagues published for the same shapes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from reluopt.figures import network_times_figure
from reluopt.networks.zoo import load_bundled
from reluopt.runs.tables import DASH
from reluopt.studies.base import Study, StudyContext, StudyFolder, StudyResult, read_facts
from reluopt.studies.measuring import (
    OWN,
    Measurement,
    agreement_facts,
    check_methods,
    machine_facts,
    measure,
    method_facts,
    named,
    published_rows,
    ratio_facts,
)
from reluopt.studies.published import TIGHTENING
from reluopt.studies.words import count_text, seconds_text

NAME = "bounds"

RUNS = f"{NAME}-runs"
"""The table of rows."""

THESIS, BALL = "gurobi:thesis:thesis", "gurobi:bigm:ball"

OVER_THE_BOX = ("gurobi:bigm:interval", "gurobi:bigm:linear", "gurobi:bigm:lp")
"""Bounds that hold for every image, from the loosest to the tightest."""

BOUNDS = {
    THESIS: "±1000",
    **dict(zip(OVER_THE_BOX, ("interval", "linear", "LP"), strict=True)),
    BALL: "ball",
    OWN: "our engine",
}
"""What each method is called, from the loosest bounds to the tightest; ±1000 is the thesis' model,
the others are ours. Our engine bounds on its own."""

PUBLISHED_INITIAL, PUBLISHED_OPTIMAL = "±1000, published", "optimal, published"

COMPLETE, REDUCED = 10, 2
"""Images."""

REDUCED_NETWORKS = ("thesis",)
"""Of a first look: on the others the program with ±1000 takes a minute and more."""

REDUCED_SECONDS = 30.0
"""Limit of a first look, which most of its runs keep: stopped ones would say nothing."""

_METHODS = (OWN, BALL, *reversed(OVER_THE_BOX), THESIS)
"""In the order of their first turn."""


def measurement(context: StudyContext) -> Measurement:
    """What is measured: all networks, or the smallest one for a first look."""
    networks = tuple(TIGHTENING) if context.full else REDUCED_NETWORKS
    return Measurement(
        "l1", networks, "l1", _METHODS, time_limit=60.0, reduced_limit=REDUCED_SECONDS
    )


def run(context: StudyContext) -> StudyResult:
    """Norm, draw and put the averages beside the published ones."""
    asked = measurement(context)
    check_methods(context, [asked])
    folder = StudyFolder(context, NAME)
    count = context.count(REDUCED, COMPLETE)
    table = measure(folder, asked, count)
    facts: dict[str, Any] = {
        "images": count,
        "time_limit": asked.limit(context),
        "networks": {
            str(network): _network_facts(str(network), rows)
            for network, rows in table.groupby("network", sort=False)
        },
        **agreement_facts(table),
        "machine": machine_facts(folder, asked.subfolder(context), table),
    }
    rows = published_rows(table)
    folder.table(RUNS, rows)
    _show(folder, facts, rows)
    complete = context.full and context.limit is None and context.time_limit is None
    return folder.finish(facts, complete=complete, **_words())


def _show(folder: StudyFolder, facts: Mapping[str, Any], rows: pd.DataFrame) -> None:
    """Figure and table, from facts and published rows."""
    shown = pd.concat([named(own, BOUNDS) for _, own in rows.groupby("network", sort=False)])
    folder.figure(NAME, network_times_figure(shown, _references(list(facts["networks"]))))
    folder.table(NAME, _table(facts), facts)


def _redraw(folder: StudyFolder, data: Path) -> None:
    """:func:`_show` from what is published."""
    _show(folder, read_facts(data, NAME), pd.read_csv(data / f"{RUNS}.csv"))


def _network_facts(network: str, rows: pd.DataFrame) -> dict[str, Any]:
    """Times by method, and the published ones."""
    return {
        "sizes": list(load_bundled(network).sizes),
        "methods": method_facts(rows),
        "ratio": ratio_facts(rows, THESIS),
        "published": asdict(TIGHTENING[network]),
    }


def _references(networks: Sequence[str]) -> pd.DataFrame:
    """The published averages as the figure takes them."""
    lines = ((PUBLISHED_INITIAL, "initial"), (PUBLISHED_OPTIMAL, "optimal"))
    return pd.DataFrame(
        [
            {"network": name, "method": line, "seconds": getattr(TIGHTENING[name], field)}
            for line, field in lines
            for name in networks
        ]
    )


def _table(facts: Mapping[str, Any]) -> pd.DataFrame:
    """One row for each network and kind of bounds; published averages in the last column."""
    rows = []
    for network, found in facts["networks"].items():
        published = found["published"]
        for method, name in BOUNDS.items():
            of = found["methods"][method]
            rows.append(
                {
                    "network": network,
                    "bounds": name,
                    "proven": f"{of['proven']}/{of['images']}",
                    "binaries": count_text(of["binaries"]),
                    "average (s)": seconds_text(of["average"]),
                    "bounds alone (s)": DASH if method == OWN else seconds_text(of["bounds"]),
                    "search alone (s)": seconds_text(of["search"]),
                    "published (s)": f"{published['initial']:,.4g}" if method == THESIS else DASH,
                }
            )
        optimal = {"network": network, "bounds": PUBLISHED_OPTIMAL}
        rows.append({**optimal, "published (s)": f"{published['optimal']:,.4g}"})
    return pd.DataFrame(rows, dtype=object).fillna(DASH)


def _words() -> dict[str, Any]:
    """Names that its words need beside the facts."""
    ends = {"thesis": THESIS, "ball": BALL, "own": OWN}
    return {"names": BOUNDS, "over_the_box": OVER_THE_BOX, **ends}


STUDY = Study(NAME, run, _redraw, lambda _data, _facts: _words(), minutes=67)
