"""Foolbox: EAD (Chen et al. 2018)."""

from __future__ import annotations

from typing import Any

from reluopt.bench.peers.foolbox_attack import FoolboxAttack

STEPS = 1000
"""Iterations in place of the default of 10,000, which takes minutes an image."""


class ElasticNet(FoolboxAttack):
    """``EADAttack`` with the L1 decision rule."""

    norms = ("l1",)
    settings = f"decision rule L1, {STEPS} steps"

    def attack(self, norm: str) -> Any:
        """The attack."""
        from foolbox.attacks import EADAttack

        return EADAttack(steps=STEPS, decision_rule="L1")
