"""HiGHS without a word."""

import subprocess
import sys

import highspy

from reluopt.numerics.quiet_highs import QuietHighs


def solve(solver) -> None:
    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = 1, 0
    model.col_cost_, model.col_lower_, model.col_upper_ = [-1.0], [0.0], [1.5]
    model.integrality_ = [highspy.HighsVarType.kInteger]
    solver.passModel(model)
    solver.run()
    assert solver.getModelStatus() == highspy.HighsModelStatus.kOptimal
    assert solver.getInfo().objective_function_value == -1.0


def test_nothing_is_printed():
    """In a process of its own, since the banner comes once a process."""
    code = "from reluopt.numerics.quiet_highs import QuietHighs; QuietHighs().run()"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert (shown.stdout, shown.stderr) == (b"", b"")


def test_the_log_can_be_switched_on(capfd):
    solver = QuietHighs()
    solver.setOptionValue("output_flag", True)
    solve(solver)
    assert "Solving report" in capfd.readouterr().out


def test_a_scheduler_of_somebody_else_is_no_obstacle():
    """Without the reset HiGHS refuses to run; LP bounds would silently stay as loose as linear."""
    for threads in (2, 1, 2):
        solver = QuietHighs()
        solver.setOptionValue("threads", threads)
        solve(solver)
