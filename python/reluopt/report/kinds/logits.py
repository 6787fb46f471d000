"""Optimal inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reluopt.questions.problems import Norm
from reluopt.report.kinds.base import Asked, Kind


class Logits(Kind):
    """Optimal inputs."""

    measure, value = "logit", "objective"
    maximises, distances = True, False
    words = (
        ("bound", "Proven: no input in its box reaches a larger logit."),
        *Kind.words,
    )

    def heading(self, norm: Norm | None) -> str:
        return "Optimal inputs"

    def asked(self, asked: Asked) -> str:
        return f"The inputs that make a logit of the network {asked.network} largest."

    def before(self, row: Mapping[str, Any]) -> Any:
        """The label whose logit is maximised."""
        return row.get("label")
