"""LiPPA: lines in the plane, regions around images, attacks, and a search that is drawn."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from reluopt.attacks.methods.lippa import IMAGE, PROGRAM, Lippa
from reluopt.errors import InputError
from reluopt.networks.zoo import load_bundled
from reluopt.studies import lippa
from reluopt.studies.base import StudyContext


def test_the_study_tells_its_rows(few, told, files, monkeypatch):
    monkeypatch.setattr(lippa, "BUNDLED_REGIONS", {"adv-b": None})
    monkeypatch.setattr(lippa, "BUNDLED_ERRORS", {("nor-b", 0.05): None})
    monkeypatch.setattr(lippa, "GRID", 21)
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


def test_a_search_is_drawn_in_the_plane_of_its_points():
    network = load_bundled("nor-b")
    image = np.clip(np.random.default_rng(2).random(network.input_size), 0.0, 1.0)
    label = int(network.predict(image))
    path = Lippa(regions=3).path(network, image, label, 0.02)
    assert path[0][0] == IMAGE
    assert PROGRAM in [kind for kind, _ in path]
    points = np.array([point for _, point in path])
    assert np.abs(points - image).max() <= 0.02 + 1e-12
    np.testing.assert_array_equal(points[0], image)


def test_a_folder_without_the_networks_is_refused(tmp_path):
    context = StudyContext(Path("runs"), network=str(tmp_path))
    with pytest.raises(InputError, match=r"expected a folder that holds nor-mlp-b\.safetensors"):
        list(lippa._networks(context, ["nor-mlp-b"]))


def test_spans():
    assert lippa.span([1.0, 2.5]) == "1.00 to 2.50"
    assert lippa.span([3.0, 3.0], 1) == "3.0"
