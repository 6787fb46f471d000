"""Fine-tuning as a study: a table beside the printed one, and what is told of it."""

import pandas as pd
import pytest

from reluopt.studies import finetuning
from reluopt.studies.exact_tuning import WAYS
from reluopt.studies.finetuning import OMEGAS, Size
from reluopt.studies.published import CORRECTIONS


@pytest.fixture
def small(monkeypatch):
    """A few images and programs."""
    monkeypatch.setattr(finetuning, "REDUCED", Size((10,), 120, 60, 60, 20, 2))


def test_the_study_tells_its_rows(small, few, told, files):
    result = few("finetuning", 10, network="thesis-96")
    table = pd.read_csv(result.folder / "finetuning.csv", dtype=str)
    assert list(table["images"]) == ["0", "10", "10", "10", "10"]
    assert list(table["PGD printed"][:2]) == ["4.02 %", "43.14 %"]
    rows = result.facts["rows"]
    assert rows[0]["change"] == 0.0
    assert all(row["change"] > 0.0 for row in rows[1:])
    assert all(row["pgd"] <= row["accuracy"] for row in rows)
    before = result.facts["before"]["10"]
    assert rows[1]["violation"] < 0.2 * before["violation"]
    candidates = pd.read_csv(result.folder / "finetuning-candidates.csv")
    assert len(candidates) == 10 * result.facts["optima"]["10"]
    exact = result.facts["exact"]
    verdicts = pd.read_csv(result.folder / "finetuning-exact-rows.csv")
    assert list(verdicts["image"]) == [f"test:{k}" for k in range(10)]
    assert [row["way"] for row in exact["rows"]] == ["before", *WAYS]
    assert len(pd.read_csv(result.folder / "finetuning-exact.csv")) == 4
    assert not result.complete
    text = " ".join(told(result).split())
    assert "answers 10 adversarial images right" in text
    assert "(`thesis-96`, given with `--network`)" in text
    assert "Of the small `thesis-96`, the exact robust error within 0.02 in Linf is" in text
    kept = files(result)
    assert files(few("finetuning", 10, network="thesis-96")) == kept


def test_all_printed_rows_have_one_of_ours():
    ours = {(points, omega) for points in (10, 50) for omega in OMEGAS} | {(0, None)}
    assert ours == set(CORRECTIONS)
