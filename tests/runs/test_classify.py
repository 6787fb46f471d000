"""Classification by the program, on the runner and on the command line."""

import json

import numpy as np
import pandas as pd
import pytest

from reluopt.answers.solution import Status
from reluopt.engines.options import EngineOptions
from reluopt.method import Method
from reluopt.pipeline import solve
from reluopt.runs import solving
from reluopt.runs.classify import ClassifyJob
from reluopt.runs.instances import load_instances
from reluopt.runs.job import FAILURES
from reluopt.runs.row import ClassifyRow
from reluopt.runs.runner import run_job
from reluopt.runs.store import ResultStore

METHOD = Method("highs", "thesis", options=EngineOptions(10.0))


@pytest.fixture
def lying(monkeypatch):
    """A program whose first answer is that of another image."""
    answers = iter([True])

    def wrong(network, problem, method, **options):
        solution = solve(network, problem, method, **options)
        if next(answers, False):
            object.__setattr__(solution, "target", (solution.target + 1) % 10)
        return solution

    monkeypatch.setattr(ClassifyJob, "warm_up", lambda self: None)
    monkeypatch.setattr(solving, "solve", wrong)


def test_rows_tell_the_answers_and_the_size_of_the_program(thesis, tmp_path):
    instances = load_instances(thesis, ["test:0-1"])
    experiment = ClassifyJob(thesis, METHOD)
    store = ResultStore(tmp_path / "run", ClassifyRow, experiment.describe(), {})
    finished = run_job(experiment, instances, store)
    for instance, result in zip(instances, finished, strict=True):
        row = result.row
        assert isinstance(row, ClassifyRow)
        assert row["program"] == row["predicted"] == int(np.argmax(thesis.forward(instance.image)))
        assert row["agrees"] is True
        assert row["certified"] is True
        assert (row["variables"], row["binaries"], row["status"]) == (958, 58, Status.OPTIMAL)
        assert result.image is None


def test_the_command_resumes_and_takes_parts(run, tmp_path):
    out_dir = tmp_path / "run"
    common = ("classify", "thesis", "--images", "test:0-9", "--engine", "highs", "--out", out_dir)
    code, out, err = run(*common, "--limit", "2", "--shard", "2/2", "--jsonl")
    assert code == 0
    (line,) = [json.loads(text) for text in out.splitlines()]
    assert line["image"] == "test:1"
    assert line["program"] == line["network"] == line["label"]
    assert "agree on 1 of 1 images" in " ".join(err.split())
    first = (out_dir / "results.csv").read_text()
    assert "earlier" not in err
    code, out, err = run(*common, "--limit", "3", "--workers", "1")
    assert code == 0
    assert "(1 of 3 rows from earlier sessions)" in err
    assert "agree on 3 of 3 images" in out
    assert (out_dir / "results.csv").read_text().startswith(first)
    assert list(pd.read_csv(out_dir / "results.csv")["image"]) == ["test:1", "test:0", "test:2"]
    code, _, err = run(*common, "--limit", "3", "--seed", "1")
    assert code == 2
    assert "holds results with seed = 0" in err


def test_disagreement_has_an_exit_code_of_its_own(run, lying, tmp_path):
    common = ("classify", "thesis", "--images", "test:0-1", "--engine", "highs")
    code, out, err = run(*common, "--out", tmp_path / "run")
    assert code == 1
    assert "agree on 1 of 2 images" in out
    assert "test:0: program answers 8, network 7" in err
    # The row stays what it is: the disagreement is not lost when the run is resumed.
    assert run(*common, "--out", tmp_path / "run")[0] == 1


def test_a_crash_is_a_row_that_agrees_with_nothing(run, monkeypatch, tmp_path):
    def broken(*arguments, **options):
        raise RuntimeError("no luck")

    monkeypatch.setattr(ClassifyJob, "warm_up", lambda self: None)
    monkeypatch.setattr(solving, "solve", broken)
    common = ("classify", "thesis", "--images", "test:0", "--engine", "highs")
    code, out, _ = run(*common, "--out", tmp_path / "run")
    assert code == 1
    assert "agree on 0 of 1 images" in out
    row = pd.read_csv(tmp_path / "run" / "results.csv").iloc[0]
    assert row["status"] in FAILURES
    assert row["message"] == "RuntimeError: no luck"
    monkeypatch.undo()
    assert run(*common, "--out", tmp_path / "run", "--retry-failed")[0] == 0
