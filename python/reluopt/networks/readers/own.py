"""What our own safetensors files say of their network.

A file of ours holds, for layer ``i = 0..K-1``, ``layers.{i}.weight`` (out x in, row-major) and
``layers.{i}.bias``, in float32 as trained, and one metadata entry ``reluopt`` with a JSON object::

    {"schema_version": 1, "name": "thesis",
     "architecture": {"type": "dense", "sizes": [784, 32, 16, 10]}, "activation": "relu",
     "input_shape": [28, 28], "pixel_order": "row-major", "class_names": ["0", ...],
     "recipe": {...}, "test_accuracy": 0.9331, "input_box": [[0.0], [1.0]]}

Only ``schema_version``, ``architecture`` and ``activation`` must be there. ``input_box`` has lower
and upper bounds of the inputs, one for each or one for all; without it they are pixels in [0, 1].
Networks with layers of other kinds than dense have the tensors that each layer names, and
``"architecture": {"type": "layers", "layers": [{"kind": "dense"}, {"kind": ..., settings}, ...]}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reluopt.errors import InputError, shown
from reluopt.files import parse_json
from reluopt.networks.input_box import InputBox, checked_box
from reluopt.networks.layers import LAYERS
from reluopt.networks.layers.entries import read_entry
from reluopt.networks.metadata import (
    ACTIVATION_KEY,
    ActivationSource,
    NetworkMetadata,
    require_relu,
)
from reluopt.networks.readers.stored import StoredLayer
from reluopt.networks.tensor_files import TensorFile

DENSE, ANY = "dense", "layers"
"""Types of architectures: dense layers by their sizes, or layers of any kinds."""

SCHEMA_VERSION = 1
METADATA_KEY = "reluopt"

#: Key of our metadata in a file written from a network whose activation was assumed.
ASSUMED_KEY = "activation_assumed"

#: Largest length in metadata; products of them must stay numbers that can be printed.
MAX_LENGTH = 2**31
MAX_AXES = 16

#: More layers than this are no network that can be answered for.
MAX_LAYERS = 1_000
PIXEL_ORDER = "row-major"


def parse_fields(text: str) -> dict[str, Any]:
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
    require_relu(fields.get(ACTIVATION_KEY))
    order = fields.get("pixel_order", PIXEL_ORDER)
    if order != PIXEL_ORDER:
        raise InputError(f"pixel_order: expected '{PIXEL_ORDER}', found {shown(repr(order))}")
    return fields


def own_metadata(fields: Mapping[str, Any], default_name: str) -> NetworkMetadata:
    """Name, shapes, recipe and the like, each of the kind that it must be."""
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
        input_box=_box(fields.get("input_box")),
    )


def _box(value: Any) -> InputBox | None:
    """Lower and upper bounds of the inputs, if the file tells them."""
    if value is None:
        return None
    lists = isinstance(value, list) and all(isinstance(ends, list) for ends in value)
    if not lists or any(type(end) not in (int, float) for ends in value for end in ends):
        raise InputError(f"input_box: expected two lists of numbers, found {shown(value)}")
    return checked_box(value)


def own_layers(source: TensorFile, fields: Mapping[str, Any]) -> tuple[StoredLayer, ...]:
    """The layers that our metadata promises, checked against the tensors that are there."""
    architecture = fields.get("architecture")
    kinds = {DENSE: _dense_layers, ANY: _any_layers}
    found = architecture.get("type") if isinstance(architecture, dict) else None
    if not isinstance(architecture, dict) or found not in kinds:
        known = " or ".join(f"'{kind}'" for kind in kinds)
        raise InputError(f"architecture: expected type {known}, found {shown(architecture)}")
    layers = kinds[found](source, architecture)
    expected = {name for layer in layers for name in layer.tensors.values()}
    for name in source.tensors:
        if name not in expected:
            raise InputError(
                f"tensor '{shown(name)}': expected layers.0 to layers.{len(layers) - 1} only, "
                "found this"
            )
    return layers


def _dense_layers(source: TensorFile, architecture: Mapping[str, Any]) -> tuple[StoredLayer, ...]:
    """Dense layers of the sizes that are told."""
    sizes = _counts("architecture sizes", architecture.get("sizes"))
    if len(sizes) < 2:
        raise InputError(
            f"architecture sizes: expected inputs and at least one layer, found {shown(sizes)}"
        )
    layers = tuple(_stored(DENSE, {}, i) for i in range(len(sizes) - 1))
    for i, layer in enumerate(layers):
        shapes = {"weight": (sizes[i + 1], sizes[i]), "bias": (sizes[i + 1],)}
        for name, shape in shapes.items():
            _require(source, layer.tensors[name], shape)
    return layers


def _any_layers(source: TensorFile, architecture: Mapping[str, Any]) -> tuple[StoredLayer, ...]:
    """Layers of the kinds that are told; each judges its settings and tensors when it is made."""
    entries = architecture.get("layers")
    if not isinstance(entries, list) or not entries or len(entries) > MAX_LAYERS:
        raise InputError(
            f"architecture layers: expected a list of 1 to {MAX_LAYERS}, found {shown(entries)}"
        )
    layers = []
    for i, entry in enumerate(entries):
        kind, settings = read_entry(entry)
        layers.append(_stored(kind.kind, settings, i))
        for name in layers[-1].tensors.values():
            _require(source, name, None)
    return tuple(layers)


def _stored(kind: str, settings: Mapping[str, Any], i: int) -> StoredLayer:
    names = LAYERS.load(kind).names(settings)
    return StoredLayer(kind, {name: f"layers.{i}.{name}" for name in names}, settings)


def _require(source: TensorFile, name: str, shape: tuple[int, ...] | None) -> None:
    """Refuse a tensor that is not there or, if ``shape`` is given, has another one."""
    info = source.tensors.get(name)
    if info is None or (shape is not None and info.shape != shape):
        expected = "to find it" if shape is None else f"shape {shape}"
        found = "no such tensor" if info is None else f"shape {info.shape}"
        raise InputError(f"tensor '{name}': expected {expected}, found {found}")


def _counts(key: str, value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(
        type(item) is int and 0 < item < MAX_LENGTH for item in value
    ):
        raise InputError(
            f"{key}: expected a list of positive whole numbers, found {shown(repr(value))}"
        )
    return tuple(value)
