"""Consoles, tables and progress bars of the command line."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console, ConsoleOptions, JustifyMethod, OverflowMethod, RenderResult
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from reluopt.runs.progress import UNKNOWN, Forecast

if TYPE_CHECKING:  # a help text must not wait for them
    from reluopt.engines.base import Progress as SearchProgress
    from reluopt.numerics.prepare import Preparation
    from reluopt.questions.problems import Norm
    from reluopt.runs.progress import RunProgress

_WRAPPED = ("detail", "result")
"""Columns whose text may take several lines."""

MAX_TABLE_ROWS = 50
"""Longest table on the screen; the files of a run have everything."""

output = Console(highlight=False, emoji=False)  # test:100: is an image
errors = Console(stderr=True, highlight=False, emoji=False)


def number(value: Any, form: str = ".4g") -> str:
    """A number for people; a dash for what is missing or infinite."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "-"
    return format(value, form)


class _Titled(Table):
    """A table whose title may be wider than its columns."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The title as a line of its own, then the rest."""
        title, self.title = self.title, None
        yield Text(str(title), style="table.title")
        yield from super().__rich_console__(console, options)
        self.title = title


def norm_title(norm: Norm) -> str:
    """``L1 norm``, ``Linf norm``, but ``blend:0.5``, which is no norm."""
    from reluopt.questions.problems import Blend

    return norm.label if isinstance(norm, Blend) else f"{norm.label} norm"


def table(title: str, columns: list[tuple[str, str]]) -> Table:
    """An empty table; columns are pairs of a header and ``left`` or ``right``.

    Title and headers may hold names from files: nothing in them is markup.
    """
    made = _Titled(title=title, title_justify="left", header_style="bold", box=box.SIMPLE_HEAD)
    made.padding, made.pad_edge, made.collapse_padding = (0, 1), False, True
    for header, side in columns:
        justify: JustifyMethod = "right" if side == "right" else "left"
        wrapped = header in _WRAPPED
        overflow: OverflowMethod = "fold" if wrapped else "ellipsis"
        made.add_column(escape(header), justify=justify, overflow=overflow, no_wrap=not wrapped)
    return made


def printable(text: str) -> str:
    """A text from a file whose control characters a terminal shall show and not obey."""
    shown = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return "".join(shown)


def tell(sentence: str) -> None:
    """A sentence on stderr, in one line and as it is."""
    errors.print(printable(sentence), markup=False, soft_wrap=True)


def say(sentence: str) -> None:
    """A sentence on stdout, in one line and as it is."""
    output.print(printable(sentence), markup=False, soft_wrap=True)


def print_table(shown: Table, total: int) -> None:
    """Print a table, and how many of ``total`` rows it leaves out."""
    output.print(shown)
    if total > shown.row_count:
        output.print(f"... and {total - shown.row_count} more")


LOG_SECONDS = 60.0
"""How often a long run reports to a log file."""


def _duration(seconds: float) -> str:
    """Hours, minutes and seconds."""
    return str(timedelta(seconds=round(seconds)))


class Bar:
    """A progress bar on stderr that also shows the running search."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task
        self._spoken = time.monotonic()
        self._silent = True

    def search(self, now: SearchProgress) -> None:
        """Show incumbent, bound and nodes of the running search."""
        text = (
            f"best {number(now.objective)}, bound {number(now.bound)}, "
            f"{now.nodes} nodes, {now.seconds:.0f} s"
        )
        self._progress.update(self._task, search=text)

    def run(self, now: RunProgress, stage: str = "") -> None:
        """Show how far a run of the runner is; a line now and then where stderr is no terminal."""
        text = f"{stage}: " if stage else ""
        text += ", ".join(f"{count} {name.lower()}" for name, count in now.counts.items())
        if math.isfinite(now.median_seconds):
            text += f", median {now.median_seconds:.3g} s"
        began = f"{now.stage} {now.unit}" if now.row is None and now.unit else ""
        self._progress.update(
            self._task, completed=now.done, total=now.total, counts=text, search=began
        )
        if not began:
            ended = time.monotonic()
            self._progress.update(self._task, forecast=now.forecast, ended=ended)
        if not errors.is_terminal:
            self._log(now, text)

    def _log(self, now: RunProgress, text: str) -> None:
        """A line now and then; a run that has said something also says that it is done."""
        silent = time.monotonic() - self._spoken
        ended = now.done == now.total
        if (self._silent and ended) or (silent < LOG_SECONDS and not ended):
            return
        self._silent = ended  # the next stage of a study starts anew
        self._spoken += silent
        known = not (ended or math.isnan(now.remaining))
        left = f", about {_duration(now.remaining)} left" if known else ""
        errors.print(f"{now.done} of {now.total}: {text}{left}", markup=False)


class _Remaining(ProgressColumn):
    """The time that a run still takes; see :mod:`reluopt.runs.progress`."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        """``ETA 0:01:30``, or dashes while too little is known."""
        left = task.fields["forecast"].after(time.monotonic() - task.fields["ended"])
        known = not task.finished and math.isfinite(left)
        return Text(f"ETA {_duration(left) if known else '-:--:--'}", style="progress.remaining")


def _announce(text: str) -> None:
    errors.print(text, markup=False)


@dataclass(frozen=True)
class _Countdown:
    """A forecast that knows the seconds that are left."""

    seconds: float

    def after(self, age: float) -> float:
        """Seconds that are left ``age`` seconds later."""
        return max(self.seconds - age, 0.0)


class _Compilation:
    """Says once that kernels are compiled, and shows how far that is."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None

    def __call__(self, now: Preparation) -> None:
        """Show the state of a compilation."""
        if self._task is None:
            many = "1 process" if now.workers == 1 else f"{now.workers} processes"
            errors.print(
                f"compiling {now.total} kernels for this machine, once, in {many}: about "
                f"{now.remaining:.0f} s if they have a core each ...",
                soft_wrap=True,
            )
            self._task = self._progress.add_task(
                "compile", total=now.total, counts="", search="", forecast=UNKNOWN, ended=0.0
            )
        self._progress.update(
            self._task,
            completed=now.done,
            forecast=_Countdown(now.remaining),
            ended=time.monotonic(),
        )
        if now.done == now.total:
            self._progress.remove_task(self._task)
            self._task = None


@contextmanager
def progress_bar(description: str, total: int, *, visible: bool = True) -> Iterator[Bar]:
    """A bar with an ETA; nothing is drawn where stderr is no terminal."""
    from reluopt.engines.julia_setup import on_julia_start
    from reluopt.numerics.prepare import on_compilation

    progress = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        _Remaining(),
        TextColumn("{task.fields[counts]}"),
        TextColumn("[dim]{task.fields[search]}"),
        console=errors,
        disable=not (visible and errors.is_terminal),
        transient=True,
    )
    with progress, on_compilation(_Compilation(progress)), on_julia_start(_announce):
        started = Forecast(total, math.nan, 1.0, ())
        task = progress.add_task(
            description, total=total, counts="", search="", forecast=started, ended=time.monotonic()
        )
        yield Bar(progress, task)
