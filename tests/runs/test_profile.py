"""The profile of a solve adds up, and tells what the engine did."""

import pandas as pd
import pytest

from reluopt import load_images, load_network, solve
from reluopt.answers.solution import Status
from reluopt.engines.options import EngineOptions
from reluopt.errors import UnsupportedProblemError
from reluopt.questions.problems import (
    AnyTarget,
    Blend,
    MinimalPerturbation,
    Norm,
    RelativeMargin,
    ShiftTarget,
)
from reluopt.runs.instances import load_instances
from reluopt.runs.profile import profile


@pytest.mark.parametrize("norm", [Norm.L1, Norm.L2])
def test_steps_add_up(thesis, norm):
    instance = load_instances(thesis, ["test:100"])[0]
    made = profile("thesis", instance, ShiftTarget(5), norm, RelativeMargin(0.2), EngineOptions())
    assert made.answer.status is Status.OPTIMAL
    total = sum(seconds for _, seconds in made.steps.values())
    assert total == pytest.approx(made.seconds, rel=0.2)
    assert made.steps["incumbents"][0] == 1
    assert made.steps["ball bounds"][0] >= 1
    assert made.steps["node programs"][0] >= made.answer.nodes - 1
    assert made.steps["rest"][1] < 0.7 * made.seconds
    assert made.reading > 0.0
    assert made.root > 0.0


def test_blends_are_refused(thesis):
    instance = load_instances(thesis, ["test:100"])[0]
    with pytest.raises(UnsupportedProblemError, match="l1, l2 or linf"):
        profile(
            "thesis", instance, ShiftTarget(5), Blend(0.5), RelativeMargin(0.2), EngineOptions()
        )


def test_the_command_prints_steps_and_floor(run):
    code, shown, _ = run("profile", "thesis", "--image", "test:100", "--repeats", 1)
    assert code == 0
    for word in ("strong branching", "polishing", "OPTIMAL", "floor: reading the weights"):
        assert word in shown
    code, _, err = run("profile", "thesis", "--image", "test:100-101")
    assert code == 2
    assert "expected one image, found 2" in err


@pytest.mark.parametrize("norm", ["l1", "l2", "linf"])
def test_anytime_curves_end_at_the_answer(run, tmp_path, norm):
    picture = tmp_path / "curves.png"
    asked = ("profile", "thesis", "--image", "test:100", "--norm", norm, "--repeats", 1)
    code, _, _ = run(*asked, "--figure", picture)
    assert code == 0
    assert picture.stat().st_size > 5000
    rows = pd.read_csv(tmp_path / "curves.csv")
    assert list(rows) == ["seconds", "incumbent", "bound", "nodes"]
    assert rows["incumbent"].is_monotonic_decreasing
    assert rows["seconds"].is_monotonic_increasing
    assert (rows["bound"] <= rows["incumbent"]).all()
    last = rows.iloc[-1]
    assert last["bound"] == pytest.approx(last["incumbent"], rel=1e-5)
    images = load_images("test")
    asked = MinimalPerturbation(images.image(100), label=images.label(100), norm=Norm(norm))
    made = solve(load_network("thesis"), asked)
    assert last["incumbent"] == pytest.approx(made.certificate.distance, rel=1e-5)


def test_a_figure_without_a_format_is_refused_before_anything_is_solved(run):
    code, _, err = run("profile", "thesis", "--image", "test:100", "--figure", "curves")
    assert code == 2
    assert "curves" in err


def test_an_image_that_needs_no_change_has_no_floor(run):
    code, shown, _ = run("profile", "thesis", "--image", "test:8", "--target", "6")
    assert code == 0
    assert "nothing was searched, the image is an answer already" in " ".join(shown.split())


def test_the_floor_is_that_of_the_answer_alone(thesis):
    """Other targets may be excluded without any relaxation: with all nine it was no floor."""
    instance = load_instances(thesis, ["test:1"])[0]
    made = profile(
        "thesis", instance, AnyTarget(), Norm.L2, RelativeMargin(0.2), EngineOptions(), repeats=3
    )
    assert made.root is not None
    assert made.reading + made.root < made.seconds


def test_a_search_that_did_not_end_has_no_floor(run):
    limit = ("--time-limit", 0.001)
    code, shown, _ = run("profile", "dnn3", "--image", "test:100", "--repeats", 1, *limit)
    assert code == 0
    assert "the search did not end" in shown
