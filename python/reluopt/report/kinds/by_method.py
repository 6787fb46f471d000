"""Smallest changes by several methods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reluopt.questions.problems import Norm
from reluopt.report.kinds.smallest_change import SmallestChange


class ByMethod(SmallestChange):
    """Smallest changes by several methods."""

    def heading(self, norm: Norm | None) -> str:
        return f"{super().heading(norm)}, by method"

    def part(self, row: Mapping[str, Any]) -> str:
        """Its method."""
        return str(row.get("method") or "")
