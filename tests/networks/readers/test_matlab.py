"""MATLAB files of MIPVerify: beside its layers, written out in loops as its sources have them."""

import math

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from reluopt.errors import InputError
from reluopt.networks.loading import load_network
from reluopt.networks.metadata import ActivationSource
from reluopt.networks.readers.mat5 import read_arrays


def conv2d(image, weight, bias, stride, same):
    """``conv2d`` of src/net_components/layers/conv2d.jl on (rows, columns, channels)."""
    rows, columns, _ = image.shape
    kernel = weight.shape[:2]
    sizes, offsets = [], []
    for side, k in zip((rows, columns), kernel, strict=True):
        size = math.ceil(side / stride) if same else math.ceil((side + 1 - k) / stride)
        sizes.append(size)
        offsets.append(max((size - 1) * stride + k - side, 0) // 2 if same else 0)
    out = np.tile(bias.astype(float), (*sizes, 1))
    for y, x, h, w in np.ndindex(*sizes, *kernel):
        row, column = y * stride + h - offsets[0], x * stride + w - offsets[1]
        if 0 <= row < rows and 0 <= column < columns:
            out[y, x] += image[row, column] @ weight[h, w]
    return out


def max_pool(image, size):
    """``pool``: the last window is cut off, not left out."""
    rows, columns, channels = image.shape
    out = np.empty((math.ceil(rows / size), math.ceil(columns / size), channels))
    for y, x in np.ndindex(out.shape[:2]):
        window = image[y * size : (y + 1) * size, x * size : (x + 1) * size]
        out[y, x] = window.max(axis=(0, 1))
    return out


def flattened(image, permutation):
    """``permutedims(x, perm)[:]`` of (1, rows, columns, channels), in Julia's order of entries."""
    axes = [axis - 1 for axis in permutation]
    return image[None].transpose(axes).ravel(order="F")


def weights(seed=0):
    random = np.random.default_rng(seed)
    shapes = {"conv1": (3, 2, 2, 4), "conv2": (2, 2, 4, 3), "fc1": (36, 5), "logits": (5, 3)}
    found = {f"{name}/weight": random.normal(size=shape) for name, shape in shapes.items()}
    return found | {f"{n}/bias": random.normal(size=(1, s[-1])) for n, s in shapes.items()}


FLATTENS = {"flatten-hwc": (4, 3, 2, 1), "flatten-chw": (1, 3, 2, 4)}
TEXT = "conv(4, 2, 3, 2) s2 psame / maxpool2 / conv(3, 4, 2, 2) psame / {} / fc36-5 / fc5-3"


@pytest.mark.parametrize("flatten", FLATTENS)
@pytest.mark.parametrize("options", [{}, {"do_compression": True}, {"oned_as": "column"}])
def test_a_network_is_what_the_layers_of_mipverify_make_of_it(tmp_path, flatten, options):
    arrays = weights()
    written = {
        n: a[0] if "column" in options.values() and len(a) == 1 else a for n, a in arrays.items()
    }
    savemat(tmp_path / "net.mat", written, **options)
    network = load_network(tmp_path / "net.mat", (2, 13, 11), architecture=TEXT.format(flatten))
    assert network.metadata.activation is ActivationSource.STATED
    assert network.metadata.recipe["imported"]["agreement"] == "nothing to compare with"
    for image in np.random.default_rng(1).normal(size=(5, 13, 11, 2)):
        values = conv2d(image, arrays["conv1/weight"], arrays["conv1/bias"][0], 2, same=True)
        values = max_pool(np.maximum(values, 0.0), 2)
        values = conv2d(values, arrays["conv2/weight"], arrays["conv2/bias"][0], 1, same=True)
        values = flattened(np.maximum(values, 0.0), FLATTENS[flatten])
        values = arrays["fc1/weight"].T @ values + arrays["fc1/bias"][0]
        values = arrays["logits/weight"].T @ np.maximum(values, 0.0) + arrays["logits/bias"][0]
        found = network.forward(image.transpose(2, 0, 1))
        np.testing.assert_allclose(found, values, rtol=1e-10, atol=1e-10)


def test_numbers_of_every_type_are_those_that_scipy_reads(tmp_path):
    random = np.random.default_rng(0)
    kinds = ("f4", "f8", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8")
    arrays = {f"a{kind}": (9 * random.random((3, 2))).astype(kind) for kind in kinds}
    arrays |= {"row": np.ones((1, 2)), "small": np.array([[7]], "u1"), "cube": np.ones((2, 3, 4))}
    for packed in (False, True):
        savemat(tmp_path / "a.mat", arrays, do_compression=packed)
        found = read_arrays((tmp_path / "a.mat").read_bytes())
        expected = loadmat(tmp_path / "a.mat")
        assert found.keys() == arrays.keys()
        for name, array in found.items():
            np.testing.assert_array_equal(array, expected[name])


def test_dense_layers_need_no_architecture(tmp_path):
    arrays = {n: a for n, a in weights().items() if not n.startswith("conv")}
    savemat(tmp_path / "net.mat", arrays)
    network = load_network(tmp_path / "net.mat", activation="relu")
    values = np.random.default_rng(1).normal(size=36)
    hidden = np.maximum(arrays["fc1/weight"].T @ values + arrays["fc1/bias"][0], 0.0)
    expected = arrays["logits/weight"].T @ hidden + arrays["logits/bias"][0]
    np.testing.assert_allclose(network.forward(values), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda a: a.update({"fc1/weight": np.array([["x"]])}),
            "'fc1/weight': expected an array of real",
        ),
        (
            lambda a: a.update({"fc1/weight": np.ones((36, 5)) * 1j}),
            "expected an array of real numbers",
        ),
        (lambda a: a.update({"fc1/weight": np.ones((2, 2, 2))}), "expected two or four axes"),
        (lambda a: a.update({"fc1/bias": np.ones((2, 3))}), "expected a vector"),
        (lambda a: a.update({"extra": np.ones((2, 2))}), "a name with weight, kernel or bias"),
        (
            lambda a: a.update({"fc1/weight": np.zeros((3000, 3000))}),
            "found a damaged one",
        ),
        (lambda a: a.update({"fc1/weight": {"a": 1.0}}), "expected an array of real numbers"),
        (
            lambda a: a.update({"fc1/weight": np.ones((36, 5)) > 0}),
            "expected an array of real numbers",
        ),
        (lambda a: a.pop("fc1/bias"), "expected a bias"),
    ],
)
def test_variables_that_are_others_are_refused(tmp_path, change, message):
    arrays, path = weights(), tmp_path / "net.mat"
    change(arrays)
    savemat(path, arrays, do_compression=True)
    with pytest.raises(InputError, match=message) as caught:
        load_network(path, (2, 13, 11), architecture=TEXT.format("flatten-hwc"))
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_the_order_of_a_flattened_image_is_asked_for(tmp_path):
    savemat(tmp_path / "net.mat", weights())
    text = TEXT.format("").replace(" /  /", " /")
    with pytest.raises(InputError, match=r"expected flatten-hwc, MIPVerify's Flatten\(4\)"):
        load_network(tmp_path / "net.mat", (2, 13, 11), architecture=text)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (b"MATLAB 7.3 MAT-file, Platform: GLNXA64", r"7\.3; save\('net.mat', '-v7'\)"),
        (b"MATLAB 5.0 MAT-file" + bytes(200), "of version 5 to 7"),
        (b"MATLAB 5.0 MAT-file", "of version 5 to 7"),
    ],
)
def test_files_of_other_versions_are_refused(tmp_path, head, message):
    (tmp_path / "net.mat").write_bytes(head)
    with pytest.raises(InputError, match=message):
        load_network(tmp_path / "net.mat")


def test_damaged_files_are_refused(tmp_path):
    path = tmp_path / "net.mat"
    savemat(path, weights(), do_compression=True)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match="found a damaged one"):
        load_network(path, (2, 13, 11), architecture=TEXT.format("flatten-hwc"))
