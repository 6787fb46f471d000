"""Exact answers about trained ReLU networks.

What people use is here; everything else is a detail that may move::

    import reluopt as ro

    network = ro.load_network("thesis")
    print(ro.nearest(network, ro.load_images("test").image(0), norm="l2"))

Behind it are questions and methods: ``solve(network, MinimalPerturbation(...), Method(...))``.

Names stand in ``__init__.pyi`` and are loaded on first use, so that what a program does not use
costs it nothing.
"""

from __future__ import annotations

from typing import Any

from reluopt.lazy import lazy_names

__all__, _load, __dir__ = lazy_names(__name__)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _load("own_version")()
    return _load(name)
