"""Classification by the program."""

from __future__ import annotations

from reluopt.questions.problems import Norm
from reluopt.report.kinds.base import Asked
from reluopt.report.kinds.logits import Logits


class Programs(Logits):
    """Classification by the program."""

    def heading(self, norm: Norm | None) -> str:
        return "Classification by the program"

    def asked(self, asked: Asked) -> str:
        return f"The network {asked.network} as a mixed-integer program."
