"""Smallest changes."""

from __future__ import annotations

from reluopt.questions.problems import Norm
from reluopt.report.kinds.base import Asked, Kind, titled


class SmallestChange(Kind):
    """Smallest changes, image by image."""

    words: tuple[tuple[str, str], ...] = (
        ("bound", "Proven: no change shorter than this meets the conditions."),
        *Kind.words,
    )

    def heading(self, norm: Norm | None) -> str:
        return f"Smallest {titled(norm)}changes"

    def asked(self, asked: Asked) -> str:
        told = {name: asked.settings.get(name) for name in ("target", "margin", "smoothness")}
        reached = _reached("any" if told["target"] is None else str(told["target"]))
        margin = "" if told["margin"] is None else f", with margin {told['margin']}"
        if told["smoothness"] is not None:
            margin += f" and changes of neighbouring pixels within {told['smoothness']:g}"
        change = (
            f"The smallest change to {self.changed(asked)} that makes the network {asked.network}"
        )
        return f"{change} answer {reached}{margin}."

    def changed(self, asked: Asked) -> str:
        """What one change is for."""
        return asked.each


def _reached(target: str) -> str:
    """A target in words."""
    if target[:1] in ("+", "-"):
        return f"label {target[0]} {target[1:]}"
    return {"any": "any other label", "runner-up": "the runner-up"}.get(target, f"label {target}")
