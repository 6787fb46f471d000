"""Which versions of what compute: kept beside every result."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from reluopt.engines import get_engine

BEHIND_AUTO = ("bnb", "highs")
"""Engines that ``auto`` chooses from."""


@cache
def versions(engine: str) -> dict[str, str]:
    """Versions of Python, reluopt and the solver behind the engine called ``engine``."""
    try:
        own = version("reluopt")
    except PackageNotFoundError:
        own = "unknown"
    return {
        "python": platform.python_version(),
        "reluopt": own,
        engine: get_engine(engine).state().version,
    }


def all_versions(engines: Iterable[str]) -> dict[str, str]:
    """Versions of numpy and of everything behind the engines, ``auto`` among them."""
    found = {"numpy": np.__version__}
    for asked in engines:
        for name in BEHIND_AUTO if asked == "auto" else (asked,):
            found |= versions(name)
    return found
