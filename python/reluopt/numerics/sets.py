"""Which kernels serve what, by name: light, so that a help text can tell.

Packages declare the kernels that they call where these stand: ``KERNELS`` maps the name of a set to
places (``module:name``, the module within reluopt), ``COSTS`` places to seconds. Both are read from
the packages in :data:`_DECLARED` when somebody asks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib import import_module
from typing import Generic, TypeVar

_Value = TypeVar("_Value")

_DECLARED = ("reluopt.attacks", "reluopt.numerics", "reluopt.engines.branch_and_bound")
"""Packages with declarations; importing one does not import numba."""


class _Declared(Mapping[str, _Value], Generic[_Value]):
    """All that these packages declare under one name."""

    def __init__(self, name: str) -> None:
        self._name = name

    @cached_property
    def _all(self) -> dict[str, _Value]:
        found: dict[str, _Value] = {}
        for package in _DECLARED:
            found |= getattr(import_module(package), self._name)
        return found

    def __getitem__(self, key: str) -> _Value:
        return self._all[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)


SETS: Mapping[str, tuple[str, ...]] = _Declared("KERNELS")
"""Kernels that Python calls, by what they serve: ``l1`` and ``simplex``, ``l2``, and ``box`` are
what ``bnb`` needs for a norm, the others the steps of a solve with another engine."""

COSTS: Mapping[str, float] = _Declared("COSTS")
"""Seconds on one core that a kernel takes to compile, where it is not about :data:`USUAL_COST`."""

USUAL_COST = 0.4
"""What the others take, most of it for arguments of many arrays."""
