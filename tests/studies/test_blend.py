"""L1, L2 and blends of both: measured anew from the stored images."""

import numpy as np
import pandas as pd
import pytest

from reluopt.questions.problems import Blend
from reluopt.runs.instances import load_instances
from reluopt.runs.store import read_store
from reluopt.studies import load_study
from reluopt.studies.base import StudyContext
from reluopt.studies.blend import MEASURES, weight_of

IMAGES = 2


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return load_study("blend").run(StudyContext(tmp_path_factory.mktemp("blend"), limit=IMAGES))


def test_answers_are_measured_by_their_images(result, thesis, told):
    originals = {each.key: each.image for each in load_instances(thesis, ["test:0-1"])}
    rows = pd.read_csv(result.folder / "blend-rows.csv").set_index(["image", "measure"])
    assert len(rows) == result.facts["problems"] == IMAGES * len(MEASURES)
    assert (rows["status"] == "OPTIMAL").all()
    for measure in MEASURES:
        for stored, image in read_store(result.folder / str(measure).replace(":", "-")):
            row = rows.loc[stored["image"], str(measure)]
            change = image.ravel() - originals[stored["image"]]
            assert row["objective"] == pytest.approx(measure.objective(change), abs=2e-6)
            assert row["l1"] == pytest.approx(np.abs(change).sum(), abs=2e-6)
            assert row["l2"] == pytest.approx(np.linalg.norm(change), abs=2e-6)
            assert row["changed_pixels"] == np.count_nonzero(np.abs(change) > 0.01)
            assert row["bound"] <= row["objective"]
    text = told(result)
    assert "changed pixels" in text
    assert f"({result.facts['problems']} problems, all proven)" in " ".join(text.split())


def test_no_answer_beats_another_in_its_own_measure(result):
    """Every optimum is least in its own measure, so L1 falls and L2 rises with the weight."""
    rows = pd.read_csv(result.folder / "blend-rows.csv")
    order = {str(measure): weight_of(measure) for measure in MEASURES}
    for _, own in rows.groupby("image"):
        own = own.assign(weight=own["measure"].map(order)).sort_values("weight")
        assert (own["l1"].diff().iloc[1:] < 1e-4).all()
        assert (own["l2"].diff().iloc[1:] > -1e-4).all()
        for measure in MEASURES:
            if isinstance(measure, Blend):
                values = measure.weight * own["l1"] + (1.0 - measure.weight) * own["l2"] ** 2
                least = own.loc[own["measure"] == str(measure), "objective"].item()
                assert least <= values.min() + 1e-5


def test_a_second_run_takes_up_the_rows_and_changes_nothing(result, files):
    before = files(result)
    again = load_study(result.name).run(StudyContext(result.folder.parent, limit=IMAGES))
    assert files(again) == before
    assert again.facts == result.facts
    assert not again.complete
