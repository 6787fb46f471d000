"""``reluopt worst-case``: rows, folders that verify-result recomputes."""

import json
import re

import pandas as pd
import pytest

from reluopt.runs.verify import verify_run


@pytest.mark.parametrize(
    "command",
    [
        ("worst-case", "thesis", "--images", "test:0-1", "--eps", "2", "--norm", "l1"),
        (
            *("worst-case", "thesis", "--images", "test:0", "--eps", "2", "--norm", "l1"),
            *("--objective", "7", "--fooled", "0.95"),
        ),
    ],
    ids=("worst", "form"),
)
def test_folders_resume_and_are_recomputed(run, tmp_path, command):
    out = str(tmp_path / "run")
    asked = (*command, "--engine", "gurobi", "--out", out)
    assert run(*asked)[0] == 0
    code, _, errors = run(*asked)
    assert code == 0
    assert "rows from earlier sessions" in errors
    assert run("verify-result", out)[0] == 0
    path = tmp_path / "run" / "results.csv"
    table = pd.read_csv(path)
    for column, row in (("bound", 0), ("eps", 0), ("certified", 0), ("image_sha256", 0)):
        spoilt = table.copy()
        values = {"bound": -50.0, "eps": 0.5, "certified": None, "image_sha256": "0" * 64}
        value = not spoilt.loc[row, column] if column == "certified" else values[column]
        spoilt.loc[row, column] = value
        spoilt.to_csv(path, index=False)
        assert list(verify_run(tmp_path / "run"))[row].failures, column


@pytest.mark.parametrize("changes", [{"objective": "a"}, {"target": "+5"}, {"objective": 1.5}])
def test_options_are_recorded_by_their_names(run, tmp_path, changes):
    """Folders that call them by what they were once called are read, and resume."""
    out = tmp_path / "run"
    asked = ("worst-case", "thesis", "--images", "test:0", "--eps", "0.01", "--target", "3")
    assert run(*asked, "--out", out)[0] == 0
    record = json.loads((out / "run.json").read_text())
    settings = record["settings"]
    assert (settings["objective"], settings["target"]) == (None, 3)
    settings["logit"], settings["against"] = settings.pop("objective"), settings.pop("target")
    (out / "run.json").write_text(json.dumps(record))
    assert run("verify-result", out)[0] == 0
    assert "1 of 1 rows from earlier" in run(*asked, "--out", out)[2]
    record["settings"] |= changes
    (out / "run.json").write_text(json.dumps(record))
    code, _, errors = run("verify-result", out)
    assert code == 2
    assert re.search(r"settings: (objective|target): expected a (label|whole number)", errors)


def test_bad_radii_and_norms_are_one_line(run):
    for change, expected in (
        (("--eps", "-1"), "--eps: expected a finite radius >= 0"),
        (("--eps", "0.1", "--norm", "blend:0.5"), "--norm: expected l1, l2, linf for a ball"),
        (("--eps", "0.1", "--fooled", "0.95"), "--fooled: expected with an objective"),
        (("--eps", "1", "--objective", "3", "--target", "2"), "--target: expected without an obj"),
        (("--eps", "1", "--norm", "blend:7"), "--norm: expected a weight between 0"),
        (("--eps", "1", "--box", "3:1"), "--box: expected finite bounds"),
        (("--eps", "1", "--objective", "30"), "--objective: expected a label from 0 to 9"),
    ):
        code, _, errors = run("worst-case", "thesis", "--images", "test:0", *change)
        assert code == 2
        assert expected in errors
        assert len(errors.strip().splitlines()) == 1
