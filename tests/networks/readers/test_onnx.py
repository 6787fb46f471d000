"""ONNX files: the reader beside the ONNX reference implementation."""

import gzip
import sys
from contextlib import suppress

import numpy as np
import pytest

from reluopt.errors import InputError, NoteWarning
from reluopt.networks.loading import load_network
from reluopt.networks.saving import save_network

onnx = pytest.importorskip("onnx")
helper, numpy_helper = pytest.importorskip("onnx.helper"), pytest.importorskip("onnx.numpy_helper")


class Builder:
    """A chain of nodes with random constants."""

    def __init__(self, *shape, seed=0):
        self.random = np.random.default_rng(seed)
        self.nodes, self.constants, self.last = [], [], "x"
        self.shape = shape

    def add(self, kind, *constants, first=True, **attributes):
        names = []
        for values in constants:
            names.append(f"c{len(self.constants)}")
            self.constants.append(numpy_helper.from_array(np.asarray(values), names[-1]))
        inputs = [self.last, *names] if first else [*names, self.last]
        self.last = f"v{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(kind, inputs, [self.last], self.name(kind), **attributes)
        )
        return self

    def name(self, kind):
        """The kind, and a number for a second one of it, since names are unique."""
        same = sum(node.op_type == kind for node in self.nodes)
        return f"{kind.lower()}{same or ''}"

    def weights(self, *shape):
        return self.random.normal(size=shape).astype(np.float32)

    def save(self, path, packed=False):
        kind = onnx.TensorProto.FLOAT
        inputs = [helper.make_tensor_value_info("x", kind, [1, *self.shape])]
        outputs = [helper.make_tensor_value_info(self.last, kind, ["n", "m"])]
        graph = helper.make_graph(self.nodes, "g", inputs, outputs, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)])
        data = model.SerializeToString()
        path.write_bytes(gzip.compress(data) if packed else data)
        return path


def reference(path, inputs, shape):
    from onnx.reference import ReferenceEvaluator

    evaluator = ReferenceEvaluator(onnx.load(path))
    rows = [row.reshape(1, *shape).astype(np.float32) for row in inputs]
    return np.array([np.ravel(evaluator.run(None, {"x": row})[0]) for row in rows])


def everything():
    """Every operator of a convolutional network at least once."""
    b = Builder(2, 9, 9)
    b.add("Sub", b.weights(1, 2, 1, 1)).add("Div", np.full((1, 2, 1, 1), 0.5, np.float32))
    b.add("Conv", b.weights(4, 1, 3, 3), b.weights(4), group=2, pads=[1, 0, 1, 2], strides=[1, 2])
    b.add("BatchNormalization", *(np.abs(b.weights(4)) + 0.5 for _ in range(4)))
    b.add("Relu").add("MaxPool", kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1])
    b.add("LeakyRelu", alpha=0.2).add("AveragePool", kernel_shape=[2, 2], pads=[0, 1, 0, 0])
    b.add("Identity").add("Dropout").add("Transpose", perm=[0, 2, 3, 1]).add("Flatten")
    size = 4 * 4 * 5
    b.add("MatMul", b.weights(size, 6)).add("Add", b.weights(6)).add("Relu")
    b.add("Mul", b.weights(6)).add("Reshape", np.array([1, -1], np.int64))
    return b.add("Gemm", b.weights(3, 6), b.weights(3), transB=1, alpha=0.5, beta=2.0)


@pytest.mark.parametrize("packed", [False, True])
def test_outputs_are_those_of_the_reference(tmp_path, packed):
    path = everything().save(tmp_path / ("net.onnx.gz" if packed else "net.onnx"), packed)
    network = load_network(path)
    plain = everything().save(tmp_path / "plain.onnx")
    inputs = np.random.default_rng(1).random((20, 162))
    expected = reference(plain, inputs, (2, 9, 9))
    np.testing.assert_allclose(network.forward(inputs), expected, rtol=1e-4, atol=1e-4)
    lowered = network.pre_activations(inputs)[-1]
    np.testing.assert_allclose(lowered, network.forward(inputs), rtol=1e-10, atol=1e-10)
    assert network.input_shape == (2, 9, 9)


def test_a_flat_image_has_rows_and_columns(tmp_path):
    b = Builder(784, 1)
    b.add("Flatten").add("Gemm", b.weights(5, 784), b.weights(5), transB=1).add("Relu")
    network = load_network(b.add("Gemm", b.weights(5, 3)).save(tmp_path / "flat.onnx"))
    assert network.sizes == (784, 5, 3)
    assert network.input_shape == (28, 28)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda b: b.add("Sigmoid"), r"node 'sigmoid' \(Sigmoid\): expected one of Gemm"),
        (lambda b: b.add("Add", first=False), "expected a chain|input size"),
        (lambda b: b.add("Div", np.zeros(3, np.float32)), "constant other than zero"),
        (lambda b: b.add("Add", np.zeros(4, np.float32)), "constant that fits"),
        (lambda b: b.add("Gemm", b.weights(4, 2)), "matrix with 3 columns"),
        (lambda b: b.add("Conv", b.weights(1, 1, 1, 1)), "channels x rows x columns"),
        (lambda b: b.add("Mul", np.full(3, np.nan, np.float32)), "finite numbers"),
    ],
)
def test_what_cannot_be_represented_is_refused_by_its_node(tmp_path, spoil, message):
    b = Builder(4)
    b.add("Gemm", b.weights(4, 3))
    spoil(b)
    with pytest.raises(InputError, match=message) as caught:
        load_network(b.save(tmp_path / "bad.onnx"))
    assert str(tmp_path / "bad.onnx") in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["Softmax", "LogSoftmax"])
def test_a_softmax_at_the_end_is_left_out_and_said(tmp_path, kind):
    def body():
        b = Builder(4)
        return b.add("Gemm", b.weights(4, 3)).add("Relu").add("Gemm", b.weights(3, 3))

    plain = load_network(body().save(tmp_path / "plain.onnx"))
    with pytest.warns(NoteWarning, match="softmax at the end is left out"):
        network = load_network(body().add(kind, axis=1).save(tmp_path / "soft.onnx"))
    assert network.fingerprint == plain.fingerprint
    b = body().add(kind)
    with pytest.raises(InputError, match="expected nothing behind the"):
        load_network(b.add("Relu").save(tmp_path / "more.onnx"))


def test_flat_values_in_another_order(tmp_path):
    b, order = Builder(5), np.array([3, 0, 4, 1, 2])
    path = b.add("Gather", order, axis=1).add("Gemm", b.weights(5, 2)).save(tmp_path / "n.onnx")
    inputs = np.random.default_rng(0).random((6, 5))
    expected = reference(path, inputs, (5,))
    np.testing.assert_allclose(load_network(path).forward(inputs), expected, rtol=1e-5)
    b = Builder(5).add("Gather", order[:4], axis=1)
    with pytest.raises(InputError, match="expected the numbers of"):
        load_network(b.save(tmp_path / "few.onnx"))


def agreement(network):
    return network.metadata.recipe["imported"]["agreement"]


def test_without_onnxruntime_the_reference_is_asked(tmp_path, monkeypatch):
    b = Builder(4)
    path = b.add("Gemm", b.weights(4, 3)).add("Relu").save(tmp_path / "net.onnx")
    pytest.importorskip("onnxruntime")
    assert "onnxruntime" in agreement(load_network(path))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert "the reference of onnx" in agreement(load_network(path))


def test_two_ways_from_the_input_are_no_chain(tmp_path):
    b = Builder(3)
    b.add("Gemm", b.weights(3, 3))
    b.nodes.append(helper.make_node("Add", ["v0", "x"], ["v1"], "residual"))
    b.last = "v1"
    with pytest.raises(InputError, match=r"node 'residual' \(Add\): expected a chain"):
        load_network(b.save(tmp_path / "residual.onnx"))


def test_damaged_files_end_in_an_input_error_or_in_a_network_that_agrees(tmp_path):
    whole = everything().save(tmp_path / "whole.onnx").read_bytes()
    random = np.random.default_rng(0)
    path = tmp_path / "damaged.onnx"
    refused = 0
    for _ in range(60):
        data = bytearray(whole)
        for place in random.integers(0, min(len(data), 2000), 3):
            data[place] = random.integers(0, 256)
        path.write_bytes(data[: random.integers(1, len(data) + 1)])
        with suppress(InputError):
            load_network(path)
            continue
        refused += 1
    assert refused > 0


def test_an_architecture_beside_an_onnx_file_is_refused(tmp_path):
    path = everything().save(tmp_path / "net.onnx")
    with pytest.raises(InputError, match="architecture: expected none"):
        load_network(path, architecture="fc2-3")


def test_the_ending_counts_where_the_bytes_tell_nothing(tmp_path):
    """A safetensors file is one whatever it is called."""
    path = tmp_path / "net.onnx"
    path.write_bytes(bytes(range(255, 55, -1)))
    with pytest.raises(InputError, match="expected an ONNX file"):
        load_network(path)
    network = load_network(everything().save(tmp_path / "other.onnx"))
    save_network(network, tmp_path / "net.safetensors")
    (tmp_path / "net.safetensors").replace(path)
    assert load_network(path).sizes == network.sizes
