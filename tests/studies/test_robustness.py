"""Exact robustness against attacks, on three images."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from reluopt.runs.upper_bound import Attack
from reluopt.studies import load_study, robustness
from reluopt.studies.base import StudyContext, publish
from reluopt.studies.exact_distances import attack_summary, known

NORMS = ("l1", "l2", "linf")
PUBLISHED = Path(__file__).parents[2] / "figures" / "data"


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
        "l1-any", "l1-shift5", "l2-any", "linf-any",
        *(f"{attack}-{norm}" for attack in ("pgd", "region") for norm in NORMS),
    }  # fmt: skip
    for norm in NORMS:
        exact = rows[f"{norm}-any"]
        assert (exact["status"] == "OPTIMAL").all()
        assert exact["certified"].all()
        for attack in ("pgd", "region"):
            found = rows[f"{attack}-{norm}"]
            assert (found["distance"] >= exact["distance"] * (1.0 - 2e-6)).all()
            assert found["certified"].all()
    assert (rows["l1-shift5"]["distance"] >= rows["l1-any"]["distance"]).all()


@pytest.mark.parametrize(("norm", "rounding"), [("l1", 1e-6), ("l2", 1e-6), ("linf", 1e-8)])
def test_tables_hold_what_the_rows_say(result, norm, rounding):
    table = pd.read_csv(result.folder / f"robustness-{norm}.csv")
    rows = pd.read_csv(result.folder / f"{norm}-any" / "results.csv")
    assert table["index"].tolist() == [0, 1, 2]
    np.testing.assert_allclose(table[f"{norm}_any_distance"], rows["distance"], atol=rounding)
    proven = np.sqrt(rows["bound"]) if norm == "l2" else rows["bound"]
    assert (table[f"{norm}_any_bound"] <= proven).all()
    assert (table[f"{norm}_any_bound"] >= proven - rounding).all()
    assert table[f"{norm}_any_target"].tolist() == rows["target"].tolist()
    digits = pd.read_csv(result.folder / "robustness-digits.csv")
    assert digits["images"].sum() == 3
    assert (result.folder / f"robustness-nearest-{norm}.csv").exists()


def test_norms_of_what_is_published_fit_each_other():
    """A change of Linf r has a length of at most 28 r in L2 and 784 r in L1, and at least r."""
    one, two, most = (pd.read_csv(PUBLISHED / f"robustness-{norm}.csv") for norm in NORMS)
    shared = ["index", "label", "predicted", "runner_up", "lead", "probability"]
    for other in (two, most):
        pd.testing.assert_frame_equal(one[shared], other[shared])
    below = (one["l1_any_bound"], two["l2_any_bound"], most["linf_any_bound"])
    above = (one["l1_any_distance"], two["l2_any_distance"], most["linf_any_distance"])
    rounding = 1e-6
    for smaller, larger, factor in ((2, 1, 28.0), (1, 0, 28.0), (2, 0, 784.0)):
        assert (below[smaller] <= above[larger] + rounding).all()
        assert (below[larger] <= factor * (above[smaller] + rounding)).all()


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
    assert f"{facts['linf']['median']:.3g} (Linf" in text
    assert f"{facts['l1']['proven']:,} of\n{facts['images']:,} images" in text


def test_rounding_is_no_overestimate():
    """Published digits say what the unrounded rows said, of distances and of attacks."""
    facts = json.loads((PUBLISHED / "robustness.json").read_text())
    table = robustness._read_published(PUBLISHED)
    attacked = pd.read_csv(PUBLISHED / "robustness-attacked.csv")
    summaries = [
        attack_summary(
            robustness.ATTACK_NAMES[attack],
            norm,
            robustness._read_attack(table, attacked, attack, norm),
            stage,
        )
        for norm, stage in robustness.NEAREST.items()
        for attack in Attack
    ]
    for norm, stage in robustness.NEAREST.items():
        assert len(known(table, stage)) == facts[str(norm)]["known"]
    for found, told in zip(summaries, facts["attacks"], strict=True):
        assert found == {
            key: pytest.approx(value, rel=1e-3, abs=2e-6) if isinstance(value, float) else value
            for key, value in told.items()
        } | {"below bound": found["below bound"]}  # which six decimals cannot tell
