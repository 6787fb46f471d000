"""Gurobi (gurobipy): L1, L2 and Linf, within what the licence allows.

The gurobipy wheel carries a size-limited licence: 2000 variables, 2000 linear constraints, and
200 variables as soon as anything is quadratic. The L1 program of a 784-pixel image fits it, the
L2 program does not; a full or academic licence (``gurobi.lic``) lifts the limits.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reluopt.answers.solution import Status
from reluopt.engines.base import EngineState, Progress
from reluopt.engines.program_engine import (
    SOLVER_FEASIBILITY,
    ProgramEngine,
    ProgramResult,
    ProgramTask,
)
from reluopt.errors import EngineUnavailableError, UnsupportedProblemError
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.numerics.linear_programs import Program
from reluopt.questions.tasks import Task

if TYPE_CHECKING:  # scipy takes its time to load
    import scipy.sparse as sp

FREE_VARIABLES = 2000
FREE_CONSTRAINTS = 2000
FREE_QUADRATIC_VARIABLES = 200

_TOO_LARGE = 10010
"""Gurobi's error number for "model too large for size-limited license"."""


class GurobiEngine(ProgramEngine):
    """The commercial solver Gurobi."""

    name = "gurobi"

    def state(self) -> EngineState:
        """Usable wherever gurobipy is installed; no licence server is asked."""
        try:
            import gurobipy
        except ImportError as error:
            return EngineState(False, "", f"gurobipy is missing ({error}): pip install gurobipy")
        version = ".".join(str(part) for part in gurobipy.gurobi.version())
        licence = _licence_file()
        if licence is not None:
            return EngineState(True, version, f"licence file {licence}")
        return EngineState(
            True,
            version,
            f"bundled size-limited licence: {FREE_VARIABLES} variables, {FREE_CONSTRAINTS} "
            f"constraints, {FREE_QUADRATIC_VARIABLES} variables when quadratic (fits L1, not L2)",
        )

    def admits(self, task: Task, network: ReLUNetwork) -> bool:
        """Whether the program fits the free licence, counted before it is built."""
        if _licence_file() is not None:
            return True
        limits = 0 if task.limits is None else 2 * task.limits.rows
        hidden, inputs = sum(network.hidden_sizes), network.input_size
        ball = task.inputs.ball_norm
        if task.minimises_distance or (ball is not None and any(ball.costs)):
            inputs *= 2
        if task.minimises_distance and task.norm.quadratic:
            return inputs <= FREE_QUADRATIC_VARIABLES
        variables = inputs + 3 * hidden + network.output_size
        return (
            variables <= FREE_VARIABLES
            and 3 * hidden <= FREE_CONSTRAINTS // 2
            and 3 * hidden + limits <= FREE_CONSTRAINTS
        )

    def solve_program(self, task: ProgramTask) -> ProgramResult:
        """Build the model, start it from the incumbent, and read its answer."""
        import gurobipy

        if _licence_file() is None:
            _refuse_too_large(task.program)
        try:
            with gurobipy.Model(env=_environment()) as model:
                variables = _build(model, task)
                _set_options(model, task)
                model.optimize(_callback(task))
                return _read(model, variables, task.program)
        except gurobipy.GurobiError as error:
            if error.errno == _TOO_LARGE:
                _refuse_too_large(task.program)
            raise EngineUnavailableError(f"engine gurobi: {error.message}") from None


@cache
def _environment() -> Any:
    """One silent Gurobi environment for the whole process."""
    import gurobipy

    environment = gurobipy.Env(empty=True)
    environment.setParam("OutputFlag", 0)
    try:
        environment.start()
    except gurobipy.GurobiError as error:
        raise EngineUnavailableError(f"engine gurobi: no usable licence ({error})") from None
    return environment


def _licence_file() -> Path | None:
    """Where a licence of the user's own lies, if there is one."""
    named = os.environ.get("GRB_LICENSE_FILE")
    places = [Path(named)] if named else [Path.home() / "gurobi.lic"]
    if not named:
        places += [Path("/opt/gurobi/gurobi.lic"), Path("/Library/gurobi/gurobi.lic")]
    return next((place for place in places if place.is_file()), None)


def _refuse_too_large(program: Program) -> None:
    """Raise an error that names the limit of the free licence that ``program`` exceeds."""
    size = program.size
    # Gurobi gets a row with two limits as two constraints.
    lower, upper = program.row_lower, program.row_upper
    ranged = np.count_nonzero(np.isfinite(lower) & np.isfinite(upper) & (lower < upper))
    limits = [
        (size["variables"], FREE_VARIABLES, "variables"),
        (size["constraints"] + int(ranged), FREE_CONSTRAINTS, "linear constraints"),
    ]
    if program.is_quadratic:
        limits.append(
            (size["variables"], FREE_QUADRATIC_VARIABLES, "variables in a quadratic model")
        )
    exceeded = [f"{has} {what} (limit {limit})" for has, limit, what in limits if has > limit]
    if exceeded:
        raise UnsupportedProblemError(
            f"engine gurobi: the size-limited licence does not take {' and '.join(exceeded)}; "
            "use a full or academic licence (GRB_LICENSE_FILE) or another engine"
        )


def _build(model: Any, task: ProgramTask) -> Any:
    """Add variables, rows and objective; returns the matrix variable."""
    import gurobipy

    program = task.program
    kinds = np.where(program.binary, gurobipy.GRB.BINARY, gurobipy.GRB.CONTINUOUS)
    variables = model.addMVar(
        program.cost.size, lb=program.lower, ub=program.upper, vtype=kinds.tolist()
    )
    add_rows(model, variables, program.matrix, program.row_lower, program.row_upper)
    direction = gurobipy.GRB.MAXIMIZE if program.maximise else gurobipy.GRB.MINIMIZE
    if program.is_quadratic:
        used = np.flatnonzero(program.quadratic)
        part = variables[used]
        quadratic = part @ (program.quadratic[used] * part)
        model.setObjective(quadratic + program.cost @ variables + program.offset, direction)
    else:
        model.setObjective(program.cost @ variables + program.offset, direction)
    if task.start is not None:
        variables.Start = task.start
    return variables


def add_rows(
    model: Any,
    variables: Any,
    matrix: sp.csr_array,
    lower: FloatArray,
    upper: FloatArray,
    name: str = "",
) -> list[Any]:
    """Add ``lower <= matrix @ variables <= upper``; a row with two limits is two constraints."""
    equal = lower == upper
    above, below = (np.isfinite(limits) & ~equal for limits in (lower, upper))
    added: list[Any] = []
    for mask, sense, word, limits in (
        (equal, "=", "equal", lower),
        (above, ">", "above", lower),
        (below, "<", "below", upper),
    ):
        if mask.any():
            called = name and f"{name}{word}"
            rows = model.addMConstr(matrix[mask], variables, sense, limits[mask], called)
            added += rows.tolist()
    return added


def _set_options(model: Any, task: ProgramTask) -> None:
    options, params = task.options, model.Params
    params.TimeLimit = task.deadline.solver_seconds
    params.MIPGap = options.gap
    params.MIPGapAbs = 0.0
    params.Threads = options.threads
    params.Seed = options.seed
    params.FeasibilityTol = SOLVER_FEASIBILITY
    params.OptimalityTol = SOLVER_FEASIBILITY
    params.IntFeasTol = SOLVER_FEASIBILITY
    if task.cutoff is not None:
        params.Cutoff = task.cutoff
    if task.target is not None:
        params.BestObjStop = task.target
    if options.verbose:
        params.LogToConsole = 0  # while OutputFlag is still 0, so that nothing reaches stdout
        params.OutputFlag = 1


def _callback(task: ProgramTask) -> Any:
    """Progress and log lines; None when neither is wanted, so that Gurobi runs undisturbed."""
    if task.progress is None and not task.options.verbose:
        return None
    import gurobipy

    codes = gurobipy.GRB.Callback

    def report(model: Any, where: int) -> None:
        if where == codes.MESSAGE and task.options.verbose:
            sys.stderr.write(model.cbGet(codes.MSG_STRING))
        elif where == codes.MIP and task.progress is not None:
            task.progress(
                Progress(
                    objective=model.cbGet(codes.MIP_OBJBST),
                    bound=model.cbGet(codes.MIP_OBJBND),
                    nodes=int(model.cbGet(codes.MIP_NODCNT)),
                    seconds=model.cbGet(codes.RUNTIME),
                )
            )

    return report


def _read(model: Any, variables: Any, program: Program) -> ProgramResult:
    """Translate Gurobi's answer."""
    import gurobipy

    kinds = gurobipy.GRB.Status
    if model.Status == kinds.INTERRUPTED:
        raise KeyboardInterrupt
    values = np.array(variables.X) if model.SolCount > 0 else None
    nodes = int(model.NodeCount)
    worst = program.no_bound
    if model.Status in (kinds.INFEASIBLE, kinds.CUTOFF, kinds.INF_OR_UNBD):
        return ProgramResult(Status.INFEASIBLE, None, -worst, nodes)
    bound = float(model.ObjBound)
    bound = bound if abs(bound) < gurobipy.GRB.INFINITY else worst
    if model.Status == kinds.OPTIMAL:
        return ProgramResult(Status.OPTIMAL, values, bound, nodes)
    limits = (kinds.TIME_LIMIT, kinds.NODE_LIMIT, kinds.WORK_LIMIT, kinds.USER_OBJ_LIMIT)
    if model.Status in limits:
        reached = Status.FEASIBLE if values is not None else Status.TIME_LIMIT
        return ProgramResult(reached, values, bound, nodes)
    message = f"Gurobi stopped with status {model.Status}"
    return ProgramResult(Status.NUMERICAL, values, worst, nodes, message)
