"""What long runs tell a log file."""

import math

import pytest

from reluopt.cli import console
from reluopt.cli.console import progress_bar
from reluopt.experiments.runner import RunProgress


def _now(done, median=0.25, remaining=3725.0):
    return RunProgress(done, 4, 1, {"OPTIMAL": done}, median, 2.0, remaining)


def test_runs_report_now_and_then_where_there_is_no_terminal(monkeypatch, capfd):
    monkeypatch.setattr(console, "LOG_SECONDS", 0.0)
    with progress_bar("attack", 4) as bar:
        for done in (1, 2, 4):
            bar.run(_now(done))
    lines = capfd.readouterr().err.splitlines()
    assert lines == [
        f"{done} of 4: {done} optimal, median 0.25 s, about 1:02:05 left" for done in (1, 2)
    ]


@pytest.mark.parametrize("limit", [60.0, 0.0])
def test_short_runs_say_nothing_and_unknown_times_stay_unsaid(monkeypatch, capfd, limit):
    monkeypatch.setattr(console, "LOG_SECONDS", limit)
    with progress_bar("attack", 4) as bar:
        bar.run(_now(1, math.nan, math.nan))
    assert capfd.readouterr().err == ("" if limit else "1 of 4: 1 optimal\n")
