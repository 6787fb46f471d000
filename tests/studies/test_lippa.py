"""LiPPA: lines in the plane, regions around images, attacks, and a search that is drawn."""

from pathlib import Path

import pandas as pd
import pytest

from reluopt.errors import InputError
from reluopt.studies import lippa
from reluopt.studies.base import StudyContext


def test_the_study_tells_its_rows(few, told, files, monkeypatch):
    monkeypatch.setattr(lippa, "BUNDLED_REGIONS", {"adv-b": None})
    monkeypatch.setattr(lippa, "BUNDLED_ERRORS", {("nor-b", 0.05): None})
    monkeypatch.setattr(lippa, "LINES", (5, 20))
    monkeypatch.setattr(lippa, "REDUCED_LIMIT", 3.0)
    result = few("lippa", 1)
    assert result.facts["lines"] == {"5": 16, "20": 211}
    assert result.facts["triangle"] == 7
    regions = pd.read_csv(result.folder / "lippa-region-rows.csv").iloc[0]
    assert regions["sampled_unstable"] <= regions["unstable_least"] <= regions["unstable_most"]
    attacks = pd.read_csv(result.folder / "lippa-attack-rows.csv").set_index("method")
    misread = attacks["predicted"] != attacks["label"]
    assert list(misread) == [status == "FOUND" for status in attacks["status"]]
    text = " ".join(told(result).split())
    assert "three neurons in the plane have 7 of 8 codes" in text
    assert "211 for 20" in text
    before = files(result)
    assert files(few("lippa", 1)) == before


def test_a_folder_without_the_networks_is_refused(tmp_path):
    context = StudyContext(Path("runs"), network=str(tmp_path))
    with pytest.raises(InputError, match=r"expected a folder that holds nor-mlp-b\.safetensors"):
        list(lippa._networks(context, ["nor-mlp-b"]))


def test_spans():
    assert lippa.span([1.0, 2.5]) == "1.00 to 2.50"
    assert lippa.span([3.0, 3.0], 1) == "3.0"
