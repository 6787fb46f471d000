"""Table 1: answers for the very images of Figures 3 and 4."""

import numpy as np
import pandas as pd
import pytest

from reluopt.runs.store import read_store


def test_answers_are_those_for_the_images_of_adversarial(few, told, thesis):
    adversarial = few("adversarial", 2)
    before = {p: p.read_bytes() for p in adversarial.folder.rglob("*") if p.is_file()}
    result = few("labels", 2)
    assert {p: p.read_bytes() for p in before} == before  # read, and not computed again
    assert list(result.folder.rglob("results.csv")) == []
    table = pd.read_csv(result.folder / "labels.csv").set_index("image")
    assert (table["original"] == table["label"]).all()
    for norm in ("l1", "l2"):
        for row, image in read_store(adversarial.folder / norm):
            logits = np.sort(thesis.forward(image))
            told_row = table.loc[row["image"]]
            assert told_row[f"{norm.upper()} image"] == row["target"] == told_row["target"]
            lead = told_row[f"{norm.upper()} image lead"]
            assert lead == pytest.approx(logits[-1] - logits[-2], abs=1e-4)
            assert lead >= result.facts["least_lead"]
    assert not result.complete
    text = told(result)
    assert "2 nearest L1 images and 2 nearest L2 images for the target" in text
    assert all(f"| {key} |" in text for key in table.index)


def test_missing_images_are_computed_for_adversarial(few, tmp_path):
    result = few("labels", 1)
    rows = pd.read_csv(tmp_path / "runs" / "adversarial" / "l1" / "results.csv")
    assert len(rows) == result.facts["l1"] == result.facts["images"] == 1
