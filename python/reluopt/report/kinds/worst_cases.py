"""The most wrong inputs of balls."""

from __future__ import annotations

from reluopt.questions.problems import Norm
from reluopt.report.kinds.base import SOLVE, Asked, Column, Kind, titled


class WorstCases(Kind):
    """The most wrong inputs of balls."""

    measure, value = "lead", "objective"
    maximises, distances = True, False
    columns: tuple[Column, ...] = (
        Column("bound", "bound", ".4g", "proven: no input of the ball reaches more than this"),
        *SOLVE,
    )
    words: tuple[tuple[str, str], ...] = (
        ("lead", "Largest logit of another label (or of the one asked for) minus that of "
         "the true one, over the ball; below 0 every input of it is answered right."),
        ("bound", "Proven: no input of the ball reaches more than this."),
    )  # fmt: skip

    def heading(self, norm: Norm | None) -> str:
        return f"Worst cases within {titled(norm)}balls"

    def asked(self, asked: Asked) -> str:
        return f"The input {asked.ball} on which the network {asked.network} is most wrong."

    def bound(self, value: float, norm: Norm | None) -> float:
        """A bound on the lead, from above."""
        return value
