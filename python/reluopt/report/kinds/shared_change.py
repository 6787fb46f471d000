"""The smallest change of several images at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reluopt.questions.problems import Norm
from reluopt.report.kinds.base import Asked, titled
from reluopt.report.kinds.smallest_change import SmallestChange
from reluopt.runs.wording import ARROW


class SharedChange(SmallestChange):
    """The smallest change of several images at once."""

    def heading(self, norm: Norm | None) -> str:
        return f"Smallest shared {titled(norm)}change"

    def before(self, row: Mapping[str, Any]) -> Any:
        """Of several images nothing that one number tells."""
        return None

    def change(self, row: Mapping[str, Any], label: float, before: float, after: float) -> str:
        """The network's answers to all images."""
        return f"{row.get('original_answers') or '?'} {ARROW} {row.get('answers') or '?'}"

    def changed(self, asked: Asked) -> str:
        """How many images one change is for."""
        return f"{len(asked.settings.get('images') or ()):,} images at once"
