"""Shards put together are the whole."""

import json

import numpy as np
import pandas as pd
import pytest

from reluopt.errors import InputError
from reluopt.runs.claims import keeps_proof
from reluopt.runs.job import Finished
from reluopt.runs.merge import merge_runs
from reluopt.runs.row import row_class
from reluopt.runs.store import ResultStore, read_store

COLUMNS = ("image", "objective")


def _fill(folder, numbers, settings=None, columns=COLUMNS):
    cls = row_class(columns)
    store = ResultStore(folder, cls, settings or {"norm": "l1"}, {"command": ["x"]})
    store.add_session({"shard": folder.name, "tasks": list(numbers)})
    for number in numbers:
        image = np.full((2, 2), number / 7.0) if number % 2 else None
        store.append(Finished(cls(image=f"test:{number}", objective=number / 3.0), image))


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


def _shard(folder, index, count, rows, asked=None):
    """Part ``index`` of ``count`` of a run: its rows, and what it was asked for."""
    columns = ("image", "status", "objective", "predicted", "certified", "margin_rule", "network")
    cls = row_class(columns)
    store = ResultStore(folder, cls, {"experiment": "attack"}, {})
    store.expect(f"test:{number}" for number in asked or rows)
    store.add_session({"shard": f"{index}/{count}", "tasks": len(asked or rows)})
    for number in rows:
        values = (f"test:{number}", "OPTIMAL", number / 3.0, 1, True, "+0.1", "007")
        row = cls(**dict(zip(columns, values, strict=True)))
        store.append(Finished(row, np.full((2, 2), number / 7.0)))
    return folder


def test_texts_that_look_like_numbers_stay_texts(tmp_path):
    merge_runs([_shard(tmp_path / "a", 1, 1, (0, 1))], tmp_path / "out")
    for row, _ in read_store(tmp_path / "out"):
        assert (row["margin_rule"], row["network"]) == ("+0.1", "007")
    before, after = ((tmp_path / name / "results.csv").read_bytes() for name in ("a", "out"))
    assert before == after


def test_merging_tells_what_is_not_there_yet(tmp_path, run):
    parts = [_shard(tmp_path / "a", 1, 3, (0,), (0, 3)), _shard(tmp_path / "b", 2, 3, (1,))]
    out = tmp_path / "out"
    assert merge_runs(parts, out).missing == (
        "1 of 3 instances have no row yet: test:3",
        "shards that were not merged: 3/3",
    )
    code, _, told = run("merge", *parts, "--out", out)
    assert code == 1
    assert "1 of 3 instances have no row yet: test:3" in told
    assert "2 rows in" in told
    _shard(tmp_path / "a", 1, 3, (3,))
    parts.append(_shard(tmp_path / "c", 3, 3, (2,)))
    assert merge_runs(parts, out).missing == ()
    assert run("merge", *parts, "--out", out)[0] == 0
    record = json.loads((out / "run.json").read_text())
    assert sorted(record["instances"]) == [f"test:{number}" for number in range(4)]
    assert record["finished"]["rows"] == 4


def test_a_folder_with_a_doubled_row_or_a_lost_answer_is_refused(tmp_path, run):
    folder = _shard(tmp_path / "a", 1, 1, (0, 1, 2))
    table = folder / "results.csv"
    text = table.read_text()
    table.write_text(text + text.splitlines(keepends=True)[2])
    code, _, told = run("merge", folder, "--out", tmp_path / "out")
    assert code == 2
    assert "expected one row of test:1, found lines 3, 5" in told
    table.write_text(text)
    (folder / "images" / "part-0000.safetensors").unlink()
    code, _, told = run("merge", folder, "--out", tmp_path / "out")
    assert code == 2
    assert "expected the answer of test:0 beside its row, found none" in told
    assert not (tmp_path / "out").exists()


def test_shards_of_earlier_versions_are_merged(tmp_path):
    parts = [_shard(tmp_path / "a", 1, 2, (0,)), _shard(tmp_path / "b", 2, 2, (1,))]
    record = json.loads((parts[0] / "run.json").read_text())
    del record["instances"]
    (parts[0] / "run.json").write_text(json.dumps(record))
    merged = merge_runs(parts, tmp_path / "out")
    assert merged.missing == ()
    found = json.loads((tmp_path / "out" / "run.json").read_text())
    assert found["instances"] == ["test:0", "test:1"]


def test_shards_with_an_image_that_needs_no_change_and_no_proof(tmp_path, run):
    """Test:8 is an answer already: a bound of 0 needs no proof, in Linf there is none."""
    asked = ["attack", "thesis", "--norm", "linf", "--target", "any", "--engine", "bnb", "--proof"]
    for image in ("test:7", "test:8"):
        assert run(*asked, "--images", image, "--out", tmp_path / image)[0] == 0
    shards = [tmp_path / image for image in ("test:7", "test:8")]
    code, _, err = run("merge", *shards, "--out", tmp_path / "out")
    assert code == 0, err
    assert "2 rows in" in err
    code, out, err = run("verify-result", tmp_path / "out")
    assert code == 0, err
    assert "1 proof replayed, 1 none" in out
    again = run(*asked, "--images", "test:8", "--out", tmp_path / "test:8")[2]
    assert "1 of 1 rows from earlier sessions" in again


def test_linf_searches_that_end_early_have_no_proof_to_lose():
    settings = {"norm": "linf", "extra": {"proof": True}}
    cls = row_class(("image", "status", "bound"))
    for status, bound, kept in (
        ("OPTIMAL", 0.1, True),
        ("OPTIMAL", 0.0, False),
        ("FEASIBLE", 0.1, False),
        ("INFEASIBLE", None, True),
        ("ROBUST", None, True),
        ("NOT_ROBUST", None, False),
    ):
        assert keeps_proof(settings, cls(image="a", status=status, bound=bound)) is kept
    assert keeps_proof({**settings, "norm": "l1"}, cls(image="a", status="FEASIBLE", bound=0.1))
