"""Exact robustness against attacks, on three images."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from reluopt.studies import load_study
from reluopt.studies.base import StudyContext, publish


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def result(runs):
    return load_study("robustness").run(StudyContext(runs, limit=3))


def test_attacks_are_never_below_the_proof(result):
    rows = {
        path.parent.name: pd.read_csv(path, index_col="image")
        for path in result.folder.glob("*/results.csv")
    }
    assert set(rows) == {
        "l1-any", "l1-shift5", "l2-any", "pgd-l1", "pgd-l2", "region-l1", "region-l2"
    }  # fmt: skip
    for norm in ("l1", "l2"):
        exact = rows[f"{norm}-any"]
        assert (exact["status"] == "OPTIMAL").all()
        assert exact["certified"].all()
        for attack in ("pgd", "region"):
            found = rows[f"{attack}-{norm}"]
            assert (found["distance"] >= exact["distance"] * (1.0 - 2e-6)).all()
            assert found["certified"].all()
    assert (rows["l1-shift5"]["distance"] >= rows["l1-any"]["distance"]).all()


def test_tables_hold_what_the_rows_say(result):
    table = pd.read_csv(result.folder / "robustness-l1.csv")
    rows = pd.read_csv(result.folder / "l1-any" / "results.csv")
    assert table["index"].tolist() == [0, 1, 2]
    np.testing.assert_allclose(table["l1_any_distance"], rows["distance"], atol=1e-6)
    assert (table["l1_any_bound"] <= rows["bound"]).all()
    assert table["l1_any_target"].tolist() == rows["target"].tolist()
    digits = pd.read_csv(result.folder / "robustness-digits.csv")
    assert digits["images"].sum() == 3


def test_a_second_run_gives_the_same_bytes(result, runs):
    before = {path.name: path.read_bytes() for path in result.files}
    facts = (result.folder / "facts.json").read_bytes()
    again = load_study("robustness").run(StudyContext(runs, limit=3))
    assert {path.name: path.read_bytes() for path in again.files} == before
    assert (again.folder / "facts.json").read_bytes() == facts


def test_few_images_are_not_published_and_the_readme_needs_published_files_only(result, tmp_path):
    assert publish(result, tmp_path) == []
    publish(dataclasses.replace(result, complete=True), tmp_path)
    text = load_study("robustness").readme(tmp_path / "data")
    assert text.startswith("### ")
    facts = json.loads((tmp_path / "data" / "robustness.json").read_text())
    assert f"{facts['l1']['median']:.3g} (L1)" in text
    assert f"{facts['l1']['proven']:,} of\n{facts['images']:,} images" in text
