import shlex

import numpy as np
import pytest

from reluopt.errors import InputError
from reluopt.images.mnist import load_images
from reluopt.networks.evaluation import evaluate
from reluopt.networks.saving import save_network
from reluopt.networks.training import RECIPES
from reluopt.networks.zoo import TRAINED_BY, bundled_names, bundled_path, load_bundled, open_network

# Shape, recipe and least test accuracy promised for each bundled network.
PROMISED = {
    "thesis": ((784, 32, 16, 10), "thesis", 0.93),
    "thesis-96": ((784, 32, 16, 10), "mini-batch", 0.96),
    "dnn2": ((784, 32, 24, 16, 10), "thesis", 0.92),
    "dnn3": ((784, 40, 30, 20, 10, 10), "thesis", 0.92),
    "ctu": ((784, 48, 27, 10), "mini-batch", 0.96),
    "mlp-100": ((784, 100, 100, 10), "mini-batch", 0.97),
    "nor-b": ((784, 100, 100, 10), "torch", 0.979),
    "adv-b": ((784, 100, 100, 10), "pgd", 0.97),
    "cnn-small": ((784, 3136, 1568, 100, 10), "torch", 0.985),
    "adm": ((784, 5408, 9216, 13824, 6912, 3456, 1728, 10), "torch", 0.98),
}


def test_names():
    assert bundled_names() == tuple(sorted(PROMISED))


@pytest.mark.parametrize("name", PROMISED)
def test_bundled_networks_keep_their_promise(name):
    sizes, recipe, accuracy = PROMISED[name]
    network = load_bundled(name)
    data = load_images("test")
    assert network.sizes == sizes
    assert network.input_shape == (28, 28)
    assert network.metadata.name == name
    assert network.metadata.recipe["name"] == recipe
    assert network.metadata.recipe["training_images"] == 60_000
    measured = evaluate(network, data.images, data.labels).accuracy
    assert measured == network.metadata.test_accuracy >= accuracy


@pytest.mark.parametrize("name", PROMISED)
def test_the_options_that_are_told_are_those_that_trained_it(name):
    """What ``reluopt train --help`` and the README say, against what the file has on record."""
    told = shlex.split(TRAINED_BY[name])
    given = dict(zip(told[::2], told[1::2], strict=True))
    network = load_bundled(name)
    recipe = network.metadata.recipe
    assert recipe["name"] == given.pop("--recipe")
    assert recipe["seed"] == int(given.pop("--seed", 0))
    assert recipe.get("architecture") == given.pop("--architecture", None)
    if "--hidden" in given:
        assert network.hidden_sizes == tuple(map(int, given.pop("--hidden").split(",")))
    changed = {name[2:].replace("-", "_"): float(value) for name, value in given.items()}
    expected = RECIPES.load(recipe["name"]).adjusted(**changed).described()
    expected["batch_size"] = expected["batch_size"] or recipe["training_images"]
    assert {key: recipe[key] for key in expected} == expected


def test_the_adversarially_trained_network_withstands_what_it_was_trained_on():
    measured = load_bundled("adv-b").metadata.recipe["pgd_test"]
    assert measured["eps"] == 0.1
    assert measured["accuracy"] >= 0.86
    images, labels = load_images("test").images[:500], load_images("test").labels[:500]
    accuracy = {}
    for name in ("adv-b", "nor-b"):
        network = load_bundled(name)
        logits = network.forward(images)
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        weights = weights / weights.sum(axis=1, keepdims=True) - np.eye(10)[labels]
        slope = network.gradient(images, weights)  # of the cross-entropy
        moved = np.clip(images.reshape(500, -1) + 0.1 * np.sign(slope), 0.0, 1.0)
        accuracy[name] = evaluate(network, moved, labels).accuracy
    assert accuracy["adv-b"] > 0.8 > 0.3 > accuracy["nor-b"]


def test_thesis_network_is_as_accurate_as_reported():
    """Linkola (2023) reports 93.31 %."""
    assert abs(load_bundled("thesis").metadata.test_accuracy - 0.9331) < 0.0005


def test_bundled_files_are_small():
    assert sum(bundled_path(name).stat().st_size for name in bundled_names()) < 2_500_000


def test_networks_open_by_name_and_by_path(tmp_path, monkeypatch):
    thesis, other = load_bundled("thesis"), load_bundled("dnn2")
    assert open_network("thesis").fingerprint == thesis.fingerprint
    assert open_network(bundled_path("dnn2")).fingerprint == other.fingerprint
    monkeypatch.chdir(tmp_path)
    save_network(other, "thesis")
    assert open_network("thesis").fingerprint == thesis.fingerprint
    assert open_network("./thesis").fingerprint == other.fingerprint


@pytest.mark.parametrize("name", ["nope", "nope.safetensors", "", "x" * 5000, "a\0b"])
def test_what_is_neither_name_nor_file_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        open_network(name)
    assert "\n" not in str(caught.value)


def test_unknown_names_are_answered_with_the_known_ones():
    for function in (load_bundled, open_network):
        with pytest.raises(InputError, match=r"ctu, dnn2, dnn3.*found 'dnn4'"):
            function("dnn4")
