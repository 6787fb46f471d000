"""Partition-based formulations (Tsay et al. 2021) against big-M: optimal adversaries in L1 balls.

``max x_t - x_d`` over the inputs within an L1 distance of eps from a test image, cut by [0, 1]: the
authors' instances are the first 100 test images with a target drawn for each. Theirs is a network
784-50-50-10, which is not bundled (``--network``).
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from reluopt.answers.solution import Status
from reluopt.bounds import compute_bounds
from reluopt.engines import get_engine
from reluopt.figures import time_figure
from reluopt.formulation.base import Formulation
from reluopt.formulation.forms.bigm import BigM
from reluopt.formulation.forms.hull import Hull
from reluopt.formulation.forms.partition import Partition, equal_range, random, uneven
from reluopt.formulation.parts import tightened_ends
from reluopt.method import Method
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.zoo import open_network
from reluopt.numerics.linear_programs import highs_model
from reluopt.questions.problems import Norm
from reluopt.questions.worst_case import WorstCase
from reluopt.runs.instances import Instance, load_instances
from reluopt.runs.methods import method_titles
from reluopt.runs.row import WorstCaseRow, known
from reluopt.runs.tables import DASH, fixed
from reluopt.runs.worst_case import WorstCaseJob, WorstCaseSettings
from reluopt.studies.base import Study, StudyContext, StudyFolder, StudyResult, read_facts
from reluopt.studies.published import PARTITION_TARGETS, PARTITIONS
from reluopt.studies.solved import printed

NAME = "partition"
NETWORK = "ctu"
ROWS, ROOTS = f"{NAME}-rows", f"{NAME}-roots"

RADII = (5.0, 10.0)
"""A first look takes the first one."""

COMPLETE, PUBLISHED, REDUCED = len(PARTITION_TARGETS), 6, 1
"""Images of the whole study, those that suffice to be published, and those of a first look."""

TIGHTER, BESIDE = 25, 3
"""Images with bounds tighter than the authors', and those that the open solvers get and whose roots
are solved in every form."""

LIMIT, REDUCED_LIMIT = 30.0, 5.0
"""Seconds for one problem; the authors gave an hour."""

FORMS = ("bigm", "partition-2", "partition-4", "hull")
FIRST = ("bnb", *(f"gurobi:{form}:interval" for form in FORMS))
OTHERS = tuple(f"{engine}:{form}:linear" for engine in ("highs", "scip") for form in FORMS)
IMAGES = {
    **dict.fromkeys(FIRST, COMPLETE),
    **{f"gurobi:{form}:linear": TIGHTER for form in FORMS},
    **dict.fromkeys(OTHERS, BESIDE),
}
"""Methods for all images, those that a first look leaves out, and of each the most images."""

ROOT_FORMS: tuple[Formulation, ...] = (
    *(BigM(), Partition(2), Partition(4), Partition(4, equal_range), Partition(4, random)),
    *(Partition(4, uneven), Partition(2, part_ends=tightened_ends), Hull()),
)
"""Formulations whose linear relaxations are compared."""


@dataclass(frozen=True, eq=False)
class Adversary(Instance):
    """An image with the label that shall lead."""

    target: int


@dataclass(frozen=True, eq=False)
class AdversaryJob(WorstCaseJob):
    """Worst cases with a target for each image."""

    def describe(self) -> dict[str, Any]:
        """Everything that determines the results, JSON-serialisable."""
        return {**super().describe(), "experiment": "optimal-adversary"}

    def problem(self, unit: Instance) -> WorstCase:
        """The lead of the image's own target."""
        if not isinstance(unit, Adversary):
            raise TypeError("expected an image with a target")
        return replace(self.settings, target=unit.target).problem(unit.image, unit.label)


def run(context: StudyContext) -> StudyResult:
    """Solve every image by every method, and the roots of the first ones."""
    folder = StudyFolder(context, NAME)
    network = open_network(NETWORK if context.network is None else context.network)
    count = context.count(REDUCED, COMPLETE)
    images = [
        Adversary(each.key, each.image, each.label, int(target))
        for each, target in zip(
            load_instances(network, [f"test:0-{count - 1}"]), PARTITION_TARGETS, strict=False
        )
    ]
    limit = LIMIT if count >= PUBLISHED else REDUCED_LIMIT
    radii = RADII if count >= BESIDE else RADII[:1]
    rows = {
        eps: {
            name: _solved(folder, network, images[:most], eps, name, limit)
            for name, most in IMAGES.items()
            if get_engine(name.split(":")[0]).state().usable
            and (count >= BESIDE or name not in OTHERS)
        }
        for eps in radii
    }
    roots = _roots(network, images[:BESIDE], radii)
    table, root_table = _row_table(rows), pd.DataFrame(roots, dtype=object)
    folder.table(ROWS, table)
    folder.table(ROOTS, printed(root_table, {"bound": 4}))
    facts = {
        "network": network.metadata.name,
        "given": context.network is not None,
        "sizes": [network.input_size, *network.hidden_sizes, network.output_size],
        "images": count,
        "tighter": min(count, TIGHTER),
        "beside": min(count, BESIDE),
        "limit": rows[RADII[0]][FIRST[0]][0].time_limit,
        "targets": "".join(map(str, PARTITION_TARGETS)),
        "differing": _differing(rows),
        "solved": {f"{eps:g}": _solve_facts(found) for eps, found in rows.items()},
        "roots": {f"{eps:g}": _root_facts(roots, rows[eps], eps) for eps in radii},
    }
    _tell(folder, facts, table)
    complete = count >= PUBLISHED and context.time_limit is None
    return folder.finish(facts, complete=complete)


def _solved(
    folder: StudyFolder,
    network: ReLUNetwork,
    images: Sequence[Adversary],
    eps: float,
    name: str,
    limit: float,
) -> list[WorstCaseRow]:
    """The rows of a method."""
    asked = Method.parse(name)
    how = {"engine": asked.engine, "formulation": asked.formulation, "bounds": asked.bounds}
    method = folder.context.method(limit, **how)
    job = AdversaryJob(network, WorstCaseSettings(eps, Norm.L1), method)
    stage = f"{name.replace(':', '-')}-{eps:g}-{method.options.time_limit:g}s"
    finished = folder.run(stage, job, images, method, folder.context.executor())
    return [result.row for result in finished]


def _is_solved(row: WorstCaseRow) -> bool:
    return row.status == Status.OPTIMAL


def _differing(rows: Mapping[float, Mapping[str, Sequence[WorstCaseRow]]]) -> float:
    """The largest difference of two proven optima of one problem."""
    optima: dict[tuple[float, str], list[float]] = {}
    for eps, methods in rows.items():
        for row in (row for found in methods.values() for row in found if _is_solved(row)):
            optima.setdefault((eps, row.image), []).append(known(row.objective))
    return max((max(each) - min(each) for each in optima.values()), default=0.0)


def _solve_facts(methods: Mapping[str, Sequence[WorstCaseRow]]) -> dict[str, Any]:
    """Counts of a radius, and means over what all forms with this engine and bounds solved."""

    def family(name: str) -> tuple[str, ...]:
        engine, *rest = name.split(":")
        return engine, *rest[1:]

    found = {}
    for name, rows in methods.items():
        like = [methods[other] for other in methods if family(other) == family(name)]
        both = [k for k in range(len(rows)) if all(_is_solved(each[k]) for each in like)]
        mean = {
            key: round(statistics.fmean(float(known(getattr(rows[k], key))) for k in both), 3)
            for key in ("seconds", "nodes", "constraints")
            if both and getattr(rows[both[0]], key) is not None
        }
        found[name] = {
            "images": len(rows),
            "solved": sum(map(_is_solved, rows)),
            "shared": len(both),
            "seconds": mean.get("seconds"),
            "nodes": mean.get("nodes"),
            "constraints": mean.get("constraints"),
        }
    return found


def _roots(
    network: ReLUNetwork, images: Sequence[Adversary], radii: Sequence[float]
) -> list[dict[str, Any]]:
    """Bounds of the linear relaxations, by radius, image, pre-activation bounds and form."""
    from reluopt.numerics.quiet_highs import QuietHighs

    found = []
    for eps in radii:
        for image in images:
            task = WorstCase(image.image, image.label, eps, Norm.L1, target=image.target)
            posed = task.task(network)
            for bounds in ("interval", "linear"):
                ends = compute_bounds(bounds, network, posed.inputs)
                for form in ROOT_FORMS:
                    program = form.encode(network, posed, ends).program
                    solver = QuietHighs()
                    solver.passModel(highs_model(program.relaxation))
                    solver.run()
                    row = {"eps": eps, "image": image.key, "target": image.target}
                    row |= {"bounds": bounds, "form": form.name, **program.size}
                    found.append({**row, "bound": float(solver.getObjectiveValue())})
    return found


def _root_facts(
    roots: Sequence[Mapping[str, Any]], rows: Mapping[str, Sequence[WorstCaseRow]], eps: float
) -> dict[str, Any]:
    """Mean gap between root bound and best known lead, and mean numbers of rows."""
    best: dict[str, float] = {}
    for row in (row for found in rows.values() for row in found if row.objective is not None):
        best[row.image] = max(best.get(row.image, -np.inf), known(row.objective))
    facts: dict[str, Any] = {}
    for bounds in ("interval", "linear"):
        for form in (form.name for form in ROOT_FORMS):
            own = [
                each
                for each in roots
                if (each["eps"], each["bounds"], each["form"]) == (eps, bounds, form)
            ]
            gaps = [each["bound"] - best[each["image"]] for each in own]
            facts.setdefault(form, {})[bounds] = round(statistics.fmean(gaps), 3)
            facts[form]["constraints"] = round(statistics.fmean(e["constraints"] for e in own))
    return facts


def _row_table(rows: Mapping[float, Mapping[str, Sequence[WorstCaseRow]]]) -> pd.DataFrame:
    """Every problem on a line of its own."""
    names = ("image", "label", "target", "status", "objective", "bound", "nodes", "seconds")
    lines = [
        {"method": name, "eps": eps, **{key: getattr(row, key) for key in names}}
        for eps, methods in rows.items()
        for name, found in methods.items()
        for row in found
    ]
    places = {"objective": 5, "bound": 5, "seconds": 2}
    return printed(pd.DataFrame(lines, dtype=object), places)


def _table(facts: Mapping[str, Any]) -> pd.DataFrame:
    """Solved problems and means by method, and what was printed."""
    solved = facts["solved"]
    titles = method_titles(list(next(iter(solved.values()))))
    rows = []
    for name, words in titles.items():
        row = {"method": words}
        for eps, found in ((eps, methods[name]) for eps, methods in solved.items()):
            row[f"eps {eps}: solved"] = f"{found['solved']}/{found['images']}"
            row[f"mean s ({eps})"] = fixed(found["seconds"], 1) or DASH
            row[f"nodes ({eps})"] = fixed(found["nodes"], 0) or DASH
        rows.append(row)
    for form in PARTITIONS[RADII[0]]:
        row = {"method": f"printed: Gurobi, {form}"}
        for eps, numbers in PARTITIONS.items():
            count, seconds = numbers[form]
            row |= {f"eps {eps:g}: solved": f"{count}/100", f"mean s ({eps:g})": f"{seconds:.1f}"}
        rows.append(row)
    return pd.DataFrame(rows, dtype=object).fillna(DASH)


def _root_table(facts: Mapping[str, Any]) -> pd.DataFrame:
    """Gaps of the relaxations."""
    roots = facts["roots"]
    first = next(iter(roots.values()))
    rows = [
        {
            "relaxation": form,
            "rows": f"{first[form]['constraints']:,}",
            **{
                f"{bounds} bounds, eps {eps}": f"{found[form][bounds]:.2f}"
                for bounds in ("interval", "linear")
                for eps, found in roots.items()
            },
        }
        for form in first
    ]
    return pd.DataFrame(rows, dtype=object)


def _figure(facts: Mapping[str, Any], table: pd.DataFrame) -> Figure:
    """Seconds of all images, by the methods that got them all; a panel for each radius."""
    table = table[table["method"].isin(FIRST)]
    titles = method_titles(list(dict.fromkeys(table["method"])))
    times = pd.DataFrame(
        {
            "network": [f"$L_1$ {float(eps):g}" for eps in table["eps"]],
            "image": table["image"],
            "method": table["method"].map(titles),
            "seconds": table["seconds"].astype(float),
            "proven": table["status"] == str(Status.OPTIMAL),
            "time_limit": float(facts["limit"]),
        }
    )
    return time_figure(times)


def _tell(folder: StudyFolder, facts: Mapping[str, Any], table: pd.DataFrame) -> None:
    """Tables and figure from facts and rows."""
    folder.table(NAME, _table(facts), facts)
    folder.table(f"{ROOTS}-gaps", _root_table(facts), facts)
    folder.figure(NAME, _figure(facts, table))


def _redraw(folder: StudyFolder, data: Path) -> None:
    """:func:`_tell` from what is published."""
    _tell(folder, read_facts(data, NAME), pd.read_csv(data / f"{ROWS}.csv"))


STUDY = Study(NAME, run, _redraw, any_network=True, minutes=250)
