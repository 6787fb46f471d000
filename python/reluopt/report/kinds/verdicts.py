"""Verdicts over balls."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from reluopt.answers.solution import Status
from reluopt.bench.statistics import Estimate
from reluopt.questions.problems import Norm
from reluopt.report.kinds.base import LEAD, SOLVE, Asked, Column, Told, titled
from reluopt.report.kinds.worst_cases import WorstCases
from reluopt.runs.wording import change_words

_ONLY_SIGN = 1e-200
"""Bounds this near below zero say no more than their sign."""


class Verdicts(WorstCases):
    """Verdicts over balls."""

    measure, value, lead = "distance", "distance", "lead"
    settled = (Status.ROBUST, Status.NOT_ROBUST)
    word, many = "decided", "radii"
    maximises, pictured, banded = False, True, True
    columns = (
        LEAD,
        Column("bound", "bound", ".3g", "proven upper bound on the lead of other labels"),
        *SOLVE,
    )
    words = (
        ("bound", "Proven: over the whole ball no other label's logit leads that of the label by "
         "more than this. Below 0 the verdict is robust; < 0 where no more than that is proven."),
        ("lead", "Logit of another label minus that of the label at the input that was found."),
        ("robust error", "Share of images that are not robust: at least those with a checked "
         "input that is answered otherwise, at most those that are not proven robust."),
    )  # fmt: skip

    def heading(self, norm: Norm | None) -> str:
        return f"Robustness within {titled(norm)}balls"

    def asked(self, asked: Asked) -> str:
        return f"Is everything {asked.ball} answered right by the network {asked.network}?"

    def bound(self, value: float, norm: Norm | None) -> float:
        """A bound on the lead, from above; minus infinity where only its sign is known."""
        return -math.inf if -_ONLY_SIGN < value < 0.0 else value

    def checked(self, row: Mapping[str, Any]) -> bool:
        """Whether a forward pass confirmed the input that is answered otherwise."""
        return super().checked(row) and row.get("status") == Status.NOT_ROBUST

    def change(self, row: Mapping[str, Any], label: float, before: float, after: float) -> str:
        """The network's answers in words; its answer alone where no other was found."""
        if row.get("status") == Status.ROBUST and math.isfinite(before):
            return f"{before:.0f}"
        return change_words(label, before, after)

    def nothing(self, status: str) -> str:
        """A verdict without an input that is answered otherwise."""
        return status.replace("_", " ").lower()

    def part(self, row: Mapping[str, Any]) -> str:
        """Verdicts are compared radius by radius."""
        return "" if row.get("eps") is None else f"within {float(row['eps']):g}"

    def sums(self, entries: Sequence[Told]) -> dict[str, tuple[Estimate, str]]:
        """Both bounds on the robust error."""
        low, high = robust_error([each.status for each in entries])
        return {
            "robust error at least (%)": (Estimate(100.0 * low), "with a checked counterexample"),
            "at most (%)": (Estimate(100.0 * high), "not proven robust"),
        }

    def verdict(self, entries: Sequence[Told]) -> str:
        """What a page says of all rows."""
        found = Counter(each.status for each in entries)
        robust, other = (found[status] for status in self.settled)
        rest = len(entries) - robust - other
        told = f"{robust:,} of {len(entries):,} balls are proven robust, {other:,} are not robust"
        return f"{told}, {rest:,} undecided" if rest else told


def robust_error(statuses: Sequence[str]) -> tuple[float, float]:
    """Lower and upper bound of the robust error, shares in [0, 1]."""
    count = len(statuses)
    return (
        sum(status == Status.NOT_ROBUST for status in statuses) / count,
        sum(status != Status.ROBUST for status in statuses) / count,
    )
