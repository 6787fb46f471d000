"""Networks in safetensors files: ours (:mod:`.own`), and those of other tools (:mod:`.chain`).

Numbers are read into float64. Files of other tools may say ``activation`` in their metadata.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

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
from reluopt.networks.readers.architecture import assemble, input_shape_of, parse_architecture
from reluopt.networks.readers.chain import infer_chain
from reluopt.networks.readers.own import METADATA_KEY, own_layers, own_metadata, parse_fields
from reluopt.networks.readers.stored import StoredLayer
from reluopt.networks.tensor_files import TensorFile, open_tensor_file

#: Where files of other tools say their architecture.
ARCHITECTURE_KEY = "architecture"


def read(path: Path, options: ReaderOptions) -> ReLUNetwork:
    """Read a network; see :func:`reluopt.networks.loading.load_network`."""
    source = open_tensor_file(path)
    text = source.metadata.get(METADATA_KEY)
    try:
        if text is not None and options.architecture is not None:
            raise InputError("architecture: expected none, since the file tells its own")
        told = None if text is not None else _told_architecture(source, options)
        if told is not None:
            return _by_architecture(source, told, options)
        if text is None:
            layers = infer_chain({name: info.shape for name, info in source.tensors.items()})
            metadata = _foreign_metadata(source, layers)
        else:
            fields = parse_fields(text)
            layers = own_layers(source, fields)
            metadata = own_metadata(fields, source.path.stem)
    except InputError as error:
        raise InputError(f"{source.path}: {error}") from error
    if options.input_shape is not None:
        metadata = replace(metadata, input_shape=options.input_shape)
    return _assemble(source, layers, metadata)


def _told_architecture(source: TensorFile, options: ReaderOptions) -> str | None:
    """The architecture that is given or, for tensors that need one, what the metadata say."""
    needed = any(len(info.shape) not in (1, 2) for info in source.tensors.values())
    return options.architecture or (source.metadata.get(ARCHITECTURE_KEY) if needed else None)


def _by_architecture(source: TensorFile, text: str, options: ReaderOptions) -> ReLUNetwork:
    """The network of an architecture; a text that is given says that ReLUs stand between layers."""
    steps = parse_architecture(text)
    stated = source.metadata.get(ACTIVATION_KEY)
    if stated is not None:
        require_relu(stated)
    known = stated is not None or options.architecture is not None
    size = re.search(r"\b(\d{1,4})x(\d{1,4})\b", source.metadata.get("input", ""))
    told = options.input_shape or (None if size is None else (int(size[1]), int(size[2])))
    inputs = input_shape_of(steps, told)
    metadata = NetworkMetadata(
        name=source.path.stem,
        input_shape=options.input_shape or picture_shape(inputs),
        recipe={"architecture": text},
        activation=ActivationSource.STATED if known else ActivationSource.ASSUMED,
    )
    return assemble(steps, source.read(), inputs, metadata)


def _assemble(
    source: TensorFile, stored: Sequence[StoredLayer], metadata: NetworkMetadata
) -> ReLUNetwork:
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


def _foreign_metadata(source: TensorFile, chain: Sequence[StoredLayer]) -> NetworkMetadata:
    """What can be said of a network of another tool: its origin, and its likely input shape."""
    rows, columns = source.tensors[chain[0].tensors["weight"]].shape
    inputs = rows if chain[0].transposed else columns
    orientation = "in x out" if chain[0].transposed else "out x in"
    stated = source.metadata.get(ACTIVATION_KEY)
    if stated is not None:
        require_relu(stated)
    # Nothing stands after the last layer, so a single one leaves nothing to assume.
    known = stated is not None or len(chain) == 1
    return NetworkMetadata(
        name=source.path.stem,
        input_shape=picture_shape((inputs,)),
        recipe={
            "inferred": {
                "tensors": [n.tensors["weight"] for n in chain],
                "orientation": orientation,
            }
        },
        activation=ActivationSource.STATED if known else ActivationSource.ASSUMED,
    )
