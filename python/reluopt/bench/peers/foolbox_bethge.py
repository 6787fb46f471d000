"""Foolbox: Brendel and Bethge's attack (2019)."""

from __future__ import annotations

from typing import Any

from reluopt.bench.peers.foolbox_attack import FoolboxAttack


class BrendelBethge(FoolboxAttack):
    """The attack of each norm."""

    norms = ("l1", "l2", "linf")

    def attack(self, norm: str) -> Any:
        """The attack for a norm; it starts from a blend with noise."""
        from foolbox import attacks

        names = {"l1": "L1", "l2": "L2", "linf": "Linfinity"}
        return getattr(attacks, f"{names[norm]}BrendelBethgeAttack")()
