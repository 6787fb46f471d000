"""What runs asked, and how a report tells of their rows: one file for each kind of question."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from reluopt.registry import Registry

if TYPE_CHECKING:
    from reluopt.report.kinds.base import Kind

KINDS: Registry[Kind] = Registry(
    "experiment",
    **{
        "attack": "report.kinds.smallest_change:SmallestChange",
        "bench": "report.kinds.by_method:ByMethod",
        "ball-attack": "report.kinds.attacked:Attacked",
        "classify": "report.kinds.programs:Programs",
        "estimate": "report.kinds.attacked:Attacked",
        "ideal": "report.kinds.logits:Logits",
        "universal": "report.kinds.shared_change:SharedChange",
        "verify": "report.kinds.verdicts:Verdicts",
        "worst-case": "report.kinds.worst_cases:WorstCases",
    },
)
"""Kinds by what records of runs call them."""


def kind_of(settings: Mapping[str, Any]) -> Kind:
    """What a run asked; one that no kind is for asks as its settings look."""
    asked = str(settings.get("experiment"))
    like = "ideal" if settings.get("norm") is None else "attack"
    return KINDS.get(asked if asked in KINDS.names else like)
