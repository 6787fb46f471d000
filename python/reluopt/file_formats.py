"""Which format a file is in, by its first bytes: for messages that say what was found instead.

A file's name may claim anything; its first bytes rarely lie. Each format that people hand over in
place of a weights file comes with the way to turn it into one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

#: First bytes that :func:`recognise` looks at: enough for the name of a zip file's first member.
HEAD_BYTES = 512

_ZIP_NAME_AT, _ZIP_NAME_LENGTH_AT = 30, 26


@dataclass(frozen=True)
class FileFormat:
    """A format that is not ours.

    Attributes:
        name: with its article, such as "an ONNX file".
        advice: how its weights become a safetensors file, or what else to do with it.
        matches: whether a file that begins with these bytes is of this format.
    """

    name: str
    advice: str
    matches: Callable[[bytes], bool]


def recognise(head: bytes) -> FileFormat | None:
    """The format of a file that begins with ``head`` (:data:`HEAD_BYTES`), or None."""
    return next((known for known in _FORMATS if known.matches(head)), None)


def _begins(*magics: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(magics)


def _zip_of(pattern: str) -> Callable[[bytes], bool]:
    """Whether a zip file's first member has a name of this pattern."""

    def matches(head: bytes) -> bool:
        length = int.from_bytes(head[_ZIP_NAME_LENGTH_AT : _ZIP_NAME_LENGTH_AT + 2], "little")
        name = head[_ZIP_NAME_AT : _ZIP_NAME_AT + length].decode("latin-1")
        return head.startswith(b"PK\x03\x04") and re.fullmatch(pattern, name) is not None

    return matches


def _is_onnx(head: bytes) -> bool:
    """A ModelProto begins with field 1, its version (a small number), then field 2, 5, 7 or 8."""
    follows = head[2:3] in (b"\x12", b"\x2a", b"\x3a", b"\x42")
    return follows and head[0] == 0x08 and 1 <= head[1] < 64


_FIRST = "a network is named first: reluopt attack {}"
_KERAS = "in Keras, model.save('net.keras') writes a file that is read"
_PICKLE = (
    "reading it runs code that it holds: where it was made, reluopt.from_sklearn(model) or "
    "from_torch reads the model, and save_network(network, 'net.safetensors') writes it"
)

_FORMATS = (
    FileFormat(
        "an ONNX file",
        _FIRST.format("net.onnx"),
        _is_onnx,
    ),
    FileFormat(
        "a PyTorch file",
        _FIRST.format("net.pt"),
        _zip_of(r"[^/]+/(data\.pkl|\.format_version|data/0)"),
    ),
    FileFormat(
        "a numpy archive (.npz)",
        "safetensors.numpy.save_file(dict(numpy.load(path)), 'net.safetensors') writes its arrays",
        _zip_of(r".*\.npy"),
    ),
    FileFormat(
        "a Keras file",
        _FIRST.format("net.keras"),
        _zip_of(r"(metadata|config)\.json|model\.weights\.h5"),
    ),
    FileFormat(
        "a zip file", "unpack it and name the file inside", _begins(b"PK\x03\x04", b"PK\x05\x06")
    ),
    FileFormat("a MATLAB file", _FIRST.format("net.mat"), _begins(b"MATLAB 5.0 MAT-file")),
    FileFormat(
        "a MATLAB file of version 7.3",
        "save('net.mat', '-v7') writes one that is read",
        _begins(b"MATLAB 7.3 MAT-file"),
    ),
    FileFormat("an HDF5 file (of Keras?)", _KERAS, _begins(b"\x89HDF\r\n\x1a\n")),
    FileFormat(
        "a Python pickle (of PyTorch or scikit-learn?)",
        _PICKLE,
        _begins(*(bytes((0x80, protocol)) for protocol in range(2, 6))),
    ),
    FileFormat(
        "a packed Python pickle (of joblib?)",
        _PICKLE,
        _begins(b"x\x01", b"x\x5e", b"x\x9c", b"x\xda", b"BZh", b"\xfd7zXZ"),
    ),
    FileFormat(
        "a numpy array (.npy)",
        "a network needs several, in one file written by safetensors.numpy.save_file",
        _begins(b"\x93NUMPY"),
    ),
    FileFormat("a gzip file", "unpack it first", _begins(b"\x1f\x8b")),
    FileFormat("a PNG image", "images go after --images", _begins(b"\x89PNG\r\n\x1a\n")),
    FileFormat("a JPEG image", "images are read from PNG", _begins(b"\xff\xd8\xff")),
    FileFormat("a TensorFlow Lite file", _KERAS, lambda head: head[4:8] == b"TFL3"),
    FileFormat("a text in JSON", "weights are read from safetensors", _begins(b"{", b"[")),
)
