"""Shards put together are the whole."""

import json

import numpy as np
import pandas as pd
import pytest

from reluopt.errors import InputError
from reluopt.experiments.merge import merge_runs
from reluopt.experiments.store import ResultStore, read_store

COLUMNS = ("image", "objective")


def _fill(folder, numbers, settings=None, columns=COLUMNS):
    store = ResultStore(folder, columns, settings or {"norm": "l1"}, {"command": ["x"]})
    store.add_session({"shard": folder.name, "tasks": list(numbers)})
    for number in numbers:
        image = np.full((2, 2), number / 7.0) if number % 2 else None
        store.append({"image": f"test:{number}", "objective": number / 3.0}, image)


def _content(folder):
    pairs = sorted(read_store(folder), key=lambda pair: pair[0]["image"])
    return [(row, None if image is None else image.tolist()) for row, image in pairs]


def test_shards_together_are_the_whole(tmp_path):
    _fill(tmp_path / "whole", range(5))
    _fill(tmp_path / "a", (0, 2, 4))
    _fill(tmp_path / "b", (1,))
    shards = [tmp_path / "a", tmp_path / "b"]
    merge_runs(shards, tmp_path / "out")
    assert len(pd.read_csv(tmp_path / "out" / "results.csv")) == 4
    _fill(tmp_path / "b", (3,))
    merge_runs(shards, tmp_path / "out")
    merge_runs(shards, tmp_path / "out")
    assert _content(tmp_path / "out") == _content(tmp_path / "whole")
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["settings"] == {"norm": "l1"}
    assert [session["shard"] for session in record["sessions"]] == ["a", "b", "b"]


def test_command_line(tmp_path, run):
    _fill(tmp_path / "a", (0, 1))
    for folder, code, words in (("a", 0, "2 rows in"), ("b", 2, "error: ")):
        found, _, err = run("merge", tmp_path / folder, "--out", tmp_path / "out")
        assert found == code
        assert words in err


def test_what_does_not_belong_together_is_refused(tmp_path):
    _fill(tmp_path / "a", (0, 1))
    _fill(tmp_path / "b", (1, 2))
    _fill(tmp_path / "c", (3,), {"norm": "l2"})
    _fill(tmp_path / "d", (3,), columns=("image", "objective", "more"))
    out = tmp_path / "out"
    with pytest.raises(InputError, match="no row of test:1, as"):
        merge_runs([tmp_path / "a", tmp_path / "b"], out)
    for other in "cd":
        with pytest.raises(InputError, match="expected the settings and columns"):
            merge_runs([tmp_path / "a", tmp_path / other], out)
    with pytest.raises(InputError, match="record of a run"):
        merge_runs([tmp_path / "nowhere"], out)
    with pytest.raises(InputError, match="at least one"):
        merge_runs([], out)
    assert not out.exists()
    merge_runs([tmp_path / "a"], out)
    text = (out / "results.csv").read_text()
    (out / "results.csv").write_text(text.replace("test:0,0.0", "test:0,0.5"))
    with pytest.raises(InputError, match="test:0 to be as in"):
        merge_runs([tmp_path / "a"], out)
