"""Which versions of what compute: kept beside every result."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from reluopt.engines import get_engine
from reluopt.install import own_version

BEHIND_AUTO = ("highspy", "gurobipy", "pyscipopt")
"""Packages of the solvers that ``auto`` chooses from, besides our own engine. Which engine solved
an image stands in the image's row; loading all solvers to ask them would take half a second."""


@cache
def versions(engine: str) -> dict[str, str]:
    """Versions of Python, reluopt and the solver behind the engine called ``engine``."""
    return _own_versions() | {engine: get_engine(engine).state().version}


def all_versions(engines: Iterable[str]) -> dict[str, str]:
    """Versions of numpy and of everything behind the engines, ``auto`` among them."""
    found = {"numpy": np.__version__} | _own_versions()
    for name in engines:
        found |= _installed(BEHIND_AUTO) if name == "auto" else versions(name)
    return found


def _own_versions() -> dict[str, str]:
    return {"python": platform.python_version(), "reluopt": own_version()}


def _installed(packages: Iterable[str]) -> dict[str, str]:
    """Versions of those packages that are installed, without importing any."""
    found = {}
    for name in packages:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
