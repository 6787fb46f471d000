"""Table 2 on one image, with real engines and short limits."""

import json
from dataclasses import replace

import pandas as pd
import pytest

from reluopt.engines import get_engine
from reluopt.engines.base import EngineState
from reluopt.errors import EngineUnavailableError
from reluopt.runs.tables import DASH
from reluopt.studies import load_study, times
from reluopt.studies.base import StudyContext, publish
from reluopt.studies.times import weight_count

SHORT = 0.5


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder of results of the study with two methods for each norm."""
    chosen = {
        norm: replace(plan, methods=(plan.methods[0], plan.methods[-1]), reduced_limit=SHORT)
        for norm, plan in times.MEASUREMENTS.items()
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(times, "MEASUREMENTS", chosen)
        yield tmp_path_factory.mktemp("times")


@pytest.fixture(scope="module")
def result(runs):
    return load_study("times").run(StudyContext(runs, limit=1))


@pytest.fixture
def table(result):
    return pd.read_csv(result.folder / "times.csv", dtype=str, keep_default_na=False)


def test_our_sizes_stand_beside_the_printed_ones(table):
    counted = "constraints as the thesis counts"
    for problem in ("classification", "smallest L1 change", "smallest L2 change"):
        rows = table[table["problem"] == problem].set_index("method")
        (ours,) = [row for name, row in rows.iterrows() if "thesis' model" in name]
        printed = rows.loc["as the thesis printed it"]
        assert ours["variables"] == printed["variables"]
        assert ours[counted] == printed[counted]
        assert ours["binaries"] == "58"
        assert float(printed["fastest (s)"]) < float(printed["average (s)"]) < 1000.0
    l2 = table[table["problem"] == "smallest L2 change"].set_index("method")
    seconds = l2.loc["as the thesis printed it", ["average (s)", "fastest (s)", "slowest (s)"]]
    assert list(seconds) == ["107.12", "8.13", "784.62"]
    assert table["method"][0] == "float64"
    assert table["variables"][0] == DASH


def test_times_are_measured_and_stopped_runs_marked(result, table):
    runs = pd.read_csv(result.folder / "times-runs.csv")
    assert list(runs["norm"]) == ["l1", "l1", "l2", "l2"]
    for row in runs.to_dict("records"):
        found = result.facts[row["norm"]]["methods"][row["method"]]
        assert found["proven"] == int(row["proven"])
        expected = (row["seconds"], "=") if row["proven"] else (SHORT, ">=")
        assert found["average"]["value"] == pytest.approx(expected[0], abs=1e-6)
        assert found["average"]["relation"] == expected[1]
    assert 0.0 < result.facts["forward"]["average"]["value"] < SHORT
    assert result.facts["classification"]["agreeing"] == 1
    assert result.facts["l1"]["contradictions"] == result.facts["l2"]["contradictions"] == 0


def test_a_second_run_measures_nothing_and_tells_the_same(result, runs):
    def state():
        return {path: path.read_bytes() for path in result.folder.iterdir() if path.is_file()}

    before = state()
    rows = (result.folder / f"l1-{SHORT:g}s" / "results.csv").read_bytes()
    again = load_study("times").run(StudyContext(runs, limit=1))
    assert (result.folder / f"l1-{SHORT:g}s" / "results.csv").read_bytes() == rows
    assert state() == before
    assert again.lines == result.lines


def test_few_images_are_not_published_and_the_text_comes_from_files(result, told, tmp_path):
    assert not result.complete
    assert publish(result, tmp_path) == []
    text = told(result)
    assert text.startswith("### ")
    assert "27,338" in text
    for norm in ("l1", "l2"):
        assert f"figures/times-{norm}.png" in text
        assert (tmp_path / "figures" / f"times-{norm}.png").exists()
    assert json.loads((tmp_path / "figures" / "data" / "times.json").read_text())["images"] == 1


def test_weights_of_any_network_are_counted(make_network):
    network = make_network((5, 4, 3), 0)
    assert weight_count(network, changed=False) == 5 * 4 + 4 * 3
    assert weight_count(network, changed=True) == 5 * 4 + 4 * 3 + 2 * 5 + 3


def test_without_scip_nothing_is_started(monkeypatch, tmp_path):
    absent = EngineState(False, "", "not installed")
    monkeypatch.setattr(type(get_engine("scip")), "state", lambda self: absent)
    with pytest.raises(EngineUnavailableError, match="scip"):
        load_study("times").run(StudyContext(tmp_path, limit=1))
    assert list(tmp_path.iterdir()) == []
