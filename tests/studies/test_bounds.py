"""Bounds and depth on one image and the smallest network, with real engines and short limits."""

from dataclasses import replace

import pandas as pd
import pytest

from reluopt.runs.tables import DASH
from reluopt.studies import bounds, load_study
from reluopt.studies.base import StudyContext, publish
from reluopt.studies.bounds import BALL, OWN, THESIS

SHORT = 0.5
INTERVAL = "gurobi:bigm:interval"


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """The study with four of its methods."""
    chosen = (OWN, BALL, INTERVAL, THESIS)
    plan = bounds.measurement(StudyContext(tmp_path_factory.getbasetemp()))
    plan = replace(plan, networks=("thesis",), methods=chosen, reduced_limit=SHORT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bounds, "measurement", lambda context: plan)
        patch.setattr(bounds, "OVER_THE_BOX", (INTERVAL,))
        names = {name: text for name, text in bounds.BOUNDS.items() if name in chosen}
        patch.setattr(bounds, "BOUNDS", names)
        folder = tmp_path_factory.mktemp("bounds")
        yield load_study("bounds").run(StudyContext(folder, limit=1))


def test_all_networks_are_measured_only_in_full(tmp_path):
    few, all_of_them = (StudyContext(tmp_path, full=full) for full in (False, True))
    assert bounds.measurement(few).networks == ("thesis",)
    plan = bounds.measurement(all_of_them)
    assert plan.networks == ("thesis", "dnn2", "dnn3")
    assert sorted(plan.methods) == sorted(bounds.BOUNDS)
    assert (plan.subfolder(all_of_them), plan.subfolder(few)) == ("l1", "l1-30s")


def test_the_table_puts_published_averages_beside_ours(result):
    table = pd.read_csv(result.folder / "bounds.csv", dtype=str, keep_default_na=False)
    rows = table.set_index("bounds")
    assert list(table["bounds"]) == [
        "±1000",
        "interval",
        "ball",
        "our engine",
        "optimal, published",
    ]
    assert rows["published (s)"].to_dict() == {
        "±1000": "9.56",
        "interval": DASH,
        "ball": DASH,
        "our engine": DASH,
        "optimal, published": "2.64",
    }
    assert rows.loc["±1000", "binaries"] == "58"
    assert rows.loc["interval", "binaries"] == "48"
    assert int(rows.loc["ball", "binaries"]) < 48
    runs = pd.read_csv(result.folder / "bounds-runs.csv").set_index("method")
    for method, found in result.facts["networks"]["thesis"]["methods"].items():
        proven = bool(runs.loc[method, "proven"])
        relation = "=" if proven else ">="
        assert found["average"]["relation"] == found["search"]["relation"] == relation
        assert rows.loc[bounds.BOUNDS[method], "average (s)"].startswith("≥") is not proven


def test_the_text_comes_from_published_files(result, told, tmp_path):
    assert not result.complete
    assert publish(result, tmp_path) == []
    text = told(result)
    assert text.startswith("### ")
    assert "every hidden one keeps its binary" in " ".join(text.split())
    assert "which took 28 s once" in " ".join(text.split())
    assert (tmp_path / "figures" / "bounds.png").exists()
    facts = result.facts
    assert facts["contradictions"] == 0
    assert facts["networks"]["thesis"]["ratio"]["candidate"] == OWN
