"""Trees and forests beside networks: what is proven, and what is told of it."""

import pandas as pd
import pytest

from reluopt.studies import shallow
from reluopt.studies.shallow import Model


@pytest.fixture
def small(monkeypatch):
    """Models of the same names that are fitted and solved in a moment."""
    models = {
        "tree": Model(1, 5),
        "10 trees": Model(3, 4),
        "100 trees": Model(4, 4, greys=False, large=True),
        "tree, two levels": Model(1, 4, two_levels=True, greys=False),
        "10 trees, two levels": Model(3, 3, two_levels=True, greys=False),
    }
    monkeypatch.setattr(shallow, "MODELS", models)
    return models


def test_the_study_tells_its_rows(small, few, told, files):
    result = few("shallow", 2)
    rows = pd.read_csv(result.folder / "shallow-rows.csv")
    assert (rows["status"] == "OPTIMAL").all()
    assert (rows["predicted"] != rows["label"]).all()
    assert set(rows["network"]) == {*small, "thesis", "ctu"} - {"100 trees"}
    l1 = rows[rows["norm"] == "l1"].pivot_table("distance", "image", ["network", "values"])
    assert (l1["10 trees", "255 levels"] >= l1["10 trees", "float32"]).all()
    assert (l1["tree", "float32"] < l1["thesis", "float32"]).all()
    assert not result.complete
    text = " ".join(told(result).split())
    assert "for a decision tree and random forests (tree, 10 trees)" in text
    assert "(32 problems, all proven)" in text
    before = files(result)
    again = few("shallow", 2)
    assert files(again) == before
    assert again.facts == result.facts
