"""What a kind of run is: its question in words, and how a report tells of its rows."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from reluopt.answers.solution import Status
from reluopt.bench.statistics import AT_LEAST, AT_MOST, EXACT, Estimate
from reluopt.questions.problems import Norm
from reluopt.runs.wording import change_words


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


SOLVE = (
    Column("seconds", "seconds", ".3f", ""),
    Column("nodes", "nodes", ".0f", "branch-and-bound nodes"),
)
LEAD = Column("lead", "lead", ".3g", "logit of the target minus the largest other one")


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
    def ball(self) -> str:
        """The balls in words."""
        norm = "" if self.norm is None else f" in the {self.norm.label} norm"
        return f"within {', '.join(f'{eps:g}' for eps in self.radii)} of {self.each}{norm}"


def titled(norm: Norm | None) -> str:
    """A norm before a noun."""
    return "" if norm is None else f"{norm.label} "


class Kind(ABC):
    """What runs asked; what is said here goes for a distance, or another objective, with a bound.

    Attributes:
        measure: what the value of a row is called, :attr:`value` the column that holds it.
        lead: the column with the lead of the target.
        settled: statuses whose question is answered, ``word`` what that is called.
        maximises: whether larger values are better.
        distances: whether the value is a distance that shall be small.
        many: what the series of one run are.
        banded: whether they are radii, over which the robust error has two bounds.
        pictured: whether images are shown also where none has an answer.
        columns: numbers of the table, after the value.
    """

    measure, value, lead = "distance", "distance", "margin"
    settled: tuple[str, ...] = (Status.OPTIMAL, Status.INFEASIBLE)
    word, many = "proven", "compared"
    maximises, distances, pictured, banded = False, True, False, False
    columns: tuple[Column, ...] = (
        Column("bound", "bound", ".4g", "proven: no answer can be better than this"),
        Column("gap", "gap", ".1e", "(objective - bound) / objective"),
        *SOLVE,
        LEAD,
    )
    words: tuple[tuple[str, str], ...] = (
        ("gap", "Relative distance between objective and bound, both recomputed by reluopt."),
        ("lead", "Logit of the target minus the largest other logit, by a forward pass of the real "
         "network."),
    )  # fmt: skip

    @abstractmethod
    def heading(self, norm: Norm | None) -> str:
        """What stands above the page of one run."""

    @abstractmethod
    def asked(self, asked: Asked) -> str:
        """The question in a sentence."""

    def bound(self, value: float, norm: Norm | None) -> float:
        """The bound on what the value measures."""
        if norm is None or not math.isfinite(value):
            return value
        return norm.distance_of(max(value, 0.0))

    def relation(self, proven: bool) -> str:
        """What the optimum is to the value of an answer."""
        return EXACT if proven else (AT_LEAST if self.maximises else AT_MOST)

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
