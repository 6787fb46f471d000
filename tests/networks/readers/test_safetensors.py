import json
import os
import pickle
import time
import tracemalloc
import warnings
import zipfile
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save_file

from reluopt.errors import AssumptionWarning, InputError
from reluopt.networks.layers.base import Dense
from reluopt.networks.loading import load_network
from reluopt.networks.metadata import ActivationSource, NetworkMetadata
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.saving import save_network


def random_network(sizes, seed=0, dtype=np.float32, **metadata):
    rng = np.random.default_rng(seed)
    layers = tuple(
        Dense(rng.normal(size=(n, m)).astype(dtype), rng.normal(size=n).astype(dtype))
        for m, n in pairwise(sizes)
    )
    return ReLUNetwork(layers, NetworkMetadata(**metadata))


def write_header(path, header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def refused(path, *parts, **options):
    """Load, expect an InputError in one line that names the file, and look for texts in it."""
    with pytest.raises(InputError) as caught:
        load_network(path, **options)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    for part in parts:
        assert part in message
    return message


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.safetensors"


# ---- round trip ----------------------------------------------------------------------------------


@given(
    sizes=st.lists(st.integers(1, 6), min_size=2, max_size=5),
    seed=st.integers(0, 2**32 - 1),
    dtype=st.sampled_from([np.float32, np.float64]),
    name=st.text(max_size=8),
    accuracy=st.none() | st.floats(0.0, 1.0),
)
def test_saving_and_loading_gives_the_same_network(
    tmp_path_factory, sizes, seed, dtype, name, accuracy
):
    network = random_network(
        sizes, seed, dtype, name=name, test_accuracy=accuracy, recipe={"seed": seed, "x": [1.5]}
    )
    path = tmp_path_factory.mktemp("round") / "net.safetensors"
    save_network(network, path)
    loaded = load_network(path)
    assert loaded.fingerprint == network.fingerprint
    assert loaded.metadata == network.metadata


def test_file_follows_the_documented_schema(path):
    network = random_network([6, 4, 3], name="n", input_shape=(2, 3), class_names=("a", "b", "c"))
    save_network(network, path)
    with safe_open(path, framework="numpy") as file:
        fields = json.loads(file.metadata()["reluopt"])
        weight = file.get_tensor("layers.0.weight")
        assert set(file.keys()) == {f"layers.{i}.{k}" for i in (0, 1) for k in ("weight", "bias")}
    assert weight.dtype == np.float32
    assert weight.shape == (4, 6)
    assert fields == {
        "schema_version": 1,
        "name": "n",
        "architecture": {"type": "dense", "sizes": [6, 4, 3]},
        "activation": "relu",
        "input_shape": [2, 3],
        "pixel_order": "row-major",
        "class_names": ["a", "b", "c"],
        "recipe": {},
        "test_accuracy": None,
    }


def test_numbers_that_float32_cannot_hold_are_kept_in_float64(path):
    network = ReLUNetwork((Dense([[0.1, 1e300]], [0.0]),))
    save_network(network, path)
    assert load_network(path).layers[0].weight.tolist() == [[0.1, 1e300]]


def test_saving_replaces_the_file_and_leaves_nothing_else(path):
    path.write_text("old")
    save_network(random_network([2, 2]), path)
    assert load_network(path).sizes == (2, 2)
    assert os.listdir(path.parent) == [path.name]


def test_a_failed_save_keeps_the_old_file(path, monkeypatch):
    save_network(random_network([2, 2]), path)
    before = path.read_bytes()

    def fail(source, target):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(InputError, match="disk full"):
        save_network(random_network([3, 3]), path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_saving_into_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"nowhere.*expected a writable place"):
        save_network(random_network([2, 2]), tmp_path / "nowhere" / "n.safetensors")


@pytest.mark.parametrize("value", [float("nan"), {1, 2}])
def test_a_recipe_that_is_not_json_is_refused(path, value):
    with pytest.raises(InputError, match="recipe: expected JSON"):
        save_network(random_network([2, 2], recipe={"x": value}), path)
    assert not path.exists()


# ---- files of other tools ------------------------------------------------------------------------

NAMES = {
    "PyTorch": ("fc{}.weight", "fc{}.bias"),
    "PyTorch Sequential": ("net.{}.weight", "net.{}.bias"),
    "Flux": ("layers.{}.weight", "layers.{}.bias"),
    "plain": ("W{}", "b{}"),
    "Keras": ("sequential/dense_{}/kernel:0", "sequential/dense_{}/bias:0"),
    "scikit-learn": ("coefs_.{}", "intercepts_.{}"),
}


@pytest.mark.parametrize("tool", NAMES)
@pytest.mark.parametrize("transposed", [False, True])
@given(sizes=st.lists(st.integers(1, 12), min_size=2, max_size=13), shuffle=st.randoms())
def test_chains_of_other_tools_load_in_either_orientation(
    tmp_path_factory, tool, transposed, sizes, shuffle
):
    sizes[-1] = 13  # one matrix at least is not square
    network = random_network(sizes)
    weight_name, bias_name = NAMES[tool]
    tensors = {}
    for i, layer in enumerate(network.layers):
        weight = layer.weight.T if transposed else layer.weight
        # Steps of two, as in a Sequential with ReLUs between; 10 and more test the number order.
        tensors[weight_name.format(2 * i)] = np.ascontiguousarray(weight, dtype=np.float32)
        tensors[bias_name.format(2 * i)] = layer.bias.astype(np.float32)
    names = list(tensors)
    shuffle.shuffle(names)
    path = tmp_path_factory.mktemp("foreign") / "net.safetensors"
    save_file({name: tensors[name] for name in names}, path)
    loaded = load_network(path, activation="relu")
    assert loaded.fingerprint == network.fingerprint
    orientation = "in x out" if transposed else "out x in"
    assert loaded.metadata.recipe["inferred"]["orientation"] == orientation


def save_layers(path, layers):
    """Write (name of matrix, its shape, name of bias) with numbers that tell entries apart."""
    tensors = {}
    for weight, shape, bias, size in layers:
        tensors[weight] = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
        tensors[bias] = np.arange(size, dtype=np.float64)
    save_file(tensors, path)
    return path


def test_keras_counts_from_a_layer_without_number(path):
    save_layers(
        path,
        [
            ("dense_1/kernel", (3, 3), "dense_1/bias", 3),
            ("dense_2/kernel", (3, 2), "dense_2/bias", 2),
            ("dense/kernel", (3, 3), "dense/bias", 3),
        ],
    )
    network = load_network(path, activation="relu")
    assert network.sizes == (3, 3, 3, 2)
    order = network.metadata.recipe["inferred"]["tensors"]
    assert order == ["dense/kernel", "dense_1/kernel", "dense_2/kernel"]


def test_sizes_order_layers_whose_names_do_not(path):
    save_layers(
        path,
        [
            ("out.weight", (2, 3), "out.bias", 2),
            ("hidden.weight", (3, 4), "hidden.bias", 3),
        ],
    )
    assert load_network(path, activation="relu").sizes == (4, 3, 2)


def test_square_number_of_inputs_is_taken_as_an_image(path):
    save_layers(path, [("a.weight", (3, 784), "a.bias", 3)])
    assert load_network(path).input_shape == (28, 28)
    assert load_network(path, input_shape=(784,)).input_shape == (784,)
    refused(path, "input_shape", "784", input_shape=(3, 3))
    save_layers(path, [("a.weight", (3, 4), "a.bias", 3)])
    assert load_network(path).input_shape == (4,)


@pytest.mark.parametrize(
    ("layers", "parts"),
    [
        ([("fc1.weight", (3, 3), "fc1.bias", 3)], ["'fc1.weight'", "square"]),
        (
            [("a.weight", (3, 3), "a.bias", 3), ("b.weight", (3, 3), "b.bias", 3)],
            ["one possible order", "a.weight", "b.weight"],
        ),
        (
            [("a.weight", (3, 2), "a.bias", 3), ("b.weight", (2, 3), "b.bias", 2)],
            ["one possible order"],
        ),
        (
            [("fc1.weight", (3, 4), "fc1.bias", 3), ("fc2.weight", (2, 5), "fc2.bias", 2)],
            ["one chain", "fc2.weight (2, 5)"],
        ),
        ([("fc1.weight", (3, 4), "fc1.bias", 5)], ["one chain", "fc1.bias (5,)"]),
        ([("fc1.weight", (3, 4, 1), "fc1.bias", 3)], ["'fc1.weight'", "a matrix", "(3, 4, 1)"]),
        ([("fc1.weight", (3, 4), "fc2.bias", 3)], ["'fc1.weight'", "bias of the same layer"]),
        ([("fc1.weight", (3, 0), "fc1.bias", 3)], ["'fc1.weight'", "(3, 0)"]),
        (
            [("fc1.weight", (3, 4), "fc1.bias", 3), ("fc1.kernel", (3, 4), "fc2.bias", 3)],
            ["'fc1.weight'", "as well"],
        ),
        (
            [("fc1.a.weight", (3, 3), "fc1.a.bias", 3), ("fc.a1.weight", (3, 2), "fc.a1.bias", 2)],
            ["expected a number that differs"],
        ),
        ([("fc1.weight", (3, 4), "fc1.alpha", 3)], ["'fc1.alpha'", "weight, kernel or bias"]),
    ],
)
def test_tensors_that_leave_a_question_open_are_refused(path, layers, parts):
    refused(save_layers(path, layers), *parts)


def test_a_bias_without_matrix_and_no_tensors_are_refused(path):
    save_file({"fc1.bias": np.zeros(3)}, path)
    refused(path, "at least one dense layer")
    save_layers(path, [("fc1.weight", (2, 4), "fc1.bias", 2)])
    save_file(
        {"fc1.weight": np.zeros((2, 4)), "fc1.bias": np.zeros(2), "fc2.bias": np.ones(2)}, path
    )
    refused(path, "'fc2.bias'", "weight matrix of the same layer")
    save_file({}, path)
    refused(path, "at least one dense layer")


def fives(*names):
    """Thirty layers that read and give five values, in two queues: very many orders."""
    numbered = [f"{word}{i}" for word in names for i in range(15)]
    return [(f"{name}.weight", (5, 5), f"{name}.bias", 5) for name in numbered]


def test_the_search_for_an_order_ends(path):
    # p1 gives the sixes that p2 reads, but is to come after it: no order, and very many attempts.
    layers = fives("a", "b")
    layers += [("s.weight", (5, 7), "s.bias", 5), ("end.weight", (3, 5), "end.bias", 3)]
    layers += [("p1.weight", (5, 6), "p1.bias", 5), ("p2.weight", (6, 5), "p2.bias", 6)]
    refused(save_layers(path, layers), "too many possible")


def test_two_orders_are_shown_where_they_part(path):
    layers = [(f"a{i}.weight", (i + 2, i + 1), f"a{i}.bias", i + 2) for i in range(8)]
    layers += [(f"{name}.weight", (9, 9), f"{name}.bias", 9) for name in ("x", "y")]
    refused(
        save_layers(path, layers),
        "found both ... -> a7.weight -> x.weight -> y.weight and "
        "... -> a7.weight -> y.weight -> x.weight;",
    )


def test_sizes_that_no_chain_can_have_need_no_search(path):
    layers = [*fives("a", "b"), ("end.weight", (3, 7), "end.bias", 3)]
    refused(save_layers(path, layers), "one chain", "(26 more)")


@pytest.mark.parametrize("sizes", [[1] * 2001, list(range(1, 502))])
def test_files_of_very_many_named_layers_cost_little(path, sizes):
    """Orders used to be kept as whole chains: 346 kB of names took 23 GB, half a quarter of it."""
    rng = np.random.default_rng(0)
    letters = np.array(list("abcdefghij"))
    tensors = {}
    for inputs, outputs in pairwise(sizes):
        name = "".join(rng.choice(letters, 12))
        tensors[f"{name}.weight"] = np.zeros((outputs, inputs), np.float16)
        tensors[f"{name}.bias"] = np.zeros(outputs, np.float16)
    save_file(tensors, path)
    tracemalloc.start()
    started = time.process_time()
    if len(sizes) > 1001:
        refused(path, "at most 1000 dense layers, found 2000")
    else:
        assert load_network(path, activation="relu").sizes == tuple(sizes)
    seconds = time.process_time() - started
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seconds < 20.0
    assert peak < 30_000_000 + 8 * sum(a.size for a in tensors.values())


# ---- what stands between the layers --------------------------------------------------------------


def save_two(path, metadata=None):
    tensors = {"fc1.weight": np.ones((3, 4)), "fc1.bias": np.zeros(3)}
    tensors |= {"fc2.weight": np.ones((2, 3)), "fc2.bias": np.zeros(2)}
    save_file(tensors, path, metadata)
    return path


def test_relu_is_assumed_aloud(path):
    save_two(path, {"format": "pt"})
    with pytest.warns(AssumptionWarning) as caught:
        network = load_network(path)
    assert network.metadata.activation is ActivationSource.ASSUMED
    (warning,) = caught
    assert str(warning.message) == (
        f"assumed: ReLU between the layers of {path} (the file does not say); "
        "activation='relu' confirms"
    )


def test_an_assumption_can_be_confirmed_or_stated(path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        confirmed = load_network(save_two(path), activation="relu")
        assert confirmed.metadata.activation is ActivationSource.CONFIRMED
        for text in ("relu", "ReLU"):
            stated = load_network(save_two(path, {"activation": text}))
            assert stated.metadata.activation is ActivationSource.STATED
            assert load_network(path, activation="relu").metadata == stated.metadata
        # Nothing stands between the layers of a single one.
        save_layers(path, [("a.weight", (3, 4), "a.bias", 3)])
        assert load_network(path).metadata.activation is ActivationSource.STATED


@pytest.mark.parametrize("name", ["leaky_relu", "tanh", "", "x" * 10_000, "a\nb"])
def test_another_activation_is_refused_whoever_states_it(path, name):
    refused(save_two(path, {"activation": name}), "activation: expected 'relu'")
    with pytest.raises(InputError, match="activation: expected 'relu'") as caught:
        load_network(save_two(path), activation=name)
    assert len(str(caught.value)) < 300


def test_writing_an_assumption_down_does_not_make_it_a_fact(path):
    with pytest.warns(AssumptionWarning):
        assumed = load_network(save_two(path))
    save_network(assumed, path)
    with pytest.warns(AssumptionWarning):
        again = load_network(path)
    assert again.metadata == assumed.metadata
    save_network(load_network(path, activation="relu"), path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_network(path).metadata.activation is ActivationSource.STATED


# ---- types ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "data"),
    [
        ("F64", np.array([1.5, -2.0, 0.0], "<f8").tobytes()),
        ("F32", np.array([1.5, -2.0, 0.0], "<f4").tobytes()),
        ("F16", np.array([1.5, -2.0, 0.0], "<f2").tobytes()),
        ("BF16", np.array([0x3FC0, 0xC000, 0x0000], "<u2").tobytes()),
    ],
)
def test_floating_point_types_are_read(path, dtype, data):
    size = len(data) // 3
    header = {
        "l.weight": {"dtype": dtype, "shape": [1, 2], "data_offsets": [0, 2 * size]},
        "l.bias": {"dtype": dtype, "shape": [1], "data_offsets": [2 * size, 3 * size]},
    }
    layer = load_network(write_header(path, header, data)).layers[0]
    assert layer.weight.tolist() == [[1.5, -2.0]]
    assert layer.bias.tolist() == [0.0]


@pytest.mark.parametrize("dtype", ["I64", "F8_E4M3", "NEW7"])
def test_other_types_are_refused(path, dtype):
    header = {
        "l.weight": {"dtype": dtype, "shape": [1, 2], "data_offsets": [0, 16]},
        "l.bias": {"dtype": "F64", "shape": [1], "data_offsets": [16, 24]},
    }
    refused(write_header(path, header, bytes(24)), "'l.weight'", dtype, "F32")


# ---- broken and hostile files --------------------------------------------------------------------


def test_things_that_are_no_file_are_refused(tmp_path):
    refused(tmp_path, "a directory")
    refused(tmp_path / "none.safetensors", "no such file")
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "no regular file")


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (b"", ["only 0 bytes"]),
        (b"PK\x03\x04", ["only 4 bytes"]),
        (b"GIF89a and so on, no weights", ["header of at most", "not safetensors"]),
        ((2 * 10**9).to_bytes(8, "little") + b"{", ["header of at most", "2000000000"]),
        ((500).to_bytes(8, "little") + b"{}", ["500 bytes", "2 bytes left", "truncated"]),
        ((2).to_bytes(8, "little") + b"\xff\xfe", ["JSON"]),
        ((2).to_bytes(8, "little") + b"[]", ["JSON object"]),
        ((4000).to_bytes(8, "little") + b"[" * 4000, ["JSON"]),
        ((13).to_bytes(8, "little") + b'{"a":1,"a":2}', ["twice"]),
        ((7).to_bytes(8, "little") + b'{"a":1}', ["tensor 'a'", "dtype, shape"]),
        ((18).to_bytes(8, "little") + b'{"__metadata__":1}', ["__metadata__"]),
    ],
)
def test_files_that_are_not_safetensors_are_refused(path, content, parts):
    path.write_bytes(content)
    refused(path, *parts)


def zipped(path, *names):
    with zipfile.ZipFile(path, "w") as file:
        for name in names:
            file.writestr(name, b"content")
    return path.read_bytes()


def test_files_of_other_formats_are_named_with_a_way_out(path):
    np.savez(path.with_suffix(".npz"), a=np.ones(3))
    contents = {
        "a numpy archive (.npz)": path.with_suffix(".npz").read_bytes(),
        "a zip file": zipped(path, "readme.txt"),
        "an HDF5 file": b"\x89HDF\r\n\x1a\n" + bytes(50),
        "a Python pickle": pickle.dumps({"weight": list(range(50))}),
        "a gzip file": b"\x1f\x8b\x08" + bytes(50),
        "a PNG image": b"\x89PNG\r\n\x1a\n" + bytes(50),
        "a numpy array (.npy)": b"\x93NUMPY\x01\x00" + bytes(50),
    }
    for name, content in contents.items():
        path.write_bytes(content)
        message = refused(path, f"expected a safetensors file, found {name}")
        assert message.count(";") >= 1  # what to do about it


def test_messages_escape_and_shorten_names_from_the_file(path):
    name = "\x1b[2J\u202e\n" + "x" * 10_000
    tensors = {f"{name}.weight": np.ones((2, 3)), f"{name}.bias": np.ones(5)}
    message = refused(save_file(tensors, path) or path, "one chain", r"\x1b[2J\u202e\n")
    assert message.isprintable()
    assert len(message) < 600
    for names in (["1" * 5000], [f"fc{'2' * 19}"]):
        save_layers(path, [(f"{n}.weight", (2, 3), f"{n}.bias", 2) for n in names])
        refused(path, "numbers of at most 18 digits")


@pytest.mark.parametrize(
    "text",
    ['{"schema_version": 1, "schema_version": 1}', '{"schema_version": NaN}', '{"a": Infinity}'],
)
def test_metadata_that_json_does_not_allow_is_refused(path, text):
    save_file({"layers.0.weight": np.ones((1, 1))}, path, metadata={"reluopt": text})
    refused(path, "metadata 'reluopt'")


@pytest.mark.parametrize(
    "change",
    [
        {"name": "\ud800"},
        {"class_names": ["\udfff", "b"]},
        {"input_shape": [10**4000]},
        {"input_shape": [1] * 500_000},
        {"architecture": {"type": "dense", "sizes": [10**4000, 10**4000]}},
        {"schema_version": 10**4000},
        {"activation": ["relu"]},
        {"activation_assumed": 1},
    ],
    ids=range(8),
)
def test_metadata_beyond_all_measure_is_refused_in_a_short_line(path, change):
    assert len(refused(save_own(path, change))) < 400


def test_reading_takes_little_more_memory_than_the_numbers(path):
    network = random_network([1000, 800, 10])
    save_network(network, path)
    tracemalloc.start()
    load_network(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5.2 * path.stat().st_size  # float64 numbers twice (one layer), and as stored


@pytest.mark.parametrize("cut", [1, 8, 40])
def test_truncated_files_are_refused(path, cut):
    save_network(random_network([4, 3, 2]), path)
    path.write_bytes(path.read_bytes()[:-cut])
    refused(path, "truncated", "bytes of tensor data")


def test_bytes_after_the_last_tensor_are_refused(path):
    save_network(random_network([4, 3, 2]), path)
    path.write_bytes(path.read_bytes() + b"x")
    refused(path, "bytes follow")


def test_sizes_that_contradict_each_other_are_refused(path):
    header = {"l.weight": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 12]}}
    refused(write_header(path, header, bytes(12)), "'l.weight'", "16 bytes", "found 12")


def test_more_than_the_format_knows_of_a_tensor_is_refused(path):
    place = {"dtype": "F32", "shape": [1, 2], "data_offsets": [0, 8], "strides": [2, 1]}
    refused(write_header(path, {"l.weight": place}, bytes(8)), "'l.weight'", "dtype, shape and")


def test_overlapping_tensors_are_refused(path):
    header = {
        "l.weight": {"dtype": "F32", "shape": [1, 2], "data_offsets": [0, 8]},
        "l.bias": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]},
    }
    refused(write_header(path, header, bytes(8)), "expected a safetensors file")


@given(data=st.binary(max_size=60), place=st.integers(0, 200))
def test_damage_anywhere_ends_in_an_input_error_or_a_network(tmp_path_factory, data, place):
    path = tmp_path_factory.mktemp("damage") / "net.safetensors"
    save_network(random_network([3, 2]), path)
    content = bytearray(path.read_bytes())
    content[place : place + len(data)] = data
    path.write_bytes(bytes(content))
    try:
        network = load_network(path)
    except InputError as error:
        assert str(path) in str(error)  # noqa: PT017
    else:
        assert network.sizes[0] * network.sizes[-1] == 6


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(path, bad):
    weight = np.ones((2, 3), np.float32)
    weight[1, 1] = bad
    save_file({"fc1.weight": weight, "fc1.bias": np.ones(2, np.float32)}, path)
    refused(path, "'fc1.weight'", "found 1 NaN or infinite")


# ---- our own metadata ----------------------------------------------------------------------------


def save_own(path, change, tensors=None):
    """A file of ours with changes to its metadata; a value of ... removes the key."""
    fields = {
        "schema_version": 1,
        "architecture": {"type": "dense", "sizes": [3, 2]},
        "activation": "relu",
    }
    fields.update(change)
    fields = {key: value for key, value in fields.items() if value is not ...}
    if tensors is None:
        tensors = {"layers.0.weight": np.ones((2, 3)), "layers.0.bias": np.zeros(2)}
    save_file(tensors, path, metadata={"reluopt": json.dumps(fields)})
    return path


def test_only_version_architecture_and_activation_are_needed(path):
    network = load_network(save_own(path, {}))
    assert network.sizes == (3, 2)
    assert network.metadata.name == "net"
    assert network.metadata.test_accuracy is None


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"schema_version": 2}, ["at most 1, found 2", "newer reluopt"]),
        ({"schema_version": "1"}, ["schema_version", "'1'"]),
        ({"schema_version": ...}, ["schema_version", "None"]),
        ({"activation": "tanh"}, ["activation", "'tanh'"]),
        ({"activation": ...}, ["activation", "None"]),
        ({"pixel_order": "column-major"}, ["pixel_order", "column-major"]),
        ({"architecture": {"type": "conv"}}, ["architecture", "conv"]),
        ({"architecture": ...}, ["architecture"]),
        ({"architecture": {"type": "dense"}}, ["architecture sizes", "None"]),
        ({"architecture": {"type": "dense", "sizes": [3]}}, ["at least one layer"]),
        ({"architecture": {"type": "dense", "sizes": [3, 0]}}, ["positive whole numbers"]),
        (
            {"architecture": {"type": "dense", "sizes": [4, 2]}},
            ["'layers.0.weight'", "(2, 4)", "(2, 3)"],
        ),
        (
            {"architecture": {"type": "dense", "sizes": [3, 2, 1]}},
            ["'layers.1.weight'", "no such tensor"],
        ),
        ({"name": 5}, ["name", "5"]),
        ({"class_names": ["a"]}, ["class_names", "expected 2"]),
        ({"class_names": [1, 2]}, ["class_names"]),
        ({"input_shape": [2, 2]}, ["input_shape", "4 values"]),
        ({"input_shape": [3.0]}, ["input_shape"]),
        ({"recipe": "thesis"}, ["recipe"]),
        ({"test_accuracy": 93.3}, ["test_accuracy", "93.3"]),
        ({"test_accuracy": True}, ["test_accuracy"]),
    ],
)
def test_metadata_that_does_not_hold_is_refused(path, change, parts):
    refused(save_own(path, change), *parts)


@pytest.mark.parametrize("text", ["{", "[1]", "[" * 5000])
def test_metadata_that_is_no_json_object_is_refused(path, text):
    save_file({"layers.0.weight": np.ones((1, 1))}, path, metadata={"reluopt": text})
    refused(path, "metadata 'reluopt'")


def test_tensors_beyond_the_architecture_are_refused(path):
    tensors = {
        "layers.0.weight": np.ones((2, 3)),
        "layers.0.bias": np.zeros(2),
        "layers.1.weight": np.ones((2, 2)),
    }
    refused(save_own(path, {}, tensors), "'layers.1.weight'")
