"""What a published experiment is: rows from the runner, then figures, tables and facts.

A :class:`Study` reproduces one figure or table, or answers one question. Its results lie in one
folder, ``RUNS/NAME``: rows (in one or more result stores, so that it resumes), the figure, the
tables, and ``facts.json`` with every number that a reader is told about it. :func:`publish` copies
figures, tables and facts of a finished study to the folder that is committed.

A study runs on few images, or with ``full`` on all of them; the rows of the few are kept and
completed. What is drawn from few images is never published in place of the whole.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from reluopt.engines.base import EngineOptions
from reluopt.errors import InputError, shown
from reluopt.figures import save_figure
from reluopt.files import write_atomically
from reluopt.method import Method
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.problems import Margin, Norm, Target
from reluopt.runs.attack import AttackJob, AttackSettings
from reluopt.runs.executors import Executor, choose_executor
from reluopt.runs.instances import Instance
from reluopt.runs.job import Finished, Job, RowT, UnitT
from reluopt.runs.record import machine, plain
from reluopt.runs.row import AttackRow
from reluopt.runs.runner import RunProgress, run_job
from reluopt.runs.store import ResultStore
from reluopt.runs.tables import latex_table, markdown_table
from reluopt.studies.words import paragraphs, render, sentence
from reluopt.versions import all_versions

FACTS = "facts.json"

PICTURES = (".png", ".pdf")
"""Files that are published beside the README's other pictures; the rest goes to ``data/``."""


@dataclass(frozen=True)
class StudyContext:
    """Where and how studies run.

    Attributes:
        runs: folder of results; a study writes to ``runs / its name``.
        full: all images, or the reduced number that a first look needs.
        limit: this number of images in place of either.
        seed: which images are drawn where a study draws some, and the engines' seed.
        time_limit: seconds for one problem; None means the study's own choice.
        threads: solver threads.
        workers: local worker processes; None means one problem after the other in this process.
        scheduler: address of a Dask cluster.
        network: bundled name or file, for studies that take another network than their own.
        command: the command line, for the record.
        on_progress: called with a study's stage and how far that is.
        tell: called with a sentence on what was lost from a result folder and is run again.
        executors: those that were made, by workers and scheduler; their processes wait for more.
    """

    runs: Path
    full: bool = False
    limit: int | None = None
    seed: int = 0
    time_limit: float | None = None
    threads: int = 1
    workers: int | None = None
    scheduler: str | None = None
    network: str | None = None
    command: Sequence[str] = ()
    on_progress: Callable[[str, RunProgress], None] = lambda _stage, _now: None
    tell: Callable[[str], None] = lambda _sentence: None
    executors: dict[tuple[int | None, str | None], Executor] = field(
        default_factory=dict, repr=False, compare=False
    )

    def count(self, reduced: int, complete: int) -> int:
        """How many images to take of a study that knows two sizes."""
        if self.limit is not None:
            return min(self.limit, complete)
        return complete if self.full else reduced

    def executor(self) -> Executor:
        """Where problems are solved: the same for all stages, and for contexts made of this one."""
        asked = self.workers, self.scheduler
        if asked not in self.executors:
            self.executors[asked] = choose_executor(*asked)
        return self.executors[asked]

    def method(self, time_limit: float = 60.0, **changes: Any) -> Method:
        """A method under this context's limits; ``changes`` are fields of :class:`Method`."""
        limit = time_limit if self.time_limit is None else self.time_limit
        options = EngineOptions(limit, threads=self.threads, seed=self.seed)
        return Method(options=options, **changes)

    def session(self) -> dict[str, Any]:
        """What ``run.json`` tells of this session."""
        command = list(self.command) or ["reluopt", *sys.argv[1:]]
        return {"command": command, "machine": machine()}


@dataclass(frozen=True)
class StudyResult:
    """What a study made.

    Attributes:
        name: the study's name.
        folder: where everything lies.
        complete: whether this is the whole study; only then it may be published.
        files: figures and tables, in order.
        facts: every number that is told about it, JSON-serialisable.
        lines: what came out, in a few sentences.
    """

    name: str
    folder: Path
    complete: bool
    files: list[Path]
    facts: Mapping[str, Any]
    lines: Sequence[str]


@dataclass(frozen=True)
class Study:
    """One experiment of the thesis, or beyond it; its words are in ``templates/NAME.md.j2``.

    Attributes:
        name: its subcommand and folder.
        run: does it.
        redraw: draws the figures and writes the tables that follow from the published facts and
            rows, into a folder; None where there are none. ``run`` makes them the same way.
        more: what its section tells beside facts and whole tables, from the published folder.
        any_network: whether it runs on the network that the context names.
        minutes: how long all images take on two cores, from nothing: what was measured, or scaled
            from a part that was.
    """

    name: str
    run: Callable[[StudyContext], StudyResult]
    redraw: Callable[[StudyFolder, Path], None] | None = None
    more: Callable[[Path, Mapping[str, Any]], Mapping[str, Any]] | None = None
    any_network: bool = False
    minutes: float = 1.0

    def check(self, context: StudyContext) -> None:
        """Refuse a network where the study has its own.

        Raises:
            InputError: it does.
        """
        if context.network is not None and not self.any_network:
            raise InputError(
                f"--network: expected none, because {self.name} has its own, found "
                f"{shown(context.network)}"
            )

    def readme(self, data: Path) -> str:
        """Its section as Markdown, from the published folder ``figures/data`` alone."""
        facts = read_facts(data, self.name)

        def table(name: str = self.name) -> str:
            return (data / f"{name}.md").read_text(encoding="utf-8")

        more = {} if self.more is None else self.more(data, facts)
        return render(self.name, "readme", facts=facts, table=table, **more)


@dataclass
class StudyFolder:
    """Collects what a study writes to its folder.

    Args:
        context: where and how.
        name: the study's name.
    """

    context: StudyContext
    name: str
    files: list[Path] = field(default_factory=list)

    @property
    def path(self) -> Path:
        """The study's folder."""
        return self.context.runs / self.name

    def store(self, stage: str, job: Job[UnitT, RowT], method: Method) -> ResultStore[RowT]:
        """The rows of a job in the subfolder ``stage``.

        Raises:
            InputError: it holds rows of other settings.
        """
        command = self.context.session()["command"]
        record = {"command": command, "versions": all_versions([method.engine])}
        store = ResultStore(self.path / stage, job.row_class, job.describe(), record)
        for lost in store.repairs:
            self.context.tell(lost)
        return store

    def progress(self, stage: str) -> Callable[[RunProgress], None]:
        """What the runner calls to show how far ``stage`` is."""
        return lambda now: self.context.on_progress(f"{self.name} {stage}", now)

    def solve(
        self,
        stage: str,
        network: ReLUNetwork,
        instances: Sequence[Instance],
        norm: Norm,
        margin: Margin,
        target: Target,
        *,
        time_limit: float = 60.0,
        smoothness: float | None = None,
    ) -> list[Finished[AttackRow]]:
        """Smallest changes of all instances, kept and resumed in the subfolder ``stage``.

        Args:
            stage: name of the subfolder, and of this part of the study on the progress bar.
            network: the network.
            instances: the images.
            norm: how changes are measured.
            margin: by how much the target shall lead.
            target: what the network shall answer.
            time_limit: seconds for one problem, unless the context limits them.
            smoothness: largest difference of neighbouring changes, None for any.
        """
        method = self.context.method(time_limit)
        job = AttackJob(
            network, AttackSettings(target, norm, margin, method, smoothness=smoothness)
        )
        job.check_targets(instances)
        return self.run(stage, job, instances, method, self.context.executor())

    def run(
        self,
        stage: str,
        job: Job[UnitT, RowT],
        units: Sequence[UnitT],
        method: Method,
        executor: Executor | None = None,
    ) -> list[Finished[RowT]]:
        """Any other job, kept and resumed in the subfolder ``stage``.

        Args:
            stage: as for :meth:`solve`.
            job: what is done to each unit.
            units: what to run.
            method: whose versions are kept with the rows.
            executor: where units are done; None means one after the other in this process.
        """
        return run_job(
            job,
            units,
            self.store(stage, job, method),
            executor,
            session=self.context.session(),
            on_progress=self.progress(stage),
        )

    def figure(self, name: str, drawn: Figure | None) -> None:
        """Save a figure as PNG and PDF, unless there was nothing to draw."""
        if drawn is not None:
            self.path.mkdir(parents=True, exist_ok=True)
            self.files += save_figure(drawn, self.path / f"{name}.png")

    def table(self, name: str, frame: pd.DataFrame, facts: Mapping[str, Any] | None = None) -> None:
        """Save a table as CSV; with facts for its caption also as Markdown and LaTeX (booktabs)."""
        contents = {"csv": frame.to_csv(index=False)}
        if facts is not None:
            caption = sentence(self.name, "caption", name, facts=facts)
            contents["md"] = markdown_table(frame)
            contents["tex"] = latex_table(frame, caption, f"tab:{name}")
        for suffix, text in contents.items():
            self.files.append(self.path / f"{name}.{suffix}")
            write_atomically(self.files[-1], text.encode())

    def finish(self, facts: Mapping[str, Any], *, complete: bool, **words: Any) -> StudyResult:
        """Write the facts and sum up; ``words`` are what else its lines tell."""
        told = plain({"study": self.name, "complete": complete, **facts})
        write_atomically(self.path / FACTS, (json.dumps(told, indent=2) + "\n").encode())
        lines = paragraphs(render(self.name, "lines", facts=facts, **words))
        return StudyResult(self.name, self.path, complete, self.files, told, lines)


def publish(result: StudyResult, figures: Path) -> list[Path]:
    """Copy what a complete study made to ``figures`` (pictures) and ``figures/data`` (the rest).

    Returns:
        The copies. A reduced study gives none: its results must not take the whole one's place.
    """
    if not result.complete:
        return []
    copies = [publish_file(path, figures) for path in result.files]
    return [*copies, _copy(result.folder / FACTS, facts_path(figures / "data", result.name))]


def facts_path(data: Path, name: str) -> Path:
    """Where the facts of the study called ``name`` are published."""
    return data / f"{name}.json"


def read_facts(data: Path, name: str) -> dict[str, Any]:
    """The published facts of a study."""
    facts: dict[str, Any] = json.loads(facts_path(data, name).read_text(encoding="utf-8"))
    return facts


def read_table(data: Path, name: str) -> pd.DataFrame:
    """The published table called ``name``: texts as they are printed, NaN where a cell is empty."""
    return pd.read_csv(data / f"{name}.csv", dtype=str, keep_default_na=False, na_values=[""])


def publish_file(path: Path, figures: Path) -> Path:
    """Copy a picture to ``figures``, or anything else to ``figures/data``."""
    return _copy(path, (figures if path.suffix in PICTURES else figures / "data") / path.name)


def _copy(source: Path, target: Path) -> Path:
    """Copy a file unless it is there already, byte for byte."""
    target.parent.mkdir(parents=True, exist_ok=True)
    data = source.read_bytes()
    if not (target.exists() and target.read_bytes() == data):
        write_atomically(target, data)
    return target
