"""Images attacked within balls."""

from __future__ import annotations

from reluopt.questions.problems import Norm
from reluopt.report.kinds.base import LEAD, Asked, Column, Kind


class Attacked(Kind):
    """Images attacked within balls, without proof."""

    measure, settled, word = "change", (), "proven"
    distances = False
    columns = (Column("seconds", "seconds", ".3f", ""), LEAD)
    lead = "lead"
    words = (("lead", "Logit of the true label minus the largest other logit, after the attack."),)

    def heading(self, norm: Norm | None) -> str:
        return "Images attacked"

    def asked(self, asked: Asked) -> str:
        by = asked.settings.get("method") or asked.settings.get("attack") or "an attack"
        near = asked.ball if asked.radii else f"near {asked.each}"
        return (
            f"An input {near} that the network {asked.network} takes for something else, as {by} "
            "found it; where it found none, that is no proof."
        )
