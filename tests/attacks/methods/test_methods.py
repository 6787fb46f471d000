"""Attacks by name: inside ball and box, and as published where that is one formula."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reluopt.attacks.criteria import Misclassification
from reluopt.attacks.methods import METHODS
from reluopt.attacks.methods.base import AttackMethod, parse_method
from reluopt.attacks.methods.bim import Bim
from reluopt.attacks.methods.fgsm import Fgsm
from reluopt.attacks.methods.pgd import Pgd
from reluopt.errors import InputError
from reluopt.networks.zoo import load_bundled
from reluopt.questions.problems import Box, Norm

QUICK = {"bim": {"steps": 3}, "pgd": {"steps": 3}, "lippa": {"regions": 2, "steps": 5}}


@pytest.mark.parametrize("name", METHODS.names)
@settings(max_examples=25)
@given(
    seed=st.integers(0, 10**6),
    norm=st.sampled_from(list(Norm)),
    eps=st.floats(0.0, 0.5) | st.floats(0.0, 1e-14),
    wide=st.booleans(),
    predicted=st.booleans(),
)
@example(seed=0, norm=Norm.L1, eps=5e-324, wide=False, predicted=False)
def test_inside_ball_and_box_and_never_worse(make_network, name, seed, norm, eps, wide, predicted):
    network = make_network((6, 7, 5, 3), seed)
    generator = np.random.default_rng(seed)
    images, labels = generator.random((4, 6)), generator.integers(0, 3, 4)
    labels = network.predict(images) if predicted else labels
    box = Box(np.full(6, -eps), np.full(6, 1.0 + eps)) if wide else Box.unit(6)
    criterion = Misclassification(labels, ties=True)
    made = parse_method(name, **QUICK.get(name, {}))(
        network, images, criterion, eps, norm=norm, box=box
    )
    assert made.shape == images.shape
    assert max(map(box.violation, made)) == 0.0
    assert (norm.lengths(made - images) <= eps).all()
    # What is misread already is left alone.
    before = criterion.success(network.forward(images))
    np.testing.assert_array_equal(made[before], images[before])
    logits = network.forward(made)
    own = logits[np.arange(4), labels]
    others = np.where(np.eye(3)[labels] > 0.0, -np.inf, logits).max(axis=1)
    np.testing.assert_array_equal(criterion.success(logits), others >= own)


def _gradient(network, images, labels):
    ascent = Misclassification(labels).ascent(network.forward(images))
    return network.gradient(images, ascent)


def test_fgsm_is_one_signed_step(thesis, test_images):
    images, labels = test_images.images[:20].reshape(20, -1), test_images.labels[:20]
    images = images[thesis.predict(images) == labels]
    labels = thesis.predict(images)
    signs = np.sign(_gradient(thesis, images, labels))
    expected = images + 0.02 * signs
    wide = Box(np.full(784, -0.02), np.full(784, 1.02))
    criterion = Misclassification(labels, ties=True)
    np.testing.assert_allclose(
        Fgsm()(thesis, images, criterion, 0.02, box=wide), expected, atol=1e-12
    )
    inside = Fgsm()(thesis, images, criterion, 0.02)
    np.testing.assert_allclose(inside, np.clip(expected, 0.0, 1.0), atol=1e-12)


def test_a_gradient_step_is_that_of_pytorch(test_images):
    """FGSM on two convolutions, by autograd of float64 tensors."""
    torch = pytest.importorskip("torch")
    network = load_bundled("cnn-small")
    images, labels = test_images.images[:10], test_images.labels[:10]
    values = points = torch.tensor(images[:, None], requires_grad=True)
    for layer in network.layers[:2]:
        weight, bias = (torch.tensor(each) for each in (layer.weight, layer.bias))
        values = torch.relu(torch.nn.functional.conv2d(values, weight, bias, stride=2, padding=1))
    first, last = network.layers[2:]
    hidden = torch.relu(values.flatten(1) @ torch.tensor(first.weight.T) + torch.tensor(first.bias))
    logits = hidden @ torch.tensor(last.weight.T) + torch.tensor(last.bias)
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor(labels), reduction="sum")
    (slope,) = torch.autograd.grad(loss, points)
    expected = np.clip(images + 0.1 * np.sign(slope.numpy()[:, 0]), 0.0, 1.0)
    made = Fgsm()(network, images, Misclassification(labels), 0.1)
    # Where padding and silent neurons leave no slope, both see signs of nothing.
    close = np.isclose(made, expected, atol=1e-9)
    assert close[np.abs(slope.numpy()[:, 0]) > 1e-12].all()
    assert close.mean() > 0.9


def test_bim_takes_grey_levels_and_as_many_steps_as_published():
    images = np.zeros((1, 1))
    for levels in range(4, 17, 4):
        assert Bim().plan(levels / 255, images)["steps"] == 1.25 * levels
    assert Bim().plan(1e-12, images)["steps"] == 1
    assert Bim().plan(32 / 255, images)["steps"] == 36  # 32 + 4
    assert Bim().plan(8 / 255, images)["step_size"] == pytest.approx(1 / 8)
    assert Bim(steps=3, step_size=0.01).plan(0.02, images) == {
        "steps": 3, "step_size": 0.5, "random_start": False,
    }  # fmt: skip


def test_more_steps_and_restarts_fool_more(thesis, test_images):
    images, labels = test_images.images[:60], test_images.labels[:60]
    criterion = Misclassification(labels, ties=True)

    def fooled(method):
        made = method(thesis, images, criterion, 0.03)
        assert made.shape == (60, 28, 28)
        return int((thesis.predict(made) != labels).sum())

    weak, strong = fooled(Fgsm()), fooled(Pgd(restarts=2))
    assert 5 < weak <= fooled(Bim()) <= strong < 60


def test_random_starts_do_not_depend_on_the_rest_of_the_batch(thesis, test_images):
    images, labels = test_images.images[:6].reshape(6, -1), test_images.labels[:6]
    attack = Pgd(steps=2, seed=3)
    together = attack(thesis, images, Misclassification(labels), 0.001)
    for i in range(6):
        alone = attack(thesis, images[i], Misclassification(labels[i : i + 1]), 0.001)
        assert alone.shape == (784,)
        np.testing.assert_allclose(alone, together[i], atol=1e-12)
    other = Pgd(steps=2, seed=4)(thesis, images, Misclassification(labels), 0.001)
    assert not np.allclose(other, together, atol=1e-6)


def test_float32_loses_the_true_label_of_a_sure_image():
    logits = np.array([[30.0, 0.0, 0.0]])
    exact, rounded = (Misclassification([0], float32=s).ascent(logits)[0] for s in (False, True))
    assert exact[0] < 0.0
    assert rounded[0] == 0.0
    np.testing.assert_allclose(exact[1:], rounded[1:], rtol=1e-6)


def test_ties_count_where_they_are_asked_for():
    logits = np.array([[1.0, 1.0], [1.0, 0.0]])
    assert Misclassification([0, 0], ties=True).success(logits).tolist() == [True, False]
    assert Misclassification([0, 0]).success(logits).tolist() == [False, False]


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("cw", {}, "method: expected one of fgsm, bim, pgd, lippa, found 'cw'"),
        ("fgsm", {"steps": 2}, "method fgsm: expected no settings, found steps"),
        ("bim", {"restarts": 2}, "method bim: expected one of steps, step_size, found restarts"),
        ("bim", {"steps": 0}, "steps: expected at least 1, found 0"),
        ("pgd", {"restarts": 0}, "restarts: expected at least 1, found 0"),
        ("pgd", {"seed": -1}, "seed: expected at least 0, found -1"),
        ("pgd", {"seed": 1 << 32}, "seed: expected less than 2\\^32"),
        ("pgd", {"step_size": 0.0}, "step_size: expected a finite length > 0, found 0.0"),
        ("lippa", {"step_size": np.nan}, "step_size: expected a finite length > 0, found nan"),
        ("lippa", {"regions": 0}, "regions: expected at least 1, found 0"),
        ("lippa", {"time_limit": 0.0}, "time_limit: expected seconds > 0, found 0.0"),
    ],
)
def test_bad_settings_are_named(name, given, message):
    with pytest.raises(InputError, match=message):
        parse_method(name, **given)


@pytest.mark.parametrize("name", METHODS.names)
@pytest.mark.parametrize("eps", [-0.1, np.nan, np.inf])
def test_what_is_no_radius_is_refused(make_network, name, eps):
    network, images = make_network((4, 5, 3), 0), np.full((1, 4), 0.5)
    label = network.predict(images)
    with pytest.raises(InputError, match="eps"):
        parse_method(name)(network, images, Misclassification(label), eps)


@pytest.mark.parametrize("name", METHODS.names)
def test_images_and_labels_must_fit(make_network, name):
    network, method = make_network((4, 5, 3), 0), parse_method(name)
    with pytest.raises(InputError, match="images: expected values inside the box"):
        method(network, np.full((1, 4), 1.5), Misclassification([0]), 0.1)
    with pytest.raises(InputError, match="labels: expected one for each of 2 images"):
        method(network, np.full((2, 4), 0.5), Misclassification([0]), 0.1)


@dataclass(frozen=True)
class White(AttackMethod):
    """Every pixel is raised."""

    name = "white"

    def __call__(self, network, images, criterion, eps, *, norm=Norm.LINF, box=None):
        return np.clip(np.asarray(images) + eps, 0.0, 1.0)


def test_a_toy_is_one_class_and_one_line(run, monkeypatch):
    monkeypatch.setattr(METHODS, "_makers", {**METHODS._makers})
    METHODS.add("white", White)
    code, out, _ = run("attack", "thesis", "--images", "test:0-9", "--method", "white", "--eps", 1)
    assert code == 0
    assert "white within 1 in the Linf norm" in out
