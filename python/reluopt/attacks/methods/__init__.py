"""Attacks by name, one file each: what finds lower bounds on the robust error within a ball."""

from __future__ import annotations

from typing import Any

from reluopt.registry import Registry

METHODS: Registry[Any] = Registry(
    "method",
    fgsm="attacks.methods.fgsm:Fgsm",
    bim="attacks.methods.bim:Bim",
    pgd="attacks.methods.pgd:Pgd",
    lippa="attacks.methods.lippa:Lippa",
)
"""Frozen dataclasses; their fields are the settings that people may give."""
