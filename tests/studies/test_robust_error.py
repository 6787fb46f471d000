"""Robust errors: bundled networks, runs of others, and what is told of both."""

from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reluopt.errors import InputError
from reluopt.runs.job import Finished
from reluopt.runs.row import VerifyRow
from reluopt.runs.store import ResultStore
from reluopt.studies import robust_error
from reluopt.studies.base import read_facts
from reluopt.studies.published import ROBUST_ERROR_IMAGES
from reluopt.studies.robust_error import NAME, rounded_up

DATA = Path(__file__).parents[2] / "figures" / "data"

VERDICTS = ("ROBUST", "NOT_ROBUST", "UNDECIDED", "ROBUST")


@pytest.fixture
def beside(tmp_path):
    """A function that writes the folder of a run, as ``reluopt robust-error --out`` would."""

    def write(
        name,
        network,
        eps,
        first=0,
        verdicts=VERDICTS,
        norm="linf",
        expected=(),
        limit=20.0,
        recorded=(),
    ):
        settings = {"experiment": "verify", "norm": norm, "network": network} | dict(recorded)
        store = ResultStore(tmp_path / "runs" / NAME / name, VerifyRow, settings, {})
        for index, status in enumerate(verdicts, start=first):
            image = f"test:{index}"
            row = VerifyRow(
                run=f"{image} within {eps!r}",
                image=image,
                label=7,
                original_predicted=7 if index else 2,
                norm=norm,
                eps=eps,
                engine="bnb",
                status=status,
                bound=-1e-290 if status == "ROBUST" else None,
                distance=eps if status == "NOT_ROBUST" else None,
                seconds=0.25 * (index + 1),
                certified=status != "UNDECIDED",
                time_limit=limit,
                network=network,
                image_sha256="0" * 64,
            )
            store.append(Finished(row, np.zeros(4) if status == "NOT_ROBUST" else None))
        store.expect([*store.done, *expected])
        store.add_session({})

    return write


def test_the_study_tells_its_rows(few, told, files):
    result = few(NAME, 3)
    asked = [(name, eps) for name, radii in robust_error.RADII.items() for eps in radii]
    assert sorted((each["network"], each["eps"]) for each in result.facts["runs"]) == sorted(asked)
    for each in result.facts["runs"]:
        rows = pd.read_csv(result.folder / each["network"] / "results.csv")
        shown = pd.read_csv(result.folder / f"{each['rows']}.csv")
        own = rows[rows["eps"] == each["eps"]].reset_index()
        assert shown["index"].tolist() == [0, 1, 2]
        assert shown["status"].tolist() == own["status"].tolist()
        proven = own["status"] == "ROBUST"
        assert (shown["bound"][proven] >= own["bound"][proven]).all()
        assert (shown["bound"][proven] < 0.0).all()
        assert each["lower"] == (own["status"] == "NOT_ROBUST").mean()
        assert each["upper"] == (own["status"] != "ROBUST").mean()
        assert f"`{each['network']}` at {each['eps']:g}" in told(result)
    assert not result.complete
    before = files(result)
    again = few(NAME, 3)
    assert files(again) == before
    assert again.facts == result.facts


def test_runs_of_others_stand_beside_what_was_published(few, told, beside):
    beside("first", "nor-mlp-b", 0.02)
    beside("second", "of mine/2", 0.3, limit=None)
    result = few(NAME, 1)
    known, *_, mine = result.facts["runs"]
    assert (known["network"], known["published"]) == ("nor-mlp-b", [0.1016, 0.1348])
    assert (known["clean"], known["lower"], known["upper"]) == (0.25, 0.25, 0.5)
    assert (known["undecided"], known["limit"]) == (1, 20.0)
    assert (known["seconds"], known["median"], known["longest"]) == (2.5, 0.625, 1.0)
    assert mine["published"] is None
    rows = pd.read_csv(result.folder / f"{NAME}-of%20mine%2F2-0.3.csv", index_col="index")
    assert rows["status"].tolist() == list(VERDICTS)
    assert rows["bound"].dropna().tolist() == [-1e-290, -1e-290]
    text = " ".join(told(result).split())
    told_of_it = "`nor-mlp-b` at 0.02: 25.00 to 50.00 % (published: 10.16 to 13.48)"
    assert f"{told_of_it} of the first 4, 1 undecided" in text
    assert "Others: `of mine/2` at 0.3: 25.00 to 50.00 % of the first 4." in text
    assert "nor-mlp-b.safetensors --images test:0-3 --eps 0.02 \\ --time-limit 20 \\ --out" in text
    assert "--time-limit inf \\ --out runs/robust-error/of%20mine%2F2-0.3" in text


def test_limits_that_differ_are_told(few, told, beside):
    beside("first", "nor-mlp-b", 0.02, limit=1500.0)
    beside("first", "nor-mlp-b", 0.02, first=len(VERDICTS), limit=60.0)
    beside("second", "lpd-mlp-b-0.1", 0.1, limit=60.0)
    result = few(NAME, 1)
    known, other, *_ = result.facts["runs"]
    assert (known["limit"], known["longer"]) == (60.0, [1500.0])
    assert other["longer"] == []
    text = " ".join(told(result).split())
    assert text.count("same limit") == 1
    assert "Not all images of `nor-mlp-b` at Linf 0.02 had the same limit: 60 s, as" in text
    assert "command, and 1,500 s for others.*" in text
    assert "--time-limit 60 \\" in text


def test_other_norms_stand_behind_linf_and_are_no_published_ones(few, told, beside):
    beside("first", "nor-mlp-b", 0.02, norm="l1")
    beside("second", "nor-mlp-b", 0.02)
    beside("third", "nor-mlp-b", 0.5, norm="l2")
    result = few(NAME, 1)
    found = [(each["norm"], each["eps"], each["published"]) for each in result.facts["runs"]]
    assert found[0] == ("linf", 0.02, [0.1016, 0.1348])
    assert found[-2:] == [("l1", 0.02, None), ("l2", 0.5, None)]
    assert (result.folder / f"{NAME}-nor-mlp-b-l1-0.02.csv").exists()
    table = pd.read_csv(result.folder / f"{NAME}.csv", dtype=str)
    assert table["norm"].tolist()[-2:] == ["L1", "L2"]
    text = " ".join(told(result).split())
    assert "Others: `nor-mlp-b` at L1 0.02: 25.00 to 50.00 % of the first 4, " in text
    assert "--eps 0.02 \\ --norm l1 --time-limit 20 \\ --out" in text


def test_a_whole_run_leads(few, told, beside, monkeypatch):
    monkeypatch.setattr(robust_error, "COMPLETE", 4)
    beside("a", "nor-mlp-b", 0.02)
    beside("b", "lpd-mlp-b-0.1", 0.1, verdicts=["ROBUST", "NOT_ROBUST"] * 2)
    text = " ".join(told(few(NAME, 1)).split())
    assert "Of 2 Linf robust errors" in text
    assert "on all 4 test images, our engine finds 1 exactly" in text
    assert "and the rest up to 1 undecided image; 1 had been left open" in text
    assert "open: `nor-mlp-b` at 0.02: 25.00 to 50.00 % (published: 10.16 to 13.48)." in text


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        ([{"recorded": {"experiment": "attack"}}], "what reluopt robust-error wrote, found attack"),
        (
            [{"recorded": {"norm": "l1"}}],
            "norm l1, found linf in that of test:0 within 0.1",
        ),
        ([{"verdicts": []}], "expected a folder with results.csv, found none"),
        ([{"expected": ["test:9 within 0.1"]}], "found no row of test:9 within 0.1"),
        ([{"first": 2}], "expected the first 4 test images, found no test:0"),
        ([{}, {}], "found several of net within linf 0.1"),
    ],
)
def test_other_folders_are_refused(few, beside, runs, words):
    for number, options in enumerate(runs):
        beside(f"run-{number}", "net", 0.1, **options)
    with pytest.raises(InputError, match=words):
        few(NAME, 1)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_bounds_are_rounded_up_to_four_digits(value):
    text = rounded_up(value)
    assert Decimal(value) <= Decimal(text) <= Decimal(value) + abs(Decimal(value)) / 1000
    assert (float(text) < 0.0) == (value < 0.0)


def test_the_published_facts_are_those_of_the_published_rows():
    facts = read_facts(DATA, NAME)
    assert facts["complete"]
    tables = {each["rows"] for each in facts["runs"]}
    assert tables == {path.stem for path in DATA.glob(f"{NAME}-*.csv")}
    for each in facts["runs"]:
        rows = pd.read_csv(DATA / f"{each['rows']}.csv")
        count = len(rows)
        assert rows["index"].tolist() == list(range(each["images"]))
        assert each["clean"] == (rows["label"] != rows["predicted"]).sum() / count
        assert each["lower"] == (rows["status"] == "NOT_ROBUST").sum() / count
        assert each["upper"] == (rows["status"] != "ROBUST").sum() / count
        assert each["undecided"] == (~rows["status"].isin(["ROBUST", "NOT_ROBUST"])).sum()
        assert each["seconds"] == pytest.approx(rows["seconds"].sum(), abs=0.05 + 5e-5 * count)
        assert each["median"] == pytest.approx(rows["seconds"].median(), abs=1e-4)
        assert each["longest"] == pytest.approx(rows["seconds"].max(), abs=1e-3)
        robust, refuted = (rows[rows["status"] == s] for s in ("ROBUST", "NOT_ROBUST"))
        assert (robust["bound"] < 0.0).all()
        assert (refuted["distance"] <= each["eps"] * (1.0 + 1e-9)).all()
        if each["published"] and each["images"] == ROBUST_ERROR_IMAGES:
            low, high = each["published"]
            assert low <= each["upper"]
            assert each["lower"] <= high
