"""The assignment: what is proven, under every convention, and what is told of it."""

import numpy as np
import pandas as pd
import pytest

from reluopt.errors import InputError
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.saving import save_network
from reluopt.networks.zoo import load_bundled
from reluopt.questions.problems import AnyTarget, MinimalPerturbation
from reluopt.studies.assignment import CONVENTIONS, MARGIN, SHARE, _nines
from reluopt.studies.published import ASSIGNMENT


def test_the_study_tells_its_rows(few, told, files):
    result = few("assignment", 2, time_limit=4.0)
    rows = pd.read_csv(result.folder / "assignment-rows.csv").set_index("question")
    own = rows[rows["engine"] == "bnb"]
    assert (own["status"] == "OPTIMAL").all()
    nearest = own.loc[[f"nearest {name}" for name in CONVENTIONS]]
    assert np.allclose(nearest["distance"], nearest["distance"].iloc[0], rtol=1e-5)
    assert (own.loc["nearest unit-logits", "distance"] < own.loc["2 nines", "distance"]).all()
    surest = own.loc["surest unit-logits"]
    assert surest["predicted"] == 7
    assert surest["distance"] <= 6.0 + 1e-9
    noises = pd.read_csv(result.folder / "assignment-noises.csv")
    assert list(noises["noise for"]) == ["image 12, nearest", "image 12, surest 7", "2 nines"]
    assert not result.complete
    text = " ".join(told(result).split())
    assert "the bundled `ctu` misread test image 12, a nine, is 3.04616, proven" in text
    assert "all four conventions have the same optima" in text
    before = files(result)
    again = few("assignment", 2, time_limit=4.0)
    assert files(again) == before
    assert again.facts == result.facts


def test_conventions_change_box_and_outputs_alone():
    network = load_bundled("ctu")
    image = _nines(network)[0].image
    for convention in CONVENTIONS.values():
        made = convention.network(network, image)
        logits = network.forward(image)
        expected = np.maximum(logits, 0.0) if convention.clipped else logits
        assert np.allclose(made.forward(image), expected)
        task = MinimalPerturbation(image, 9, AnyTarget(), margin=MARGIN).task(made)
        assert np.allclose(task.box.upper, image + 1.0 if convention.open_box else 1.0)


def test_the_margin_is_the_printed_condition():
    logits = np.random.default_rng(0).normal(size=(1000, 10)) * 5.0
    met = np.zeros(len(logits), dtype=bool)
    for target in range(9):
        met |= (MARGIN.conditions(target, 10).slack(logits) >= 0.0).all(axis=1)
    best = logits.max(axis=1)
    printed = logits[:, 9] <= SHARE * best
    # The printed one alone accepts the unchanged answer where all logits are negative.
    sorted_logits = np.sort(logits, axis=1)
    clear = sorted_logits[:, -1] - sorted_logits[:, -2] > 1e-3
    assert (met == (printed & (logits.argmax(axis=1) != 9)))[clear].all()


def test_printed_sizes_follow_from_the_networks():
    pixels, neurons = 784, 48 + 27 + 10
    weights = 784 * 48 + 48 * 27 + 27 * 10
    size = ASSIGNMENT.inference
    assert size.general == neurons
    assert size.rows == 2 * pixels + neurons
    assert size.columns == 3 * pixels + 2 * neurons
    assert size.nonzeros == weights + neurons + 3 * pixels


def test_a_network_that_misreads_the_image_is_refused():
    network = load_bundled("ctu")
    last = network.layers[-1]
    flipped = type(last)(-np.asarray(last.weight), -np.asarray(last.bias))
    with pytest.raises(InputError, match="reads test:12 as 9"):
        _nines(ReLUNetwork((*network.layers[:-1], flipped), network.metadata))


def test_a_network_of_large_values_is_refused_by_its_option(few, tmp_path):
    network = load_bundled("ctu")
    first, *rest = network.layers
    grown = type(first)(1e3 * np.asarray(first.weight), np.asarray(first.bias))
    path = tmp_path / "large.safetensors"
    save_network(ReLUNetwork((grown, *rest), network.metadata), path)
    with pytest.raises(InputError, match=r"^--network: bounds thesis: .* within ±1000") as refused:
        few("assignment", 2, network=str(path))
    assert "--bounds" not in str(refused.value)
