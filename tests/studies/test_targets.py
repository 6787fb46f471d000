"""Target selection: what must hold between choices, and what is told."""

import numpy as np
import pandas as pd
import pytest

from reluopt.studies import load_study
from reluopt.studies.base import StudyContext
from reluopt.studies.targets import ANY, CHOICES, NORMS, PLUS_5, RUNNER_UP

IMAGES = 2


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return load_study("targets").run(StudyContext(tmp_path_factory.mktemp("targets"), limit=IMAGES))


def test_choices_keep_their_promises(result, thesis, test_images):
    rows = pd.read_csv(result.folder / "targets-rows.csv", dtype={"choice": str})
    assert (rows["status"] == "OPTIMAL").all()
    assert len(rows) == result.facts["problems"] == 2 * IMAGES * (len(CHOICES) + 9)
    assert (rows["target"] != rows["label"]).all()
    assert (rows["over_any"] >= 1.0).all()  # to four decimals
    for (_, key), own in rows.groupby(["norm", "image"]):
        logits = thesis.forward(test_images.image(int(key.removeprefix("test:"))))
        taken = own.set_index("choice")
        label = int(own["label"].iloc[0])
        others = np.where(np.arange(10) == label, -np.inf, logits)
        assert taken.loc[RUNNER_UP, "target"] == np.argmax(others)
        assert taken.loc[RUNNER_UP, "rank"] == 1
        assert taken.loc[PLUS_5, "target"] == (label + 5) % 10
        single = taken.drop(index=list(CHOICES))
        assert sorted(single.index) == [str(t) for t in range(10) if t != label]
        assert (single["target"] == single.index.astype(int)).all()
        # The nine separate proofs and the one over all labels agree.
        assert single["distance"].min() == pytest.approx(taken.loc[ANY, "distance"], abs=2e-5)
        assert int(single["distance"].idxmin()) == taken.loc[ANY, "target"]


def test_facts_and_readme_tell_the_rows(result, told):
    rows = pd.read_csv(result.folder / "targets-rows.csv", dtype={"choice": str})
    for norm in map(str, NORMS):
        facts = result.facts[norm]
        own = rows[rows["norm"] == norm]
        assert facts["any_is_least_of_nine"] == facts["checked_least"] == IMAGES
        runner = own[own["choice"] == RUNNER_UP]
        nearest = own[own["choice"] == ANY]
        assert facts["choices"][RUNNER_UP]["nearest"] == pytest.approx(
            (runner["over_any"] == 1.0).mean(), abs=1e-4
        )
        assert facts["choices"][RUNNER_UP]["over_any_mean"] == pytest.approx(
            runner["distance"].mean() / nearest["distance"].mean(), abs=1e-4
        )
        means = own[~own["choice"].isin(list(CHOICES))].groupby("choice")["distance"].mean()
        assert facts["cheapest"] == int(means.idxmin())  # one image of each label
        assert sum(facts["nearest_ranks"]) == IMAGES
    assert not result.complete
    text = " ".join(told(result).split())
    assert (
        f"{result.facts['problems']} problems, all proven: the first {IMAGES} test images" in text
    )
    assert f"for {IMAGES} of {IMAGES} images in L1 and {IMAGES} of {IMAGES} in L2" in text


def test_a_second_run_takes_up_the_rows_and_changes_nothing(result, files):
    before = files(result)
    again = load_study(result.name).run(StudyContext(result.folder.parent, limit=IMAGES))
    assert files(again) == before
    assert again.facts == result.facts
