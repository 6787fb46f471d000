"""Keras files: what Keras saved is read, and nothing else is built, run or believed."""

import io
import json
import zipfile

import numpy as np
import pytest

from reluopt.errors import InputError
from reluopt.networks.loading import load_network
from reluopt.networks.readers.hdf5 import datasets
from reluopt.networks.readers.keras_model import from_keras, load_keras

pytest.importorskip("torch")
pytest.importorskip("keras")
h5py = pytest.importorskip("h5py")
keras = load_keras()
layers = keras.layers


@pytest.fixture(autouse=True)
def _seed():
    keras.utils.set_random_seed(0)


def sequential():
    return keras.Sequential(
        [
            layers.Input((6, 6, 2)),
            layers.Normalization(mean=[0.1, 0.2], variance=[0.5, 2.0]),
            layers.Conv2D(3, 2, padding="same", activation="relu", kernel_regularizer="l2"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(5, activation="relu"),
            layers.Dense(5),
            layers.Dense(3, activation="softmax"),
        ],
        name="net",
    )


def functional():
    given = layers.Input((4,))
    values = layers.ReLU()(layers.Dense(5, name="b")(given))
    return keras.Model(given, layers.Dense(3, name="a")(values))


@pytest.mark.parametrize("make", [sequential, functional])
@pytest.mark.parametrize("compiled", [False, True])
def test_what_keras_saves_is_what_the_model_is(tmp_path, make, compiled):
    model = make()
    if compiled:
        model.compile("adam", "mse")
        batch = np.random.default_rng(0).random((4, *model.input_shape[1:])).astype(np.float32)
        model.fit(batch, model.predict(batch, verbose=0) * 0.9, verbose=0)
    path = tmp_path / "mine.keras"
    model.save(path)
    network = load_network(path)
    assert network.fingerprint == from_keras(model).fingerprint
    assert network.metadata.name == "mine"
    assert network.metadata.recipe["imported"]["agreement"]


def test_float64_stays_so(tmp_path):
    model = keras.Sequential([layers.Input((4,)), layers.Dense(3, dtype="float64")])
    values = np.random.default_rng(0).random((4, 3))
    model.layers[0].set_weights([values, np.zeros(3)])
    model.save(tmp_path / "net.keras")
    np.testing.assert_array_equal(load_network(tmp_path / "net.keras").layers[0].weight.T, values)


def changed(path, **contents):
    """A saved model with other members."""
    model = sequential()
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for name, change in contents.items():
        key = {"config": "config.json", "weights": "model.weights.h5"}[name]
        members[key] = change(members[key])
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def config_with(change):
    def apply(text):
        config = json.loads(text)
        change(config["config"]["layers"], config)
        return json.dumps(config).encode()

    return apply


def setting(place, key, value):
    return config_with(lambda layers, _: layers[place]["config"].__setitem__(key, value))


LAMBDA = {"class_name": "__lambda__", "config": {"value": "code"}}


def huge(rank):
    return config_with(
        lambda layers, _: layers[0]["config"].__setitem__("batch_shape", [None, *[5000] * rank])
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _: b"{", "config.json: expected JSON"),
        (lambda _: b"[]", "expected a JSON object"),
        (lambda _: b'{"class_name": "Mine", "config": {}}', "found 'Mine'; reluopt.from_keras"),
        (config_with(lambda layers, _: layers.clear()), "layers: expected a list of 1 to"),
        (config_with(lambda layers, _: layers.pop(0)), "expected an InputLayer first"),
        (config_with(lambda layers, _: layers.pop(3)), "arrays of its layers"),
        (config_with(lambda layers, _: layers.extend(layers * 30)), "layers: expected a list of 1"),
        (config_with(lambda layers, _: layers[2].pop("config")), "found less"),
        (config_with(lambda layers, _: layers[2].__setitem__("class_name", "Lambda")),
         r"layer 'conv2d\w*': expected one of Dense.*found 'Lambda'"),
        (setting(2, "activation", LAMBDA), "activation: expected one of linear"),
        (setting(2, "groups", LAMBDA), "expected plain settings, found a class"),
        (setting(2, "filters", 10**9), "expected at most 2097152 values"),
        (setting(7, "units", 10**9), "at most 2097152 values"),
        (setting(7, "units", "many"), "layers that Keras makes"),
        (setting(7, "units", 4), "weights that fit"),
        (setting(7, "units", 6), "bytes of weights for its layers"),
        (setting(2, "name", "a/b"), "name: expected a text without '/'"),
        (huge(3), "expected at most 2097152 values"),
    ],
)  # fmt: skip
def test_configurations_that_are_others_are_refused(tmp_path, change, message):
    path = changed(tmp_path / "net.keras", config=change)
    with pytest.raises(InputError, match=message) as caught:
        load_network(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_packed_and_damaged_archives_are_refused(tmp_path):
    path = changed(tmp_path / "net.keras")
    data = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(InputError, match="without packed members"):
        load_network(path)
    place = data.index(members["model.weights.h5"]) + 500
    path.write_bytes(data[:place] + b"\xff" + data[place + 1 :])
    with pytest.raises(InputError, match="found a damaged one"):
        load_network(path)
    path.write_bytes(data[:-100])
    with pytest.raises(InputError, match="found a damaged one"):
        load_network(path)


def test_an_architecture_beside_a_keras_file_is_refused(tmp_path):
    path = changed(tmp_path / "net.keras")
    with pytest.raises(InputError, match="architecture: expected none"):
        load_network(path, architecture="fc2-3")


def stored(**arrays):
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        for name, values in arrays.items():
            file.create_dataset(name.replace("__", "/"), data=values)
    return stream.getvalue()


def test_datasets_are_found_where_h5py_puts_them():
    random = np.random.default_rng(0)
    many = {f"group{i % 40}__part__a{i}": random.normal(size=(i % 3 + 1, 2)) for i in range(300)}
    many |= {
        "half": random.normal(size=3).astype(np.float16),
        "single": random.normal(size=(2, 3)).astype(np.float32),
        "whole": np.arange(5),
        "bytes": np.arange(5, dtype=np.uint8),
        "scalar": np.array(2.5),
        "empty": np.zeros((0, 3)),
    }
    data = stored(**many)
    found = datasets(data)
    assert found.keys() == {name.replace("__", "/") for name in many}
    for name, values in many.items():
        info = found[name.replace("__", "/")]
        kind = f"<{values.dtype.kind}{values.dtype.itemsize}"
        read = np.frombuffer(data, kind, values.size, info.start if values.size else 0)
        np.testing.assert_array_equal(read.reshape(info.shape), values)


def packed():
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file.create_dataset("a", data=np.zeros((100, 100)), compression="gzip")
    return stream.getvalue()


def latest():
    stream = io.BytesIO()
    with h5py.File(stream, "w", libver="latest") as file:
        file["a"] = np.zeros(3)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (packed(), "dataset 'a': expected numbers in one piece"),
        (latest(), "HDF5 file of version 0"),
        (stored(a=np.zeros(3, ">f4")), "little-endian"),
        (stored(a=np.zeros(3))[:1000], "damaged|fewer|one piece"),
        (b"nothing of the kind" * 10, "HDF5 file of version 0"),
        (b"", "damaged"),
    ],
)
def test_hdf5_of_other_kinds_is_refused(data, message):
    with pytest.raises(InputError, match=message):
        datasets(data)
