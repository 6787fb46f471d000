import builtins
import re
import sys
from dataclasses import replace

import numpy as np
import pytest

from reluopt.errors import EngineUnavailableError, InputError
from reluopt.images.mnist import load_images
from reluopt.install import install_command
from reluopt.networks.evaluation import evaluate
from reluopt.networks.loading import load_network
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.saving import save_network
from reluopt.networks.training import RECIPES
from reluopt.networks.training.plan import initial_parameters, steps_of
from reluopt.networks.training.scikit import ScikitRecipe
from reluopt.networks.training.training import train, train_and_test

pytest.importorskip("sklearn")

SHORT = ScikitRecipe("short", epochs=6, batch_size=32, learning_rate=0.005)


@pytest.fixture(scope="module")
def digits():
    return load_images("train").subset(range(600))


@pytest.fixture(scope="module")
def thesis_network(digits) -> ReLUNetwork:
    return train(digits.images, digits.labels, (16, 12), "thesis", seed=1)


def test_thesis_recipe_learns_in_fifty_steps(digits, thesis_network):
    unseen = load_images("test").subset(range(500))
    assert thesis_network.sizes == (784, 16, 12, 10)
    assert thesis_network.input_shape == (28, 28)
    assert evaluate(thesis_network, digits.images, digits.labels).accuracy > 0.85
    assert evaluate(thesis_network, unseen.images, unseen.labels).accuracy > 0.65


def test_thesis_recipe_is_that_of_the_thesis(thesis_network, digits):
    recipe = thesis_network.metadata.recipe
    assert RECIPES.load("thesis") == ScikitRecipe(
        "thesis", epochs=50, batch_size=None, learning_rate=0.01
    )
    assert recipe["steps"] == 50
    assert recipe["batch_size"] == recipe["training_images"] == len(digits)
    assert recipe["seed"] == 1
    assert recipe["regularisation"] is None
    assert set(recipe["versions"]) == {"numpy", "scikit-learn"}


def test_first_step_of_adam_moves_by_the_learning_rate(digits):
    """Adam's first step is the learning rate times the sign of the gradient (epsilon aside)."""
    one_step = ScikitRecipe("one", epochs=1, batch_size=None, learning_rate=0.01)
    network = train(digits.images, digits.labels, (8,), one_step, seed=2)
    start = initial_parameters(steps_of((8,), 784, 10), 2)
    moved = network.layers[-1].bias - start[-1][1]
    np.testing.assert_allclose(np.abs(moved), 0.01, rtol=1e-3)
    # All logits start about equal: the bias of a class rises if it is more frequent than predicted.
    images = digits.images.reshape(len(digits), -1).astype(np.float32)
    hidden = np.maximum(images @ start[0][0].T, 0.0)
    logits = hidden @ start[1][0].T
    predicted = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    frequency = np.bincount(digits.labels, minlength=10) / len(digits)
    np.testing.assert_array_equal(np.sign(moved), np.sign(frequency - predicted.mean(axis=0)))


def test_pixels_that_are_always_black_keep_their_initial_weights(digits, thesis_network):
    black = digits.pixels.reshape(len(digits), -1).max(axis=0) == 0
    start = initial_parameters(steps_of((16, 12), 784, 10), 1)[0][0]
    weight = thesis_network.layers[0].weight
    assert 100 < black.sum() < 500
    np.testing.assert_array_equal(weight[:, black], start[:, black])
    assert (weight[:, ~black] != start[:, ~black]).mean() > 0.9


def test_initial_weights_are_glorot_uniform_with_zero_biases():
    (first, bias), (second, _) = initial_parameters(steps_of((100,), 784, 10), 0)
    radius = np.sqrt(6 / 884)
    assert first.shape == (100, 784)
    assert second.shape == (10, 100)
    assert first.dtype == np.float32
    assert 0.999 * radius < np.abs(first).max() <= radius * (1 + 1e-6)
    assert abs(first.std() - radius / np.sqrt(3)) < 0.01 * radius
    assert not bias.any()


def test_the_same_seed_gives_the_same_network(digits):
    first, again, other = (
        train(digits.images, digits.labels, (8,), SHORT, seed) for seed in (5, 5, 6)
    )
    assert first.fingerprint == again.fingerprint != other.fingerprint


def test_mini_batches_are_shuffled_by_the_seed_alone(digits):
    """Sorted labels would ruin unshuffled mini-batches of one class each."""
    order = np.argsort(digits.labels, kind="stable")
    network = train(digits.images[order], digits.labels[order], (16,), SHORT, seed=0)
    assert network.metadata.recipe["steps"] == 6 * 19
    assert evaluate(network, digits.images, digits.labels).accuracy > 0.9


def test_weights_are_float32_numbers(tmp_path, thesis_network):
    for layer in thesis_network.layers:
        np.testing.assert_array_equal(layer.weight, layer.weight.astype(np.float32))
    save_network(thesis_network, tmp_path / "n.safetensors")
    loaded = load_network(tmp_path / "n.safetensors")
    assert loaded.fingerprint == thesis_network.fingerprint
    assert loaded.metadata == thesis_network.metadata


def test_measured_accuracy_and_data_are_recorded(digits):
    unseen = load_images("test").subset(range(200))
    network = train_and_test(digits, unseen, (8,), SHORT, seed=0, name="mine")
    measured = evaluate(network, unseen.images, unseen.labels).accuracy
    assert network.metadata.name == "mine"
    assert network.metadata.test_accuracy == measured > 0.5
    recipe = network.metadata.recipe
    assert recipe["test_images"] == 200
    other = replace(digits, labels=np.roll(digits.labels, 1))
    again = train_and_test(other, unseen, (8,), SHORT, seed=0).metadata.recipe
    assert again["test_sha256"] == recipe["test_sha256"]
    assert again["training_sha256"] != recipe["training_sha256"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recipe": "sgd"}, "recipe: expected one of thesis, mini-batch, torch, pgd, found 'sgd'"),
        ({"seed": -1}, "seed: expected"),
        ({"seed": 2**32}, "seed: expected"),
        ({"seed": 1.5}, "seed: expected"),
        ({"layers": ()}, "hidden sizes: expected"),
        ({"layers": (8, 0)}, "hidden sizes: expected"),
        ({"labels": np.zeros(5, int)}, r"images of shape \(6, 2\) and labels of shape \(5,\)"),
        ({"images": np.zeros((0, 2)), "labels": np.zeros(0, int)}, "non-empty batch"),
        ({"images": np.full((6, 2), 255.0)}, r"values in \[0, 1\], found 255.0"),
        ({"images": np.full((6, 2), np.nan)}, r"values in \[0, 1\]"),
        ({"labels": np.array([0, 1, 2, 0, 1, -2])}, "labels: expected whole numbers"),
        ({"labels": np.linspace(0, 2, 6)}, "labels: expected whole numbers"),
        ({"labels": np.array([0, 1, 3, 0, 1, 3])}, r"every class.*found \[0, 1, 3\]"),
        ({"labels": np.array([0, 1, 1, 0, 1, 0])}, "at least 3"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(changes, message):
    arguments = {
        "images": np.linspace(0.0, 1.0, 12).reshape(6, 2),
        "labels": np.array([0, 1, 2, 0, 1, 2]),
        "layers": (4,),
        "recipe": "thesis",
        "seed": 0,
    }
    with pytest.raises(InputError, match=message):
        train(**{**arguments, **changes})


@pytest.mark.parametrize("numbers", [(0, None, 0.1), (1, -2, 0.1), (1, None, float("nan"))])
def test_recipes_of_no_steps_are_refused(numbers):
    with pytest.raises(InputError, match="positive epochs"):
        ScikitRecipe("x", *numbers)


def test_layers_that_are_not_dense_are_refused(digits):
    architecture = "conv(2, 1, 3, 3) / fc1352-10"
    with pytest.raises(InputError, match=r"recipe 'short': expected dense layers.*found conv"):
        train(digits.images, digits.labels, architecture, SHORT)


def test_hidden_sizes_and_their_architecture_give_the_same_network(digits):
    sizes = train(digits.images, digits.labels, (8,), SHORT)
    text = train(digits.images, digits.labels, "fc784-8 / fc8-10", SHORT)
    assert sizes.fingerprint == text.fingerprint
    assert text.metadata.recipe["architecture"] == "fc784-8 / fc8-10"


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_training_that_diverges_is_refused(digits):
    wild = ScikitRecipe("wild", epochs=3, batch_size=32, learning_rate=1e30)
    with pytest.raises(InputError, match="recipe 'wild': expected training to converge"):
        train(digits.images, digits.labels, (8,), wild)


def test_an_interrupted_training_gives_no_network(digits, monkeypatch):
    """scikit-learn turns Ctrl-C into a warning and a half-trained model."""
    from sklearn.neural_network import MLPClassifier

    steps = []

    class Interrupted(MLPClassifier):
        def _update_no_improvement_count(self, *arguments):
            steps.append(1)
            if len(steps) == 3:
                raise KeyboardInterrupt
            super()._update_no_improvement_count(*arguments)

    monkeypatch.setattr("sklearn.neural_network.MLPClassifier", Interrupted)
    with pytest.warns(UserWarning, match="interrupted"), pytest.raises(KeyboardInterrupt):
        train(digits.images, digits.labels, (8,), "thesis")


def test_without_scikit_learn_the_error_tells_how_to_get_it(digits, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("sklearn")]:
        monkeypatch.delitem(sys.modules, name)
    real = builtins.__import__

    def refuse(name, *rest):
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(EngineUnavailableError, match=re.escape(install_command("train"))):
        train(digits.images, digits.labels, (8,), "thesis")
