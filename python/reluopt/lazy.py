"""Public names that a package loads when they are first used, so that others cost nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any


def lazy_names(
    package: str,
) -> tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]:
    """``__all__``, ``__getattr__`` and ``__dir__`` of a package, from its stub.

    Type checkers read the stub ``__init__.pyi``, and it alone says where names are: each in a line
    ``from module import name as name``.

    Args:
        package: its ``__name__``.
    """
    module = sys.modules[package]
    loader: Any = module.__loader__
    stub = os.path.join(module.__path__[0], "__init__.pyi")
    places: dict[str, str] = {}
    for line in loader.get_data(stub).decode("utf-8").splitlines():
        match line.split():
            case ["from", place, "import", name, "as", _]:
                places[name] = place

    def load(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        found = vars(module)[name] = getattr(import_module(places[name]), name)
        return found

    def listed() -> list[str]:
        return sorted({*vars(module), *places})

    return list(places), load, listed
