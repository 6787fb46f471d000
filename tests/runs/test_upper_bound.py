"""Distances that attacks find, and images loaded by their keys."""

import math

import numpy as np
import pytest

from reluopt.errors import InputError
from reluopt.questions.problems import Norm, RelativeMargin
from reluopt.runs.instances import load_by_key, load_instances
from reluopt.runs.row import UpperBoundRow
from reluopt.runs.runner import run_job
from reluopt.runs.store import ResultStore
from reluopt.runs.upper_bound import FOUND, NOTHING, REFUTED, Attack
from reluopt.runs.upper_bound import UpperBoundJob as Job

MARGIN = RelativeMargin(0.0)


def test_rows_tell_what_the_forward_pass_says(thesis, tmp_path):
    instances = load_instances(thesis, ["test:0,8"])
    experiment = Job(thesis, Attack.REGION, Norm.L2, MARGIN)
    store = ResultStore(tmp_path / "run", UpperBoundRow, experiment.describe(), {})
    fresh = run_job(experiment, instances, store)
    for instance, result in zip(instances, fresh, strict=True):
        image = result.image.reshape(-1)
        assert result.row["status"] == FOUND
        assert result.row["certified"]
        assert thesis.predict(image) == result.row["target"] != instance.label
        assert result.row["distance"] == pytest.approx(np.linalg.norm(image - instance.image))
    assert fresh[1].row["distance"] == 0.0  # the network misreads it
    again = run_job(experiment, instances, store)
    assert [(a.resumed, a.row["distance"]) for a in again] == [
        (True, f.row["distance"]) for f in fresh
    ]


@pytest.mark.parametrize("attack", list(Attack))
def test_attacks_are_told_apart_in_the_settings(thesis, attack):
    described = Job(thesis, attack, Norm.L1, MARGIN).describe()
    assert described["attack"] == str(attack)
    assert ("steps" in described) == (attack is Attack.PGD)


def test_wrong_and_missing_images_are_no_success(thesis, monkeypatch):
    (instance,) = load_instances(thesis, ["test:0"])
    experiment = Job(thesis, Attack.PGD, Norm.L1, MARGIN)
    answers = iter([instance.image, None])
    monkeypatch.setattr(Job, "_find", lambda *_: next(answers))
    row = experiment.run(instance).row
    assert (row["status"], row["certified"]) == (REFUTED, False)
    finished = experiment.run(instance)
    assert (finished.row["status"], finished.image) == (NOTHING, None)
    assert experiment.failed(instance, "ERROR", "why").row["message"] == "why"
    assert experiment.hard_limit == math.inf


def test_images_come_by_their_keys(thesis, tmp_path):
    path = tmp_path / "digit.npy"
    np.save(path, np.full((28, 28), 0.5))
    loaded = load_by_key(thesis, {"test:3": 9, str(path): 4, "train:0": 9, "test:1": 9})
    assert set(loaded) == {"test:3", str(path), "train:0", "test:1"}
    assert loaded[str(path)].label == 4
    (known,) = load_instances(thesis, ["test:3"])
    assert (loaded["test:3"].fingerprint, loaded["test:3"].label) == (
        known.fingerprint,
        known.label,
    )
    with pytest.raises(InputError, match="found 10000"):
        load_by_key(thesis, {"test:10000": 0})
