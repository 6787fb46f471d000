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

from reluopt.bench.speed import fill
from reluopt.figures import network_times_figure
from reluopt.networks.zoo import load_bundled
from reluopt.runs.tables import DASH, markdown_table
from reluopt.studies import STUDIES
from reluopt.studies.base import (
    Study,
    StudyContext,
    StudyFolder,
    StudyResult,
    read_facts,
    read_table,
)
from reluopt.studies.published import TIGHTENING
from reluopt.studies.timings import (
    OWN,
    Measurement,
    agreement_facts,
    agreement_sentence,
    check_methods,
    count_text,
    machine_facts,
    machine_sentence,
    measure,
    method_facts,
    named,
    published_rows,
    ratio_facts,
    seconds_text,
)

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
    """Measure, draw and put the averages beside the published ones."""
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
    folder.table(RUNS, rows, texts=False)
    _show(folder, facts, rows)
    complete = context.full and context.limit is None and context.time_limit is None
    return folder.finish(facts, _lines(facts), complete=complete)


def _show(folder: StudyFolder, facts: Mapping[str, Any], rows: pd.DataFrame) -> None:
    """Figure and table, from facts and published rows."""
    shown = pd.concat([named(own, BOUNDS) for _, own in rows.groupby("network", sort=False)])
    folder.figure(NAME, network_times_figure(shown, _references(list(facts["networks"]))))
    folder.table(NAME, _table(facts), _caption(facts))


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


def _caption(facts: Mapping[str, Any]) -> str:
    """What a reader of the table must know, as one line."""
    return (
        f"{facts['images']} training images, target (label + 5) mod 10, margin 1.2, Gurobi with "
        f"one thread, limit {facts['time_limit']:g} s. Runs that were stopped count with the "
        "limit, and ≥ marks what that makes a lower bound. Binaries are medians."
    )


def _lines(facts: Mapping[str, Any]) -> list[str]:
    """What came out, a sentence for each network."""
    return [_sentence(name, found) for name, found in facts["networks"].items()]


def _sentence(network: str, found: Mapping[str, Any]) -> str:
    """From the loosest bounds to the tightest."""
    methods = found["methods"]
    told = ", ".join(
        f"{name} {seconds_text(methods[method]['average'])} s ({methods[method]['proven']}/"
        f"{methods[method]['images']} proven)"
        for method, name in BOUNDS.items()
    )
    published = found["published"]
    return (
        f"{network} ({'-'.join(map(str, found['sizes']))}): {told}; published "
        f"{published['initial']:g} s with ±1000 and {published['optimal']:g} s with optimal bounds"
    )


def readme(data: Path) -> str:
    """What came out, the figure and the table."""
    facts = read_facts(data, NAME)
    table = read_table(data, NAME)
    computing = [f"{found['published']['computing']:g} s" for found in facts["networks"].values()]
    figure_caption = (
        f"*Smallest L1 changes of {facts['images']} training images, limit "
        f"{facts['time_limit']:g} s, {machine_sentence(facts['machine'])}. Bars are medians, "
        "hollow triangles count runs that were stopped. Crosses are averages: the black ones ours, "
        "where stopped runs count with the limit, the grey ones those of Linkola and colleagues "
        "for networks of the same shapes, on their machine, with Gurobi and its default number of "
        "threads.*"
    )
    table_caption = (
        f"*{_caption(facts)} The published averages are over 10 images; their optimal bounds are "
        "the minimum and the maximum of every neuron by mixed-integer programs, which took "
        f"{', '.join(computing)} once and are not in the averages.*"
    )
    return f"""### Bounds and depth

{fill(_ratios(facts))}

{fill(f"{_summary(facts)} {agreement_sentence([facts])}")}

![Seconds for each image by bounds and network](figures/{NAME}.png)

{fill(figure_caption)}

{markdown_table(table)}
{fill(table_caption)}

    reluopt experiment {NAME} --full
"""


def _summary(facts: Mapping[str, Any]) -> str:
    """Averages of the ends and the middle, and how many neurons the bounds decide."""
    parts = []
    for network, found in facts["networks"].items():
        methods = found["methods"]
        times = [seconds_text(methods[name]["average"]) for name in (THESIS, BALL, OWN)]
        parts.append(f"`{network}` {times[0]} s, {times[1]} s and {times[2]} s")
    return (
        "Average time of a smallest L1 change with bounds of ±1000, with bounds over the "
        f"incumbent's ball, and by our engine: {'; '.join(parts)}.{_undecided(facts)}"
    )


def _ratios(facts: Mapping[str, Any]) -> str:
    """Our engine against the thesis' model, by network."""
    ratios = [
        f"{seconds_text(found['ratio']['geometric_mean'])} (`{network}`)"
        for network, found in facts["networks"].items()
    ]
    return (
        f"Our engine is {', '.join(ratios)} times as fast as the thesis' model on Gurobi, by the "
        "geometric mean of ratios."
    )


def _undecided(facts: Mapping[str, Any]) -> str:
    """Whether any bounds over the whole box make a neuron stable."""
    binaries = [
        found["methods"][method]["binaries"] == sum(found["sizes"][1:-1])
        for found in facts["networks"].values()
        for method in OVER_THE_BOX
    ]
    if not all(binaries):
        return ""
    return (
        " Over the whole box even LP bounds decide no neuron: every hidden one keeps its binary, "
        "and only the ball takes some away."
    )


STUDY = Study(NAME, STUDIES[NAME], run, readme, _redraw)
