"""An extension of Griffe: docstrings of Sphinx's habits as Markdown, for mkdocstrings."""

from __future__ import annotations

import re
from typing import Any

import griffe

import reluopt

_ROLE = re.compile(r":(?P<role>func|class|meth|attr|mod|data|exc):`~?(?P<target>[^`]+)`")
_MATH = re.compile(r":math:`(?P<tex>[^`]+)`")
_LITERAL = re.compile(r"::(?=\n\n {4,})")
_EXAMPLE = re.compile(r"^(?P<space> *)Example:$", re.MULTILINE)


class Roles(griffe.Extension):
    """Rewrites each docstring as it is read."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """One object."""
        if obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value)


def markdown(text: str) -> str:
    """A docstring with links, formulas and examples as Markdown has them."""
    text = _ROLE.sub(_name, text)
    text = _MATH.sub(r"$\g<tex>$", text)
    text = _LITERAL.sub(":", text)
    return _EXAMPLE.sub(r"\g<space>Examples:", text)


def _name(found: re.Match[str]) -> str:
    """A public name links to its entry; any other is itself, a module with all of its path."""
    path = found["target"].lstrip(".")
    name = path if found["role"] == "mod" else path.rpartition(".")[2]
    return f"[`{name}`][reluopt.{name}]" if name in reluopt.__all__ else f"`{name}`"
