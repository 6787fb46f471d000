"""The two-node network of Kronqvist's lecture (2024), and what relaxations leave around it.

``y = max(0, 5 x_1 - 4 x_2 + 3)`` and ``z = max(0, -2 y + 50)`` over ``[-10, 10] x [-5, 5]``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reluopt.bounds import compute_bounds
from reluopt.engines.options import EngineOptions
from reluopt.figures import relaxation_figure
from reluopt.formulation.base import EncodedProblem, Formulation
from reluopt.formulation.forms.bigm import BigM
from reluopt.formulation.forms.partition import Partition
from reluopt.method import Method
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.numerics.linear_programs import highs_model
from reluopt.pipeline import solve
from reluopt.questions.input_sets import Box, InputSet
from reluopt.questions.problems import OptimalInput
from reluopt.questions.tasks import Task
from reluopt.runs.tables import DASH
from reluopt.studies.base import Study, StudyContext, StudyFolder, StudyResult, read_facts
from reluopt.studies.published import TWO_NODES

NAME = "relaxation"
SURFACES, BOUNDS = f"{NAME}-surfaces", f"{NAME}-bounds"

BOX = Box(np.array([-10.0, -5.0]), np.array([10.0, 5.0]))

STEPS = 31
"""Values of each input for which relaxations are solved; odd, so that one is the middle."""

FORMS: Mapping[str, Formulation] = {
    "big-M (N = 1)": BigM(),
    "each node's hull (N = 2)": Partition(None),
}
"""By what tables and panels call them. The first node has two inputs, the second has one: two parts
are one for each input, and the hull of each node."""

HULL = "the network's hull"


def two_nodes() -> ReLUNetwork:
    """The network; a last layer hands on z."""
    first = Dense(np.array([[5.0, -4.0]]), np.array([3.0]))
    second = Dense(np.array([[-2.0]]), np.array([50.0]))
    return ReLUNetwork((first, second, Dense(np.eye(1), np.zeros(1))))


def encoded(network: ReLUNetwork, form: Formulation) -> EncodedProblem:
    """The program of the largest output."""
    bounds = compute_bounds("interval", network, InputSet(BOX))
    return form.encode(network, Task.largest_logit(0, BOX), bounds)


def relaxed(problem: EncodedProblem, points: FloatArray) -> FloatArray:
    """Least and largest output that the linear relaxation allows at each point.

    Args:
        problem: a program whose input is free.
        points: shape ``(points, n_0)``.

    Returns:
        Shape ``(points, 2)``.
    """
    from highspy import ObjSense

    from reluopt.numerics.quiet_highs import QuietHighs

    program, columns = problem.program, problem.network.input.columns.astype(np.int32)
    solver = QuietHighs()
    solver.passModel(highs_model(program.relaxation))
    found = np.empty((len(points), 2))
    for row, point in zip(found, points, strict=True):
        solver.changeColsBounds(columns.size, columns, point, point)
        for side, sense in enumerate((ObjSense.kMinimize, ObjSense.kMaximize)):
            solver.changeObjectiveSense(sense)
            solver.run()
            row[side] = solver.getObjectiveValue()
    return found


def envelopes(network: ReLUNetwork, points: FloatArray) -> FloatArray:
    """The convex and the concave envelope of the output over the box, shape ``(points, 2)``.

    The output is affine between the lines where a node's pre-activation is zero, so its graph's
    hull is that of the corners of the box and of the ends of these lines.
    """
    from scipy.spatial import ConvexHull

    corners = [(x, y) for x in (BOX.lower[0], BOX.upper[0]) for y in (BOX.lower[1], BOX.upper[1])]
    ends = []
    for level in (0.0, 25.0):  # where y and where z begin
        ends += [((level - 3.0 + 4.0 * y) / 5.0, y) for y in (BOX.lower[1], BOX.upper[1])]
        ends += [(x, (5.0 * x + 3.0 - level) / 4.0) for x in (BOX.lower[0], BOX.upper[0])]
    inside = [each for each in ends if (each >= BOX.lower).all() and (each <= BOX.upper).all()]
    vertices = np.array(corners + inside)
    graph = np.column_stack([vertices, network.forward(vertices)[:, 0]])
    normals = ConvexHull(graph).equations  # outward: n x + m z + c <= 0
    found = np.empty((len(points), 2))
    for side, sign in enumerate((-1.0, 1.0)):
        facets = normals[sign * normals[:, 2] > 1e-9]
        heights = -(points @ facets[:, :2].T + facets[:, 3]) / facets[:, 2]
        found[:, side] = heights.max(axis=1) if side == 0 else heights.min(axis=1)
    return found


def run(context: StudyContext) -> StudyResult:
    """Solve the example, then relaxations on a grid."""
    folder = StudyFolder(context, NAME)
    network = two_nodes()
    grid = np.meshgrid(*np.linspace(BOX.lower, BOX.upper, STEPS).T)
    points = np.column_stack([each.ravel() for each in grid])
    problems = {name: encoded(network, form) for name, form in FORMS.items()}
    surfaces = {name: relaxed(problem, points) for name, problem in problems.items()}
    surfaces[HULL] = envelopes(network, points)
    table = pd.DataFrame(points, columns=["x1", "x2"])
    table["z"] = network.forward(points)[:, 0]
    for number, ends in enumerate(surfaces.values(), start=1):
        table[f"below {number}"], table[f"above {number}"] = ends.T
    folder.table(SURFACES, (table + 0.0).round(4))
    facts = _facts(context, network, problems, surfaces)
    _tell(folder, facts, table)
    return folder.finish(facts, complete=True)


def _facts(
    context: StudyContext,
    network: ReLUNetwork,
    problems: Mapping[str, EncodedProblem],
    surfaces: Mapping[str, FloatArray],
) -> dict[str, Any]:
    """What is told."""
    bounds = compute_bounds("interval", network, InputSet(BOX))
    ends = [
        [round(float(low[0]), 6), round(float(high[0]), 6)]
        for low, high in zip(bounds.lower, bounds.upper, strict=True)
    ]
    method = Method("highs", options=EngineOptions(seed=context.seed))
    largest = solve(network, OptimalInput(0, BOX), method)
    lower = Dense(-np.eye(1), np.zeros(1))
    mirrored = ReLUNetwork((*network.layers[:-1], lower))
    smallest = -solve(mirrored, OptimalInput(0, BOX), method).objective
    names = list(surfaces)
    return {
        "names": names,
        "points": len(surfaces[HULL]),
        "here": {
            "first": ends[0],
            "second": ends[1],
            "largest": round(largest.objective, 6),
            "smallest": round(smallest, 6) + 0.0,
            "relaxed": round(float(surfaces[names[0]].max()), 6),
        },
        "printed": TWO_NODES,
        "forms": {
            name: {
                **(problems[name].program.size if name in problems else {}),
                "least": round(float(found[:, 0].min()), 4) + 0.0,
                "most": round(float(found[:, 1].max()), 4),
                "width": round(float((found[:, 1] - found[:, 0]).mean()), 4),
                "widest": round(float((found[:, 1] - found[:, 0]).max()), 4),
            }
            for name, found in surfaces.items()
        },
    }


_ROWS = {
    "first": "5 x₁ - 4 x₂ + 3",
    "second": "-2 y + 50",
    "largest": "largest z",
    "relaxed": "largest z, big-M relaxation",
    "smallest": "smallest z",
}


def _compared(facts: Mapping[str, Any]) -> pd.DataFrame:
    """What was printed, and what is found."""

    def text(value: Any) -> str:
        if value is None:
            return DASH
        return f"[{value[0]:g}, {value[1]:g}]" if isinstance(value, list | tuple) else f"{value:g}"

    rows = [
        {
            "quantity": words,
            "printed": text(facts["printed"].get(key)),
            "here": text(facts["here"][key]),
        }
        for key, words in _ROWS.items()
    ]
    return pd.DataFrame(rows, dtype=object)


def _widths(facts: Mapping[str, Any]) -> pd.DataFrame:
    """A line for each relaxation."""
    rows = [
        {
            "relaxation": name,
            "rows": str(found.get("constraints", DASH)),
            "variables": str(found.get("variables", DASH)),
            "smallest z": f"{found['least']:.2f}",
            "largest z": f"{found['most']:.2f}",
            "mean width": f"{found['width']:.2f}",
            "largest width": f"{found['widest']:.2f}",
        }
        for name, found in facts["forms"].items()
    ]
    return pd.DataFrame(rows, dtype=object)


def _tell(folder: StudyFolder, facts: Mapping[str, Any], table: pd.DataFrame) -> None:
    """Tables and figure from facts and the grid."""
    folder.table(NAME, _compared(facts), facts)
    folder.table(BOUNDS, _widths(facts), facts)
    first, second = (np.unique(table[name]) for name in ("x1", "x2"))

    def surface(column: str) -> FloatArray:
        return table[column].to_numpy().reshape(second.size, first.size)

    kinds = {
        name: (surface(f"below {number}"), surface(f"above {number}"))
        for number, name in enumerate(facts["names"], start=1)
    }
    folder.figure(NAME, relaxation_figure(first, second, surface("z"), kinds))


def _redraw(folder: StudyFolder, data: Path) -> None:
    _tell(folder, read_facts(data, NAME), pd.read_csv(data / f"{SURFACES}.csv"))


STUDY = Study(NAME, run, _redraw)
