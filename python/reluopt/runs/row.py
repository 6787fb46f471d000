"""One typed record of one solved instance: what stores, tables, figures and reports read.

A class of rows is a frozen dataclass whose fields are the columns of its table, in the order of
the file. The type of a field says what its cells hold (a text, a whole number, a number, a flag),
and a field with a default may be empty: the default is what an empty cell means. Columns, parsing,
formatting and data frames follow from this, so that ``+0.1`` stays the text ``+0.1``, a network may
be called ``007``, ``1e3`` or ``NA``, and a number that is none is refused rather than guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, make_dataclass, replace
from functools import cache
from keyword import iskeyword
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from reluopt.runs.column import TEXT, Column
from reluopt.runs.distance_rows import AttackRow as AttackRow
from reluopt.runs.distance_rows import UniversalRow as UniversalRow
from reluopt.runs.row_base import BY_WHAT, LIMITS, PROGRAM, ProgramRow, SolvedRow
from reluopt.runs.row_base import Row as Row
from reluopt.runs.row_base import csv_line as csv_line

if TYPE_CHECKING:  # workers read no tables and should not load pandas
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class ClassifyRow(ProgramRow):
    """Classification by the program.

    ``program`` is the program's answer, ``predicted`` the network's, and ``certified`` tells
    whether all logits are the same (:func:`reluopt.answers.verdict.compare_logits`).
    """

    file_order: ClassVar[tuple[str, ...]] = (
        *("image", "label", "program", "predicted", "agrees", "certified", *BY_WHAT),
        *("seconds", "nodes", *PROGRAM, *LIMITS, "image_sha256", "message"),
    )

    image: str
    label: int
    program: int | None = None
    predicted: int | None = None
    agrees: bool
    certified: bool
    image_sha256: str


@dataclass(frozen=True, kw_only=True)
class IdealRow(ProgramRow):
    """An optimal input; ``objective`` is the label's logit, ``margin`` its lead over the others."""

    file_order: ClassVar[tuple[str, ...]] = (
        *("image", "label", *BY_WHAT, "objective", "bound", "gap", "seconds", "nodes"),
        *("predicted", "margin", "certified", *PROGRAM, *LIMITS, "message"),
    )

    image: str
    label: int
    objective: float | None = None
    bound: float | None = None
    gap: float | None = None
    predicted: int | None = None
    margin: float | None = None
    certified: bool


@dataclass(frozen=True, kw_only=True)
class UpperBoundRow(Row):
    """A distance without proof; ``margin`` is the lead of the target's logit as measured."""

    image: str
    label: int
    target: int | None = None
    norm: str
    margin_rule: str
    attack: str
    status: str
    distance: float | None = None
    seconds: float | None = None
    predicted: int | None = None
    margin: float | None = None
    certified: bool
    seed: int | None = None
    network: str = ""
    image_sha256: str
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class BallAttackRow(Row):
    """An image as an attack within a ball left it.

    ``clip`` tells whether inputs were kept in their box, ``attacked`` the label to be missed.
    ``original_lead`` and ``lead`` are those of the true label's logit over all others, before and
    after: an image is answered correctly where its lead is above 0. ``distance`` is the length of
    the change, ``seconds`` are shared alike by images that were attacked at a time.
    """

    image: str
    label: int
    attacked: int
    method: str
    norm: str
    eps: float
    clip: bool
    status: str
    distance: float | None = None
    original_predicted: int | None = None
    original_lead: float | None = None
    predicted: int | None = None
    lead: float | None = None
    certified: bool
    seconds: float | None = None
    network: str = ""
    image_sha256: str
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class VerifyRow(SolvedRow):
    """A verdict over a ball of radius ``eps``.

    ``run`` is the key, the image and the radius. ``bound`` is a proven upper bound on the lead
    ``max_t x_t - x_d`` of the other labels over the ball, below 0 where the verdict is ROBUST (and
    -1e-290 where no more than that is proven);
    ``lead`` and ``distance`` are those of the witness, an input that is answered otherwise.
    """

    file_order: ClassVar[tuple[str, ...]] = (
        *("run", "image", "label", "norm", "eps", *BY_WHAT, "bound", "lead", "distance"),
        *("seconds", "nodes", "original_predicted", "predicted", "certified", *LIMITS),
        *("image_sha256", "message"),
    )

    run: str
    image: str
    label: int
    norm: str
    eps: float
    bound: float | None = None
    lead: float | None = None
    distance: float | None = None
    original_predicted: int | None = None
    predicted: int | None = None
    certified: bool
    image_sha256: str


@dataclass(frozen=True, kw_only=True)
class WorstCaseRow(ProgramRow):
    """The worst case over a ball.

    ``objective`` is the slack or form at the stored input, ``bound`` what is proven of all inputs,
    ``distance`` that of the stored input from the image, ``margin`` the lead of the target's logit,
    ``slack`` that of the best alternative.
    """

    file_order: ClassVar[tuple[str, ...]] = (
        *("image", "label", "eps", "norm", *BY_WHAT, "target", "objective", "bound"),
        *("distance", "original_predicted", "predicted", "margin", "slack", "box_violation"),
        *("certified", "seconds", "nodes", *PROGRAM, *LIMITS, "image_sha256", "message"),
    )

    image: str
    label: int
    eps: float
    norm: str
    target: int | None = None
    objective: float | None = None
    bound: float | None = None
    distance: float | None = None
    original_predicted: int | None = None
    predicted: int | None = None
    margin: float | None = None
    slack: float | None = None
    box_violation: float | None = None
    certified: bool
    image_sha256: str


@dataclass(frozen=True, kw_only=True)
class ForwardRow(Row):
    """A forward pass; ``seconds`` is the median of ``repeats`` passes."""

    image: str
    label: int
    predicted: int | None = None
    status: str
    seconds: float | None = None
    repeats: int | None = None
    network: str = ""
    image_sha256: str
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class InferenceRow(ProgramRow):
    """A program with its input fixed, in one of several variants.

    ``run`` is the key; ``expected`` is the objective at the network's own values, ``difference``
    the largest difference of any of them, ``negative`` counts its negative logits.
    """

    file_order: ClassVar[tuple[str, ...]] = (
        *("run", "image", "label", "pixels", "variant", "engine", "bounds", "status"),
        *("objective", "bound", "expected", "difference", "negative", "seconds", "nodes"),
        *(*PROGRAM, "nonzeros", *LIMITS, "image_sha256", "message"),
    )

    run: str
    image: str
    label: int
    pixels: str
    variant: str
    objective: float | None = None
    bound: float | None = None
    expected: float | None = None
    difference: float | None = None
    negative: int | None = None
    nonzeros: int | None = None
    image_sha256: str


@dataclass(frozen=True, kw_only=True)
class RegionRow(Row):
    """Unstable neurons and linear regions around an image, as :mod:`reluopt.runs.regions` counts.

    ``regions`` is their number where all were enumerated; its logarithm lies from ``log2_least``
    to ``log2_most`` in any case.
    """

    image: str
    label: int
    eps: float
    status: str
    sampled_unstable: int | None = None
    sampled_regions: int | None = None
    unstable_least: int | None = None
    unstable_most: int | None = None
    regions: int | None = None
    log2_least: float | None = None
    log2_most: float | None = None
    seconds: float | None = None
    network: str = ""
    image_sha256: str
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class BenchRow(AttackRow):
    """A smallest change, and what was measured around it.

    ``run`` is the key; memory is in MiB; ``load`` is the machine's one-minute load when the run
    began; ``order`` is its turn on the image; ``code_sha256`` tells the sources of reluopt.
    """

    file_order: ClassVar[tuple[str, ...]] = (
        *("run", "network", "image", "method", "proven", "status", "seconds"),
        *("label", "target", "norm", "margin_rule", "engine", "formulation", "bounds"),
        *("objective", "distance", "bound", "gap", "nodes", "original_predicted", "predicted"),
        *("margin", "slack", "box_violation", "certified", "attack_seconds", "bounds_seconds"),
        *("build_seconds", "search_seconds", "polish_seconds", "variables", "constraints"),
        *("binaries", "seed", "threads", "time_limit", "message", "cpu_seconds", "memory_before"),
        *("memory_peak", "neurons", "load", "order", "session", "network_sha256"),
        *("image_sha256", "code_sha256"),
    )

    run: str
    method: str
    proven: bool
    cpu_seconds: float | None = None
    memory_before: float | None = None
    memory_peak: float | None = None
    neurons: int | None = None
    load: float | None = None
    order: int | None = None
    session: int
    network_sha256: str
    code_sha256: str


@dataclass(frozen=True, kw_only=True)
class PeerRow(Row):
    """What a library of others found (:mod:`reluopt.bench.peers`).

    ``run`` is the key; ``exact`` tells whether it proves its answers, ``status`` and ``bound`` are
    its own word; ``distance``, ``predicted`` and ``margin`` (the target's lead) are recomputed, and
    ``certified`` tells whether the image does what was asked; ``minimum`` is the proven distance,
    ``ratio`` that of the two.
    """

    run: str
    image: str
    label: int
    peer: str
    exact: bool
    norm: str
    status: str
    distance: float | None = None
    minimum: float | None = None
    ratio: float | None = None
    bound: float | None = None
    predicted: int | None = None
    margin: float | None = None
    certified: bool
    seconds: float | None = None
    time_limit: float | None = None
    settings: str = ""
    network: str = ""
    message: str = ""


_Value = TypeVar("_Value")


def known(value: _Value | None) -> _Value:
    """A value that a row of its status has."""
    if value is None:
        raise ValueError("expected a row with an answer, found none")
    return value


ROW_CLASSES: tuple[type[Row], ...] = (
    *(AttackRow, ClassifyRow, IdealRow, UpperBoundRow, BallAttackRow, ForwardRow),
    *(VerifyRow, WorstCaseRow, UniversalRow, InferenceRow, RegionRow, BenchRow, PeerRow),
)
"""Rows of all jobs."""

COLUMNS: Mapping[str, Column] = {
    column.name: replace(column, empty=None) for cls in ROW_CLASSES for column in cls.schema()
}
"""Columns of all jobs by name, any of them empty: for tables of whatever columns."""


def column_of(name: str) -> Column:
    """What a column of this name holds; one that no job has holds texts."""
    return COLUMNS.get(name) or Column(name, TEXT, None)


@cache
def row_class(columns: tuple[str, ...]) -> type[Row]:
    """Whose table has these columns: a job's, or rows of nothing but them.

    Raises:
        ValueError: a name cannot be that of a field.
    """
    for cls in ROW_CLASSES:
        if cls.columns() == columns:
            return cls
    for name in columns:
        if not name.isidentifier() or iskeyword(name) or hasattr(Row, name):
            raise ValueError(f"expected names of columns, found {name!r}")
    fields_ = [(name, column_of(name).kind.held | None, None) for name in columns]
    return make_dataclass("AnyRow", fields_, bases=(Row,), frozen=True, kw_only=True)


def typed_frame(columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows as a data frame whose columns have the types of their kinds.

    What is missing is None in columns of texts and flags, NaN in columns of numbers; whole numbers
    of which some are missing become floats.
    """
    import pandas as pd

    held = list(rows)
    frame = {}
    for name in columns:
        values = [row.get(name) for row in held]
        kind = column_of(name).kind
        dtype = kind.sparse if any(value is None for value in values) else kind.dtype
        frame[name] = pd.Series(values, dtype=dtype)
    return pd.DataFrame(frame, index=range(len(held)))
