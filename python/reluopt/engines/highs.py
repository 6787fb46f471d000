"""HiGHS (highspy): linear programs with binaries, so L1 and Linf but not L2.

HiGHS refuses a quadratic objective together with integers.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from functools import cache
from threading import Thread
from typing import Any

import numpy as np

from reluopt.answers.solution import Status
from reluopt.deadline import NEVER, Deadline
from reluopt.engines.base import EngineState, Progress, ProgressCallback
from reluopt.engines.program_engine import (
    SOLVER_FEASIBILITY,
    ProgramEngine,
    ProgramResult,
    ProgramTask,
)
from reluopt.errors import EngineUnavailableError
from reluopt.numerics.linear_programs import Program, highs_model

PROGRESS_INTERVAL = 0.1
"""Seconds between progress reports."""

SPARSIFY = 1 << 14
"""Presolve's rule that adds rows to each other to make zeros: it looks at no clock, takes seconds
on rows as dense as ours, and finds nothing there (mlp-100, Linf: 1.2 s of 1.2 s of presolve)."""

POLL_INTERVAL = 0.1
"""Seconds after which a Ctrl-C is noticed at the latest."""

SMALL_COEFFICIENT = 1e-12
"""HiGHS drops coefficients below 1e-9 unless told otherwise; this is the least it allows."""


class HighsEngine(ProgramEngine):
    """The open-source solver HiGHS."""

    name = "highs"
    quadratic = False

    def state(self) -> EngineState:
        """Usable wherever highspy is installed."""
        try:
            import highspy  # noqa: F401
        except ImportError as error:
            return EngineState(False, "", f"highspy is missing ({error}): pip install highspy")
        return EngineState(True, _version(), "MIT licence; L1 and Linf (no quadratic objectives)")

    def solve_program(self, task: ProgramTask) -> ProgramResult:
        """Pass the model, start it from the incumbent, and read its answer.

        A mixed-integer program that presolve alone calls infeasible is solved once more without
        it: with tolerances of 1e-9 version 1.16 does so where a bound of 6e-14 meets rows that the
        forward pass meets. Where time ends before, presolve's word stands.
        """
        from reluopt.numerics.quiet_highs import QuietHighs

        if task.program.is_quadratic:
            raise ValueError("HiGHS takes no quadratic objective together with binaries")
        solver = QuietHighs()
        _set_options(solver, task)
        _accepted(solver.passModel(highs_model(task.program)), "the program")
        found = _solved(solver, task)
        doubtful = found.status is Status.INFEASIBLE and found.nodes == 0
        if doubtful and task.program.binary.any() and not task.deadline.passed:
            solver.clearSolver()
            solver.setOptionValue("presolve", "off")
            again = _solved(solver, task)
            found = found if again.status is Status.TIME_LIMIT else again
        return found


def _solved(solver: Any, task: ProgramTask) -> ProgramResult:
    """Run HiGHS on the program that it has, from the task's start, and read its answer."""
    import highspy

    if task.start is not None:
        start = highspy.HighsSolution()
        start.col_value = task.start.tolist()
        solver.setSolution(start)
    solver.setOptionValue("time_limit", task.deadline.solver_seconds)
    run_interruptibly(solver, task.deadline)
    return _read(solver, task.program)


@cache
def _version() -> str:
    """Version of HiGHS, which only an instance tells."""
    from reluopt.numerics.quiet_highs import QuietHighs

    return str(QuietHighs().version())


def run_interruptibly(solver: Any, deadline: Deadline = NEVER) -> None:
    """Run HiGHS in a thread of its own so that Ctrl-C reaches Python; then stop it and raise.

    HiGHS looks at its time limit only between some of its steps, so it is told to stop as well.

    The thread is no daemon: leaving Python while HiGHS still calls back would abort the process.
    """
    import highspy

    solver.HandleUserInterrupt = True

    def work() -> None:
        solver.solve()
        # HiGHS keeps a scheduler for the thread that it ran in, which ends here.
        highspy.Highs.resetGlobalScheduler(False)

    thread = Thread(target=work, name="HiGHS")
    try:
        thread.start()
        while thread.is_alive():
            thread.join(min(POLL_INTERVAL, deadline.solver_seconds))
            if deadline.passed:
                solver.cancelSolve()
                thread.join()
    except KeyboardInterrupt:
        solver.cancelSolve()
        if thread.ident is not None:
            thread.join()
        raise


def _set_options(solver: Any, task: ProgramTask) -> None:
    options = task.options
    settings = {
        "output_flag": options.verbose,
        "log_to_console": False,
        "mip_rel_gap": options.gap,
        "mip_abs_gap": 0.0,
        "threads": options.threads,
        "random_seed": options.seed,
        "primal_feasibility_tolerance": SOLVER_FEASIBILITY,
        "dual_feasibility_tolerance": SOLVER_FEASIBILITY,
        "mip_feasibility_tolerance": SOLVER_FEASIBILITY,
        "small_matrix_value": SMALL_COEFFICIENT,
        "presolve_rule_off": SPARSIFY,
    }
    if task.cutoff is not None and not task.program.maximise:
        settings["objective_bound"] = task.cutoff
    if task.target is not None:
        settings["objective_target"] = task.target
    for name, value in settings.items():
        _accepted(solver.setOptionValue(name, value), f"option {name} = {value}")
    if options.verbose:
        solver.cbLogging.subscribe(lambda event: sys.stderr.write(event.message))
    if task.progress is not None:
        # The interrupt callback: the logging callback stays silent with the log switched off.
        solver.cbMipInterrupt.subscribe(_reporter(task.progress))


def _accepted(status: Any, what: str) -> None:
    """Raise unless HiGHS took what it was given."""
    import highspy

    if status == highspy.HighsStatus.kError:
        raise EngineUnavailableError(f"engine highs: this version refuses {what}")


def _reporter(callback: ProgressCallback) -> Callable[[Any], None]:
    """Hand on what HiGHS tells, a few times a second."""
    reported = -math.inf

    def report(event: Any) -> None:
        nonlocal reported
        now = time.monotonic()
        if now - reported < PROGRESS_INTERVAL:
            return
        reported = now
        out = event.data_out
        callback(
            Progress(
                objective=out.mip_primal_bound,
                bound=out.mip_dual_bound,
                nodes=int(out.mip_node_count),
                seconds=out.running_time,
            )
        )

    return report


def _read(solver: Any, program: Program) -> ProgramResult:
    """Translate HiGHS' answer."""
    import highspy

    kinds = highspy.HighsModelStatus
    status, info = solver.getModelStatus(), solver.getInfo()
    is_mip = bool(program.binary.any())
    found = info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
    values = np.array(solver.getSolution().col_value) if found else None
    nodes = max(0, int(info.mip_node_count)) if is_mip else 0
    worst = program.no_bound
    if status == kinds.kInfeasible:
        return ProgramResult(Status.INFEASIBLE, None, -worst, nodes)
    if is_mip:
        bound = float(info.mip_dual_bound)
    else:
        bound = float(info.objective_function_value) if status == kinds.kOptimal else worst
    if status == kinds.kOptimal and values is not None:
        return ProgramResult(Status.OPTIMAL, values, bound, nodes)
    stops = (kinds.kIterationLimit, kinds.kInterrupt, kinds.kSolutionLimit, kinds.kObjectiveTarget)
    if status in (kinds.kTimeLimit, *stops):
        reached = Status.FEASIBLE if values is not None else Status.TIME_LIMIT
        return ProgramResult(reached, values, bound, nodes)
    message = f"HiGHS stopped with {solver.modelStatusToString(status)}"
    return ProgramResult(Status.NUMERICAL, values, worst, nodes, message)
