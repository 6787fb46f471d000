"""Foolbox: DDN (Rony et al. 2019)."""

from __future__ import annotations

from typing import Any

from reluopt.bench.peers.foolbox_attack import FoolboxAttack


class DecoupledDirectionNorm(FoolboxAttack):
    """``DDNAttack``."""

    norms = ("l2",)
    settings = "1000 steps"

    def attack(self, norm: str) -> Any:
        """The attack."""
        from foolbox.attacks import DDNAttack

        return DDNAttack(steps=1000)
