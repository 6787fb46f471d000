"""SCIP (pyscipopt): L1, L2, Linf and blends, without size limits.

L2 is written as ``min t`` with the convex constraint ``t >= sum delta^2``, and so is that part of a
blend.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from reluopt.answers.solution import Status
from reluopt.deadline import NEVER, Deadline
from reluopt.engines.base import EngineState
from reluopt.engines.program_engine import (
    SOLVER_FEASIBILITY,
    ProgramEngine,
    ProgramResult,
    ProgramTask,
)
from reluopt.engines.streams import without_lines
from reluopt.install import install_command
from reluopt.numerics.arrays import FloatArray
from reluopt.numerics.linear_programs import Program

if TYPE_CHECKING:  # scipy takes its time to load
    import scipy.sparse as sp

LONGEST_TIME = 1e20
"""SCIP's word for no time limit."""

SOPLEX_WARNING = "to small value 1e-"
"""Part of a line that SoPlex prints, past all of SCIP's settings, whenever SCIP re-solves a hard
LP at a thousandth of the tolerance. It then goes on with the smallest one it can, 1e-10."""


class ScipEngine(ProgramEngine):
    """The open-source solver SCIP."""

    name = "scip"

    def state(self) -> EngineState:
        """Usable wherever pyscipopt is installed."""
        if find_spec("pyscipopt") is None:
            detail = f"pyscipopt is missing: {install_command('scip')}"
            return EngineState(False, "", detail)
        return EngineState(True, _version(), "Apache-2.0 licence; L1, L2, Linf and blends")

    def solve_program(self, task: ProgramTask) -> ProgramResult:
        """Build the model, start it from the incumbent, and read its answer."""
        from pyscipopt import Model

        model = Model()
        _set_options(model, task)
        variables = [
            model.addVar(lb=low, ub=up, obj=cost, vtype="B" if binary else "C")
            for low, up, cost, binary in zip(
                task.program.lower.tolist(),
                task.program.upper.tolist(),
                task.program.cost.tolist(),
                task.program.binary.tolist(),
                strict=True,
            )
        ]
        program = task.program
        limits = program.row_lower, program.row_upper
        if add_rows(model, variables, program.matrix, *limits, deadline=task.deadline) is None:
            return ProgramResult(Status.TIME_LIMIT, None, task.program.no_bound, 0)
        epigraph = _add_objective(model, variables, task.program)
        if task.cutoff is not None and not task.program.maximise:
            model.setObjlimit(task.cutoff)
        if task.target is not None:
            model.setParam("limits/primal", task.target)
        if task.start is not None:
            _add_start(model, variables, epigraph, task.program, task.start)
        model.setParam("limits/time", min(task.deadline.solver_seconds, LONGEST_TIME))
        try:
            with without_lines(SOPLEX_WARNING):
                model.optimize()
        except Exception as error:  # pyscipopt has no kind of its own for what SCIP gives up on
            return ProgramResult(Status.NUMERICAL, None, task.program.no_bound, 0, str(error))
        return _read(model, variables, task.program)


def _set_options(model: Any, task: ProgramTask) -> None:
    options = task.options
    if options.verbose:
        model.redirectOutput()
    else:
        model.hideOutput()
    model.setParam("limits/gap", options.gap)
    model.setParam("parallel/maxnthreads", options.threads)
    model.setParam("lp/threads", options.threads)
    model.setParam("randomization/randomseedshift", options.seed)
    model.setParam("numerics/feastol", SOLVER_FEASIBILITY)
    model.setParam("numerics/dualfeastol", SOLVER_FEASIBILITY)


@cache
def _version() -> str:
    """Version of SCIP, which only a model tells."""
    from pyscipopt import Model

    return f"{Model().version()}"


def add_rows(
    model: Any,
    variables: Sequence[Any],
    matrix: sp.csr_array,
    lower: FloatArray,
    upper: FloatArray,
    name: str = "",
    deadline: Deadline = NEVER,
) -> list[Any] | None:
    """Add ``lower <= matrix @ variables <= upper``, a tenth of a millisecond for each row.

    A row with two limits is two constraints. None is returned when the time did not suffice.
    """
    from pyscipopt import quicksum

    added = []
    for row, (low, up) in enumerate(zip(lower.tolist(), upper.tolist(), strict=True)):
        if deadline.passed:
            return None
        part = slice(matrix.indptr[row], matrix.indptr[row + 1])
        total = quicksum(
            float(value) * variables[column]
            for value, column in zip(matrix.data[part], matrix.indices[part], strict=True)
        )
        ends = [total == low] if low == up else []
        ends += [total >= low] if math.isfinite(low) and low < up else []
        ends += [total <= up] if math.isfinite(up) and low < up else []
        added += [model.addCons(end, name=name and f"{name}{row}") for end in ends]
    return added


def _add_objective(model: Any, variables: list[Any], program: Program) -> Any:
    """Add what of the objective is not in the variables' costs; returns the epigraph variable."""
    from pyscipopt import quicksum

    epigraph = None
    if program.is_quadratic:
        epigraph = model.addVar(lb=0.0, ub=None, obj=1.0)
        squares = quicksum(
            float(program.quadratic[i]) * variables[i] * variables[i]
            for i in np.flatnonzero(program.quadratic)
        )
        model.addCons(squares <= epigraph)
    model.addObjoffset(program.offset)
    if program.maximise:
        model.setMaximize()
    else:
        model.setMinimize()
    return epigraph


def _add_start(
    model: Any, variables: list[Any], epigraph: Any, program: Program, start: FloatArray
) -> None:
    """Give SCIP the incumbent as its first solution; it prunes by it from then on."""
    solution = model.createSol()
    for variable, value in zip(variables, start.tolist(), strict=True):
        model.setSolVal(solution, variable, value)
    if epigraph is not None:
        model.setSolVal(solution, epigraph, float(program.quadratic @ (start * start)))
    model.addSol(solution)


def _read(model: Any, variables: list[Any], program: Program) -> ProgramResult:
    """Translate SCIP's answer."""
    status = model.getStatus()
    nodes = int(model.getNTotalNodes())
    worst = program.no_bound
    if status == "userinterrupt":
        raise KeyboardInterrupt
    if status == "infeasible":
        return ProgramResult(Status.INFEASIBLE, None, -worst, nodes)
    bound = float(model.getDualbound())
    bound = bound if abs(bound) < model.infinity() else worst
    values = None
    if model.getNSols() > 0:
        best = model.getBestSol()
        values = np.array([model.getSolVal(best, variable) for variable in variables])
    if status in ("optimal", "gaplimit"):
        return ProgramResult(Status.OPTIMAL, values, bound, nodes)
    if status in ("timelimit", "nodelimit", "totalnodelimit", "memlimit", "primallimit"):
        reached = Status.FEASIBLE if values is not None else Status.TIME_LIMIT
        return ProgramResult(reached, values, bound, nodes)
    return ProgramResult(Status.NUMERICAL, values, worst, nodes, f"SCIP stopped with {status}")
