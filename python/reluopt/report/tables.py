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
    EXACT,
    Estimate,
    MethodSummary,
    find_disagreements,
    summarise_methods,
    summarise_ratios,
)
from reluopt.report.runs import Entry, Run, radii, series, time_table
from reluopt.runs.tables import DASH, escape_latex, markdown_grid

_VARYING = (
    "network", "norm", "target", "margin", "smoothness",
    "engine", "formulation", "bounds", "attack",
)  # fmt: skip
_VARYING_LIMITS = ("time_limit", "gap", "threads", "seed")
"""Settings that a comparison shows where they differ."""


@dataclass(frozen=True)
class Heading:
    """What stands above a column; numbers stand to the right."""

    title: str
    numeric: bool = False
    hint: str = ""


@dataclass(frozen=True)
class Cell:
    """A value as people read it, as tables are sorted by it (None sorts last), and its side."""

    text: str
    order: float | str | None = None
    numeric: bool = False


@dataclass(frozen=True)
class Table:
    """A titled table; ``tags`` has one mapping for each row, for filters."""

    title: str
    columns: Sequence[Heading]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    tags: Sequence[Mapping[str, str]] = ()


def tabulated(
    title: str,
    lines: Sequence[Mapping[str, Cell]],
    note: str = "",
    hints: Mapping[str, str] | None = None,
    tags: Sequence[Mapping[str, str]] = (),
) -> Table:
    """Lines of cells by their heading, at least one, as a table; a dash where a line lacks one."""
    told, cells = hints or {}, {name: cell for line in lines for name, cell in line.items()}
    columns = [Heading(name, cell.numeric, told.get(name, "")) for name, cell in cells.items()]
    rows = [[line.get(name, Cell(DASH)) for name in cells] for line in lines]
    return Table(title, columns, rows, note, tags)


def numeral(value: float, form: str = ".4g") -> Cell:
    """A number; a dash where there is none, ``< 0`` for minus infinity."""
    if value == -math.inf:
        return Cell("< 0", value, numeric=True)
    if not math.isfinite(value):
        return Cell(DASH, numeric=True)
    return Cell("0" if value == 0.0 else format(value, form), value, numeric=True)


def counted(value: int) -> Cell:
    """How many."""
    return Cell(str(value), value, numeric=True)


def word(value: Any) -> Cell:
    """A text; a dash where there is none."""
    return Cell(DASH) if value in (None, "") else Cell(str(value), str(value))


def label(value: float) -> str:
    """A class; a question mark where there is none."""
    return "?" if math.isnan(value) else f"{value:.0f}"


def estimate(value: Estimate, *, seconds: bool = False) -> Cell:
    """A number that may be a bound."""
    if not math.isfinite(value.value):
        return Cell(DASH, numeric=True)
    return Cell(f"{value} s" if seconds else str(value), value.value, numeric=True)


def summary_table(runs: Sequence[Run]) -> Table:
    """One row for each run (or method of a benchmark)."""
    varying, hints = _varying_settings(runs), dict(_SUMMARY_HINTS)
    times = {summary.method: summary for summary in summarise_methods(time_table(runs))}
    lines, sizes = [], {len(shared_images(runs))}
    words = " or ".join(dict.fromkeys(run.kind.word for run in runs))
    for name, entries in series(runs).items():
        kind, asked = entries[0].run.kind, entries[0].run.settings
        sums = kind.sums(entries) or _averages(entries, measure_of(runs))
        hints |= {title: hint for title, (_, hint) in sums.items()}
        settings = {key.replace("_", " "): word(_spoken(asked.get(key))) for key in varying}
        lines.append(
            {
                "run": Cell(name, name),
                **settings,
                "instances": counted(len(entries)),
                words: counted(sum(each.proven for each in entries)),
                "checked": counted(sum(each.checked for each in entries)),
                **{title: estimate(value) for title, (value, _) in sums.items()},
                "median time": estimate(times[name].median, seconds=True),
                "mean time": estimate(times[name].mean, seconds=True),
                "slowest": estimate(times[name].largest, seconds=True),
            }
        )
        sizes.add(len(entries))
    note = _censoring_note(times)
    if len(sizes) > 1:
        note += " The runs hold different images: compare them on those that they share."
    return tabulated("Runs" if len(lines) > 1 else "Summary", lines, note.strip(), hints)


_SUMMARY_HINTS = {
    "proven": "proven optimal or infeasible within the limits",
    "checked": "answers that passed the check by the real network",
    "median time": "a stopped run counts as its limit, which gives a ≥",
}


def measure_of(runs: Sequence[Run]) -> str:
    """What the numbers of these runs are called."""
    return " or ".join(dict.fromkeys(run.kind.measure for run in runs))


def _averages(entries: Sequence[Entry], measure: str) -> dict[str, tuple[Estimate, str]]:
    """Median and mean, with what they mean."""
    middle, mean = averages(entries)
    hint = "over the answers; a bound when some are not proven"
    return {f"median {measure}": (middle, hint), f"mean {measure}": (mean, hint)}


def averages(entries: Sequence[Entry]) -> tuple[Estimate, Estimate]:
    """Median and mean of checked answers; bounds on the optima's when some are not proven."""
    answered = [each for each in entries if each.checked]
    found = np.array([each.value for each in answered])
    if not found.size:
        return Estimate(math.nan), Estimate(math.nan)
    known = answered[0].run.kind.relation(all(each.proven for each in answered))
    return Estimate(float(np.median(found)), known), Estimate(float(found.mean()), known)


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
    every = [(name, each) for name, entries in series(runs).items() for each in entries]
    several = len({name for name, _ in every}) > 1
    kinds = list({type(run.kind): run.kind for run in runs}.values())
    change = "label → answer" if all(run.norm is None for run in runs) else "change"
    shown = every if limit is None else every[:limit]
    columns = {column.title: column for kind in kinds for column in kind.columns}
    lines = [
        {
            "image": word(each.row.get("image")),
            **({"run": Cell(name, name)} if several else {}),
            change: Cell(each.change, each.before if math.isfinite(each.before) else None),
            "status": word(each.row.get("status")),
            measure_of(runs): numeral(each.value),
            **{title: _column_cell(each, title) for title in columns},
            "checked": _checked_cell(each),
        }
        for name, each in shown
    ]
    tags = [{"status": each.status, "run": name} for name, each in shown]
    left = len(every) - len(shown)
    note = f"The first {len(shown):,} of {len(every):,} rows; results.csv has all." if left else ""
    hints = {**_INSTANCE_HINTS, measure_of(runs): "of the best answer found"}
    hints |= {title: column.hint for title, column in columns.items()}
    return tabulated("Every instance", lines, note, hints, tags)


_INSTANCE_HINTS = {
    "change": "the network's answers before and after, and the label it misreads",
    "label → answer": "whose logit is maximised, and what the network answers",
    "checked": "whether the real network confirmed the answer",
}


def _checked_cell(each: Entry) -> Cell:
    """Whether an answer was confirmed; a dash where there is none."""
    if not each.checked and not math.isfinite(each.value):
        return Cell(DASH)
    return Cell("yes" if each.checked else "no", str(each.checked))


def _column_cell(each: Entry, title: str) -> Cell:
    """A number of an entry; a dash where its kind has no such column."""
    found = next((column for column in each.run.kind.columns if column.title == title), None)
    if found is None:
        return Cell(DASH, numeric=True)
    return numeral(getattr(each, found.attribute), found.form)


def comparison_table(runs: Sequence[Run], limit: int | None = None) -> Table | None:
    """Distances and seconds of every image that all runs share, side by side; None without any."""
    found = {n: {each.image: each for each in entries} for n, entries in series(runs).items()}
    shared = shared_images(runs)
    if len(found) < 2 or not shared:
        return None
    lines = []
    for image in shared[:limit]:
        own = {name: entries[image] for name, entries in found.items()}
        values = {f"{each.run.kind.measure}, {n}": _measured_cell(each) for n, each in own.items()}
        seconds = {f"seconds, {name}": _seconds_cell(each) for name, each in own.items()}
        lines.append({"image": word(image), **values, **seconds})
    note = "≤ before a distance: not proven smallest. ≥ before seconds: stopped without a proof."
    if len(lines) < len(shared):
        note += f" The first {len(lines):,} of {len(shared):,} shared images."
    return tabulated("Image by image", lines, note)


def shared_images(runs: Sequence[Run]) -> list[str]:
    """Images that every series holds, in order."""
    members = [[each.image for each in entries] for entries in series(runs).values()]
    common = set(members[0]).intersection(*members[1:])
    return [image for image in members[0] if image in common]


def _measured_cell(each: Entry) -> Cell:
    if not each.checked:
        return Cell(each.status.replace("_", " ").lower(), numeric=True)
    return estimate(Estimate(each.value, each.run.kind.relation(each.proven)))


def _seconds_cell(each: Entry) -> Cell:
    return estimate(Estimate(each.seconds, EXACT if each.proven else AT_LEAST))


def ratio_table(runs: Sequence[Run]) -> Table | None:
    """Times of the first series against the others, image by image; None without a pair."""
    if len(radii(runs)) > 1:
        return None  # balls of other radii are other questions
    table = time_table(runs)
    names = list(series(runs))
    ratios = summarise_ratios(table, names[0])
    if not ratios:
        return None
    lines = [
        {
            "compared": Cell(f"{ratio.baseline} / {ratio.candidate}", ratio.candidate),
            "shared images": counted(ratio.pairs),
            "time ratio": estimate(ratio.geometric_mean),
            "95 % interval": _interval(ratio.interval),
            "ratio of means": estimate(ratio.of_means),
            "ratio of medians": estimate(ratio.of_medians),
        }
        for ratio in ratios
    ]
    hints = {
        "time ratio": "geometric mean over images",
        "95 % interval": "bootstrap over images",
    }
    note = (
        "Above 1, the second is faster. ≥ and ≤ mark bounds, where one of a pair was stopped by "
        "its limit; ~ bounds nothing."
    )
    return tabulated("Times, image by image", lines, note, hints)


def _interval(ends: tuple[float, float]) -> Cell:
    low, high = ends
    if not (math.isfinite(low) and math.isfinite(high)):
        return Cell(DASH, numeric=True)
    return Cell(f"{low:.2f} to {high:.2f}", low, numeric=True)


def contradictions(runs: Sequence[Run]) -> list[str]:
    """Where runs that ask the same question cannot all be right; there must be none."""
    if not (one_question(runs) and all(run.kind.distances for run in runs)):
        return []
    return [
        f"{found.image}: {found.first} and {found.second}: {found.what}"
        for found in find_disagreements(time_table(runs))
    ]


_QUESTION = ("network_sha256", "norm", "target", "margin", "smoothness")
"""Settings that say what is asked, whatever the way to answer it."""


def one_question(runs: Sequence[Run]) -> bool:
    """Whether all runs ask the same."""
    return len({tuple(str(run.settings.get(key)) for key in _QUESTION) for run in runs}) == 1


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
