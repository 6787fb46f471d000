"""Deadlines read one clock and never come later than the one that they were made from."""

import math
import pickle

from helpers.clocks import FakeClock
from reluopt.deadline import LEAST_SECONDS, NEVER, Deadline, Laps


def test_time_runs_out():
    clock = FakeClock()
    deadline = Deadline.after(3.0, clock)
    assert (deadline.left, deadline.passed) == (3.0, False)
    clock.seconds = 2.0
    assert (deadline.left, deadline.solver_seconds) == (1.0, 1.0)
    clock.seconds = 3.0
    assert deadline.passed
    clock.seconds = 9.0
    assert (deadline.left, deadline.solver_seconds) == (0.0, LEAST_SECONDS)


def test_a_part_ends_with_the_whole():
    clock = FakeClock()
    whole = Deadline.after(3.0, clock)
    assert whole.within(1.0).left == 1.0
    assert whole.within(10.0).left == 3.0
    assert whole.share(0.5).left == 1.5
    assert Deadline(clock=clock).within(2.0).left == 2.0


def test_never():
    assert NEVER.left == math.inf
    assert not NEVER.passed
    assert NEVER.within(math.inf) == NEVER.share(0.5) == NEVER


def test_deadlines_reach_other_processes():
    deadline = Deadline.after(60.0)
    assert pickle.loads(pickle.dumps(deadline)) == deadline


def test_laps():
    clock = FakeClock()
    laps = Laps(Deadline.after(3.0, clock))
    clock.seconds = 1.0
    assert laps.lap() == 1.0
    clock.seconds = 3.5
    assert laps.lap() == 2.5
    assert laps.deadline.passed
