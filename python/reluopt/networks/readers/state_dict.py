"""Networks from named tensors that come without a network: state dicts of other tools.

They are put together by an architecture that is told (:mod:`.architecture`), or as the only chain
of dense layers that their names and shapes allow (:mod:`.chain`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from reluopt.errors import InputError, shown
from reluopt.networks.metadata import (
    ACTIVATION_KEY,
    ActivationSource,
    NetworkMetadata,
    picture_shape,
    require_relu,
)
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.readers import ReaderOptions
from reluopt.networks.readers.architecture import (
    Step,
    assemble,
    input_shape_of,
    parse_architecture,
)
from reluopt.networks.readers.chain import infer_chain
from reluopt.networks.readers.stored import StoredLayer
from reluopt.numerics.arrays import FloatArray

#: Where files of other tools say their architecture.
ARCHITECTURE_KEY = "architecture"


@dataclass(frozen=True)
class StateDict:
    """Tensors of a file, by name.

    Attributes:
        path: of the file.
        shapes: of every tensor.
        read: their numbers, all at once.
        texts: what the file says besides.
    """

    path: Path
    shapes: Mapping[str, tuple[int, ...]]
    read: Callable[[], dict[str, FloatArray]]
    texts: Mapping[str, str] = field(default_factory=dict)


Meaning: TypeAlias = Callable[[tuple[Step, ...]], tuple[Step, ...]]
"""What the steps of an architecture mean in a format, which may refuse some."""


def read_foreign(
    source: StateDict, options: ReaderOptions, meaning: Meaning = tuple
) -> ReLUNetwork:
    """The network of the tensors.

    Raises:
        InputError: they make none, or leave open which one.
    """
    try:
        # Tensors of two axes need no architecture, and one that is told in passing changes nothing.
        needed = any(len(shape) not in (1, 2) for shape in source.shapes.values())
        told = options.architecture or (source.texts.get(ARCHITECTURE_KEY) if needed else None)
        if told is not None:
            return _by_architecture(source, told, options, meaning)
        layers = infer_chain(source.shapes)
        metadata = _chain_metadata(source, layers, options)
    except InputError as error:
        raise InputError(f"{source.path}: {error}") from error
    return build(source, layers, metadata)


def build(
    source: StateDict, stored: Sequence[StoredLayer], metadata: NetworkMetadata
) -> ReLUNetwork:
    """The network of layers whose tensors are known.

    Raises:
        InputError: they make none.
    """
    numbers = source.read()
    layers = []
    for each in stored:
        # Layers copy their arrays, so that one tensor at a time is held twice.
        arrays = {name: numbers.pop(place) for name, place in each.tensors.items()}
        try:
            layers.append(each.build(arrays))
        except InputError as error:
            names = " and ".join(f"'{shown(place)}'" for place in each.tensors.values())
            raise InputError(f"{source.path}: tensors {names}: {error}") from error
    try:
        return ReLUNetwork(tuple(layers), metadata)
    except InputError as error:
        raise InputError(f"{source.path}: {error}") from error


def _by_architecture(
    source: StateDict, text: str, options: ReaderOptions, meaning: Meaning
) -> ReLUNetwork:
    """The network of an architecture; a text that is given says that ReLUs stand between layers."""
    steps = meaning(parse_architecture(text))
    size = re.search(r"\b(\d{1,4})x(\d{1,4})\b", source.texts.get("input", ""))
    told = options.input_shape or (None if size is None else (int(size[1]), int(size[2])))
    inputs = input_shape_of(steps, told)
    metadata = NetworkMetadata(
        name=source.path.stem,
        input_shape=options.input_shape or picture_shape(inputs),
        recipe={"architecture": text},
        activation=_activation(source, known=options.architecture is not None),
    )
    return assemble(steps, source.read(), inputs, metadata)


def _chain_metadata(
    source: StateDict, chain: Sequence[StoredLayer], options: ReaderOptions
) -> NetworkMetadata:
    """What can be said of dense layers: their origin, and their likely input shape."""
    rows, columns = source.shapes[chain[0].tensors["weight"]]
    inputs = rows if chain[0].transposed else columns
    inferred = {
        "tensors": [layer.tensors["weight"] for layer in chain],
        "orientation": "in x out" if chain[0].transposed else "out x in",
    }
    return NetworkMetadata(
        name=source.path.stem,
        input_shape=options.input_shape or picture_shape((inputs,)),
        recipe={"inferred": inferred},
        # Nothing stands after the last layer, so a single one leaves nothing to assume.
        activation=_activation(source, known=len(chain) == 1),
    )


def _activation(source: StateDict, known: bool) -> ActivationSource:
    """How it is known that ReLUs stand between the layers."""
    stated = source.texts.get(ACTIVATION_KEY)
    if stated is not None:
        require_relu(stated)
    return ActivationSource.STATED if known or stated is not None else ActivationSource.ASSUMED
