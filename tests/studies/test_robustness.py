"""Exact robustness against attacks, on three images."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from reluopt.questions.problems import Norm
from reluopt.studies import exact_distances as tables
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


def _asked(found):
    return pd.DataFrame(
        {
            "index": [0, 1, 2, 3],
            "label": [1, 2, 3, 4],
            "predicted": [1, 2, 3, 0],
            "s_distance": [1.0, 2.0, 4.0, 0.0],
            "s_bound": [1.0, 2.0, 4.0, 0.0],
            "s_status": ["OPTIMAL", "OPTIMAL", "OPTIMAL", "OPTIMAL"],
            "found": found,
        }
    )


def test_overestimates_leave_misclassified_images_out():
    summary = tables.attack_summary("A", Norm.L1, _asked([1.0, 3.0, np.inf, 0.0]), "s")
    assert (summary["images"], summary["found"]) == (3, 2)
    assert summary["largest"] == pytest.approx(0.5)
    assert summary["exact"] == pytest.approx(0.5)
    assert summary["below bound"] == 0


def test_an_attack_that_refutes_a_bound_is_counted():
    assert (
        tables.attack_summary("A", Norm.L1, _asked([1.0, 1.9, 4.0, 0.0]), "s")["below bound"] == 1
    )


def test_certified_distance_is_zero_where_the_network_errs():
    table = _asked([1.0, 2.0, 4.0, 0.0]).assign(s_bound=[1.0, 2.0, 4.0, 5.0])
    assert tables.certified_distances(table, "s").tolist() == [1.0, 2.0, 4.0, 0.0]


def test_rank_correlation_sees_order_only():
    first = pd.Series([1.0, 2.0, 3.0, 4.0])
    assert tables.rank_correlation(first, first**3) == pytest.approx(1.0)
    assert tables.rank_correlation(first, -first) == pytest.approx(-1.0)
