"""A benchmark in words: Markdown from its table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from reluopt.bench.statistics import (
    AGREEMENT_TOLERANCE,
    Disagreement,
    Estimate,
    MethodSummary,
    RatioSummary,
    count_comparable,
    find_disagreements,
    in_processor_time,
    summarise_methods,
    summarise_ratios,
)
from reluopt.runs.tables import markdown_grid

BUSY_LOAD = 0.5
"""Runnable processes beyond our own, in proportion to the cores, above which times are noisy."""

_CENSORING = """\
A run that was not proven within the limit counts as if it had ended at the limit, and every number
that holds such a run is marked: `≥` is a lower bound, `≤` an upper bound, `~` neither (terms of
both kinds). Where both methods of a pair stopped, their ratio is unknown and left out."""


def markdown_summary(
    table: pd.DataFrame, baseline: str, title: str, facts: Mapping[str, str]
) -> str:
    """The summary of a benchmark.

    Args:
        table: the benchmark's rows.
        baseline: the method that others are compared with.
        title: first line.
        facts: what else a reader must know, such as machine and command.
    """
    disagreements = find_disagreements(table)
    parts = [
        f"# {title}",
        _times_table(summarise_methods(table)),
        _ratios_section(table, baseline),
        _CENSORING if not bool(table["proven"].all()) else "",
        _agreement(table, disagreements),
        _problems(table),
        "\n".join(f"* {name}: {value}" for name, value in facts.items() if value),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def load_warning(table: pd.DataFrame, cores: int) -> str:
    """A sentence when other work was running, or an empty text."""
    load = float(table["load"].astype(float).median())
    if not load - 1.0 > BUSY_LOAD * cores:
        return ""
    return f"median load {load:.1f} on {cores} cores: other work was running, times are noisy"


def _grid(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, first columns to the left and numbers to the right."""
    names = sum(column in ("network", "method", "compared") for column in header)
    return markdown_grid(header, rows, [False] * names + [True] * (len(header) - names))


def _number(value: float) -> str:
    """Three digits, or a dash."""
    return str(Estimate(value))


def _times_table(summaries: Sequence[MethodSummary]) -> str:
    """Seconds and memory by network and method."""
    header = ["network", "method", "proven", "median (s)", "mean (s)", "geometric mean (s)"]
    header += ["fastest (s)", "slowest (s)", "peak memory (MiB)", "of it added (MiB)"]
    header += ["CPU / wall"]
    rows = [
        [
            s.network,
            s.method,
            f"{s.proven}/{s.images}" + (f" ({s.failed} failed)" if s.failed else ""),
            str(s.median),
            str(s.mean),
            str(s.geometric_mean),
            _number(s.smallest),
            str(s.largest),
            "-" if math.isnan(s.memory_peak) else f"{s.memory_peak:.0f}",
            "-" if math.isnan(s.memory_added) else f"{s.memory_added:.0f}",
            "-" if math.isnan(s.parallelism) else f"{s.parallelism:.2f}",
        ]
        for s in summaries
    ]
    return _grid(header, rows)


def _ratios_section(table: pd.DataFrame, baseline: str) -> str:
    """Ratios of times by network and candidate."""
    summaries = summarise_ratios(table, baseline)
    if not summaries:
        return ""
    in_cpu = {
        (s.network, s.candidate): s.geometric_mean
        for s in summarise_ratios(in_processor_time(table), baseline)
    }
    header = ["network", "method", "images", "geometric mean of ratios", "95 % interval"]
    header += ["ratio of means", "ratio of medians", "geometric mean, CPU time"]
    rows = [
        [
            s.network,
            s.candidate,
            f"{s.pairs - s.unknown}" + (f" of {s.pairs}" if s.unknown else ""),
            str(s.geometric_mean),
            _interval(s),
            str(s.of_means),
            str(s.of_medians),
            str(in_cpu.get((s.network, s.candidate), "-")),
        ]
        for s in summaries
    ]
    text = f"How many times faster than `{baseline}` (its time divided by the method's):"
    return f"{text}\n\n{_grid(header, rows)}"


def _interval(summary: RatioSummary) -> str:
    """The bootstrap interval, or a dash."""
    low, high = summary.interval
    return "-" if math.isnan(low) else f"{_number(low)} to {_number(high)}"


def _agreement(table: pd.DataFrame, disagreements: Sequence[Disagreement]) -> str:
    """Whether all claims can be true together."""
    if table["method"].nunique() < 2:
        return ""
    if not disagreements:
        return (
            f"AGREE: {count_comparable(table)} instances were settled by two or more methods, "
            f"with objectives within\n{AGREEMENT_TOLERANCE:g} (relative) of each other, and no "
            f"bound of one method contradicts an image of another."
        )
    lines = [f"* {d.network}, {d.image}, {d.first} and {d.second}: {d.what}" for d in disagreements]
    return f"DISAGREE: {len(disagreements)} contradictions.\n\n" + "\n".join(lines)


def _problems(table: pd.DataFrame) -> str:
    """Runs that failed, with their messages, the most frequent first."""
    names = ["UNSUPPORTED", "ERROR", "CRASHED", "KILLED", "NUMERICAL", "NOT_ADVERSARIAL"]
    failed = table[table["status"].isin(names)]
    if failed.empty:
        return ""
    counts: dict[tuple[Any, ...], int] = {}
    for row in failed.to_dict("records"):
        key = (row["network"], row["method"], row["status"], row["message"])
        counts[key] = counts.get(key, 0) + 1
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    lines = [f"* {n} x {net}, {m}: {s} ({text})" for (net, m, s, text), n in ordered]
    return "Runs without an accepted answer:\n\n" + "\n".join(lines)
