r"""Statistics of a benchmark that treat censored times honestly.

A run that was not proven within its limit has no time; all that is known is that it exceeds the
limit. Such a run is *censored*. Whatever is computed from it is a bound and carries a relation:

* of one method: a mean with a censored time is ``>=``; so is a median when half or more are
  censored, and a maximum;
* of a ratio ``baseline / candidate``: a censored baseline makes it ``>=``, a censored candidate
  ``<=``, both make it unknown. A mean of ratios that holds both kinds is marked ``~``: it bounds
  nothing. Pairs with both censored are left out of means of ratios and counted.

Tables hold the columns ``network``, ``image``, ``method``, ``seconds``, ``time_limit`` and
``proven`` (settled, and within the limit), and for :func:`find_disagreements` also ``status``,
``objective``, ``bound`` and ``certified``. Summaries also read ``cpu_seconds``, ``memory_before``
and ``memory_peak``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from reluopt.answers.solution import GAP_DENOMINATOR_FLOOR, Status
from reluopt.numerics.arrays import BoolArray, FloatArray

AGREEMENT_TOLERANCE = 1e-5
"""Largest relative difference of two proven objectives: ten times the MIP gap (1e-6) that each of
two methods may leave open, since solvers' own feasibility tolerances add to it."""

CLOCK = 1e-7
"""Shortest time in seconds that counts: what a clock can tell apart, and ratios stay finite."""

RESAMPLES = 10_000
"""Bootstrap samples: the ends of a 95 % interval are then good to about 2 % of its width."""

EXACT, AT_LEAST, AT_MOST, UNCLEAR = "=", ">=", "<=", "~"


@dataclass(frozen=True)
class Estimate:
    """A number and what it is to the unknown truth.

    Attributes:
        value: the number.
        relation: truth is ``=``, ``>=`` or ``<=`` to it; ``~`` when it bounds nothing.
    """

    value: float
    relation: str = EXACT

    def __str__(self) -> str:
        if not math.isfinite(self.value):
            return "-"
        mark = {EXACT: "", AT_LEAST: "≥ ", AT_MOST: "≤ ", UNCLEAR: "~ "}[self.relation]
        return f"{mark}{_three_digits(self.value)}"


@dataclass(frozen=True)
class MethodSummary:
    """Times of one method on one network.

    Attributes:
        images: runs there are.
        proven: runs settled within the limit.
        failed: runs that neither settled nor stopped on their limit.
        median, mean, geometric_mean, largest: seconds.
        smallest: seconds of the fastest proven run (infinite without any).
        memory_peak: largest peak of resident memory, MiB.
        memory_added: largest growth of resident memory during a run, MiB.
        parallelism: processor time over wall time, all runs together.
    """

    network: str
    method: str
    images: int
    proven: int
    failed: int
    median: Estimate
    mean: Estimate
    geometric_mean: Estimate
    smallest: float
    largest: Estimate
    memory_peak: float
    memory_added: float
    parallelism: float


@dataclass(frozen=True)
class RatioSummary:
    """Times of a baseline divided by those of a candidate, image by image.

    Attributes:
        pairs: images that both ran.
        unknown: pairs left out of the means of ratios because both are censored.
        lower_bounds, upper_bounds: pairs whose ratio is only a bound.
        geometric_mean: of the ratios.
        interval: 95 % bootstrap interval of the geometric mean over images, as measured.
        of_means: mean of the baseline over mean of the candidate.
        of_medians: median of the baseline over median of the candidate.
    """

    network: str
    baseline: str
    candidate: str
    pairs: int
    unknown: int
    lower_bounds: int
    upper_bounds: int
    geometric_mean: Estimate
    interval: tuple[float, float]
    of_means: Estimate
    of_medians: Estimate


@dataclass(frozen=True)
class Disagreement:
    """Two methods that cannot both be right."""

    network: str
    image: str
    first: str
    second: str
    what: str


def censored_seconds(table: pd.DataFrame) -> FloatArray:
    """Times with the limit in place of every censored one, shape ``(rows,)``."""
    proven = table["proven"].to_numpy(dtype=bool)
    seconds = np.where(
        proven,
        table["seconds"].to_numpy(dtype=np.float64),
        table["time_limit"].to_numpy(dtype=np.float64),
    )
    return np.maximum(seconds, CLOCK)


def in_processor_time(table: pd.DataFrame) -> pd.DataFrame:
    """The same table with processor time for wall time: less sensitive to a busy machine.

    A censored run counts with the processor time that it had used when it was stopped.
    """
    cpu = table["cpu_seconds"].astype(float)
    return table.assign(seconds=cpu, time_limit=cpu)[cpu.notna()]


def summarise_methods(table: pd.DataFrame) -> list[MethodSummary]:
    """One summary for each network and method, in the table's order."""
    groups = table.groupby(["network", "method"], sort=False)
    return [_summarise_method(str(n), str(m), rows) for (n, m), rows in groups]


def _summarise_method(network: str, method: str, rows: pd.DataFrame) -> MethodSummary:
    """Times, memory and counts of one method."""
    seconds = censored_seconds(rows)
    proven = rows["proven"].to_numpy(dtype=bool)
    some = EXACT if proven.all() else AT_LEAST
    stopped = rows["status"].isin([Status.FEASIBLE, Status.TIME_LIMIT]).to_numpy()
    late = rows["seconds"].to_numpy(dtype=np.float64) > rows["time_limit"].to_numpy()
    peak = rows["memory_peak"].astype(float)
    cpu, wall = rows["cpu_seconds"].astype(float), rows["seconds"].astype(float)
    known = cpu.notna()
    return MethodSummary(
        network=network,
        method=method,
        images=len(rows),
        proven=int(proven.sum()),
        failed=int((~proven & ~stopped & ~late).sum()),
        median=_median(seconds, proven),
        mean=Estimate(float(seconds.mean()), some),
        geometric_mean=Estimate(float(np.exp(np.log(seconds).mean())), some),
        smallest=float(seconds[proven].min(initial=math.inf)),
        largest=Estimate(float(seconds.max()), some),
        memory_peak=float(peak.max()),
        memory_added=float((peak - rows["memory_before"].astype(float)).max()),
        parallelism=float(cpu[known].sum() / wall[known].sum()) if known.any() else math.nan,
    )


def _median(seconds: FloatArray, proven: BoolArray) -> Estimate:
    """Median; exact while fewer than half of the times are censored (they sort last)."""
    few = 2 * int((~proven).sum()) < seconds.size
    return Estimate(float(np.median(seconds)), EXACT if few else AT_LEAST)


def summarise_ratios(
    table: pd.DataFrame, baseline: str, candidates: Sequence[str] | None = None
) -> list[RatioSummary]:
    """Compare each candidate with the baseline on every network, image by image.

    Args:
        table: see the module's documentation.
        baseline: a method of the table.
        candidates: methods to compare; all others if not given.
    """
    methods = [str(method) for method in table["method"].unique()]
    chosen = [m for m in methods if m != baseline] if candidates is None else list(candidates)
    summaries = []
    for network, rows in table.groupby("network", sort=False):
        for candidate in chosen:
            first = rows[rows["method"] == baseline].set_index("image")
            second = rows[rows["method"] == candidate].set_index("image")
            shared = first.index.intersection(second.index, sort=False)
            if len(shared):
                names = (str(network), baseline, candidate)
                summaries.append(_summarise_pair(names, first.loc[shared], second.loc[shared]))
    return summaries


def _summarise_pair(
    names: tuple[str, str, str], baseline: pd.DataFrame, candidate: pd.DataFrame
) -> RatioSummary:
    """Ratios of two methods over the same images, in the same order."""
    slow, fast = censored_seconds(baseline), censored_seconds(candidate)
    slow_proven = baseline["proven"].to_numpy(dtype=bool)
    fast_proven = candidate["proven"].to_numpy(dtype=bool)
    known = slow_proven | fast_proven
    lower, upper = ~slow_proven & fast_proven, slow_proven & ~fast_proven
    logs = np.log(slow[known] / fast[known])
    relation = _relation(bool(lower.any()), bool(upper.any()))
    means = _relation(not slow_proven.all(), not fast_proven.all())
    first, second = _median(slow, slow_proven), _median(fast, fast_proven)
    medians = _relation(first.relation == AT_LEAST, second.relation == AT_LEAST)
    # Without a pair of known ratio there is nothing to say.
    mean = float(np.exp(logs.mean())) if logs.size else math.nan
    return RatioSummary(
        *names,
        pairs=int(known.size),
        unknown=int((~known).sum()),
        lower_bounds=int(lower.sum()),
        upper_bounds=int(upper.sum()),
        geometric_mean=Estimate(mean, relation),
        interval=_bootstrap(logs),
        of_means=Estimate(float(slow.mean() / fast.mean()), means),
        of_medians=Estimate(first.value / second.value, medians),
    )


def _relation(lower: bool, upper: bool) -> str:
    """What lower and upper bounds among the terms make of a mean."""
    if lower and upper:
        return UNCLEAR
    return AT_LEAST if lower else AT_MOST if upper else EXACT


def _bootstrap(logs: FloatArray) -> tuple[float, float]:
    """95 % percentile interval of ``exp(mean(logs))`` over resampled images; always the same."""
    if logs.size < 2:
        return math.nan, math.nan
    generator = np.random.default_rng(0)
    chosen = generator.integers(logs.size, size=(RESAMPLES, logs.size))
    low, high = np.quantile(logs[chosen].mean(axis=1), [0.025, 0.975])
    return float(np.exp(low)), float(np.exp(high))


def count_comparable(table: pd.DataFrame) -> int:
    """Instances that two methods or more settled, in whatever time."""
    settled = table[table["status"].isin([Status.OPTIMAL, Status.INFEASIBLE])]
    return int((settled.groupby(["network", "image"]).size() >= 2).sum())


def find_disagreements(table: pd.DataFrame) -> list[Disagreement]:
    """Pairs of methods that contradict each other on an instance.

    They do when both proved an optimum and the objectives differ by more than
    :data:`AGREEMENT_TOLERANCE`, when the bound that one proved lies above the checked objective
    of the other, or when one proved that there is no answer and the other shows one. Runs that
    were stopped count too: whatever they claim must be true.
    """
    found = []
    for (network, image), rows in table.groupby(["network", "image"], sort=False):
        for first, second in itertools.combinations(_claims(rows), 2):
            what = _contradiction(first, second) or _contradiction(second, first)
            if what:
                names = (str(network), str(image), first.method, second.method)
                found.append(Disagreement(*names, what))
    return found


@dataclass(frozen=True)
class _Claim:
    """What one run says about the optimum; infinite where it says nothing."""

    method: str
    status: str
    objective: float
    bound: float


def _claims(rows: pd.DataFrame) -> Iterable[_Claim]:
    """Claims of the runs of one instance; objectives count when certified."""
    for row in rows.to_dict("records"):
        certified = row["certified"] is True
        objective, bound = float(row["objective"]), float(row["bound"])
        yield _Claim(
            str(row["method"]),
            str(row["status"]),
            objective if certified and math.isfinite(objective) else math.inf,
            bound if math.isfinite(bound) else -math.inf,
        )


def _contradiction(one: _Claim, other: _Claim) -> str:
    """Why ``one`` rules out ``other``, or an empty text."""
    if not math.isfinite(other.objective):
        return ""
    if one.status == Status.INFEASIBLE:
        return f"{one.method} proves that there is no answer, {other.method} shows one"
    scale = max(abs(other.objective), GAP_DENOMINATOR_FLOOR)
    if one.status == other.status == Status.OPTIMAL and math.isfinite(one.objective):
        difference = abs(one.objective - other.objective) / scale
        if difference > AGREEMENT_TOLERANCE:
            return f"optima {one.objective:.9g} and {other.objective:.9g} ({difference:.2g} apart)"
    if one.bound - other.objective > AGREEMENT_TOLERANCE * scale:
        return (
            f"{one.method} proves a bound of {one.bound:.9g}, {other.method} shows "
            f"{other.objective:.9g}"
        )
    return ""


def _three_digits(value: float) -> str:
    """Three significant digits without an exponent."""
    if value == 0.0 or not 1e-6 <= abs(value) < 1e7:
        return f"{value:.3g}"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{decimals}f}"
