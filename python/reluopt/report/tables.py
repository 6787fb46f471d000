"""The tables of a report, and how they read in Markdown and LaTeX."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reluopt.bench.statistics import (
    AT_LEAST,
    AT_MOST,
    EXACT,
    Estimate,
    MethodSummary,
    find_disagreements,
    summarise_methods,
    summarise_ratios,
)
from reluopt.report.runs import (
    Run,
    flag,
    measured,
    measured_bound,
    number,
    series,
    settled,
    time_table,
)
from reluopt.runs.tables import DASH, escape_latex, markdown_grid
from reluopt.runs.wording import change_words

_VARYING = (
    "network", "norm", "target", "margin", "smoothness",
    "engine", "formulation", "bounds", "attack",
)  # fmt: skip
_VARYING_LIMITS = ("time_limit", "gap", "threads", "seed")
"""Settings that a comparison shows where they differ."""


@dataclass(frozen=True)
class Column:
    """A column: its heading, and whether it holds numbers, which stand to the right."""

    title: str
    numeric: bool = False
    hint: str = ""


@dataclass(frozen=True)
class Cell:
    """A value as people read it, and as tables are sorted by it (None sorts last)."""

    text: str
    order: float | str | None = None


@dataclass(frozen=True)
class Table:
    """A titled table; ``tags`` has one mapping for each row, for filters."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    tags: Sequence[Mapping[str, str]] = ()


def numeral(value: float, form: str = ".4g") -> Cell:
    """A number; a dash where there is none."""
    if not math.isfinite(value):
        return Cell(DASH, None)
    return Cell("0" if value == 0.0 else format(value, form), value)


def word(value: Any) -> Cell:
    """A text; a dash where there is none."""
    return Cell(DASH, None) if value in (None, "") else Cell(str(value), str(value))


def label(value: float) -> str:
    """A class; a question mark where there is none."""
    return "?" if math.isnan(value) else f"{value:.0f}"


def estimate(value: Estimate, *, seconds: bool = False) -> Cell:
    """A number that may be a bound."""
    finite = math.isfinite(value.value)
    text = str(value) + (" s" if seconds and finite else "")
    return Cell(text if finite else DASH, value.value if finite else None)


def summary_table(runs: Sequence[Run]) -> Table:
    """One row for each run (or method of a benchmark)."""
    varying, measure = _varying_settings(runs), measure_of(runs)
    columns = [
        Column("run"),
        *(Column(name.replace("_", " ")) for name in varying),
        Column("instances", True),
        Column("proven", True, "proven optimal or infeasible within the limits"),
        Column("checked", True, "answers that passed the check by the real network"),
        Column(f"median {measure}", True, "over the answers; a bound when some are not proven"),
        Column(f"mean {measure}", True),
        Column("median time", True, "a stopped run counts as its limit, which gives a ≥"),
        Column("mean time", True),
        Column("slowest", True),
    ]
    times = {summary.method: summary for summary in summarise_methods(time_table(runs))}
    rows = []
    for name, (run, members) in series(runs).items():
        shown = [word(_spoken(run.settings.get(setting))) for setting in varying]
        rows.append([Cell(name, name), *shown, *_summary_cells(run, members, times[name])])
    title = "Runs" if len(rows) > 1 else "Summary"
    note = _censoring_note(times)
    if len({len(members) for _, members in series(runs).values()} | {len(shared_images(runs))}) > 1:
        note = (
            f"{note} The runs hold different images: compare them on those that they share.".strip()
        )
    return Table(title, columns, rows, note)


def _summary_cells(run: Run, rows: Sequence[Mapping[str, Any]], times: MethodSummary) -> list[Cell]:
    """Counts, distances and times of a series."""
    count = len(rows)
    proven = sum(settled(row) for row in rows)
    checked = sum(flag(row, "certified") for row in rows)
    middle, mean = averages(run, rows)
    return [
        Cell(str(count), count),
        Cell(str(proven), proven),
        Cell(str(checked), checked),
        estimate(middle),
        estimate(mean),
        estimate(times.median, seconds=True),
        estimate(times.mean, seconds=True),
        estimate(times.largest, seconds=True),
    ]


def measure_of(runs: Sequence[Run]) -> str:
    """What the numbers of these runs are called."""
    return " or ".join(dict.fromkeys(run.measure for run in runs))


def averages(run: Run, rows: Sequence[Mapping[str, Any]]) -> tuple[Estimate, Estimate]:
    """Median and mean of checked answers; bounds on the optima's when some are not proven."""
    answered = [row for row in rows if flag(row, "certified")]
    found = np.array([measured(run, row) for row in answered])
    if not found.size:
        return Estimate(math.nan), Estimate(math.nan)
    relation = EXACT if all(settled(row) for row in answered) else _unproven(run)
    return Estimate(float(np.median(found)), relation), Estimate(float(found.mean()), relation)


def _censoring_note(times: Mapping[str, MethodSummary]) -> str:
    if all(summary.proven == summary.images for summary in times.values()):
        return ""
    return (
        "Runs that were not proven count as if they had ended at their time limit; "
        "numbers that rest on such runs are marked as the bounds that they are: ≥ for times, "
        "≤ for distances."
    )


def _varying_settings(runs: Sequence[Run]) -> list[str]:
    """Settings in which the runs differ."""
    names = (*_VARYING, *_VARYING_LIMITS)
    return [name for name in names if len({str(run.settings.get(name)) for run in runs}) > 1]


def _spoken(value: Any) -> Any:
    return {True: "yes", False: "no"}.get(value, value) if isinstance(value, bool) else value


def instance_table(runs: Sequence[Run], limit: int | None = None) -> Table:
    """One row for each instance of each run, at most ``limit``."""
    every = [(name, run, row) for name, (run, rows) in series(runs).items() for row in rows]
    several = len({name for name, _, _ in every}) > 1
    columns = [
        Column("image"),
        *([Column("run")] if several else []),
        Column(*_CHANGE if any(run.norm is not None for run in runs) else _ANSWER),
        Column("status"),
        Column(measure_of(runs), True, "of the best answer found"),
        Column("bound", True, "proven: no answer can be better than this"),
        Column("gap", True, "(objective - bound) / objective"),
        Column("seconds", True),
        Column("nodes", True, "branch-and-bound nodes"),
        Column("lead", True, "logit of the target minus the largest other one, as measured"),
        Column("checked", hint="whether the real network confirmed the answer"),
    ]
    shown = every if limit is None else every[:limit]
    cells = []
    for name, run, row in shown:
        image, *rest = _instance_cells(run, row)
        cells.append([image, *([Cell(name, name)] if several else []), *rest])
    tags = [{"status": str(row.get("status")), "run": name} for name, _, row in shown]
    left = len(every) - len(shown)
    note = f"The first {len(shown):,} of {len(every):,} rows; results.csv has all." if left else ""
    return Table("Every instance", columns, cells, note, tags)


_CHANGE = ("change", False, "the network's answers before and after, and the label it misreads")
_ANSWER = ("label → answer", False, "whose logit is maximised, and what the network answers")


def _instance_cells(run: Run, row: Mapping[str, Any]) -> list[Cell]:
    own, after = number(row, "label"), number(row, "predicted")
    before = own if run.norm is None else number(row, "original_predicted")
    return [
        word(row.get("image")),
        Cell(change_words(own, before, after), before if math.isfinite(before) else None),
        word(row.get("status")),
        numeral(measured(run, row)),
        numeral(measured_bound(run, row)),
        numeral(number(row, "gap"), ".1e"),
        numeral(number(row, "seconds"), ".3f"),
        numeral(number(row, "nodes"), ".0f"),
        numeral(number(row, "margin"), ".3g"),
        Cell("yes" if flag(row, "certified") else "no", str(flag(row, "certified"))),
    ]


def comparison_table(runs: Sequence[Run], limit: int | None = None) -> Table | None:
    """Distances and seconds of every image that all runs share, side by side; None without any."""
    found = {
        name: (run, {str(row.get("image")): row for row in rows})
        for name, (run, rows) in series(runs).items()
    }
    shared = shared_images(runs)
    if len(found) < 2 or not shared:
        return None
    columns = [Column("image")]
    columns += [Column(f"{run.measure}, {name}", True) for name, (run, _) in found.items()]
    columns += [Column(f"seconds, {name}", True) for name in found]
    rows = []
    for image in shared[:limit]:
        own = [(run, rows_of[image]) for run, rows_of in found.values()]
        values = [_measured_cell(run, row) for run, row in own]
        rows.append([word(image), *values, *(_seconds_cell(row) for _, row in own)])
    note = "≤ before a distance: not proven smallest. ≥ before seconds: stopped without a proof."
    if len(rows) < len(shared):
        note += f" The first {len(rows):,} of {len(shared):,} shared images."
    return Table("Image by image", columns, rows, note)


def shared_images(runs: Sequence[Run]) -> list[str]:
    """Images that every series holds, in order."""
    members = [[str(row.get("image")) for row in rows] for _, rows in series(runs).values()]
    common = set(members[0]).intersection(*members[1:])
    return [image for image in members[0] if image in common]


def _measured_cell(run: Run, row: Mapping[str, Any]) -> Cell:
    if not flag(row, "certified"):
        return Cell(str(row.get("status")).replace("_", " ").lower(), None)
    return estimate(Estimate(measured(run, row), EXACT if settled(row) else _unproven(run)))


def _unproven(run: Run) -> str:
    """What the optimum is to an answer that is not proven to be it."""
    return AT_LEAST if run.norm is None else AT_MOST


def _seconds_cell(row: Mapping[str, Any]) -> Cell:
    return estimate(Estimate(number(row, "seconds"), EXACT if settled(row) else AT_LEAST))


def ratio_table(runs: Sequence[Run]) -> Table | None:
    """Times of the first series against the others, image by image; None without a pair."""
    table = time_table(runs)
    names = list(series(runs))
    ratios = summarise_ratios(table, names[0])
    if not ratios:
        return None
    columns = [
        Column("compared"),
        Column("shared images", True),
        Column("time ratio", True, "geometric mean over images"),
        Column("95 % interval", True, "bootstrap over images"),
        Column("ratio of means", True),
        Column("ratio of medians", True),
    ]
    rows = [
        [
            Cell(f"{ratio.baseline} / {ratio.candidate}", ratio.candidate),
            Cell(str(ratio.pairs), ratio.pairs),
            estimate(ratio.geometric_mean),
            _interval(ratio.interval),
            estimate(ratio.of_means),
            estimate(ratio.of_medians),
        ]
        for ratio in ratios
    ]
    note = (
        "Above 1, the second is faster. ≥ and ≤ mark bounds, where one of a pair was stopped by "
        "its limit; ~ bounds nothing."
    )
    return Table("Times, image by image", columns, rows, note)


def _interval(ends: tuple[float, float]) -> Cell:
    low, high = ends
    if not (math.isfinite(low) and math.isfinite(high)):
        return Cell(DASH, None)
    return Cell(f"{low:.2f} to {high:.2f}", low)


def contradictions(runs: Sequence[Run]) -> list[str]:
    """Where runs that ask the same question cannot all be right; there must be none."""
    asked = [tuple(str(run.settings.get(k)) for k in QUESTION) for run in runs]
    if len(set(asked)) > 1 or any(run.norm is None for run in runs):
        return []
    return [
        f"{found.image}: {found.first} and {found.second}: {found.what}"
        for found in find_disagreements(time_table(runs))
    ]


QUESTION = ("network_sha256", "norm", "target", "margin", "smoothness")
"""Settings that say what is asked, whatever the way to answer it."""


def status_counts(runs: Sequence[Run]) -> Counter[str]:
    """Rows by status."""
    return Counter(str(row.get("status")) for run in runs for row in run.rows)


def markdown(table: Table) -> str:
    """A table as Markdown."""
    grid = markdown_grid(
        [column.title for column in table.columns],
        [[cell.text for cell in row] for row in table.rows],
        [column.numeric for column in table.columns],
    )
    note = f"\n\n{table.note}" if table.note else ""
    return f"## {table.title}\n\n{grid}{note}\n"


def latex(table: Table) -> str:
    """A table as LaTeX; needs ``booktabs`` and ``longtable``, since it may span pages."""
    sides = "".join("r" if column.numeric else "l" for column in table.columns)
    heads = " & ".join(escape_latex(column.title) for column in table.columns)
    body = [" & ".join(escape_latex(cell.text) for cell in row) + r" \\" for row in table.rows]
    note = rf"\par\noindent\footnotesize {escape_latex(table.note)}\normalsize"
    return "\n".join(
        [
            rf"\begin{{longtable}}{{{sides}}}",
            rf"\caption{{{escape_latex(table.title)}}} \\",
            r"\toprule",
            rf"{heads} \\",
            r"\midrule",
            r"\endhead",
            r"\bottomrule",
            r"\endfoot",
            *body,
            r"\end{longtable}",
            *([note] if table.note else []),
            "",
        ]
    )
