"""Networks in safetensors files: ours (:mod:`.own`), and those of other tools (:mod:`.state_dict`).

Numbers are read into float64. Files of other tools may say ``activation`` in their metadata.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from reluopt.errors import InputError
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.readers import ReaderOptions
from reluopt.networks.readers.own import METADATA_KEY, own_layers, own_metadata, parse_fields
from reluopt.networks.readers.state_dict import StateDict, build, read_foreign
from reluopt.networks.tensor_files import open_tensor_file


def read(path: Path, options: ReaderOptions) -> ReLUNetwork:
    """Read a network; see :func:`reluopt.networks.loading.load_network`."""
    file = open_tensor_file(path)
    shapes = {name: info.shape for name, info in file.tensors.items()}
    source = StateDict(file.path, shapes, file.read, file.metadata)
    text = file.metadata.get(METADATA_KEY)
    if text is None:
        return read_foreign(source, options)
    try:
        if options.architecture is not None:
            raise InputError("architecture: expected none, since the file tells its own")
        fields = parse_fields(text)
        layers, metadata = own_layers(file, fields), own_metadata(fields, path.stem)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    if options.input_shape is not None:
        metadata = replace(metadata, input_shape=options.input_shape)
    return build(source, layers, metadata)
