"""Loading and saving networks as safetensors files.

A file of ours holds, for layer ``i = 0..K-1``, ``layers.{i}.weight`` (out x in, row-major) and
``layers.{i}.bias``, in float32 as trained, and one metadata entry ``reluopt`` with a JSON object::

    {"schema_version": 1, "name": "thesis",
     "architecture": {"type": "dense", "sizes": [784, 32, 16, 10]}, "activation": "relu",
     "input_shape": [28, 28], "pixel_order": "row-major", "class_names": ["0", ...],
     "recipe": {...}, "test_accuracy": 0.9331}

Only ``schema_version``, ``architecture`` and ``activation`` must be there. Numbers are read into
float64. Files without that entry load by the rules of :mod:`reluopt.networks.weight_inference`.

Weights alone do not say what stands between the layers: a network with leaky ReLUs has the same
tensors. A file of another tool says so by a text ``activation`` in its metadata
(``save_file(tensors, path, metadata={"activation": "relu"})``), or whoever loads it does. Where
neither does, ReLU is assumed, which the network remembers and a warning tells.
"""

from __future__ import annotations

import json
import math
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from reluopt.errors import AssumptionWarning, InputError, shown
from reluopt.files import parse_json, write_atomically
from reluopt.networks.network import ActivationSource, Dense, NetworkMetadata, ReLUNetwork
from reluopt.networks.tensor_files import TensorFile, open_tensor_file
from reluopt.networks.weight_inference import DenseTensors, infer_chain

SCHEMA_VERSION = 1
METADATA_KEY = "reluopt"

#: The only activation there is, as files and options spell it; also its key in metadata.
RELU = "relu"
ACTIVATION_KEY = "activation"

#: Key of our metadata in a file written from a network whose activation was assumed.
ASSUMED_KEY = "activation_assumed"

#: Largest length in metadata; products of them must stay numbers that can be printed.
MAX_LENGTH = 2**31
MAX_AXES = 16
PIXEL_ORDER = "row-major"

#: A file that does not tell its input shape is read as a square image from this side on (784 inputs
#: are 28 x 28); fewer inputs are more likely plain features. The shape only matters for display.
MIN_IMAGE_SIDE = 8


def load_network(
    path: str | os.PathLike[str],
    input_shape: Sequence[int] | None = None,
    *,
    activation: str | None = None,
) -> ReLUNetwork:
    """Read a network from a safetensors file, ours or another tool's.

    Args:
        path: the file.
        input_shape: shape of one input; overrides what the file says. If neither tells, a square
            number of inputs (64 or more) is taken as a square image.
        activation: ``relu`` confirms that ReLUs stand between the layers.

    Returns:
        The network; ``network.metadata.activation`` tells how its ReLUs are known.

    Raises:
        InputError: the file cannot be read, is no chain of dense layers, leaves open which one,
            says that its activation is another one, or holds NaN or infinite numbers. The message
            names the file and the tensor.

    Warns:
        AssumptionWarning: neither the file nor ``activation`` says what stands between the layers.
    """
    if activation is not None:
        _require_relu(activation)
    source = open_tensor_file(path)
    text = source.metadata.get(METADATA_KEY)
    try:
        if text is None:
            chain = infer_chain({name: info.shape for name, info in source.tensors.items()})
            metadata = _foreign_metadata(source, chain)
        else:
            fields = _parse_fields(text)
            chain = _own_chain(source, fields)
            metadata = _own_metadata(fields, source.path.stem)
    except InputError as error:
        raise InputError(f"{source.path}: {error}") from error
    if input_shape is not None:
        metadata = replace(metadata, input_shape=tuple(input_shape))
    if metadata.activation is ActivationSource.ASSUMED and activation is not None:
        metadata = replace(metadata, activation=ActivationSource.CONFIRMED)
    network = _assemble(source, chain, metadata)
    if metadata.activation is ActivationSource.ASSUMED:
        warnings.warn(assumption(source.path), stacklevel=2)
    return network


def assumption(path: Path) -> AssumptionWarning:
    """What is told of a file that does not say what stands between its layers."""
    return AssumptionWarning(
        f"ReLU between the layers of {path} (the file does not say)", ACTIVATION_KEY, RELU
    )


def _require_relu(activation: object) -> None:
    """Refuse another activation, whoever states it."""
    if not isinstance(activation, str) or activation.lower() != RELU:
        raise InputError(
            f"{ACTIVATION_KEY}: expected '{RELU}' (nothing else can be answered for), found "
            f"'{shown(activation)}'"
        )


def save_network(network: ReLUNetwork, path: str | os.PathLike[str]) -> None:
    """Write a network to a safetensors file, all of it or nothing.

    Weights are stored in float32 when that loses nothing (as for every trained network) and in
    float64 otherwise, so that loading gives the same numbers back.

    Raises:
        InputError: the recipe is not JSON-serialisable, or the file cannot be written.
    """
    tensors: dict[str, NDArray[Any]] = {}
    for i, layer in enumerate(network.layers):
        tensors[f"layers.{i}.weight"] = layer.weight
        tensors[f"layers.{i}.bias"] = layer.bias
    with np.errstate(over="ignore"):
        narrow = {name: array.astype(np.float32) for name, array in tensors.items()}
    if all(np.array_equal(narrow[name], tensors[name]) for name in tensors):
        tensors = dict(narrow)
    metadata = network.metadata
    fields = {
        "schema_version": SCHEMA_VERSION,
        "name": metadata.name,
        "architecture": {"type": "dense", "sizes": list(network.sizes)},
        ACTIVATION_KEY: RELU,
        "input_shape": list(metadata.input_shape),
        "pixel_order": PIXEL_ORDER,
        "class_names": list(metadata.class_names),
        "recipe": dict(metadata.recipe),
        "test_accuracy": metadata.test_accuracy,
    }
    if metadata.activation is ActivationSource.ASSUMED:
        fields[ASSUMED_KEY] = True  # an assumption that is written down is still one
    try:
        text = json.dumps(fields, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"recipe: expected JSON-serialisable values, found: {error}") from error
    if not Path(path).parent.is_dir():
        raise InputError(f"{path}: expected a writable place, found no such folder")
    try:
        write_atomically(Path(path), save(tensors, metadata={METADATA_KEY: text}))
    except OSError as error:
        raise InputError(f"{path}: expected a writable place, found: {error}") from error


def _assemble(
    source: TensorFile, chain: Sequence[DenseTensors], metadata: NetworkMetadata
) -> ReLUNetwork:
    numbers = source.read()
    layers = []
    for names in chain:
        weight, bias = numbers.pop(names.weight), numbers.pop(names.bias)  # layers have copies
        try:
            layers.append(Dense(weight.T if names.transposed else weight, bias))
        except InputError as error:
            raise InputError(
                f"{source.path}: tensors '{shown(names.weight)}' and '{shown(names.bias)}': {error}"
            ) from error
    try:
        return ReLUNetwork(tuple(layers), metadata)
    except InputError as error:
        raise InputError(f"{source.path}: {error}") from error


def _foreign_metadata(source: TensorFile, chain: Sequence[DenseTensors]) -> NetworkMetadata:
    """What can be said of a network of another tool: its origin, and its likely input shape."""
    rows, columns = source.tensors[chain[0].weight].shape
    inputs = rows if chain[0].transposed else columns
    side = math.isqrt(inputs)
    square = side * side == inputs and side >= MIN_IMAGE_SIDE
    orientation = "in x out" if chain[0].transposed else "out x in"
    stated = source.metadata.get(ACTIVATION_KEY)
    if stated is not None:
        _require_relu(stated)
    # Nothing stands after the last layer, so a single one leaves nothing to assume.
    known = stated is not None or len(chain) == 1
    return NetworkMetadata(
        name=source.path.stem,
        input_shape=(side, side) if square else (inputs,),
        recipe={"inferred": {"tensors": [n.weight for n in chain], "orientation": orientation}},
        activation=ActivationSource.STATED if known else ActivationSource.ASSUMED,
    )


def _parse_fields(text: str) -> dict[str, Any]:
    """The JSON object of our metadata entry, its version and kind checked."""
    try:
        fields = parse_json(text)
    except ValueError as error:
        raise InputError(f"metadata '{METADATA_KEY}': expected JSON, found: {error}") from error
    if not isinstance(fields, dict):
        raise InputError(f"metadata '{METADATA_KEY}': expected a JSON object")
    version = fields.get("schema_version")
    if type(version) is not int or version < 1:
        raise InputError(f"schema_version: expected a whole number, found {shown(repr(version))}")
    if version > SCHEMA_VERSION:
        raise InputError(
            f"schema_version: expected at most {SCHEMA_VERSION}, found {shown(version)}: the file "
            "comes from a newer reluopt; upgrade reluopt to read it"
        )
    _require_relu(fields.get(ACTIVATION_KEY))
    order = fields.get("pixel_order", PIXEL_ORDER)
    if order != PIXEL_ORDER:
        raise InputError(f"pixel_order: expected '{PIXEL_ORDER}', found {shown(repr(order))}")
    return fields


def _own_chain(source: TensorFile, fields: Mapping[str, Any]) -> tuple[DenseTensors, ...]:
    """The layers that our metadata promises, checked against the tensors that are there."""
    architecture = fields.get("architecture")
    if not isinstance(architecture, dict) or architecture.get("type") != "dense":
        raise InputError(f"architecture: expected type 'dense', found {shown(architecture)}")
    sizes = _counts("architecture sizes", architecture.get("sizes"))
    if len(sizes) < 2:
        raise InputError(
            f"architecture sizes: expected inputs and at least one layer, found {shown(sizes)}"
        )
    layers = tuple(
        DenseTensors(f"layers.{i}.weight", f"layers.{i}.bias", transposed=False)
        for i in range(len(sizes) - 1)
    )
    shapes: dict[str, tuple[int, ...]] = {}
    for i, names in enumerate(layers):
        shapes[names.weight] = (sizes[i + 1], sizes[i])
        shapes[names.bias] = (sizes[i + 1],)
    for name, shape in shapes.items():
        info = source.tensors.get(name)
        if info is None or info.shape != shape:
            found = "no such tensor" if info is None else f"shape {info.shape}"
            raise InputError(f"tensor '{name}': expected shape {shape}, found {found}")
    for name in source.tensors:
        if name not in shapes:
            raise InputError(
                f"tensor '{shown(name)}': expected layers.0 to layers.{len(layers) - 1} only, "
                "found this"
            )
    return layers


def _own_metadata(fields: Mapping[str, Any], default_name: str) -> NetworkMetadata:
    name = fields.get("name", default_name)
    if not isinstance(name, str):
        raise InputError(f"name: expected a text, found {shown(repr(name))}")
    names = fields.get("class_names", [])
    if not isinstance(names, list) or not all(isinstance(item, str) for item in names):
        raise InputError(f"class_names: expected a list of texts, found {shown(names)}")
    recipe = fields.get("recipe", {})
    if not isinstance(recipe, dict):
        raise InputError(f"recipe: expected an object, found {shown(recipe)}")
    accuracy = fields.get("test_accuracy")
    if accuracy is not None and (
        isinstance(accuracy, bool)
        or not isinstance(accuracy, int | float)
        or not 0.0 <= accuracy <= 1.0
    ):
        raise InputError(
            f"test_accuracy: expected a fraction in [0, 1], found {shown(repr(accuracy))}"
        )
    assumed = fields.get(ASSUMED_KEY, False)
    if not isinstance(assumed, bool):
        raise InputError(f"{ASSUMED_KEY}: expected true or false, found {shown(repr(assumed))}")
    shape = _counts("input_shape", fields.get("input_shape", []))
    if len(shape) > MAX_AXES:
        raise InputError(f"input_shape: expected at most {MAX_AXES} axes, found {len(shape)}")
    return NetworkMetadata(
        name=name,
        input_shape=shape,
        class_names=tuple(names),
        recipe=recipe,
        test_accuracy=accuracy,
        activation=ActivationSource.ASSUMED if assumed else ActivationSource.STATED,
    )


def _counts(key: str, value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(
        type(item) is int and 0 < item < MAX_LENGTH for item in value
    ):
        raise InputError(
            f"{key}: expected a list of positive whole numbers, found {shown(repr(value))}"
        )
    return tuple(value)
