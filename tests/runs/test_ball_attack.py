"""Attacks on many images: rows, what they add up to, and what is not believed."""

import numpy as np
import pytest

from reluopt.attacks.methods.fgsm import Fgsm
from reluopt.attacks.methods.pgd import Pgd
from reluopt.errors import InputError
from reluopt.questions.problems import Blend, Norm
from reluopt.runs.ball_attack import Attacked, BallAttackJob, accuracies
from reluopt.runs.instances import Instance, load_instances
from reluopt.runs.row import BallAttackRow
from reluopt.runs.runner import run_job
from reluopt.runs.store import ResultStore
from reluopt.runs.upper_bound import FOUND, NOTHING, REFUTED


@pytest.fixture(scope="module")
def instances(thesis):
    return load_instances(thesis, ["test:0-59"])


def rows_of(job, instances):
    return [finished.row for finished in run_job(job, instances)]


def test_rows_tell_what_the_forward_pass_says(thesis, instances, tmp_path):
    job = BallAttackJob(thesis, Pgd(steps=5), 0.02)
    store = ResultStore(tmp_path / "run", BallAttackRow, job.describe(), {})
    for instance, result in zip(instances, run_job(job, instances, store), strict=True):
        row, image = result.row, result.image.reshape(-1)
        logits = thesis.forward(image)
        others = np.delete(logits, instance.label).max()
        assert row.lead == pytest.approx(logits[instance.label] - others, abs=1e-9)
        assert (row.status, row.certified) in ((FOUND, True), (NOTHING, False))
        assert row.certified == (row.lead <= 0.0)
        assert row.predicted == int(np.argmax(logits))
        assert row.distance == pytest.approx(np.abs(image - instance.image).max())
    again = run_job(job, instances, ResultStore(store.folder, BallAttackRow, job.describe(), {}))
    assert all(result.resumed for result in again)


def test_one_at_a_time_is_the_same(thesis, instances):
    job = BallAttackJob(thesis, Pgd(steps=5), 0.02)
    together = rows_of(job, instances[:20])
    for instance, row in zip(instances, together, strict=False):
        alone = job.run(instance).row
        assert (alone.status, alone.predicted) == (row.status, row.predicted)
        assert alone.lead == pytest.approx(row.lead, abs=1e-6)


def test_images_are_attacked_together(thesis, instances, monkeypatch):
    sizes = []
    plan = Fgsm.plan
    monkeypatch.setattr(Fgsm, "together", 25)
    monkeypatch.setattr(Fgsm, "plan", lambda *a: sizes.append(len(a[2])) or plan(*a))
    assert len(rows_of(BallAttackJob(thesis, Fgsm(), 0.02), instances)) == 60
    assert sizes == [25, 25, 10]


def test_accuracies_are_those_of_the_network(thesis, instances):
    images = np.array([each.image for each in instances])
    labels = np.array([each.label for each in instances])
    clean = (thesis.predict(images) == labels).mean()
    assert clean < 1.0
    for attacked in Attacked:
        job = BallAttackJob(thesis, Fgsm(), 0.02, clip=False, attacked=attacked)
        finished = run_job(job, instances)
        found = accuracies([result.row for result in finished])
        made = np.array([result.image.reshape(-1) for result in finished])
        assert found.images == 60
        assert found.clean == clean
        assert found.attacked == (thesis.predict(made) == labels).mean() < clean
        aims = labels if attacked is Attacked.TRUE else thesis.predict(images)
        assert found.fooled == (thesis.predict(made) != aims).mean()
        assert made.min() < 0.0
        # An attack on the true label cannot make an image right.
        if attacked is Attacked.TRUE:
            assert found.attacked + found.fooled == pytest.approx(1.0)


@pytest.mark.parametrize("norm", list(Norm))
def test_pixels_leave_the_box_only_where_they_may(thesis, instances, norm):
    eps = {Norm.L1: 4.0, Norm.L2: 0.5, Norm.LINF: 0.05}[norm]
    for clip in (True, False):
        job = BallAttackJob(thesis, Pgd(steps=3), eps, norm, clip=clip)
        job.check(instances)
        made = np.array([each.image.reshape(-1) for each in run_job(job, instances[:10])])
        assert (made.min() >= 0.0 and made.max() <= 1.0) == clip


class Liar(Fgsm):
    """Steps twice as far as it may."""

    def __call__(self, network, images, criterion, eps, *, norm=Norm.LINF, box=None):
        return super().__call__(network, images, criterion, 2.0 * eps, norm=norm, box=box)


def test_images_outside_of_the_ball_are_no_success(thesis, instances):
    rows = rows_of(BallAttackJob(thesis, Liar(), 0.02), instances)
    refuted = [row for row in rows if row.status == REFUTED]
    assert len(refuted) > 40
    assert not any(row.certified for row in refuted)
    assert refuted[0].message == "the change has length 0.04, and 0 is outside of the box"
    found = accuracies(rows)
    assert found.attacked == found.clean
    assert found.fooled == pytest.approx(1.0 - found.clean)  # those that are misread as they are


def test_ties_are_fooled_before_and_after(make_network):
    network = make_network((4, 5, 3), 0)
    silent = type(network)(tuple(type(each)(0.0 * each.weight, 0.0 * each.bias)
                                 for each in network.layers))  # fmt: skip
    (instance,) = load_like(silent)
    row = BallAttackJob(silent, Fgsm(), 0.1).run(instance).row
    assert (row.status, row.lead, row.original_lead, row.distance) == (FOUND, 0.0, 0.0, 0.0)
    assert accuracies([row]).clean == accuracies([row]).attacked == 0.0


def load_like(network):
    return [Instance("toy", np.full(network.input_size, 0.5), 0)]


def test_what_fits_nothing_is_refused_first(thesis, make_network, instances):
    for eps in (-1.0, np.nan, np.inf):
        for clip in (True, False):
            with pytest.raises(InputError, match="eps: expected a finite radius >= 0"):
                BallAttackJob(thesis, Fgsm(), eps, clip=clip).check(instances)
    with pytest.raises(InputError, match="norm: expected l1, l2, linf for a ball"):
        BallAttackJob(thesis, Fgsm(), 0.1, Blend(0.5)).check(instances)
    single = make_network((4, 5, 1), 0)
    with pytest.raises(InputError, match="at least two classes"):
        BallAttackJob(single, Fgsm(), 0.1).check(load_like(single))


def test_settings_tell_methods_apart(thesis):
    described = BallAttackJob(thesis, Pgd(steps=7), 0.1, clip=False).describe()
    assert described == described | {
        "method": "pgd", "steps": 7, "restarts": 1, "eps": 0.1, "norm": "linf", "clip": False,
        "attacked": "true", "float32": False,
    }  # fmt: skip


def test_an_error_is_a_row_of_each_image(thesis, instances, monkeypatch):
    monkeypatch.setattr(Fgsm, "plan", lambda *_: 1 / 0)
    rows = rows_of(BallAttackJob(thesis, Fgsm(), 0.1), instances[:3])
    assert [row.status for row in rows] == ["ERROR"] * 3
    assert "ZeroDivisionError" in rows[2].message
