"""LiPPA (Seck, Loosli and Canu 2021): how many linear regions there are, and a search through some.

The paper's networks are not bundled: ``--network`` names a folder that holds their files, called
as in :data:`~reluopt.studies.published.LIPPA_REGIONS`. Without it bundled ones of the same shape
are taken.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from reluopt.attacks.methods.base import AttackMethod
from reluopt.attacks.methods.lippa import Lippa
from reluopt.attacks.methods.pgd import Pgd
from reluopt.attacks.region_count import RegionSearch
from reluopt.errors import InputError, shown
from reluopt.figures import arrangement_figure
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.zoo import load_bundled, open_network
from reluopt.questions.input_sets import Box
from reluopt.runs.ball_attack import BallAttackJob, accuracies
from reluopt.runs.instances import Instance, load_instances
from reluopt.runs.regions import COUNTED, RegionJob
from reluopt.runs.row import BallAttackRow, RegionRow, known
from reluopt.runs.tables import DASH, fixed, markdown_table
from reluopt.studies.base import Study, StudyContext, StudyFolder, StudyResult, read_facts
from reluopt.studies.published import (
    LIPPA_ERRORS,
    LIPPA_REGIONS,
    LIPPA_SECONDS,
    PublishedAttack,
)
from reluopt.studies.search_plane import longest_search, plane_figure
from reluopt.studies.words import share_text

NAME = "lippa"
ERRORS, SECONDS = f"{NAME}-errors", f"{NAME}-seconds"
REGION_ROWS, ATTACK_ROWS = f"{NAME}-region-rows", f"{NAME}-attack-rows"

COMPLETE, REGION_IMAGES, PUBLISHED, REDUCED = 1000, 100, 100, 2
"""Images that are attacked in all, those that regions are counted around, those that suffice to be
published, and those of a first look."""

EPS = 0.05
"""Radius within which regions are counted."""

LIMIT, REDUCED_LIMIT = 5.0, 2.0
"""Seconds of LiPPA for one image."""

BUNDLED_REGIONS = {"nor-b": None, "adv-b": None}
BUNDLED_ERRORS = {("nor-b", 0.05): None, ("adv-b", 0.1): None}

LINES = (5, 10, 15, 20)
"""Numbers of lines in the plane whose regions are counted."""

TRIANGLE = Dense(np.array([[0.0, 1.0], [1.5, 1.0], [-1.5, 1.0]]), np.array([-1.0, 0.5, 0.5]))
"""Three neurons a, b, c around a triangle of code 011: no input is on the other side of all."""

SEARCHED = 20
"""Images among which the longest search is looked for."""


def run(context: StudyContext) -> StudyResult:
    """Count, attack, and draw."""
    folder = StudyFolder(context, NAME)
    count = context.count(REDUCED, COMPLETE)
    given = context.network is not None
    regions: Mapping[str, Any] = LIPPA_REGIONS if given else BUNDLED_REGIONS
    errors: Mapping[tuple[str, float], Any] = LIPPA_ERRORS if given else BUNDLED_ERRORS
    counted = {
        name: _count(folder, network, name, min(count, REGION_IMAGES))
        for name, network in _networks(context, list(regions))
    }
    limit = LIMIT if count >= PUBLISHED else REDUCED_LIMIT
    limit = limit if context.time_limit is None else context.time_limit
    attacked = {}
    for name, network in _networks(context, list(dict.fromkeys(name for name, _ in errors))):
        for eps in (eps for other, eps in errors if other == name):
            for attack in (Pgd(), Lippa(time_limit=limit)):
                rows = _attacked(folder, network, name, eps, attack, count)
                attacked[name, eps, attack.name] = rows
    tables = _row_tables(counted, attacked)
    facts = {
        "given": given,
        "images": count,
        "region_images": min(count, REGION_IMAGES),
        "eps": EPS,
        "limit": limit,
        "lines": {str(n): _lines(n) for n in LINES},
        "triangle": _triangle_count(),
        "regions": {name: _region_facts(rows) for name, rows in counted.items()},
        "errors": [
            _error_facts(name, eps, attacked[name, eps, "pgd"], attacked[name, eps, "lippa"])
            for name, eps in errors
        ],
    }
    for name, table in tables.items():
        folder.table(name, table)
    shown_of = next(iter(errors))
    folder.figure(f"{NAME}-search", _search(context, shown_of, count, facts))
    _tell(folder, facts)
    complete = count >= PUBLISHED and context.time_limit is None
    return folder.finish(facts, complete=complete)


def _networks(context: StudyContext, names: Sequence[str]) -> Iterator[tuple[str, ReLUNetwork]]:
    """The networks by name, bundled or from the folder that is given."""
    for name in names:
        if context.network is None:
            yield name, load_bundled(name)
            continue
        path = Path(context.network) / f"{name}.safetensors"
        if not path.is_file():
            raise InputError(
                f"--network: expected a folder that holds {path.name}, found "
                f"{shown(context.network)}"
            )
        yield name, open_network(str(path))


def _images(network: ReLUNetwork, count: int) -> list[Instance]:
    return load_instances(network, [f"test:0-{count - 1}"])


def _count(folder: StudyFolder, network: ReLUNetwork, name: str, count: int) -> list[RegionRow]:
    """Unstable neurons and regions around the first test images."""
    job, method = RegionJob(network, EPS, seed=folder.context.seed), folder.context.method()
    units = _images(network, count)
    found = folder.run(f"regions-{name}", job, units, method, folder.context.executor())
    return [result.row for result in found]


def _attacked(
    folder: StudyFolder,
    network: ReLUNetwork,
    name: str,
    eps: float,
    attack: AttackMethod,
    count: int,
) -> list[BallAttackRow]:
    """The first test images as an attack left them."""
    job, method = BallAttackJob(network, attack, eps), folder.context.method()
    limit = "" if not isinstance(attack, Lippa) else f"-{attack.time_limit:g}s"
    stage = f"{attack.name}-{name}-{eps:g}{limit}"
    units = _images(network, count)
    found = folder.run(stage, job, units, method, folder.context.executor())
    return [result.row for result in found]


def _lines(count: int) -> int:
    """Regions of so many random lines, counted in a box that holds all their crossings."""
    generator = np.random.default_rng(count)
    angles = generator.uniform(0.0, np.pi, count)
    layer = Dense(
        np.column_stack([np.cos(angles), np.sin(angles)]), generator.uniform(-1.0, 1.0, count)
    )
    return _plane_count(layer, 1e4)


def _triangle_count() -> int:
    return _plane_count(TRIANGLE, 1e2)


def _plane_count(layer: Dense, reach: float) -> int:
    """Linear regions of one layer over a square."""
    width = layer.bias.size
    network = ReLUNetwork((layer, Dense(np.ones((1, width)), np.zeros(1))))
    box = Box(np.full(2, -reach), np.full(2, reach))
    search = RegionSearch(network, box, [np.ones(width, dtype=np.bool_)], 100_000).run()
    return search.found


def _region_facts(rows: Sequence[RegionRow]) -> dict[str, Any]:
    """Means over images; of regions also how many were counted."""

    def mean(name: str, places: int = 2) -> float:
        return round(statistics.fmean(float(known(getattr(row, name))) for row in rows), places)

    counted = [row for row in rows if row.status == COUNTED]
    return {
        "images": len(rows),
        **{name: mean(name) for name in ("sampled_unstable", "sampled_regions")},
        "unstable": [mean("unstable_least"), mean("unstable_most")],
        "log2": [mean("log2_least"), mean("log2_most")],
        "counted": len(counted),
        "exact": round(statistics.fmean(known(r.regions) for r in counted), 1) if counted else None,
        "exact_sampled": round(statistics.fmean(known(r.sampled_regions) for r in counted), 1)
        if counted
        else None,
        "seconds": round(sum(row.seconds or 0.0 for row in rows), 0),
    }


def _error_facts(
    name: str, eps: float, pgd: Sequence[BallAttackRow], lippa: Sequence[BallAttackRow]
) -> dict[str, Any]:
    """Robust errors from below, in [0, 1], and LiPPA's seconds."""
    found = accuracies(lippa)
    return {
        "network": name,
        "eps": eps,
        "images": len(lippa),
        "clean": round(1.0 - found.clean, 5),
        "pgd": round(accuracies(pgd).fooled, 5),
        "lippa": round(found.fooled, 5),
        "failed": None if found.seconds_failed is None else round(found.seconds_failed, 3),
        "fooled": None if found.seconds_fooled is None else round(found.seconds_fooled, 3),
    }


def _row_tables(
    counted: Mapping[str, Sequence[RegionRow]],
    attacked: Mapping[tuple[str, float, str], Sequence[BallAttackRow]],
) -> dict[str, pd.DataFrame]:
    """The rows that are published."""
    regions = [
        {
            "network": name,
            **{key: value for key, value in row.values().items() if key in _REGION_COLUMNS},
        }
        for name, rows in counted.items()
        for row in rows
    ]
    attacks = [
        {"network": name, "eps": eps, "method": method}
        | {key: getattr(row, key) for key in ("image", "label", "status", "predicted")}
        | {"seconds": fixed(row.seconds, 3)}
        for (name, eps, method), rows in attacked.items()
        for row in rows
    ]
    return {
        REGION_ROWS: pd.DataFrame(regions, dtype=object),
        ATTACK_ROWS: pd.DataFrame(attacks, dtype=object),
    }


_REGION_COLUMNS = (
    *("image", "label", "status", "sampled_unstable", "sampled_regions"),
    *("unstable_least", "unstable_most", "regions"),
)


def _search(
    context: StudyContext,
    question: tuple[str, float],
    count: int,
    facts: dict[str, Any],
) -> Figure | None:
    """The longest of the first searches that succeed; facts tell which."""
    name, eps = question
    ((_, network),) = _networks(context, [name])
    units = _images(network, min(count, SEARCHED))
    found = longest_search(network, units, eps)
    if found is None:
        return None
    unit, path = found
    facts["search"] = {"image": unit.key, "label": unit.label, "points": len(path)}
    facts["search"] |= {"network": name, "eps": eps}
    return plane_figure(network, path, unit.label, eps)


def _arrangement(facts: Mapping[str, Any]) -> Figure:
    """Three neurons in the plane, and how many regions lines make."""
    ends = (-3.0, 3.0, -3.0, 3.0)
    side = np.linspace(-3.0, 3.0, 201)
    grid = np.stack(np.meshgrid(side, side), axis=-1)
    neurons = np.moveaxis(grid @ TRIANGLE.weight.T + TRIANGLE.bias, -1, 0)
    counts = {int(n): count for n, count in facts["lines"].items()}
    return arrangement_figure(neurons, ends, counts)


def span(ends: Sequence[float], places: int = 2) -> str:
    """``12.3`` or ``12.3 to 14.5``."""
    return " to ".join(dict.fromkeys(f"{end:.{places}f}" for end in ends))


def _region_table(facts: Mapping[str, Any]) -> pd.DataFrame:
    """Table 1: unstable neurons and regions, printed, sampled and proven."""
    rows = []
    for name, found in facts["regions"].items():
        printed = LIPPA_REGIONS.get(name)
        exact = DASH if found["exact"] is None else f"{found['exact']:g} ({found['counted']})"
        rows.append(
            {
                "network": name,
                "unstable: printed": DASH if printed is None else f"{printed[0]:g}",
                "sampled": f"{found['sampled_unstable']:.2f}",
                "proven": span(found["unstable"]),
                "regions: printed": DASH if printed is None else f"{printed[1]:g}",
                "sampled ": f"{found['sampled_regions']:.1f}",
                "log2, proven": span(found["log2"], 1),
                "counted (images)": exact,
            }
        )
    return pd.DataFrame(rows, dtype=object)


def _printed(each: Mapping[str, Any]) -> PublishedAttack | None:
    return LIPPA_ERRORS.get((each["network"], each["eps"]))


def _error_table(facts: Mapping[str, Any]) -> pd.DataFrame:
    """Table 2 as far as this study goes; the exact errors stand in another one's rows."""
    rows = []
    for each in facts["errors"]:
        printed = _printed(each)
        rows.append(
            {
                "network": each["network"],
                "eps": f"{each['eps']:g}",
                "images": str(each["images"]),
                **{name: share_text(each[name], 2) for name in ("clean", "pgd", "lippa")},
                "printed: clean": DASH if printed is None else f"{printed.clean:.2f} %",
                "LiPPA": DASH if printed is None else f"{printed.lippa:.2f} %",
                "bounds": DASH if printed is None else f"{printed.lower:g} to {printed.upper:g} %",
            }
        )
    return pd.DataFrame(rows, dtype=object)


def _seconds_table(facts: Mapping[str, Any]) -> pd.DataFrame:
    """Table 3: times of failed and successful searches."""
    rows = []
    for each in facts["errors"]:
        printed = LIPPA_SECONDS.get(each["network"], (None, None))
        rows.append(
            {
                "network": each["network"],
                "failed (s)": fixed(each["failed"], 2) or DASH,
                "successful (s)": fixed(each["fooled"], 2) or DASH,
                "printed: failed (s)": fixed(printed[0], 2) or DASH,
                "printed: successful (s)": fixed(printed[1], 2) or DASH,
            }
        )
    return pd.DataFrame(rows, dtype=object)


def _tell(folder: StudyFolder, facts: Mapping[str, Any]) -> None:
    """Tables and the figure that facts suffice for."""
    folder.table(NAME, _region_table(facts), facts)
    folder.table(ERRORS, _error_table(facts), facts)
    folder.table(SECONDS, _seconds_table(facts), facts)
    folder.figure(NAME, _arrangement(facts))


def _redraw(folder: StudyFolder, data: Path) -> None:
    _tell(folder, read_facts(data, NAME))


def _more(data: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The exact errors of the same images, from the rows of another study."""
    errors = _error_table(facts)
    errors["exact"] = [_exact(data, each, each["images"]) for each in facts["errors"]]
    if facts["images"] < COMPLETE:
        errors[f"of {COMPLETE:,}"] = [_exact(data, each, COMPLETE) for each in facts["errors"]]
    return {
        "errors": markdown_table(errors),
        "complete": facts["images"] >= COMPLETE,
        "lippa_ahead": [e["network"] for e in facts["errors"] if e["lippa"] > e["pgd"]],
        "span": span,
        "printed": LIPPA_REGIONS,
    }


def _exact(data: Path, each: Mapping[str, Any], count: int) -> str:
    """The exact robust error of the first test images, if another study's rows tell it."""
    rows = data / f"robust-error-{each['network']}-{each['eps']:g}.csv"
    if not rows.is_file():
        return DASH
    status = pd.read_csv(rows)["status"].iloc[:count]
    wrong, right = (float((status == word).mean()) for word in ("NOT_ROBUST", "ROBUST"))
    return f"{span([100.0 * wrong, 100.0 * (1.0 - right)])} %"


STUDY = Study(NAME, run, _redraw, _more, any_network=True, minutes=120)
