"""Fine-tuning of a small network with proofs: where points lie, and what verdicts add up to."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from reluopt.attacks.adversaries import leads_of
from reluopt.networks.zoo import load_bundled
from reluopt.studies import exact_tuning
from reluopt.studies.base import StudyContext, StudyFolder
from reluopt.studies.exact_tuning import (
    EPS,
    FIRST,
    MISREAD,
    RADII,
    WAYS,
    WORST,
    ExactSize,
    measure,
    tuning_table,
)


@pytest.fixture(scope="module")
def network():
    return load_bundled(exact_tuning.NETWORK)


def test_points_are_inputs_of_the_ball_and_exact_ones_are_the_worst(network, tmp_path):
    folder = StudyFolder(StudyContext(tmp_path), "finetuning")
    images = exact_tuning._pool(network, 12)
    around = np.array([image.image for image in images])
    labels = np.array([image.label for image in images])
    assert (network.predict(around) == labels).all()
    points = {name: way.points(folder, network, images) for name, way in WAYS.items()}
    for each in points.values():
        assert each.min() >= 0.0
        assert each.max() <= 1.0
    leads = {name: leads_of(network, each, labels) for name, each in points.items()}
    for name in ("pgd", "worst-case"):
        assert np.abs(points[name] - around).max() <= EPS + 1e-12
    assert (leads["worst-case"] <= leads["pgd"] + 1e-4).all()
    assert (leads["worst-case"] < leads["pgd"] - 0.1).any()
    assert (leads["nearest"] < 0.0).all()
    far = np.abs(points["nearest"] - around).max(axis=1)
    # The nearest misread image lies in the ball exactly where its worst case is misread.
    clear = np.abs(far - EPS) > 1e-3
    assert ((far < EPS) == (leads["worst-case"] < 0.0))[clear].all()


def test_the_worst_images_have_the_worst_points(network, tmp_path):
    folder = StudyFolder(StudyContext(tmp_path), "finetuning")
    pool = exact_tuning._pool(network, 60)
    labels = np.array([image.label for image in pool])
    by_pgd = WAYS["pgd"]
    leads = leads_of(network, by_pgd.points(folder, network, pool), labels)
    chosen = exact_tuning._chosen(folder, network, pool, WORST, 10, by_pgd)
    assert list(chosen.labels) == list(range(10))
    expected = [leads[labels == label].min() for label in range(10)]
    np.testing.assert_allclose(leads_of(network, chosen.inputs, chosen.labels), expected)
    first = exact_tuning._chosen(folder, network, pool, FIRST, 10, by_pgd)
    # PGD starts from other random points where it is given other images.
    near = [np.flatnonzero(labels == label)[0] for label in range(10)]
    far = np.abs(first.inputs - [pool[k].image for k in near]).max()
    assert far <= EPS + 1e-12


def test_rows_add_up(network, tmp_path, monkeypatch):
    size = ExactSize(((FIRST, 10), (WORST, 10)), 60, 100, 50, 3, 12)
    monkeypatch.setattr(exact_tuning, "REDUCED", size)
    folder = StudyFolder(StudyContext(tmp_path), "finetuning")
    facts, table = measure(folder)
    before, *rows = facts["rows"]
    assert [(row["way"], row["images"]) for row in rows] == [
        (way, images) for images, _ in size.groups for way in WAYS
    ]
    assert before["change"] == 0.0
    assert facts["undecided"] == 0
    for row in rows:
        assert row["violation"]["after"] < 0.1 * row["violation"]["before"]
        assert 0.0 < row["change"] < 0.2
    for row, reach in zip(facts["rows"], table.columns[1:], strict=True):
        robust = table[reach].replace(MISREAD, "-1").astype(float)
        for eps, (lower, upper) in row["errors"].items():
            assert lower == upper == pytest.approx((robust < float(eps)).mean())
    lines = tuning_table(facts)
    assert len(lines) == 7
    assert list(lines.columns[-len(RADII) :]) == [f"error at {eps} (%)" for eps in RADII]
    again, same = measure(folder)
    assert again == facts
    pd.testing.assert_frame_equal(same, table)


def test_duels_count_what_only_one_makes_robust():
    table = pd.DataFrame(
        {
            "image": ["a", "b", "c", "d"],
            "worst-case-first-10": ["0.02", "0", "misread", "0.1"],
            "nearest-first-10": ["0.02", "0.02", "0", "0.1"],
            "pgd-first-10": ["0.01", "0.02", "0", "0.1"],
        }
    )
    duels = exact_tuning._duels(table, [(FIRST, 10)])
    found = {(each["way"], each["eps"]): (each["alone"], each["p"]) for each in duels}
    assert found["worst-case", 0.01] == ([0, 1], 1.0)
    assert found["worst-case", 0.02] == ([1, 1], 1.0)
    assert found["nearest", 0.02] == ([1, 0], 1.0)
    assert found["nearest", 0.1] == ([0, 0], 1.0)
    table = pd.concat([table.iloc[[0]]] * 10, ignore_index=True)
    twice = {
        each["way"]: each
        for each in exact_tuning._duels(table, [(FIRST, 10)])
        if each["eps"] == 0.02
    }
    assert twice["worst-case"]["alone"] == [10, 0]
    assert twice["worst-case"]["p"] == pytest.approx(2.0**-9, abs=1e-4)


def test_an_image_without_a_verdict_reaches_no_further():
    def row(image, eps, status, predicted=3):
        return SimpleNamespace(
            image=image, eps=eps, status=status, label=3, original_predicted=predicted
        )

    rows = [
        *(row("a", 0.01, "ROBUST"), row("a", 0.02, "ROBUST"), row("a", 0.03, "TIME_LIMIT")),
        *(row("b", 0.01, "NOT_ROBUST"), row("c", 0.01, "NOT_ROBUST", predicted=5)),
    ]
    assert exact_tuning._reaches(rows) == ["0.02", "0", MISREAD]
