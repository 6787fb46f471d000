"""Training by PyTorch: any architecture, the same network again, and what is refused."""

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
from reluopt.networks.saving import save_network
from reluopt.networks.training import RECIPES
from reluopt.networks.training.plan import initial_parameters, plan_of
from reluopt.networks.training.training import check_plan, train, train_and_test

torch = pytest.importorskip("torch")

SHORT = RECIPES.load("torch").adjusted(epochs=8, batch_size=32, learning_rate=0.005)
CONV = "conv(4, 1, 4, 4) s2 p1 / maxpool2 / fc196-16 / leaky0.1 / fc16-10"


@pytest.fixture(scope="module")
def digits():
    return load_images("train").subset(range(600))


@pytest.fixture(scope="module")
def small(digits):
    return train(digits.images, digits.labels, CONV, SHORT, seed=3)


def test_a_convolutional_network_learns(digits, small):
    unseen = load_images("test").subset(range(500))
    assert [layer.kind for layer in small.layers] == ["conv2d", "chain"]
    assert small.input_shape == (28, 28)
    assert evaluate(small, digits.images, digits.labels).accuracy > 0.85
    assert evaluate(small, unseen.images, unseen.labels).accuracy > 0.7


@pytest.mark.parametrize("text", [CONV, "conv(3, 1, 5, 5) s3 / avgpool3 s2 p1 / fc48-10"])
def test_what_torch_trains_is_what_the_network_computes(text, digits):
    """The step from torch to the network loses nothing but float32."""
    from reluopt.networks.training.torch_recipe import model_of

    plan = plan_of(text, (28, 28), 10)
    parameters = initial_parameters(plan.steps, 5)
    parameters = [(w, np.linspace(-0.2, 0.2, len(b), dtype=np.float32)) for w, b in parameters]
    leaves = [torch.from_numpy(array) for pair in parameters for array in pair]
    images = digits.images[:50]
    values = torch.from_numpy(images.reshape(50, -1).astype(np.float32))
    expected = model_of(plan, leaves)(values).numpy()
    found = plan.network(parameters).forward(images.reshape(50, -1))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.ptp(expected) > 0.1


def test_the_same_seed_gives_the_same_network_whatever_was_drawn_before(digits, small):
    torch.manual_seed(99)
    threads = torch.get_num_threads()
    again, other = (train(digits.images, digits.labels, CONV, SHORT, seed) for seed in (3, 4))
    assert small.fingerprint == again.fingerprint != other.fingerprint
    assert torch.get_num_threads() == threads


def test_recipe_and_architecture_are_recorded_and_survive_the_file(digits, small, tmp_path):
    recipe = small.metadata.recipe
    assert (recipe["name"], recipe["epochs"], recipe["seed"]) == ("torch", 8, 3)
    assert recipe["steps"] == 8 * 19
    assert recipe["architecture"] == CONV
    assert set(recipe["versions"]) == {"numpy", "torch"}
    save_network(small, tmp_path / "small.safetensors")
    loaded = load_network(tmp_path / "small.safetensors")
    assert (loaded.fingerprint, loaded.metadata) == (small.fingerprint, small.metadata)


def test_colours_and_two_classes_are_learnt():
    """Red against blue, 3 x 6 x 6."""
    random = np.random.default_rng(0)
    labels = np.arange(64) % 2
    images = 0.2 * random.random((64, 3, 6, 6))
    images[labels == 0, 0] += 0.5
    images[labels == 1, 2] += 0.5
    network = train(images, labels, "conv(4, 3, 3, 3) s3 / fc16-2", SHORT)
    assert network.input_shape == (3, 6, 6)
    assert evaluate(network, images, labels).accuracy > 0.95


def test_adversarial_training_is_measured_and_withstands_more(digits):
    unseen = load_images("test").subset(range(300))
    pgd = RECIPES.load("pgd").adjusted(
        epochs=12, batch_size=32, learning_rate=0.005, eps=0.05, pgd_steps=5
    )
    plain = SHORT.adjusted(epochs=12)
    hard = train_and_test(digits, unseen, (24,), pgd)
    assert hard.metadata.test_accuracy > 0.6
    recipe = hard.metadata.recipe
    assert (recipe["eps"], recipe["pgd_steps"], recipe["pgd_step_size"]) == (0.05, 5, 0.025)
    measured = recipe["pgd_test"]
    assert measured["eps"] == 0.05
    assert 0.25 < measured["accuracy"] < hard.metadata.test_accuracy
    assert _under_attack(hard, unseen) > _under_attack(
        train(*_arrays(digits), (24,), plain), unseen
    )
    again = train_and_test(digits, unseen, (24,), pgd)
    assert again.fingerprint == hard.fingerprint
    assert again.metadata == hard.metadata


def _arrays(data):
    return data.images, data.labels


def _under_attack(network, data, eps=0.05):
    """Share of images that one step along the gradient's sign leaves correct."""
    weights = -np.eye(10)[data.labels] + np.eye(10)[network.predict(data.images)]
    weights += 0.1 - np.eye(10)[data.labels]
    slope = network.gradient(data.images, weights)
    moved = np.clip(data.images.reshape(len(data), -1) + eps * np.sign(slope), 0.0, 1.0)
    return evaluate(network, moved, data.labels).accuracy


@pytest.mark.parametrize("random_start", [False, True])
def test_adversarial_images_stay_within_eps_and_raise_the_loss(digits, random_start):
    from reluopt.networks.training.torch_recipe import model_of

    pgd = replace(RECIPES.load("pgd"), random_start=random_start)
    plan = plan_of((16,), (28, 28), 10)
    parameters = initial_parameters(plan.steps, 0)
    leaves = [torch.from_numpy(array) for pair in parameters for array in pair]
    model = model_of(plan, leaves)
    images = torch.from_numpy(digits.images[:40].reshape(40, -1).astype(np.float32))
    labels = torch.from_numpy(digits.labels[:40])
    found = pgd.seen(model, images, labels, torch.Generator().manual_seed(0))
    assert float((found - images).abs().max()) == pytest.approx(pgd.eps, abs=1e-6)
    assert float(found.min()) >= 0.0
    assert float(found.max()) <= 1.0
    loss = torch.nn.functional.cross_entropy
    assert float(loss(model(found), labels)) > float(loss(model(images), labels)) + 0.3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("conv(4, 1, 4, 4) s2 p1 / fc700-10", "input_shape|step 2"),
        ("conv(4, 3, 4, 4) s2 p1 / fc784-10", "step 1"),
        ("conv(4, 1, 4, 4) s2 p1 / fc784-9", "expected 784 inputs and 10 outputs"),
        ("fc100-10", "expected 784 inputs and 10 outputs"),
        ("blur3", "architecture: expected steps"),
    ],
)
def test_architectures_that_do_not_fit_are_refused(digits, text, message):
    with pytest.raises(InputError, match=message):
        train(digits.images, digits.labels, text, SHORT)


@pytest.mark.parametrize(
    "changes", [{"eps": 0.0}, {"eps": 1.5}, {"eps": float("nan")}, {"pgd_steps": 0},
                {"pgd_step_size": -1.0}]
)  # fmt: skip
def test_attacks_that_are_none_are_refused(changes):
    with pytest.raises(InputError, match=r"recipe: expected eps in \(0, 1\]"):
        RECIPES.load("pgd").adjusted(**changes)


@pytest.mark.parametrize(("name", "setting"), [("torch", "eps"), ("thesis", "pgd_steps")])
def test_settings_that_a_recipe_has_not_are_refused(name, setting):
    option = setting.replace("_", "-")
    with pytest.raises(InputError, match=f"--{option}: expected a recipe .*found '{name}'"):
        RECIPES.load(name).adjusted(**{setting: 1})


def test_training_that_diverges_is_refused(digits):
    wild = SHORT.adjusted(learning_rate=1e30)
    with pytest.raises(InputError, match="recipe 'torch': expected training to converge"):
        train(digits.images, digits.labels, (8,), wild)


def test_without_torch_the_error_tells_how_to_get_it(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch")
    real = builtins.__import__

    def refuse(name, *rest):
        if name.startswith("torch"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(EngineUnavailableError, match=re.escape(install_command("torch"))):
        check_plan((8,), "torch")
