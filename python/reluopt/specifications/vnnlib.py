"""VNN-LIB files: version 1.0 (https://www.vnnlib.org) and what of version 2.0 asks one network.

Version 1.0 declares ``X_i`` and ``Y_j`` by ``declare-const``; version 2.0 declares a network with
typed tensors and indexes them (grammar: ``VNNLIB/VNNLIB-Standard``, ``grammar.cf``).
"""

from __future__ import annotations

import math
import re
import warnings
from pathlib import Path

from reluopt.errors import InputError, NoteWarning, shown
from reluopt.specifications.expressions import Tree, read_text, statements
from reluopt.specifications.formulas import Formula, formula
from reluopt.specifications.normal_form import regions_of
from reluopt.specifications.specification import Specification, Tensor

_SCALAR = re.compile(r"([XY])_(0|[1-9]\d{0,8})", re.ASCII)
_NAME = re.compile(r"[A-Za-z]\w*", re.ASCII)
_SHAPE = re.compile(r"\[\s*(\d{1,9}(\s*,\s*\d{1,9}){0,7})?\s*\]", re.ASCII)
_VERSION = re.compile(r"<2\.\d{1,3}>|2\.\d{1,3}", re.ASCII)  # drafts had no brackets

TYPES = ("real", "float32", "float64")
"""Element types, in lower case."""

MAX_ENTRIES = 10**7
"""Most entries of a tensor."""


def read_specification(path: Path) -> Specification:
    """Read a file, plain or gzipped.

    Raises:
        InputError: it is no specification, or one that is not supported; the message names the
            file and the line.

    Warns:
        NoteWarning: a tensor has a type of its own; what is proven holds in exact arithmetic.
    """
    text, reader, place = read_text(path), _Reader(), ""
    try:
        for line, tree in statements(text):
            place = f"line {line}: "
            reader.take(tree)
        place = ""
        specification = reader.finished(path.name)
    except InputError as error:
        message = str(error)
        place = "" if message.startswith("line ") else place
        raise InputError(f"{path}: {place}{message}") from error
    typed = [each for each in specification.tensors or () if each.kind.lower() != "real"]
    if typed:
        kinds = " and ".join(f"{each.name} {each.kind}" for each in typed)
        note = f"{path} declares {kinds}; what is proven holds in exact arithmetic (real)"
        warnings.warn(NoteWarning(note), stacklevel=2)
    return specification


class _Reader:
    """What is declared and asserted so far."""

    def __init__(self) -> None:
        self._scalars: dict[str, int] = {}
        self._tensors: tuple[Tensor, Tensor] | None = None
        self._asserted: list[Formula] = []

    def take(self, tree: list[Tree]) -> None:
        """One statement."""
        head = tree[0] if tree and isinstance(tree[0], str) else ""
        if head not in _STATEMENTS:
            known = ", ".join(_STATEMENTS)
            raise InputError(f"expected one of {known}; {shown(repr(head))} is not supported")
        _STATEMENTS[head](self, tree[1:])

    def version(self, rest: list[Tree]) -> None:
        """``(vnnlib-version <2.0>)``."""
        if len(rest) != 1 or not isinstance(rest[0], str) or not _VERSION.fullmatch(rest[0]):
            raise InputError("vnnlib-version: expected <2.0>; others are not supported")

    def constant(self, rest: list[Tree]) -> None:
        """``(declare-const X_0 Real)``."""
        name = rest[0] if rest and isinstance(rest[0], str) else ""
        match = _SCALAR.fullmatch(name)
        if match is None or rest[1:] != ["Real"]:
            raise InputError("declare-const: expected X_i or Y_j and Real")
        if self._tensors is not None:
            raise InputError("declare-const: expected no networks beside it (version 2.0)")
        if name in self._scalars:
            raise InputError(f"declare-const: expected each name once, found {name} again")
        place = int(match[2])
        self._scalars[name] = place if match[1] == "X" else -1 - place

    def network(self, rest: list[Tree]) -> None:
        """``(declare-network f (declare-input X real [1,5]) (declare-output Y real [2]))``."""
        if self._tensors is not None or self._scalars:
            raise InputError("declare-network: several networks are not supported")
        if not rest or not isinstance(rest[0], str) or not _NAME.fullmatch(rest[0]):
            raise InputError("declare-network: expected a name")
        heads = [part[0] if isinstance(part, list) and part else part for part in rest[1:]]
        extra = next((head for head in heads if head not in list(_TENSORS)), None)
        if extra is not None:
            found = shown(repr(extra)) if isinstance(extra, str) else "such a declaration"
            raise InputError(f"declare-network: {found} is not supported")
        if heads != list(_TENSORS):
            raise InputError(
                "declare-network: other than one input and then one output is not supported"
            )
        given, asked = (_tensor(part[1:]) for part in rest[1:] if isinstance(part, list))
        if given.name == asked.name:
            raise InputError(f"declare-network: expected each name once, found {given.name} again")
        self._tensors = given, asked

    def asserted(self, rest: list[Tree]) -> None:
        """``(assert (<= X_0 0.5))``."""
        if len(rest) != 1:
            raise InputError(f"assert: expected one formula, found {len(rest)}")
        self._asserted.append(formula(rest[0], self._variable))

    def _variable(self, name: str, index: str | None) -> int:
        """The variable of a name and an index; see :data:`.formulas.Variable`."""
        if index is None and name in self._scalars:
            return self._scalars[name]
        for tensor, sign in zip(self._tensors or (), _TENSORS.values(), strict=False):
            if tensor.name == name:
                place = tensor.place(index)
                return place if sign > 0 else -1 - place
        raise InputError(
            f"expected a declared name or a number, found {shown(repr(name + (index or '')))}"
        )

    def finished(self, name: str) -> Specification:
        """The specification, its names counted."""
        regions = regions_of(self._asserted, *self._sizes())
        return Specification(name, *self._sizes(), regions, tuple(self._asserted), self._tensors)

    def _sizes(self) -> tuple[int, int]:
        """How many inputs and outputs are declared."""
        if self._tensors is not None:
            return self._tensors[0].size, self._tensors[1].size
        keys = self._scalars.values()
        outputs = sum(key < 0 for key in keys)
        inputs = len(keys) - outputs
        if not (inputs and outputs and max(keys) == inputs - 1 and min(keys) == -outputs):
            raise InputError(
                "expected X_0 to X_n and Y_0 to Y_m declared, none left out, found "
                f"{inputs} inputs and {outputs} outputs"
            )
        return inputs, outputs


_STATEMENTS = {
    "vnnlib-version": _Reader.version,
    "declare-const": _Reader.constant,
    "declare-network": _Reader.network,
    "assert": _Reader.asserted,
}

_TENSORS = {"declare-input": 1, "declare-output": -1}
"""What may be declared, in this order, and the sign of its variables."""


def _tensor(rest: list[Tree]) -> Tensor:
    """``X float32 [1,784]``, perhaps with the name of a node behind."""
    words = [part for part in rest if isinstance(part, str)]
    if len(words) not in (3, 4) or len(words) != len(rest) or not _NAME.fullmatch(words[0]):
        raise InputError("expected a tensor's name, type and shape, such as X real [1,5]")
    name, kind, shape = words[0], words[1], words[2]
    if kind.lower() not in TYPES:
        raise InputError(f"{shown(name)}: type {shown(kind)} is not supported")
    if not _SHAPE.fullmatch(shape) or (len(words) == 4 and not words[3].startswith('"')):
        raise InputError(f"{shown(name)}: expected a shape such as [1,5], found {shown(shape)}")
    lengths = tuple(int(length) for length in re.findall(r"\d+", shape))
    if not 1 <= math.prod(lengths) <= MAX_ENTRIES:
        raise InputError(f"{shown(name)}: expected 1 to {MAX_ENTRIES} entries, found {shape}")
    return Tensor(name, kind, lengths)
