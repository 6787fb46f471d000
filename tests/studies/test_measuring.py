"""What the studies of times share: folders, estimates, and words."""

from pathlib import Path

import pandas as pd
import pytest

from reluopt.bench.statistics import AT_LEAST, EXACT, Estimate
from reluopt.engines import get_engine
from reluopt.engines.base import EngineState
from reluopt.errors import EngineUnavailableError
from reluopt.studies.base import StudyContext
from reluopt.studies.measuring import (
    Measurement,
    check_methods,
    estimate_facts,
    mean_of_step,
    named,
    size_facts,
)
from reluopt.studies.words import seconds_text, sentence

PLAN = Measurement("l2", ("thesis",), "l2", ("bnb", "scip:bigm:ball"), 20.0, 1.0)


@pytest.mark.parametrize(
    ("changes", "subfolder", "limit"),
    [
        ({"full": True}, "l2", 20.0),
        ({"full": True, "limit": 3}, "l2", 20.0),
        ({}, "l2-1s", 1.0),
        ({"full": True, "time_limit": 2.5}, "l2-2.5s", 2.5),
        ({"time_limit": 20.0}, "l2", 20.0),
    ],
)
def test_rows_of_other_limits_lie_elsewhere(changes, subfolder, limit):
    context = StudyContext(Path("runs"), **changes)
    assert PLAN.subfolder(context) == subfolder
    assert PLAN.limit(context) == limit


def test_a_missing_engine_is_refused_at_once(monkeypatch):
    engine = type(get_engine("scip"))
    absent = EngineState(False, "", "not installed: pip install 'reluopt[scip]'")
    monkeypatch.setattr(engine, "state", lambda self: absent)
    with pytest.raises(EngineUnavailableError, match=r"method 'scip:bigm:ball': not installed"):
        check_methods(StudyContext(Path("runs")), [PLAN])


def test_the_search_of_a_stopped_run_is_a_lower_bound():
    rows = pd.DataFrame(
        {"proven": [True, False], "search_seconds": [1.0, 4.0], "bounds_seconds": [0.5, None]}
    )
    assert mean_of_step(rows, "search_seconds") == Estimate(2.5, AT_LEAST)
    assert mean_of_step(rows, "bounds_seconds") == Estimate(0.25, EXACT)
    assert mean_of_step(rows[:1], "search_seconds") == Estimate(1.0, EXACT)


def test_sizes_are_medians_of_what_is_known():
    rows = pd.DataFrame(
        {"variables": [3, 5, 9], "constraints": [1, None, 3], "binaries": [None, None, None]}
    )
    assert size_facts(rows) == {"variables": 5.0, "constraints": 2.0, "binaries": None}


def test_estimates_survive_json_and_become_words():
    estimate = Estimate(57.9, AT_LEAST)
    assert Estimate(**estimate_facts(estimate)) == estimate
    assert estimate_facts(Estimate(float("inf"))) is None
    assert seconds_text(None) == "\N{EN DASH}"
    assert seconds_text(estimate_facts(estimate)) == "≥ 57.9"
    assert seconds_text(estimate_facts(Estimate(9.6e-6))) == "9.60e-06"


def test_methods_are_renamed_in_the_order_asked():
    table = pd.DataFrame({"method": ["a", "b", "c"], "image": [1, 1, 1]})
    assert list(named(table, {"c": "third", "a": "first"})["method"]) == ["third", "first"]


def test_sentences_say_what_is_wrong():
    calm = {"cores": 2, "processor": "X", "median_load": 1.2}
    assert sentence("measured", "machine", calm) == "measured on 2 cores (X)"
    busy = sentence("measured", "machine", {**calm, "median_load": 6.0})
    assert busy == "measured on 2 cores (X) with other work running (median load 6.0)"
    fine = {"settled_by_several": 4, "contradictions": 0}
    assert sentence("measured", "agreement", [fine, fine]).startswith("8 problems were settled")
    assert "contradict each other 1 times" in sentence(
        "measured", "agreement", [fine, {**fine, "contradictions": 1}]
    )
