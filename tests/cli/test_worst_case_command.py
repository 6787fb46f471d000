"""``reluopt worst-case``: rows, folders that verify-result recomputes."""

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


def test_bad_radii_and_norms_are_one_line(run):
    for change, expected in (
        (("--eps", "-1"), "eps: expected a finite radius >= 0"),
        (("--eps", "0.1", "--norm", "blend:0.5"), "norm: expected l1, l2, linf for a ball"),
        (("--eps", "0.1", "--fooled", "0.95"), "fooled: expected with an objective"),
    ):
        code, _, errors = run("worst-case", "thesis", "--images", "test:0", *change)
        assert code == 2
        assert expected in errors
        assert len(errors.strip().splitlines()) == 1
