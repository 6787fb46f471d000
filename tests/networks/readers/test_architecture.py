"""Architectures as texts: what they mean, and what is none."""

import warnings

import numpy as np
import pytest
from safetensors.numpy import save_file

from reluopt.errors import AssumptionWarning, InputError
from reluopt.networks.loading import load_network
from reluopt.networks.metadata import ActivationSource
from reluopt.networks.readers.architecture import parse_architecture

SMALL = "conv(4, 1, 3, 3) s2 p1 / maxpool2 / conv(3, 4, 2, 2) / fc27-5 / leaky0.1 / fc5-3"


def tensors(seed=0):
    random = np.random.default_rng(seed)
    shapes = {"0": (4, 1, 3, 3), "2": (3, 4, 2, 2), "5": (5, 27), "10": (3, 5)}
    found = {f"{name}.weight": random.normal(size=shape) for name, shape in shapes.items()}
    found |= {f"{name}.bias": random.normal(size=shape[0]) for name, shape in shapes.items()}
    return {name: array.astype(np.float32) for name, array in found.items()}


def by_hand(arrays, image):
    """The network of :data:`SMALL` written out in loops."""

    def conv(values, name, stride, padding):
        weight, bias = arrays[f"{name}.weight"].astype(float), arrays[f"{name}.bias"].astype(float)
        padded = np.pad(values, ((0, 0), (padding,) * 2, (padding,) * 2))
        size = (padded.shape[1] - weight.shape[2]) // stride + 1
        out = np.empty((len(weight), size, size))
        for o, y, x in np.ndindex(out.shape):
            rows = slice(y * stride, y * stride + weight.shape[2])
            columns = slice(x * stride, x * stride + weight.shape[3])
            out[o, y, x] = (weight[o] * padded[:, rows, columns]).sum() + bias[o]
        return out

    values = np.maximum(conv(image[None], "0", 2, 1), 0.0)
    size = values.shape[1] // 2
    values = values[:, : 2 * size, : 2 * size].reshape(4, size, 2, size, 2).max(axis=(2, 4))
    values = np.maximum(conv(values, "2", 1, 0), 0.0).ravel()
    values = arrays["5.weight"].astype(float) @ values + arrays["5.bias"]
    values = np.where(values > 0.0, values, 0.1 * values)
    return arrays["10.weight"].astype(float) @ values + arrays["10.bias"]


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.safetensors"
    save_file(tensors(), path, metadata={"architecture": SMALL, "input": "16x16 pixels"})
    return path


def test_a_network_is_put_together_as_the_text_says(small):
    network = load_network(small, architecture=SMALL)
    assert network.input_shape == (16, 16)
    assert network.metadata.activation is ActivationSource.STATED
    for seed in range(5):
        image = np.random.default_rng(seed).random((16, 16))
        expected = by_hand(tensors(), image)
        np.testing.assert_allclose(network.forward(image), expected, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(
            network.pre_activations(image)[-1], expected, rtol=1e-10, atol=1e-10
        )


def test_the_metadata_tell_the_architecture_but_no_relus(small):
    with pytest.warns(AssumptionWarning):
        network = load_network(small)
    assert network.metadata.activation is ActivationSource.ASSUMED
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_network(small, activation="relu").fingerprint == network.fingerprint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (" / ", "expected 1 to"),
        ("conv(1, 2)", "expected steps such as"),
        ("fc10", "expected steps such as"),
        ("softmax", "found 'softmax'"),
        ("conv(4, 1, 3, 3) s2 p1 / fc27-5", "step 2|expected rows and columns"),
        (SMALL.replace("fc27-5", "fc28-5"), r"expected a matrix|weight of shape \(5, 28\)"),
        (SMALL.replace("(3, 4, 2, 2)", "(3, 4, 2, 3)"), r"weight of shape \(3, 4, 2, 3\)"),
        (SMALL + " / fc3-3", "none left"),
        (SMALL.replace("fc5-3", "fc5-3 s2"), "padding of windows only"),
        (SMALL.replace("leaky0.1", "leaky0.1 p1"), "padding of windows only"),
        (SMALL.replace("3) s2", "3) s0"), "stride from 1 on"),
        (SMALL.replace(" / fc5-3", ""), "expected a step for it"),
        ("leaky2.5 / fc784-10", "slope|shape"),
    ],
)
def test_what_is_no_architecture_of_the_tensors_is_refused(small, text, message):
    with pytest.raises(InputError, match=message):
        load_network(small, architecture=text)


def test_sides_that_the_steps_leave_open_are_asked_for(tmp_path):
    path = tmp_path / "open.safetensors"
    arrays = {"a.weight": np.ones((1, 1, 2, 2), np.float32), "a.bias": np.ones(1, np.float32)}
    arrays |= {"b.weight": np.ones((2, 4), np.float32), "b.bias": np.ones(2, np.float32)}
    save_file(arrays, path)
    text = "conv(1, 1, 2, 2) s2 / fc4-2"
    with pytest.raises(InputError, match="found 4 x 4 or 5 x 5"):
        load_network(path, architecture=text)
    assert load_network(path, (5, 5), architecture=text).input_size == 25


def test_equal_tensors_whose_names_have_no_order_are_refused(tmp_path):
    """As they are without the text: input, hidden, output would be read as hidden, input."""
    path = tmp_path / "names.safetensors"
    names, random = ("input", "hidden", "output"), np.random.default_rng(0)
    arrays = {f"{n}.weight": random.normal(size=(4, 4)).astype(np.float32) for n in names}
    arrays |= {f"{n}.bias": np.zeros(4, np.float32) for n in names}
    save_file(arrays, path)
    with pytest.raises(InputError, match="number the names in the order"):
        load_network(path, architecture="fc4-4 / fc4-4 / fc4-4")
    numbers = dict(zip(names, ("1", "2", "10"), strict=True))
    numbered = {
        f"{number}.{part}": arrays[f"{name}.{part}"]
        for name, number in numbers.items()
        for part in ("weight", "bias")
    }
    save_file(numbered, path)
    network = load_network(path, architecture="fc4-4 / fc4-4 / fc4-4")
    last = network.affine_layers[-1].weight
    np.testing.assert_array_equal(last, arrays["output.weight"].astype(float))


def test_same_padding_and_the_order_of_a_flattened_image(tmp_path):
    """By TensorFlow's rule, one more row goes behind."""
    random, path = np.random.default_rng(0), tmp_path / "net.safetensors"
    arrays = {"0.weight": random.normal(size=(2, 1, 2, 2)), "0.bias": random.normal(size=2)}
    arrays |= {"1.weight": random.normal(size=(3, 18)), "1.bias": random.normal(size=3)}
    save_file(arrays, path)
    text = "conv(2, 1, 2, 2) psame / flatten-hwc / fc18-3"
    network = load_network(path, architecture=text)
    image = random.normal(size=(3, 3))
    padded, values = np.pad(image, ((0, 1), (0, 1))), np.empty((3, 3, 2))
    for y, x in np.ndindex(3, 3):
        window = padded[y : y + 2, x : x + 2]
        values[y, x] = (arrays["0.weight"][:, 0] * window).sum(axis=(1, 2)) + arrays["0.bias"]
    expected = arrays["1.weight"] @ np.maximum(values, 0.0).ravel() + arrays["1.bias"]
    np.testing.assert_allclose(network.forward(image), expected, rtol=1e-12)
    with pytest.raises(InputError, match="expected channels x rows x columns"):
        load_network(path, architecture=text.replace("/ fc", "/ flatten-hwc / fc"))


def test_stride_padding_and_slope_are_read():
    steps = parse_architecture("conv(16, 1, 4, 4) s2 p1\nleaky0.2\navgpool3 s1 p1\nfc16-10")
    assert [step.kind for step in steps] == ["conv", "leaky", "avgpool", "fc"]
    assert (steps[0].stride, steps[0].padding, steps[1].slope, steps[2].stride) == (2, 1, 0.2, 1)
