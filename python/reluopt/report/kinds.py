"""What runs asked, and how a report tells of their rows: one class for each kind of question."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from reluopt.answers.solution import Status
from reluopt.bench.statistics import AT_LEAST, AT_MOST, EXACT, Estimate
from reluopt.questions.problems import Norm
from reluopt.runs.wording import ARROW, change_words

_ONLY_SIGN = 1e-200
"""Bounds this near below zero say no more than their sign."""


class Told(Protocol):
    """What kinds read of an entry."""

    @property
    def status(self) -> str:
        """How it ended."""


@dataclass(frozen=True)
class Column:
    """A column of numbers: its heading, the entry's attribute, how it is written, what it means."""

    title: str
    attribute: str
    form: str
    hint: str


_SOLVE = (
    Column("seconds", "seconds", ".3f", ""),
    Column("nodes", "nodes", ".0f", "branch-and-bound nodes"),
)
_LEAD = Column("lead", "lead", ".3g", "logit of the target minus the largest other one")


@dataclass(frozen=True)
class Asked:
    """What a question is told from.

    Attributes:
        settings: of the run.
        norm: how changes are measured, or None.
        network: its name.
        images: how many there are.
        radii: of the balls, in order; none where there are no balls.
    """

    settings: Mapping[str, Any]
    norm: Norm | None
    network: str
    images: int
    radii: Sequence[float] = ()

    @property
    def each(self) -> str:
        """The images in words."""
        return f"each of {self.images:,} images" if self.images > 1 else "one image"

    @property
    def shared(self) -> str:
        """How many images one change is for."""
        return f"{len(self.settings.get('images') or ()):,} images at once"

    @property
    def ball(self) -> str:
        """The balls in words."""
        norm = "" if self.norm is None else f" in the {self.norm.label} norm"
        return f"within {', '.join(f'{eps:g}' for eps in self.radii)} of {self.each}{norm}"


def _titled(norm: Norm | None) -> str:
    """A norm before a noun."""
    return "" if norm is None else f"{norm.label} "


def _reached(target: str) -> str:
    """A target in words."""
    if target[:1] in ("+", "-"):
        return f"label {target[0]} {target[1:]}"
    return {"any": "any other label", "runner-up": "the runner-up"}.get(target, f"label {target}")


class Kind:
    """Smallest changes.

    Attributes:
        measure: what the value of a row is called, :attr:`value` the column that holds it.
        lead: the column with the lead of the target.
        settled: statuses whose question is answered, ``word`` what that is called.
        maximises: whether larger values are better.
        distances: whether the value is a distance that shall be small.
        many: what the series of one run are.
        pictured: whether images are shown also where none has an answer.
        columns: numbers of the table, after the value.
    """

    measure, value, lead = "distance", "distance", "margin"
    settled: tuple[str, ...] = (Status.OPTIMAL, Status.INFEASIBLE)
    word, many = "proven", "compared"
    maximises, distances, pictured = False, True, False
    columns: tuple[Column, ...] = (
        Column("bound", "bound", ".4g", "proven: no answer can be better than this"),
        Column("gap", "gap", ".1e", "(objective - bound) / objective"),
        *_SOLVE,
        _LEAD,
    )
    words: tuple[tuple[str, str], ...] = (
        ("bound", "Proven: no change shorter than this meets the conditions."),
        ("gap", "Relative distance between objective and bound, both recomputed by reluopt."),
        ("lead", "Logit of the target minus the largest other logit, by a forward pass of the real "
         "network."),
    )  # fmt: skip

    def heading(self, norm: Norm | None) -> str:
        """What stands above the page of one run."""
        return f"Smallest {_titled(norm)}changes"

    def asked(self, asked: Asked) -> str:
        """The question in a sentence."""
        told = {name: asked.settings.get(name) for name in ("target", "margin", "smoothness")}
        reached = _reached("any" if told["target"] is None else str(told["target"]))
        margin = "" if told["margin"] is None else f", with margin {told['margin']}"
        if told["smoothness"] is not None:
            margin += f" and changes of neighbouring pixels within {told['smoothness']:g}"
        change = f"The smallest change to {asked.each} that makes the network {asked.network}"
        return f"{change} answer {reached}{margin}."

    def bound(self, value: float, norm: Norm | None) -> float:
        """The bound on what the value measures."""
        if norm is None or not math.isfinite(value):
            return value
        return norm.distance_of(max(value, 0.0))

    def before(self, row: Mapping[str, Any]) -> Any:
        """What the network answers to the image."""
        return row.get("original_predicted")

    def checked(self, row: Mapping[str, Any]) -> bool:
        """Whether the real network confirmed the answer."""
        return str(row.get("certified")) == "True"

    def change(self, row: Mapping[str, Any], label: float, before: float, after: float) -> str:
        """The network's answers in words."""
        return change_words(label, before, after)

    def nothing(self, status: str) -> str:
        """What stands in the place of an answer that there is not."""
        return "none"

    def part(self, row: Mapping[str, Any]) -> str:
        """Which of the series of its run a row belongs to."""
        return ""

    def sums(self, entries: Sequence[Told]) -> dict[str, tuple[Estimate, str]]:
        """Numbers over a series besides averages, with what they mean."""
        return {}

    def verdict(self, entries: Sequence[Told]) -> str:
        """What a page says of all rows."""
        done = sum(each.status in self.settled for each in entries)
        return f"{done:,} of {len(entries):,} are settled with proof"


class ByMethod(Kind):
    """Smallest changes by several methods."""

    def heading(self, norm: Norm | None) -> str:
        """What stands above the page of one run."""
        return f"{super().heading(norm)}, by method"

    def part(self, row: Mapping[str, Any]) -> str:
        """Its method."""
        return str(row.get("method") or "")


class SharedChange(Kind):
    """The smallest change of several images at once."""

    def heading(self, norm: Norm | None) -> str:
        """What stands above the page of one run."""
        return f"Smallest shared {_titled(norm)}change"

    def before(self, row: Mapping[str, Any]) -> Any:
        """Of several images nothing that one number tells."""
        return None

    def change(self, row: Mapping[str, Any], label: float, before: float, after: float) -> str:
        """The network's answers to all images."""
        return f"{row.get('original_answers') or '?'} {ARROW} {row.get('answers') or '?'}"

    def asked(self, asked: Asked) -> str:
        """The question in a sentence."""
        return super().asked(asked).replace(" change to one image", f" change to {asked.shared}")


class Attacked(Kind):
    """Images attacked within balls, without proof."""

    measure, settled, word = "change", (), "proven"
    distances = False
    columns = (Column("seconds", "seconds", ".3f", ""), _LEAD)
    lead = "lead"
    words = (("lead", "Logit of the true label minus the largest other logit, after the attack."),)

    def heading(self, norm: Norm | None) -> str:
        """What stands above the page of one run."""
        return "Images attacked"

    def asked(self, asked: Asked) -> str:
        """The question in a sentence."""
        by = asked.settings.get("method") or asked.settings.get("attack") or "an attack"
        near = asked.ball if asked.radii else f"near {asked.each}"
        return (
            f"An input {near} that the network {asked.network} takes for something else, as {by} "
            "found it; where it found none, that is no proof."
        )


class Logits(Kind):
    """Optimal inputs."""

    measure, value = "logit", "objective"
    maximises, distances = True, False
    words = (
        ("bound", "Proven: no input in its box reaches a larger logit."),
        *Kind.words[1:],
    )

    def heading(self, norm: Norm | None) -> str:
        """What stands above the page of one run."""
        return "Optimal inputs"

    def asked(self, asked: Asked) -> str:
        """The question in a sentence."""
        return f"The inputs that make a logit of the network {asked.network} largest."

    def before(self, row: Mapping[str, Any]) -> Any:
        """The label whose logit is maximised."""
        return row.get("label")


class Programs(Logits):
    """Classification by the program."""

    def heading(self, norm: Norm | None) -> str:
        """What stands above the page of one run."""
        return "Classification by the program"

    def asked(self, asked: Asked) -> str:
        """The question in a sentence."""
        return f"The network {asked.network} as a mixed-integer program."


class WorstCases(Kind):
    """The most wrong inputs of balls."""

    measure, value = "lead", "objective"
    maximises, distances = True, False
    columns: tuple[Column, ...] = (
        Column("bound", "bound", ".4g", "proven: no input of the ball reaches more than this"),
        *_SOLVE,
    )
    words: tuple[tuple[str, str], ...] = (
        ("lead", "Largest logit of another label (or of the one asked for) minus that of "
         "the true one, over the ball; below 0 every input of it is answered right."),
        ("bound", "Proven: no input of the ball reaches more than this."),
    )  # fmt: skip

    def heading(self, norm: Norm | None) -> str:
        """What stands above the page of one run."""
        return f"Worst cases within {_titled(norm)}balls"

    def asked(self, asked: Asked) -> str:
        """The question in a sentence."""
        return f"The input {asked.ball} on which the network {asked.network} is most wrong."

    def bound(self, value: float, norm: Norm | None) -> float:
        """A bound on the lead, from above."""
        return value


class Verdicts(WorstCases):
    """Verdicts over balls."""

    measure, value, lead = "distance", "distance", "lead"
    settled = (Status.ROBUST, Status.NOT_ROBUST)
    word, many = "decided", "radii"
    maximises, pictured = False, True
    columns = (
        _LEAD,
        Column("bound", "bound", ".3g", "proven upper bound on the lead of other labels"),
        *_SOLVE,
    )
    words = (
        ("bound", "Proven: over the whole ball no other label's logit leads that of the label by "
         "more than this. Below 0 the verdict is robust; < 0 where no more than that is proven."),
        ("lead", "Logit of another label minus that of the label at the input that was found."),
        ("robust error", "Share of images that are not robust: at least those with a checked "
         "input that is answered otherwise, at most those that are not proven robust."),
    )  # fmt: skip

    def heading(self, norm: Norm | None) -> str:
        """What stands above the page of one run."""
        return f"Robustness within {_titled(norm)}balls"

    def asked(self, asked: Asked) -> str:
        """The question in a sentence."""
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


KINDS: Mapping[str, Kind] = {
    "attack": Kind(),
    "bench": ByMethod(),
    "ball-attack": Attacked(),
    "classify": Programs(),
    "estimate": Attacked(),
    "ideal": Logits(),
    "universal": SharedChange(),
    "verify": Verdicts(),
    "worst-case": WorstCases(),
}
"""Kinds by what records of runs call them."""


def kind_of(settings: Mapping[str, Any]) -> Kind:
    """What a run asked; one that no kind is for asks as its settings look."""
    found = KINDS.get(str(settings.get("experiment")))
    return found or KINDS["ideal" if settings.get("norm") is None else "attack"]


def relation(kind: Kind, proven: bool) -> str:
    """What the optimum is to the value of an answer."""
    return EXACT if proven else (AT_LEAST if kind.maximises else AT_MOST)
