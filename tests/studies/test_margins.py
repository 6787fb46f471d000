"""Margin against distance: what the mathematics promises, and what is told."""

import numpy as np
import pandas as pd
import pytest

from reluopt.runs.store import read_store
from reluopt.studies import load_study
from reluopt.studies.base import StudyContext
from reluopt.studies.margins import NORMS, PERCENTS

IMAGES = 2


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return load_study("margins").run(StudyContext(tmp_path_factory.mktemp("margins"), limit=IMAGES))


def _answers(result, norm, percent):
    return {
        row["image"]: image for row, image in read_store(result.folder / f"{norm}-{percent:03}")
    }


def test_distances_rise_with_the_margin_unless_no_logit_is_positive(result, thesis, told):
    rows = pd.read_csv(result.folder / "margins-rows.csv")
    assert (rows["status"] == "OPTIMAL").all()
    assert len(rows) == result.facts["problems"] == IMAGES * len(PERCENTS) * len(NORMS)
    for norm in map(str, NORMS):
        own = rows[rows["norm"] == norm].pivot(
            index="image", columns="margin_percent", values="distance"
        )
        assert (own.diff(axis=1).iloc[:, 1:] > -1e-5).all(axis=None)
        winning = {
            key: thesis.forward(image).max() for key, image in _answers(result, norm, 0).items()
        }
        free = own[100] <= own[0] * (1 + 1e-5)
        assert {key for key, logit in winning.items() if logit <= 0.0} <= set(own.index[free])
        facts = result.facts[norm]
        assert facts["shrinking"] == sum(facts["infeasible"]) == 0
        assert facts["unchanged"][-1] == pytest.approx(free.mean(), abs=1e-4)
        growth = own[100] / own[0] - 1
        assert facts["mean"][-1] == pytest.approx(growth.mean(), abs=1e-4)
    assert not result.complete
    text = " ".join(told(result).split())
    share = f"{100 * result.facts['l1']['largest'][-1]:.1f} %"
    assert f"(at most {share})" in text
    assert f"Of {len(rows)} problems (all proven) none is infeasible." in text


def test_answers_lead_by_the_margin_that_was_asked_for(result, thesis):
    labels = pd.read_csv(result.folder / "margins-rows.csv").groupby("image")["label"].first()
    for norm in map(str, NORMS):
        for percent in (20, 100):
            for key, image in _answers(result, norm, percent).items():
                logits = thesis.forward(image)
                target = (labels[key] + 5) % 10
                others = np.delete(logits, target)
                assert logits[target] > others.max()
                assert logits[target] >= (1 + percent / 100) * others.max() - 1e-6


def test_a_second_run_takes_up_the_rows_and_changes_nothing(result, files):
    before = files(result)
    again = load_study(result.name).run(StudyContext(result.folder.parent, limit=IMAGES))
    assert files(again) == before
    assert again.facts == result.facts
    assert again.lines == result.lines
