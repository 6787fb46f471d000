"""The convolutional network without a solution: what is infeasible, and what is told."""

import numpy as np
import pandas as pd
import pytest

from reluopt.images.mnist import load_images
from reluopt.questions.targets import RunnerUpTarget
from reluopt.studies import adm
from reluopt.studies.adm import DrawnTarget, RankTarget
from reluopt.studies.published import ADM, ADM_LOGITS


def _first_images(name):
    """A tenth of a data set: all of them take half a minute."""
    return load_images(name).subset(range(1000))


def test_the_study_tells_its_rows(few, told, files, monkeypatch):
    monkeypatch.setattr(adm, "METHODS", (("highs", "constant"), ("highs", "interval")))
    monkeypatch.setattr(adm, "TARGETS", 1)
    monkeypatch.setattr(adm, "load_images", _first_images)
    result = few("adm", 1, time_limit=3.0)
    rows = pd.read_csv(result.folder / "adm-rows.csv")
    tight = rows[rows["bounds"] == "interval"].set_index("variant")
    assert (tight.loc["nonnegative", "status"] == "INFEASIBLE").all()
    solved = tight.drop(index="nonnegative")
    assert (solved["status"] == "OPTIMAL").all()
    assert (solved["difference"] < 1e-6).all()
    assert np.allclose(solved["objective"], solved["expected"], atol=1e-6)
    distances = pd.read_csv(result.folder / "adm-distances-rows.csv")
    assert list(distances["engine"]) == ["bnb", "bnb", "highs"]
    assert (distances["predicted"] == distances["target"]).all()
    assert (distances["bound"] <= distances["distance"]).all()
    assert not result.complete
    text = " ".join(told(result).split())
    assert "2 of 2 programs are proven infeasible" in text
    assert "The network is `adm`" in text
    assert "The bundled network is another one of the same shape." in text
    before = files(result)
    again = few("adm", 1, time_limit=3.0)
    assert files(again) == before
    assert again.facts == result.facts


def test_targets_are_others_and_all_different():
    logits = np.random.default_rng(3).normal(size=10)
    for label in range(10):
        best = [RankTarget(rank).candidates(label, logits)[0] for rank in range(9)]
        drawn = [DrawnTarget(number, 0).candidates(label, logits)[0] for number in range(9)]
        assert sorted(best) == sorted(drawn) == [t for t in range(10) if t != label]
        assert list(logits[best]) == sorted(logits[best], reverse=True)
        assert (best[0],) == RunnerUpTarget().candidates(label, logits)


def test_the_printed_numbers_agree_with_each_other():
    with_relu = ADM["without"].objectives[0] + np.maximum(ADM_LOGITS, 0.0).sum()
    assert with_relu == pytest.approx(ADM["relu"].objectives[0], abs=1e-5)
    # The bound of the program that nobody solved is above what the network itself would give.
    assert ADM["nonnegative"].bound > with_relu
