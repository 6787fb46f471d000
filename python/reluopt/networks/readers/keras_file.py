"""Keras 3 files, ``.keras`` (the extra ``keras``), made safe before Keras sees them.

A file is a zip archive of ``config.json`` (classes and settings), ``metadata.json`` and
``model.weights.h5``. Keras would build whatever the first says and read the last with a library
that damaged files can break. So: the chain of layers is taken from the configuration, and plain
settings alone, nothing that could name a class; the arrays are found by :mod:`.hdf5`; the weights
that the layers would take are counted. What is left is written anew, as a Sequential, and loaded by
``keras.saving.load_model(safe_mode=True)``.
"""

from __future__ import annotations

import json
import math
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from reluopt.errors import InputError, shown
from reluopt.files import open_input, parse_json
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.readers import ReaderOptions
from reluopt.networks.readers.archives import Member, stored_members
from reluopt.networks.readers.frameworks import framework
from reluopt.networks.readers.hdf5 import datasets
from reluopt.networks.readers.keras_layers import ACTIVATIONS, LAYERS
from reluopt.networks.readers.keras_model import MODELS, chain_of, from_keras, load_keras
from reluopt.networks.tensor_files import TensorInfo

MAX_CONFIG_BYTES = 1_000_000
"""A configuration of a hundred layers takes a tenth of it."""

MAX_LAYERS = 200
MAX_VALUES = 2**21
"""Values between two layers; more is no network that can be answered for."""

_EXPECTED = "a Keras file"
_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_DROPPED = ("_initializer", "_regularizer", "_constraint", "quantization_config", "dtype")
_PLAIN = {"registered_name": None}
_NUMPY = {"F": "f", "I": "i", "U": "u"}


def read(path: Path, options: ReaderOptions) -> ReLUNetwork:
    """Read a network; see :func:`reluopt.networks.loading.load_network`.

    Raises:
        EngineUnavailableError: Keras is not installed.
    """
    if options.architecture is not None:
        raise InputError(f"{path}: architecture: expected none, since the file tells its own")
    keras = load_keras()
    with open_input(path, _EXPECTED) as (stream, size):
        members = stored_members(stream, size, path, _EXPECTED)
        if not {_CONFIG, _WEIGHTS} <= members.keys():
            raise InputError(f"{path}: expected {_CONFIG} and {_WEIGHTS} in it, found others")
        if members[_CONFIG].size > MAX_CONFIG_BYTES:
            raise InputError(f"{path}: {_CONFIG}: expected at most {MAX_CONFIG_BYTES} bytes")
        text, weights = (_content(stream, members[name]) for name in (_CONFIG, _WEIGHTS))
    try:
        config = _clean_model(_parsed(text))
        arrays = {
            name: info for name, info in datasets(weights).items() if not name.startswith("optim")
        }
        stored = sum(info.size for info in arrays.values())
        if stored > len(weights):
            raise InputError("expected arrays that share no numbers, found some that do")
        needed = _needed(keras, config)
        if needed > stored:
            raise InputError(f"expected {needed} bytes of weights for its layers, found {stored}")
        with tempfile.TemporaryDirectory() as folder:
            place = _written(Path(folder), keras.__version__, config, weights, arrays)
            del weights
            model = _loaded(keras, place, arrays)
        return from_keras(model, options.input_shape, name=path.stem)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _content(stream: BinaryIO, member: Member) -> bytes:
    stream.seek(member.start)
    return stream.read(member.size)


def _parsed(text: bytes) -> Mapping[str, Any]:
    try:
        found = parse_json(text)
    except ValueError as error:
        raise InputError(f"{_CONFIG}: expected JSON, found: {error}") from error
    if not isinstance(found, dict):
        raise InputError(f"{_CONFIG}: expected a JSON object")
    return found


def _clean_model(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A model's entry as a Sequential of layers that can be read, with nothing else."""
    kind, config = entry.get("class_name"), entry.get("config")
    if kind not in MODELS or not isinstance(config, dict):
        raise InputError(
            f"expected a Sequential or Functional model, found {shown(repr(kind))}; "
            "reluopt.from_keras takes models in Python"
        )
    layers = config.get("layers")
    if not isinstance(layers, list) or not 0 < len(layers) <= MAX_LAYERS:
        raise InputError(f"layers: expected a list of 1 to {MAX_LAYERS}, found {shown(layers)}")
    try:
        chain = [_clean_layer(each) for each in chain_of(config)]
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise InputError(
            "layers: expected a name, a class and inputs of each, found less"
        ) from error
    clean = {"name": _name(config), "layers": chain}
    return {"module": "keras", "class_name": "Sequential", "config": clean, **_PLAIN}


def _clean_layer(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A layer's entry with its plain settings."""
    kind, config = entry["class_name"], entry["config"]
    label = f"layer '{shown(_name(config))}'"
    if kind not in list(LAYERS):
        raise InputError(f"{label}: expected one of {', '.join(LAYERS)}, found {shown(repr(kind))}")
    settings = {k: v for k, v in config.items() if not k.endswith(_DROPPED)}
    if "float64" in json.dumps(config.get("dtype")):
        settings["dtype"] = "float64"
    activation = settings.get("activation")
    if activation is not None and activation not in list(ACTIVATIONS):
        raise InputError(
            f"{label}: activation: expected one of {', '.join(ACTIVATIONS)}, found "
            f"{shown(repr(activation))}"
        )
    if "class_name" in json.dumps(settings):
        raise InputError(f"{label}: expected plain settings, found a class among them")
    return {"module": "keras.layers", "class_name": kind, "config": settings, **_PLAIN}


def _name(config: Mapping[str, Any]) -> str:
    name = config.get("name")
    if not isinstance(name, str) or not name or "/" in name:
        raise InputError(f"name: expected a text without '/', found {shown(repr(name))}")
    return name


def _needed(keras: Any, entry: Mapping[str, Any]) -> int:
    """Bytes of the weights that Keras would make for a model of :func:`_clean_model`, at least.

    Raises:
        InputError: a layer cannot be made, or its values are too many.
    """
    needed, shape = 0, None
    try:
        for each in entry["config"]["layers"]:
            kind, config = each["class_name"], each["config"]
            if kind == "InputLayer":
                shape = tuple(config["batch_shape"])
            elif shape is None:
                raise InputError("expected an InputLayer first, found none")
            else:
                layer = getattr(keras.layers, kind).from_config(config)
                needed += 4 * _WEIGHTS_OF.get(kind, _none)(layer, shape)
                shape = tuple(layer.compute_output_shape(shape))
            if math.prod(side or 1 for side in shape) > MAX_VALUES:
                raise InputError(f"expected at most {MAX_VALUES} values, found shape {shape}")
    except InputError:
        raise
    except Exception as error:  # settings of any kind
        found = shown(str(error).strip().partition("\n")[0], 200)
        raise InputError(f"{_CONFIG}: expected layers that Keras makes, found: {found}") from None
    return needed


def _none(layer: Any, shape: tuple[Any, ...]) -> int:
    return 0


_WEIGHTS_OF: Mapping[str, Any] = {
    "Dense": lambda layer, shape: shape[-1] * layer.units,
    "Conv2D": lambda layer, shape: (
        math.prod(layer.kernel_size) * shape[-1] // layer.groups * layer.filters
    ),
    "BatchNormalization": lambda layer, shape: 2 * shape[-1],
}
"""Least numbers of weights of a layer behind values of a shape."""


def _written(
    folder: Path,
    version: str,
    config: Mapping[str, Any],
    weights: bytes,
    arrays: Mapping[str, TensorInfo],
) -> Path:
    """A file of a clean configuration and plain arrays."""
    h5py: Any = framework("h5py", "Keras files", "keras")
    copy, place = folder / _WEIGHTS, folder / "model.keras"
    with h5py.File(copy, "w") as file:
        for name, info in arrays.items():
            kind = np.dtype(f"<{_NUMPY[info.dtype[0]]}{int(info.dtype[1:]) // 8}")
            count = math.prod(info.shape)
            flat = np.frombuffer(weights, kind, count, info.start if count else 0)
            try:
                file[name] = flat.reshape(info.shape)
            except Exception as error:  # names that HDF5 cannot have, or not twice
                raise InputError(f"array '{shown(name)}': expected another name") from error
    with zipfile.ZipFile(place, "w") as archive:
        archive.writestr(_CONFIG, json.dumps(config))
        archive.writestr(_METADATA, json.dumps({"keras_version": version}))
        archive.write(copy, _WEIGHTS)
    return place


def _loaded(keras: Any, place: Path, arrays: Mapping[str, TensorInfo]) -> Any:
    """The model that Keras makes of a clean file."""
    try:
        model = keras.saving.load_model(place, compile=False, safe_mode=True)
    except Exception as error:  # weights that do not fit
        found = shown(str(error).strip().partition("\n")[0], 200)
        raise InputError(f"expected weights that fit the layers, found: {found}") from None
    held = sum(info.dtype[0] == "F" for info in arrays.values())
    wanted = sum("float" in variable.dtype for variable in model.variables)
    if held != wanted:
        raise InputError(f"expected {wanted} arrays of its layers, found {held}")
    return model
