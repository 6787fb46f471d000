"""Networks written as ONNX files: what others run, and what is read back, is the network."""

import numpy as np
import pytest

from reluopt.errors import InputError
from reluopt.networks.layers.base import Dense, ElementwiseLayer
from reluopt.networks.layers.chain import Chain
from reluopt.networks.layers.conv2d import Conv2d
from reluopt.networks.layers.elementwise import LeakyReLU, Permute, Scale
from reluopt.networks.layers.pooling import AveragePool2d, MaxPool2d
from reluopt.networks.layers.windows import Windows
from reluopt.networks.loading import load_network
from reluopt.networks.metadata import NetworkMetadata
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.saving import save_network
from reluopt.networks.zoo import bundled_names, load_bundled

onnx = pytest.importorskip("onnx")
RANDOM = np.random.default_rng(0)


def single(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


def dense(inputs, outputs):
    return Dense(single(outputs, inputs), single(outputs))


def conv(shape, outputs, kernel, groups=1, **options):
    weight = single(outputs, shape[0] // groups, *kernel)
    return Conv2d(weight, single(outputs), Windows(shape, kernel, **options), groups)


def everything():
    """Every kind of layer, windows of every kind, and orders that are axes and that are none."""
    return (
        Chain((Scale(single(60), single(60)), conv((2, 6, 5), 4, (3, 2), 2, padding=(1, 0, 2, 1)))),
        Chain((MaxPool2d(Windows((4, 7, 5), (3, 2), (2, 2), ceil=True)), LeakyReLU(36, 0.25))),
        conv((4, 3, 3), 3, (2, 2), dilation=(2, 1), padding=(1, 1, 1, 1), stride=(1, 2)),
        Chain(
            (
                AveragePool2d(Windows((3, 3, 2), (2, 2), padding=(1, 0, 0, 1)), False),
                AveragePool2d(Windows((3, 3, 2), (2, 2), (2, 1), ceil=True), False),
                Permute.of_axes((3, 2, 1), (1, 2, 0)),
                dense(6, 7),
            )
        ),
        Permute(RANDOM.permutation(7)),
        dense(7, 3),
    )


def outputs(path, network, inputs, shape):
    """What onnxruntime computes."""
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    (value,) = session.get_inputs()
    assert value.name == "input"
    assert value.shape == ["batch", *shape]
    kind = {"tensor(float)": np.float32, "tensor(double)": np.float64}[value.type]
    batch = inputs.reshape(-1, *shape).astype(kind)
    (found,) = session.run(["logits"], {"input": batch})
    return found


def test_every_layer_is_run_by_others_and_read_back(tmp_path):
    network = ReLUNetwork(everything(), NetworkMetadata("all", (2, 6, 5)))
    path = tmp_path / "net.onnx"
    save_network(network, path)
    inputs = RANDOM.normal(size=(20, 60))
    expected = network.forward(inputs)
    found = outputs(path, network, inputs, (2, 6, 5))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    back = load_network(path)
    np.testing.assert_allclose(back.forward(inputs), expected, rtol=1e-12, atol=1e-12)
    assert back.input_shape == (2, 6, 5)


@pytest.mark.parametrize("name", bundled_names())
def test_bundled_networks_come_back_as_they_were(tmp_path, name):
    network = load_bundled(name)
    save_network(network, tmp_path / "net.ONNX")
    back = load_network(tmp_path / "net.ONNX")
    assert back.fingerprint == network.fingerprint
    assert back.input_shape == network.input_shape
    images = RANDOM.random((5, 784))
    found = outputs(tmp_path / "net.ONNX", network, images, (1, 28, 28))
    np.testing.assert_allclose(found, network.forward(images), rtol=1e-4, atol=1e-4)


def test_numbers_of_float64_stay_so(tmp_path):
    layers = (Dense(RANDOM.normal(size=(4, 5)), RANDOM.normal(size=4)), dense(4, 2))
    network = ReLUNetwork(layers)
    save_network(network, tmp_path / "net.onnx")
    assert load_network(tmp_path / "net.onnx").fingerprint == network.fingerprint
    inputs = RANDOM.random((5, 5))
    found = outputs(tmp_path / "net.onnx", network, inputs, (5,))
    np.testing.assert_allclose(found, network.forward(inputs), rtol=1e-13)


def test_convolutions_of_float64_are_read_back_exactly(tmp_path):
    first = Conv2d(RANDOM.normal(size=(2, 1, 2, 2)), np.zeros(2), Windows((1, 3, 4), (2, 2)))
    network = ReLUNetwork((first, dense(12, 2)), NetworkMetadata(input_shape=(12,)))
    save_network(network, tmp_path / "net.onnx")
    inputs = RANDOM.random((5, 12))
    back = load_network(tmp_path / "net.onnx")
    np.testing.assert_array_equal(back.forward(inputs), network.forward(inputs))


class Absolute(ElementwiseLayer):
    """A layer that the writer does not know."""

    kind = "absolute"

    @property
    def input_size(self):
        return 3

    def forward(self, values):
        return np.abs(values)

    def lower(self):
        eye = np.eye(3)
        both = Dense(np.concatenate([eye, -eye]), np.zeros(6))
        return both, Dense(np.concatenate([eye, eye], axis=1), np.zeros(3))


def test_a_layer_without_an_operator_is_written_as_what_it_lowers_to(tmp_path):
    network = ReLUNetwork((dense(4, 3), Absolute(), dense(3, 2)))
    save_network(network, tmp_path / "net.onnx")
    inputs = RANDOM.normal(size=(9, 4))
    back = load_network(tmp_path / "net.onnx")
    np.testing.assert_allclose(back.forward(inputs), network.forward(inputs), rtol=1e-12)


def test_a_file_that_does_something_else_is_not_written(tmp_path, monkeypatch):
    from reluopt.networks.writers import onnx as writer

    monkeypatch.setitem(writer._WRITE, LeakyReLU, lambda layer, graph: True)
    network = ReLUNetwork((Chain((dense(4, 3), LeakyReLU(3, 0.5))),))
    with pytest.raises(InputError, match="expected an ONNX file that agrees"):
        save_network(network, tmp_path / "net.onnx")
    assert not (tmp_path / "net.onnx").exists()


def test_a_slope_that_float32_lacks_is_rounded(tmp_path):
    network = ReLUNetwork((Chain((dense(4, 3), LeakyReLU(3, 0.1))),))
    save_network(network, tmp_path / "net.onnx")
    slope = load_network(tmp_path / "net.onnx").layers[0].parts[1].slope
    assert slope == float(np.float32(0.1))
