"""What people give: shapes, kinds, models and words, and sentences for what means nothing."""

import math
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from reluopt.asking.given import Inputs, as_method, as_network, chosen, labels_of
from reluopt.errors import InputError
from reluopt.networks.layers.base import Dense
from reluopt.networks.metadata import NetworkMetadata
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.saving import save_network
from reluopt.questions.problems import (
    AbsoluteMargin,
    AnyTarget,
    Blend,
    Box,
    FixedTarget,
    Norm,
    RelativeMargin,
    ShiftTarget,
)


def network_of(shape):
    size = math.prod(shape)
    weight = np.random.default_rng(0).normal(size=(3, size))
    return ReLUNetwork((Dense(weight, np.zeros(3)),), NetworkMetadata(input_shape=shape))


@pytest.mark.parametrize(
    ("seen", "given", "single"),
    [
        ((28, 28), (28, 28), True),
        ((28, 28), (784,), True),
        ((28, 28), (5, 784), False),
        ((28, 28), (5, 28, 28), False),
        ((28, 28), (5, 1, 28, 28), False),
        ((28, 28), (5, 28, 28, 1), False),
        ((28, 28), (1, 28, 28), False),
        ((28, 28), (28, 28, 1), True),
        ((1, 28, 28), (1, 28, 28), True),
        ((784,), (28, 28), True),
        ((4,), (4,), True),
        ((4,), (4, 4), False),
        ((1,), (1,), True),
        ((1,), (7, 1), False),
        ((3, 4, 5), (2, 3, 4, 5), False),
        ((3, 4, 5), (60,), True),
        ((28, 28), (0, 784), False),
    ],
)
def test_every_usual_shape_is_taken_and_given_back(seen, given, single):
    values = np.random.default_rng(1).uniform(size=given)
    inputs = Inputs.read(network_of(seen), values)
    assert inputs.single is single
    np.testing.assert_array_equal(inputs.flat, values.reshape(-1, math.prod(seen)))
    np.testing.assert_array_equal(inputs.back(inputs.flat), values[None] if single else values)


@pytest.mark.parametrize("given", [(4, 5, 3), (2, 4, 5, 3)])
def test_colours_at_the_end_are_turned_and_turned_back(given):
    values = np.random.default_rng(1).uniform(size=given)
    inputs = Inputs.read(network_of((3, 4, 5)), values)
    turned = np.moveaxis(values.reshape(-1, 4, 5, 3), 3, 1)
    np.testing.assert_array_equal(inputs.flat, turned.reshape(-1, 60))
    np.testing.assert_array_equal(inputs.back(inputs.flat), values.reshape(-1, 4, 5, 3))


@pytest.mark.parametrize(
    ("seen", "given"),
    [
        ((28, 28), (27, 28)),
        ((2, 3), (3, 2)),
        ((3, 4, 5), (3, 5, 4)),
        ((4,), ()),
        ((28, 28), (2, 3)),
    ],
)
def test_other_shapes_are_refused(seen, given):
    with pytest.raises(InputError, match=r"^x: expected one input of shape .* found shape"):
        Inputs.read(network_of(seen), np.zeros(given))


@pytest.mark.parametrize("given", ["seven", [[1.0], [2.0, 3.0]], [1.0j, 0.0]])
def test_what_is_no_array_is_refused(given):
    with pytest.raises(InputError, match=r"^x: expected an array of numbers, found"):
        Inputs.read(network_of((2,)), given)


def test_float32_rounds_towards_the_input():
    inputs = Inputs.read(network_of((1000,)), np.full(1000, 0.5, dtype=np.float32))
    images = np.random.default_rng(0).uniform(size=(1, 1000))
    rounded = inputs.rounded(images)
    assert (np.abs(rounded - 0.5) <= np.abs(images - 0.5)).all()
    np.testing.assert_allclose(rounded, images, atol=1e-7)
    np.testing.assert_array_equal(inputs.back(rounded), rounded)
    assert inputs.back(rounded).dtype == np.float32


def test_tensors_are_taken_and_given_back():
    torch = pytest.importorskip("torch")
    network = network_of((28, 28))
    one = Inputs.read(network, torch.rand(1, 28, 28, requires_grad=True))
    assert one.single  # channels, rows and columns
    back = one.back(one.flat)
    assert (back.shape, back.dtype) == (torch.Size([1, 1, 28, 28]), torch.float32)
    assert not Inputs.read(network, torch.rand(1, 784)).single
    assert not Inputs.read(network, torch.rand(1, 1, 28, 28)).single
    double = Inputs.read(network, torch.rand(2, 784, dtype=torch.float64))
    assert torch.equal(double.back(double.flat), double.given)
    assert labels_of(network, torch.tensor([1, 2]), double) == [1, 2]
    brief = torch.rand(2, 784, dtype=torch.bfloat16)  # which numpy lacks
    np.testing.assert_array_equal(Inputs.read(network, brief).flat, brief.double().numpy())


def test_labels_are_the_networks_unless_told():
    network = network_of((4,))
    inputs = Inputs.read(network, np.eye(4))
    assert labels_of(network, None, inputs) == network.predict(np.eye(4)).tolist()
    assert labels_of(network, 2, inputs) == [2, 2, 2, 2]
    assert labels_of(network, [0, 1, 2, 0], inputs) == [0, 1, 2, 0]
    for wrong in ([1, 2], 1.5, "1", True, [[0, 1, 2, 0]], [[0], [1, 2]]):
        with pytest.raises(InputError, match=r"^label: expected a whole number"):
            labels_of(network, wrong, inputs)


@pytest.mark.parametrize(
    ("what", "given", "meant"),
    [
        ("target", 3, FixedTarget(3)),
        ("target", np.int64(3), FixedTarget(3)),
        ("target", "3", FixedTarget(3)),
        ("target", "+5", ShiftTarget(5)),
        ("target", "any", AnyTarget()),
        ("target", AnyTarget(), AnyTarget()),
        ("norm", "l1", Norm.L1),
        ("norm", "Linf", Norm.LINF),
        ("norm", 2, Norm.L2),
        ("norm", math.inf, Norm.LINF),
        ("norm", "blend:0.5", Blend(0.5)),
        ("norm", Norm.L1, Norm.L1),
        ("margin", "x1.2", RelativeMargin(0.2)),
        ("margin", "+0.1", AbsoluteMargin(0.1)),
        ("margin", AbsoluteMargin(0.1), AbsoluteMargin(0.1)),
    ],
)
def test_words_mean_what_they_say(what, given, meant):
    assert chosen(what, given) == meant


@pytest.mark.parametrize(
    ("what", "given"),
    [
        *[("target", each) for each in ("three", "", 3.0, True, None, AnyTarget, [3])],
        *[("norm", each) for each in ("l3", 3, 2.0000001, math.nan, True, None, Norm, ("l1",))],
        *[("margin", each) for each in (1.2, 0, True, "1.2", "x0.5", None, RelativeMargin)],
    ],
)
def test_words_that_mean_nothing_are_refused_with_a_sentence(what, given):
    with pytest.raises(InputError, match=rf"^{what}: expected .*, found "):
        chosen(what, given)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (("bnx", 1.0, 1), "method 'bnx': expected engine auto"),
        ((None, 1.0, 1), "engine: expected a name"),
        (("auto", "1", 1), "time limit: expected a number"),
        (("auto", -1.0, 1), "time limit: expected seconds > 0"),
        (("auto", 1.0, 1.5), "threads: expected a whole number"),
        (("auto", 1.0, 0), "threads: expected 1 to"),
    ],
)
def test_settings_that_mean_nothing_are_refused(given, sentence):
    with pytest.raises(InputError, match=f"^{sentence}"):
        as_method(*given)


def test_a_network_may_be_a_name_a_file_or_itself(tmp_path):
    network = network_of((4,))
    path = Path(save_network(network, tmp_path / "net.safetensors") or tmp_path / "net.safetensors")
    assert as_network(network, np.zeros(4)) is network
    assert as_network(path, np.zeros(4)).fingerprint == network.fingerprint
    assert as_network(str(path), np.zeros(4)).fingerprint == network.fingerprint
    assert as_network("thesis", np.zeros(784)).sizes == (784, 32, 16, 10)
    with pytest.raises(InputError, match=r"^network: expected a ReLUNetwork.*found ndarray$"):
        as_network(np.zeros(3), np.zeros(4))


def test_a_box_goes_with_the_network():
    network, lower = network_of((4,)), [-1.0, 0.0, 0.0, 2.0]
    for box in ((lower, np.full(4, 3.0)), Box(np.array(lower), np.full(4, 3.0))):
        ends = as_network(network, np.zeros(4), box).metadata.input_ends()
        np.testing.assert_array_equal(ends, [lower, [3.0] * 4])
    np.testing.assert_array_equal(
        as_network(network, np.zeros(4), (-1, 2)).metadata.input_ends(), [[-1.0] * 4, [2.0] * 4]
    )
    for wrong in (3, (1, 0), (0, 1, 2), (0, math.inf), ("a", "b"), ([0, 0], [1, 1])):
        with pytest.raises(InputError, match=r"^(input_)?box: expected"):
            as_network(network, np.zeros(4), wrong)


@pytest.mark.parametrize(
    "given", [(784,), (28, 28), (1, 28, 28), (2, 784), (2, 28, 28), (2, 1, 28, 28)]
)
def test_modules_are_read_for_the_shape_of_the_inputs(given):
    torch = pytest.importorskip("torch")
    nn = torch.nn
    flat = nn.Sequential(nn.Linear(784, 5), nn.ReLU(), nn.Linear(5, 3))
    images = nn.Sequential(nn.Conv2d(1, 2, 7, 7), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3))
    x = torch.rand(given)
    modules = ((flat, (784,)), (images, (1, 28, 28)))
    for module, shape in modules[: 1 if given[-1] == 784 else 2]:
        network = as_network(module, x)
        inputs = Inputs.read(network, x)
        assert inputs.single is (len(given) == 1 or given in ((28, 28), (1, 28, 28)))
        expected = module(x.reshape(-1, *shape)).detach().numpy()
        np.testing.assert_allclose(network.forward(inputs.flat), expected, atol=1e-5)


def test_a_module_that_cannot_be_read_says_why():
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Sigmoid())
    with pytest.raises(InputError, match=r"\(Sigmoid\): expected one of Linear"):
        as_network(module, torch.rand(5, 4))


def test_no_framework_is_imported_to_recognise_its_models():
    code = (
        "import sys, numpy, reluopt; reluopt.nearest('thesis', numpy.zeros(784), 'l1');"
        "print([name for name in ('torch', 'keras', 'sklearn', 'matplotlib', 'pandas', 'onnx')"
        " if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_keras_models_take_their_own_images():
    keras = pytest.importorskip("keras")
    layers = keras.layers
    model = keras.Sequential(
        [layers.Input((6, 5, 3)), layers.Conv2D(2, 2, activation="relu"), layers.Flatten(),
         layers.Dense(3)]
    )  # fmt: skip
    x = np.random.default_rng(0).uniform(size=(2, 6, 5, 3)).astype(np.float32)
    network = as_network(model, x)
    logits = network.forward(Inputs.read(network, x).flat)
    expected = keras.ops.convert_to_numpy(model(x))
    np.testing.assert_allclose(logits, expected, atol=1e-5)


def test_estimators_are_read():
    neural = pytest.importorskip("sklearn.neural_network")
    x = np.random.default_rng(0).uniform(size=(40, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator = neural.MLPClassifier((4,), max_iter=5, random_state=0).fit(x, np.arange(40) % 3)
    network = as_network(estimator, x)
    np.testing.assert_array_equal(network.predict(x), estimator.predict(x))


@pytest.mark.parametrize(
    ("scale", "words"),
    [(255.0, r"found 0 to 255: divide by 255, or say with box="), (2.0, r"found 0 to 2: say with")],
)
def test_inputs_in_other_units_are_told_apart(thesis, test_images, scale, words):
    pixels = test_images.images[0] / test_images.images[0].max() * scale
    with pytest.raises(InputError, match=rf"x: expected values in \[0, 1\].*{words}"):
        Inputs.read(thesis, pixels).refuse_outside(thesis)
