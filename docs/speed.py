"""How fast it is, in words: the README's section on times, from published benchmarks.

A benchmark called ``NAME`` is published as ``NAME.csv``, its rows, and ``NAME.md``, its summary,
whose last lines tell machine, versions and command. Every number of the section is computed from
the rows; medians, means and ratios keep the marks of censored times
(:mod:`~reluopt.bench.statistics`).
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from reluopt.bench.statistics import (
    AGREEMENT_TOLERANCE,
    AT_LEAST,
    Estimate,
    MethodSummary,
    count_comparable,
    find_disagreements,
    summarise_methods,
    summarise_ratios,
)
from reluopt.networks.zoo import load_bundled
from reluopt.runs.methods import ENGINES
from reluopt.runs.row_table import read_rows
from reluopt.runs.tables import markdown_grid

WIDTH = 100
"""Characters in a line of a generated document."""

DEEPER = ("deep", "wide", "wide-l2", "wide-linf")
"""Benchmarks of deeper and wider networks."""

OURS, THESIS = "bnb", "gurobi:thesis:thesis"
"""The methods of the main comparison: our engine, and the published program on Gurobi."""

_FACT = re.compile(r"^\* (?P<name>[a-z ]+): (?P<text>.*)$", re.MULTILINE)

_AGREEMENT = f"{AGREEMENT_TOLERANCE:g}".replace("e-0", "e-")

_BEFORE_UNIT = re.compile(r"(?<=\d)\s(?=(%|s|min|h)(?!\w))")
_JOINED = "\0"

_SOLVERS = ("highs", "gurobi")


@dataclass(frozen=True, eq=False)
class Benchmark:
    """A published benchmark.

    Attributes:
        table: its rows.
        facts: what its summary says of machine, versions and command, by name.
    """

    table: pd.DataFrame
    facts: dict[str, str]

    @property
    def networks(self) -> list[str]:
        """Names of the networks, in order."""
        return [str(name) for name in self.table["network"].unique()]

    @property
    def images(self) -> str:
        """The images, such as ``test:100-139``."""
        names = self.table["image"].str.partition(":")
        indices = names[2].astype(int)
        return f"{names[0].iloc[0]}:{indices.min()}-{indices.max()}"

    @property
    def limit(self) -> str:
        """Seconds that each run was given."""
        return f"{self.table['time_limit'].max():g} s"

    def option(self, name: str) -> str:
        """The value of an option of the command; an empty text when it was not given."""
        found = re.search(rf"--{name} (\S+)", self.facts["command"])
        return found.group(1) if found else ""

    def summary(self, network: str, method: str) -> MethodSummary:
        """Times of one method on one network."""
        return next(
            s for s in summarise_methods(self.table) if (s.network, s.method) == (network, method)
        )


def read_benchmark(data: Path, name: str) -> Benchmark:
    """The benchmark published as ``name`` in the folder ``data``.

    Raises:
        FileNotFoundError: it was not published.
    """
    summary = (data / f"{name}.md").read_text(encoding="utf-8")
    table = read_rows(data / f"{name}.csv").frame()
    facts = {found["name"]: found["text"].strip("`") for found in _FACT.finditer(summary)}
    return Benchmark(table, facts)


def speed_section(data: Path) -> str:
    """The section as Markdown; links are relative to the folder of the README."""
    main = read_benchmark(data, "bench-l1")
    others = [read_benchmark(data, f"bench-{name}") for name in ("l2", "l1-any", "l2-any")]
    deeper = [read_benchmark(data, f"bench-{name}") for name in DEEPER]
    bounds = read_benchmark(data, "bench-bounds")
    parts = [
        _main_comparison(main),
        command_block(main.facts["command"]),
        f"The same command with `--method {OURS}` alone and other settings (limit "
        f"{others[0].limit}):",
        _grid(
            ["", *(f"`{name}`: proven, median, slowest" for name in others[0].networks)],
            [_other_settings(other) for other in others],
        ),
        _grid(
            ["deeper and wider", "proven", "median", "slowest"],
            [_deeper(one, network) for one in deeper for network in one.networks],
        ),
        _bounds(bounds),
        _closing([main, *others, *deeper, bounds]),
    ]
    return "\n\n".join(parts)


def fill(text: str, indent: str = "") -> str:
    """A paragraph in lines of :data:`WIDTH` characters, all but the first with ``indent``.

    Numbers keep their unit on the same line.
    """
    lines = textwrap.fill(
        _BEFORE_UNIT.sub(_JOINED, text),
        WIDTH,
        break_long_words=False,
        break_on_hyphens=False,
        subsequent_indent=indent,
    )
    return lines.replace(_JOINED, " ")


def command_block(command: str) -> str:
    """A command line as an indented block, broken before its options where it is long."""
    words = re.split(r" (?=--)", command)
    lines = [f"    {words[0]}"]
    for word in words[1:]:
        if len(lines[-1]) + len(word) + 3 <= WIDTH:
            lines[-1] += f" {word}"
        else:
            lines.append(f"        {word}")
    return " \\\n".join(lines)


def _main_comparison(bench: Benchmark) -> str:
    """Our engine against the thesis' model: figure, setting and table."""
    first, last = bench.images.partition(":")[2].split("-")
    names = " and ".join(f"`{name}`" for name in bench.networks)
    solver = re.search(r"gurobi (\d+)", bench.facts["versions"])
    picture = (
        "![Seconds for each image, our engine against the thesis' model on Gurobi, for "
        f"{names}](figures/bench-l1.png)"
    )
    setting = (
        f"Smallest L1 changes of test images {first} to {last}, target {bench.option('target')}, "
        f"margin {bench.option('margin')}, one thread, limit {bench.limit}; methods take turns on "
        "each image, and compilation is not counted. *Thesis model* is the published program "
        f"(±1000 everywhere) on Gurobi {solver.group(1) if solver else ''}."
    )
    ratios = summarise_ratios(bench.table, THESIS, [OURS])
    rows = [
        [f"{name}: proven, median, slowest"]
        + [_times(bench.summary(network, method)) for network in bench.networks]
        for name, method in (("our engine", OURS), ("thesis model", THESIS))
    ]
    rows.append(
        ["times faster, geometric mean of ratios"] + [f"**{r.geometric_mean}**" for r in ratios]
    )
    rows.append(["times faster, ratio of means"] + [str(r.of_means) for r in ratios])
    header = ["", *(f"`{name}` ({_accuracy(name)})" for name in bench.networks)]
    return "\n\n".join([picture, fill(setting), _grid(header, rows)])


def _other_settings(bench: Benchmark) -> list[str]:
    """One row of the table of other norms and targets."""
    setting = f"`--norm {bench.option('norm')} --target {bench.option('target')}`"
    return [setting, *(_times(bench.summary(name, OURS)) for name in bench.networks)]


def _deeper(bench: Benchmark, network: str) -> list[str]:
    """One row of the table of deeper and wider networks."""
    sizes = "-".join(map(str, load_bundled(network).sizes))
    proven, median, slowest = _times(bench.summary(network, OURS)).split(", ")
    norm, target, margin = map(bench.option, ("norm", "target", "margin"))
    asked = f"{norm.capitalize()}, {target}, margin {margin}"
    name = f"`{network}` ({sizes}), {asked}, {bench.images}, limit {bench.limit}"
    return [name, proven, median, slowest]


def _bounds(bench: Benchmark) -> str:
    """What general solvers gain from our incumbent and bounds."""
    network = bench.networks[0]
    methods = [str(name) for name in bench.table["method"].unique()]
    gains = []
    for solver in _SOLVERS:
        ours = bench.summary(network, f"{solver}:bigm:ball")
        theirs = bench.summary(network, f"{solver}:thesis:thesis")
        gains.append(
            f"{ENGINES[solver]} needs {_mean(ours)} on average in place of {_mean(theirs)}"
        )
    return fill(
        "General solvers profit too from the incumbent and the bounds over its ball "
        f"({bench.images}, limit {bench.limit}, "
        f"`{' '.join(f'--method {method}' for method in methods)}`): {', '.join(gains)}."
    )


def _closing(benches: Sequence[Benchmark]) -> str:
    """Where the rows are, how busy the machine was, and whether methods agree."""
    loads = [float(bench.table["load"].median()) for bench in benches]
    processor, cores = benches[0].facts["machine"].split(", ")[:2]
    contradictions = sum(len(find_disagreements(bench.table)) for bench in benches)
    settled = sum(count_comparable(bench.table) for bench in benches)
    agreement = (
        f"{settled} problems were settled by two methods or more: their optima agree to "
        f"{_AGREEMENT} (relative), and no bound contradicts an image."
        if contradictions == 0
        else f"Contradictions between methods: **{contradictions}**."
    )
    return fill(
        "All tables and the rows behind them are in `figures/data/`. They were measured on "
        f"{cores} ({processor}) with other work running (median load {min(loads):.1f} to "
        f"{max(loads):.1f}), on machines that differ by a factor of up to two: absolute times are "
        f"pessimistic, and those of one command alone can be compared. {agreement} "
        "[How the engine works, and what limits it](docs/engine.md)."
    )


def _times(summary: MethodSummary) -> str:
    """How many were proven, median and slowest."""
    slowest = _seconds(summary.largest, "> ")
    return f"{summary.proven}/{summary.images}, {_seconds(summary.median, '> ')}, {slowest}"


def _mean(summary: MethodSummary) -> str:
    """The mean in words; a lower bound says so, and why."""
    if summary.mean.relation != AT_LEAST:
        return _seconds(summary.mean)
    proven = f"{summary.proven} of {summary.images} proven"
    return f"at least {_seconds(Estimate(summary.mean.value))} ({proven})"


def _seconds(estimate: Estimate, at_least: str = "≥ ") -> str:
    """Seconds with two significant digits."""
    decimals = max(0, 1 - math.floor(math.log10(estimate.value)))
    mark = at_least if estimate.relation == AT_LEAST else ""
    return f"{mark}{estimate.value:.{decimals}f} s"


def _accuracy(network: str) -> str:
    """Share of test images that a bundled network classifies correctly."""
    accuracy = load_bundled(network).metadata.test_accuracy
    return "accuracy unknown" if accuracy is None else f"{100 * accuracy:.2f} %"


def _grid(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose cells hold words and numbers."""
    return markdown_grid(header, rows, [False] * len(header))
