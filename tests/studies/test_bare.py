"""Optima of the bare condition that fool nobody, recounted from the images."""

import numpy as np
import pandas as pd
import pytest

from reluopt.runs.store import read_store
from reluopt.studies import load_study
from reluopt.studies.bare import NORMS
from reluopt.studies.base import StudyContext

IMAGES = 5


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return load_study("bare").run(StudyContext(tmp_path_factory.mktemp("bare"), limit=IMAGES))


def test_optima_that_fool_nobody_are_counted_by_the_forward_pass(result, thesis, told):
    rows = pd.read_csv(result.folder / "bare-rows.csv", dtype={"foremost": str})
    wrong_ones = 0
    for norm in map(str, NORMS):
        own = rows[rows["norm"] == norm].set_index("image")
        wrong = set()
        for row, image in read_store(result.folder / f"thesis-{norm}-bare"):
            logits, target = thesis.forward(image), row["target"]
            others = np.delete(logits, target)
            assert logits[target] >= 1.2 * others.max() - 1e-6  # the condition is met
            foremost = np.flatnonzero(np.isclose(logits, logits.max(), rtol=0.0, atol=1e-4))
            assert own.loc[row["image"], "foremost"].split() == [str(j) for j in foremost]
            if logits[target] <= others.max():
                wrong.add(row["image"])
                assert logits.max() < 0.0
                assert own.loc[row["image"], "lead"] == pytest.approx(
                    logits[target] - others.max(), abs=1e-6
                )
        assert set(own.index[own["status"] == "NOT_ADVERSARIAL"]) == wrong
        farther = own.loc[sorted(wrong)]
        assert (farther["true_status"] == "OPTIMAL").all()
        assert (farther["true_distance"] >= farther["distance"] - 1e-6).all()
        assert own["true_status"].isna().sum() == IMAGES - len(wrong)
        facts = next(part for part in result.facts["parts"] if part["norm"] == norm)
        assert facts["fool_nobody"] == facts["all_negative"] == len(wrong)
        assert facts["optima"] == facts["images"] == IMAGES
        wrong_ones += len(wrong)
    assert wrong_ones > 0  # test:4 is one
    text = " ".join(told(result).split())
    assert f"In {wrong_ones} of these {wrong_ones} images every logit is negative" in text


def test_the_example_is_the_one_farthest_behind(result, thesis):
    rows = pd.read_csv(result.folder / "bare-rows.csv")
    own = rows[(rows["norm"] == "l1") & (rows["status"] == "NOT_ADVERSARIAL")].set_index("image")
    example = result.facts["example"]
    assert example["image"] == own["lead"].idxmin()
    logits = example["logits"]
    images = {row["image"]: image for row, image in read_store(result.folder / "thesis-l1-bare")}
    answer = int(np.argmax(thesis.forward(images[example["image"]])))
    assert answer == example["answer"] != example["target"]
    assert logits[answer] == max(logits)
    assert example["true_distance"] >= example["distance"]
    assert {"bare.png", "bare-example.pdf"} <= {path.name for path in result.files}


def test_a_second_run_takes_up_the_rows_and_changes_nothing(result, files):
    before = files(result)
    again = load_study(result.name).run(StudyContext(result.folder.parent, limit=IMAGES))
    assert files(again) == before
    assert again.facts == result.facts
