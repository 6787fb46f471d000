"""``reluopt import``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reluopt.cli import options
from reluopt.cli.app import app
from reluopt.cli.console import output
from reluopt.errors import InputError, shown

if TYPE_CHECKING:
    from reluopt.networks.layers.base import Layer
    from reluopt.networks.network import ReLUNetwork


@app.command(name="import")
@options.expanded
def import_network(
    source: Annotated[str, typer.Argument(help="File of a network, or a bundled name.")],
    out: Annotated[Path, typer.Argument(help="File to write: .safetensors, or .onnx.")],
    loading: options.LoadingOptions,
    name: Annotated[str | None, typer.Option(help="Name of the network (default: OUT's).")] = None,
    force: Annotated[bool, typer.Option(help="Overwrite an existing file.")] = False,
) -> None:
    """Read a network of another tool, compare it with what that tool computes, and write it.

    Reads ONNX, PyTorch, Keras, MATLAB (MIPVerify) and safetensors files.
    """
    from dataclasses import replace

    from reluopt.networks.readers.agreement import IMPORTED, NOTHING
    from reluopt.networks.saving import save_network

    options.refuse_existing("OUT", out, force)
    network = loading.open(source)
    network = replace(network, metadata=replace(network.metadata, name=name or out.stem))
    told = network.metadata.recipe.get(IMPORTED, {})
    for line in (f"read {shown(source)}", *_layers(network)):
        _print(line)
    _print(f"agreement: {shown(told.get('agreement', NOTHING), 200)}")
    save_network(network, out)
    _print(f"wrote {shown(out)}: {_read_back(network, out)}")


def _print(line: str) -> None:
    output.print(line, markup=False, highlight=False, soft_wrap=True)


def _layers(network: ReLUNetwork) -> list[str]:
    """One line for inputs, and one for each layer between two ReLUs."""
    lines = [f"  input {' x '.join(map(str, network.input_shape))}"]
    for i, layer in enumerate(network.layers):
        between = ", ReLU" if i + 1 < len(network.layers) else ""
        lines.append(f"  {_words(layer)}{between}")
    return lines


def _words(layer: Layer) -> str:
    """A layer, or the parts of a chain, with the number of values behind."""
    parts = getattr(layer, "parts", (layer,))
    return " + ".join(f"{part.kind} {part.input_size}-{part.output_size}" for part in parts)


def _read_back(network: ReLUNetwork, path: Path) -> str:
    """How the written file agrees with the network, read as anybody would read it."""
    from reluopt.networks.loading import load_network
    from reluopt.networks.readers.agreement import Source, compare

    back = load_network(path)
    if back.fingerprint == network.fingerprint:
        return "read back, the same to the last bit"
    agreement = compare(network, Source("the file", "read back", back.forward))
    if not agreement.holds:
        raise InputError(f"{path}: expected a file that agrees, found a {agreement}")
    return str(agreement)
