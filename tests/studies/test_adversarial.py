"""Figures 3 and 4: the images do what is said, and nothing changes when they are made again."""

import numpy as np
import pandas as pd
import pytest

from reluopt.images.mnist import load_images
from reluopt.runs.store import read_store
from reluopt.studies.base import publish


def test_images_are_the_target_at_the_distance_told(few, told, files, thesis, tmp_path):
    result = few("adversarial", 2)
    table = pd.read_csv(result.folder / "adversarial.csv")
    assert list(table["norm"]) == ["l1", "l1", "l2", "l2"]
    assert (table["status"] == "OPTIMAL").all()
    assert (table["predicted"] == (table["label"] + 5) % 10).all()
    digits = load_images("train")
    for norm, order in (("l1", 1), ("l2", 2)):
        rows = table[table["norm"] == norm].set_index("image")
        answers = {row["image"]: image for row, image in read_store(result.folder / norm)}
        assert set(answers) == set(rows.index)
        for key, image in answers.items():
            logits = thesis.forward(image)
            target = rows.loc[key, "target"]
            others = np.delete(logits, target)
            assert thesis.predict(image) == target
            assert (logits[target] >= np.maximum(others, 1.2 * others) - 1e-6).all()
            change = (image - digits.image(int(key.removeprefix("train:")))).ravel()
            distance = np.linalg.norm(change, order)
            assert rows.loc[key, "distance"] == pytest.approx(distance, abs=2e-6)
            assert rows.loc[key, "distance_bound"] <= rows.loc[key, "distance"]
        assert result.facts[norm]["median"] == pytest.approx(rows["distance"].median(), abs=2e-6)
    assert result.facts["l1"]["proven"] == result.facts["l2"]["adversarial"] == 2
    assert publish(result, tmp_path / "figures") == []  # two digits are not all
    assert "L1: 2 of 2 nearest images proven, 2 checked adversarial" in told(result)
    before, rows = files(result), (result.folder / "l2" / "results.csv").read_bytes()
    few("adversarial", 2)
    assert files(result) == before
    assert (result.folder / "l2" / "results.csv").read_bytes() == rows  # nothing was solved again
    anew = few("adversarial", 2, "anew")
    assert files(anew) == before
    assert anew.facts == result.facts
