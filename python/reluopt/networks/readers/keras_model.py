"""Keras 3 models (the extra ``keras``): chains of the layers of :mod:`.keras_layers`.

Images of Keras are rows x columns x channels; those of the network are channels x rows x columns,
as everywhere here: a model of 32 x 32 x 3 becomes a network with inputs of shape (3, 32, 32).
Outputs have Keras's order.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluopt.errors import InputError, shown
from reluopt.networks.metadata import NetworkMetadata, picture_shape
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.readers.agreement import Source, before, verified
from reluopt.networks.readers.assembly import Assembly
from reluopt.networks.readers.frameworks import framework, input_shape_told
from reluopt.networks.readers.keras_layers import LAYERS, flatten

MODELS = ("Sequential", "Functional")
"""Models by the names of their classes; one may stand in another as a layer."""


def load_keras() -> Any:
    """Keras, on PyTorch where TensorFlow, its usual backend, is not installed.

    Raises:
        EngineUnavailableError: it is not installed.
    """
    if "keras" not in sys.modules and find_spec("tensorflow") is None:
        os.environ.setdefault("KERAS_BACKEND", "torch")
    return framework("keras", "Keras models", "keras")


def from_keras(
    model: Any, input_shape: Sequence[int] | None = None, *, name: str | None = None
) -> ReLUNetwork:
    """Read a network from a Keras 3 model.

    Args:
        model: a Sequential or functional model, built, that is a chain of known layers. A softmax
            at its end is left out, since it keeps the order of the classes;
            ``network.metadata.recipe["imported"]["notes"]`` says so.
        input_shape: shape of one input. Where the model leaves sides of its images open, they are
            needed, as Keras has them (rows, columns, channels); otherwise they say how inputs are
            seen, as ``load_network`` takes it.
        name: of the network; the model's own unless told.

    Returns:
        The network, in float64 numbers; its images are channels x rows x columns. It was run beside
        the model on random inputs, and ``network.metadata.recipe["imported"]["agreement"]`` says
        how well it agreed.

    Raises:
        InputError: the model is no chain, holds a layer that cannot be represented (the message
            names it), or its outputs differ from the network's.
        EngineUnavailableError: Keras is not installed.

    Warns:
        NoteWarning: a softmax was left out.

    Example:
        >>> import keras
        >>> import reluopt as ro
        >>> layers = [keras.layers.Dense(3, activation="relu"), keras.layers.Dense(2)]
        >>> ro.from_keras(keras.Sequential([keras.Input((4,)), *layers])).sizes
        (4, 3, 2)
    """
    keras = load_keras()
    if not isinstance(model, keras.Model) or type(model).__name__ not in MODELS:
        raise InputError(
            "model: expected a keras Sequential or functional model, found "
            f"{shown(type(model).__name__)}"
        )
    label = f"model '{shown(model.name)}'"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of numpy, about Keras
        try:
            return _read(keras, model, input_shape, name)
        except InputError as error:
            raise InputError(f"{label}: {error}") from error


def _read(
    keras: Any, model: Any, input_shape: Sequence[int] | None, name: str | None
) -> ReLUNetwork:
    """The network of a model of a known class."""
    shape, seen = _shapes(model, input_shape)
    assembly = Assembly(shape)
    for layer in _layers(model):
        _follow(layer, assembly)
    if not assembly.end:
        flatten(assembly)
    network = assembly.finish(NetworkMetadata(name or model.name, seen))
    return verified(network, before(assembly.end, _source(keras, model, shape)))


def _shapes(model: Any, told: Sequence[int] | None) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shape of an input, channels first, and how it is seen."""
    known = None if told is None else input_shape_told(told)
    stated = getattr(model, "input_shape", None) if model.built else None
    if not isinstance(stated, tuple) or len(stated) < 2:
        raise InputError("expected one input and weights, found none: build the model first")
    sides = tuple(stated[1:])
    if None not in sides:
        shape = _channels_first(sides)
        return shape, known or picture_shape(shape)
    if known is None or len(known) != len(sides):
        raise InputError(f"input_shape: expected the sides that {sides} leaves open, found none")
    shape = _channels_first(known)
    return shape, picture_shape(shape)


def _channels_first(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[2], *shape[:2]) if len(shape) == 3 else shape


def _layers(model: Any) -> Iterator[Any]:
    """The layers of a chain in order, those of models in it too."""
    for entry in chain_of(model.get_config()):
        if entry["class_name"] == "InputLayer":
            continue
        layer = model.get_layer(entry["config"]["name"])
        if type(layer).__name__ in MODELS:
            yield from _layers(layer)
        else:
            yield layer


def chain_of(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Entries of the layers of a model's configuration, in order.

    Raises:
        InputError: they form no chain.
    """
    layers = config["layers"]
    for last, entry in pairwise(layers):
        nodes = entry.get("inbound_nodes")
        if nodes is None:  # Sequential
            continue
        name = last["config"]["name"]
        histories = [each["config"]["keras_history"] for each in _tensors(nodes)]
        if len(nodes) != 1 or histories != [[name, 0, 0]]:
            raise InputError(
                f"layer '{shown(entry['config']['name'])}': expected a chain in which every layer "
                f"reads what the one before it gave ('{shown(name)}'), found another input"
            )
    for key, place in (("input_layers", 0), ("output_layers", -1)):
        ends = config.get(key, [])
        ends = [ends] if ends and isinstance(ends[0], str) else ends
        if key in config and [list(end) for end in ends] != [
            [layers[place]["config"]["name"], 0, 0]
        ]:
            raise InputError(f"{key}: expected one, the {'last' if place else 'first'} layer")
    return list(layers)


def _tensors(found: Any) -> Iterator[Mapping[str, Any]]:
    """The tensors that a layer reads, wherever its configuration says them."""
    if isinstance(found, Mapping):
        if found.get("class_name") == "__keras_tensor__":
            yield found
            return
        found = list(found.values())
    if isinstance(found, list | tuple):
        for each in found:
            yield from _tensors(each)


def _follow(layer: Any, assembly: Assembly) -> None:
    """Add one layer."""
    kind = type(layer).__name__
    try:
        if kind not in LAYERS or not type(layer).__module__.startswith("keras."):
            raise InputError(f"expected one of {', '.join(LAYERS)}; replace it by some of them")
        LAYERS[kind](layer, assembly)
    except (InputError, TypeError, ValueError, AttributeError) as error:
        found = str(error).partition("\n")[0]
        raise InputError(f"layer '{shown(layer.name)}' ({shown(kind)}): {found}") from error


def _source(keras: Any, model: Any, shape: tuple[int, ...]) -> Source:
    """The model as what the network is compared with."""

    def run(inputs: NDArray[np.float32]) -> Any:
        values = inputs.reshape(-1, *shape)
        if len(shape) == 3:
            values = np.ascontiguousarray(values.transpose(0, 2, 3, 1))
        return keras.ops.convert_to_numpy(model(values, training=False))

    version = f"keras {keras.__version__} on {keras.config.backend()}"
    return Source("the Keras model", version, run)
