"""All studies in a row: order, resuming, publishing, failures, and the record of their times."""

import json
import shutil
import sys
from dataclasses import replace

import pandas as pd
import pytest

import cost
from reluopt.errors import InputError
from reluopt.questions.problems import Norm
from reluopt.runs.attack import AttackJob, AttackSettings
from reluopt.studies import STUDIES, load_study
from reluopt.studies import reproduce as module
from reluopt.studies.base import StudyContext, StudyFolder
from reluopt.studies.digits import thesis_digits
from reluopt.studies.reproduce import chosen_names, reproduce
from reluopt.studies.solved import MARGIN, TARGET

TEN_DIGITS = ("digits", "adversarial", "labels")


@pytest.fixture
def ten_digits(monkeypatch):
    """Only studies that need a few seconds, as if these were all."""
    for place in (module, cost):
        monkeypatch.setattr(place, "STUDIES", {name: STUDIES[name] for name in TEN_DIGITS})


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_whole_reproduction_is_published_and_changes_nothing_when_repeated(ten_digits, tmp_path):
    figures = tmp_path / "figures"
    context = StudyContext(tmp_path / "runs", full=True)
    started, ended = [], []
    made = reproduce(context, figures, (), lambda *now: started.append(now), ended.append)
    assert started == [(k, 3, name) for k, name in enumerate(TEN_DIGITS, start=1)]
    assert ended == list(made.outcomes)
    assert [outcome.images for outcome in made.outcomes] == [10, 10, 10]
    assert made.failed == made.reduced == []
    assert "L1: 10 of 10 nearest images proven" in made.outcomes[1].summary
    before = contents(figures)
    assert {path.name for path in made.published} == {path.name for path in before}
    assert {"adversarial-l1.png", "digits.csv", "labels.tex", "reproduce.json"} <= {
        path.name for path in before
    }
    record = json.loads((figures / "data" / "reproduce.json").read_text())
    assert record["command"] == "reluopt reproduce --full"
    assert record["rows"] == {"digits": 0, "adversarial": 20, "labels": 0}
    assert all(record["complete"][name] and record["seconds"][name] > 0 for name in TEN_DIGITS)
    assert record["seconds"]["adversarial"] >= record["solve_seconds"]["adversarial"] - 0.1
    assert "`reluopt reproduce --full` took" in cost.cost_section(figures / "data")
    again = reproduce(context, figures)
    assert again.failed == []
    assert contents(figures) == before


def test_few_images_are_not_published(ten_digits, tmp_path):
    totals = []
    context = StudyContext(
        tmp_path / "runs", limit=1, on_progress=lambda stage, now: totals.append((stage, now.total))
    )
    made = reproduce(context, tmp_path / "figures", ["labels", "digits"])
    assert [outcome.name for outcome in made.outcomes] == ["digits", "labels"]
    assert [outcome.name for outcome in made.reduced] == ["digits", "labels"]
    assert set(totals) == {("adversarial l1", 1), ("adversarial l2", 1)}
    assert not made.published
    assert not (tmp_path / "figures").exists()


def test_a_missing_solver_fails_one_study_and_not_the_others(ten_digits, tmp_path, monkeypatch):
    adversarial = load_study("adversarial")

    def by_scip(context):
        network, instances = thesis_digits(context)
        method = context.method(engine="scip")
        job = AttackJob(network, AttackSettings(TARGET, Norm.L1, MARGIN, method))
        StudyFolder(context, "adversarial").run("scip", job, instances, method)
        return adversarial.run(context)

    studies = {"adversarial": replace(adversarial, run=by_scip)}
    monkeypatch.setattr(module, "load_study", lambda name: studies.get(name) or load_study(name))
    monkeypatch.setitem(sys.modules, "pyscipopt", None)  # as if it were not installed
    made = reproduce(StudyContext(tmp_path / "runs", limit=1), tmp_path / "figures")
    assert [outcome.name for outcome in made.failed] == ["adversarial"]
    assert "pyscipopt is missing" in made.failed[0].error
    assert made.failed[0].summary.startswith("failed: ")
    assert made.failed[0].images is None
    assert [outcome.name for outcome in made.reduced] == ["digits", "labels"]
    assert list(json.loads(made.record.read_text())["rows"]) == ["digits", "labels"]


def test_rows_from_elsewhere_count_with_their_solves_and_deleted_ones_not_at_all(tmp_path):
    context = StudyContext(tmp_path / "runs", limit=1)
    folder = context.runs / "adversarial"
    load_study("adversarial").run(context)

    def seconds():
        made = reproduce(context, tmp_path / "figures", ["adversarial"])
        record = json.loads(made.record.read_text())
        assert record["rows"]["adversarial"] == 2
        return record["seconds"]["adversarial"], made.outcomes[0].seconds

    stores = [pd.read_csv(folder / norm / "results.csv") for norm in ("l1", "l2")]
    solves = sum(float(store["seconds"].sum()) for store in stores)
    assert seconds()[0] == seconds()[0] == pytest.approx(solves)  # drawing again costs nothing
    shutil.rmtree(folder)
    noted, taken = seconds()
    assert noted == pytest.approx(taken, abs=0.051)


@pytest.mark.parametrize("text", ["{", "[]", '{"rows": 3}'])
def test_a_record_of_something_else_is_refused_before_any_work(ten_digits, tmp_path, text):
    (tmp_path / "reproduce.json").write_text(text)
    with pytest.raises(InputError, match="expected a record of times"):
        reproduce(StudyContext(tmp_path, limit=1), tmp_path / "figures")
    assert (tmp_path / "reproduce.json").read_text() == text
    assert not (tmp_path / "digits").exists()


def test_settings_that_no_study_can_use_are_refused_before_any_work(tmp_path):
    for changes in ({"workers": 0}, {"seed": -1}, {"threads": 0}):
        with pytest.raises(InputError, match="expected"):
            reproduce(StudyContext(tmp_path, **changes), tmp_path / "figures", ["digits"])
    assert list(tmp_path.iterdir()) == []


def test_studies_run_in_the_order_of_the_thesis():
    assert chosen_names() == list(STUDIES)
    assert chosen_names(["labels", "digits", "labels"]) == ["digits", "labels"]
    with pytest.raises(InputError, match="found 'figure-1'"):
        chosen_names(["digits", "figure-1"])
