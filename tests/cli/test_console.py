"""What long runs tell a log file."""

import io
import math
from types import SimpleNamespace

import pytest
from rich.console import Console

from reluopt.cli import console
from reluopt.cli.console import errors, output, progress_bar
from reluopt.numerics.prepare import Preparation, prepare
from reluopt.runs import progress
from reluopt.runs.progress import RunProgress, Tracker


def _now(done, median=0.25, remaining=3725.0):
    return RunProgress(done, 4, 1, {"OPTIMAL": done}, median, 2.0, remaining)


def test_runs_report_now_and_then_where_there_is_no_terminal(monkeypatch, capfd):
    monkeypatch.setattr(console, "LOG_SECONDS", 0.0)
    with progress_bar("attack", 4) as bar:
        for done in (1, 2, 4):
            bar.run(_now(done))
    lines = capfd.readouterr().err.splitlines()
    assert lines == [
        "1 of 4: 1 optimal, median 0.25 s, about 1:02:05 left",
        "2 of 4: 2 optimal, median 0.25 s, about 1:02:05 left",
        "4 of 4: 4 optimal, median 0.25 s",
    ]


@pytest.mark.parametrize("limit", [60.0, 0.0])
def test_short_runs_say_nothing_and_unknown_times_stay_unsaid(monkeypatch, capfd, limit):
    monkeypatch.setattr(console, "LOG_SECONDS", limit)
    with progress_bar("attack", 4) as bar:
        bar.run(_now(1, math.nan, math.nan))
    assert capfd.readouterr().err == ("" if limit else "1 of 4: 1 optimal\n")


@pytest.fixture
def terminal(monkeypatch):
    """A clock that is set by hand, and a terminal; returns the clock and what the bar shows."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(console.time, "monotonic", lambda: clock.now)
    monkeypatch.setattr(progress.time, "perf_counter", lambda: clock.now)
    monkeypatch.setattr(console, "errors", Console(file=io.StringIO(), force_terminal=True))
    column = console._Remaining()

    def shown(bar):
        return column.render(bar._progress.tasks[0]).plain

    return clock, shown


def test_the_remaining_time_is_learnt_from_what_is_finished(terminal):
    clock, shown = terminal
    tracker = Tracker(10)
    with progress_bar("ideal", 10) as bar:
        assert shown(bar) == "ETA -:--:--"
        for seconds in (2.0, 2.0, 2.0, 2.0):
            clock.now += seconds
            bar.run(tracker.add("OPTIMAL"))
        assert shown(bar) == "ETA 0:00:12"
        clock.now += 1.0
        assert shown(bar) == "ETA 0:00:11"
        clock.now += 59.0  # the one that runs takes longer than any before, and may go on
        assert shown(bar) == "ETA 0:01:10"
        bar.run(tracker.add("OPTIMAL"))
        assert shown(bar) == "ETA 0:01:08"  # five of 13.6 s on average
        for _ in range(5):
            bar.run(tracker.add("OPTIMAL"))
        assert shown(bar) == "ETA -:--:--"


def test_what_was_there_before_teaches_no_pace(terminal):
    clock, shown = terminal
    tracker = Tracker(60)
    with progress_bar("bench", 1) as bar:
        for _ in range(50):
            bar.run(tracker.add("OPTIMAL", resumed=True))
        assert shown(bar) == "ETA -:--:--"
        clock.now += 3.0
        bar.run(tracker.add("OPTIMAL"))
        assert shown(bar) == "ETA 0:00:27"


def test_a_title_may_be_wider_than_its_table(capfd):
    shown = console.table("a title that is wider than the one column", [("n", "right")])
    shown.add_row("1")
    console.output.print(shown)
    lines = [line.strip() for line in capfd.readouterr().out.splitlines() if line.strip()]
    assert lines[0] == "a title that is wider than the one column"


def test_compilation_is_said_once_and_counted(terminal):
    clock, _ = terminal
    with progress_bar("attack", 1) as bar:
        report = console._Compilation(bar._progress)
        report(Preparation(0, 20, 2, 16.0))
        (task,) = (task for task in bar._progress.tasks if task.description == "compile")
        assert (task.completed, task.total) == (0, 20)
        report(Preparation(5, 20, 2, 12.0))
        assert task.completed == 5
        clock.now += 3.0
        assert console._Remaining().render(task).plain == "ETA 0:00:09"
        report(Preparation(20, 20, 2, 0.0))
        assert [task.description for task in bar._progress.tasks] == ["attack"]
    said = console.errors.file.getvalue()
    assert said.count("kernels for this machine, once") == 1


def test_nothing_is_said_where_everything_is_there(capfd):
    with progress_bar("attack", 1):
        prepare(["bounds"])
    capfd.readouterr()
    with progress_bar("attack", 1):
        prepare(["bounds"])
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("console", [output, errors])
def test_names_of_images_are_no_pictures(console):
    with console.capture() as shown:
        console.print("test:100: the time is over")
    assert shown.get() == "test:100: the time is over\n"
