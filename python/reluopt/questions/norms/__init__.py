"""How the size of a change is measured: one file for each norm; here are their names."""

from __future__ import annotations

from typing import Any

from reluopt.registry import Registry

NORMS: Registry[Any] = Registry(
    "norm",
    l1="questions.norms.l1:L1",
    l2="questions.norms.l2:L2",
    linf="questions.norms.linf:LInf",
)

FAMILIES: Registry[Any] = Registry("norm", blend="questions.norms.blend:Blend")
"""Norms with a number from 0 to 1, both excluded, behind a colon."""
