"""Forests as a job: rows that the fitted model confirms, kept and resumed."""

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from reluopt.engines.options import EngineOptions
from reluopt.forests.forest import Forest
from reluopt.questions.problems import Norm
from reluopt.runs.forest import ForestJob
from reluopt.runs.instances import Instance
from reluopt.runs.runner import run_job
from reluopt.runs.store import ResultStore


@pytest.fixture
def job():
    """A forest of three trees on four inputs."""
    rng = np.random.default_rng(2)
    model = RandomForestClassifier(3, max_depth=3, random_state=0)
    return ForestJob(Forest.of(model.fit(rng.random((50, 4)), np.arange(50) % 3), "three"), Norm.L1)


@pytest.fixture
def units(job):
    """Three images with the forest's own answers as labels."""
    images = np.random.default_rng(4).random((3, 4)).astype(np.float32).astype(np.float64)
    answers = job.forest.predict(images)
    return [
        Instance(f"{k}.npy", x, int(d))
        for k, (x, d) in enumerate(zip(images, answers, strict=True))
    ]


def test_rows_are_what_the_fitted_model_says(job, units):
    for unit in units:
        row, changed = (done := job.run(unit)).row, done.image
        assert (row.status, row.network, row.certified) == ("OPTIMAL", "three", True)
        assert np.abs(changed - unit.image).sum() == pytest.approx(row.distance)
        assert job.forest.model.predict(changed[None].astype(np.float32))[0] == row.predicted
        assert row.predicted != row.original_predicted == unit.label
        assert row.bound <= row.distance
        assert row.gap <= 1e-6


def test_no_time_leaves_a_row_without_an_answer(job, units):
    row = ForestJob(job.forest, Norm.LINF, options=EngineOptions(1e-9)).run(units[0]).row
    assert (row.status, row.certified, row.distance) == ("TIME_LIMIT", False, None)


def test_rows_are_kept_and_resumed(job, units, tmp_path):
    def run():
        store = ResultStore(tmp_path / "rows", job.row_class, job.describe(), {})
        return run_job(job, units, store)

    first, again = run(), run()
    assert [each.resumed for each in first + again] == [False] * 3 + [True] * 3
    assert [each.row for each in again] == [each.row for each in first]
