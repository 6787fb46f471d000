"""An interleaved, per-image comparison of methods (engines x formulations x bounds).

Methods take turns on each image, and who goes first rotates from image to image, so that a busy
or hot machine is hard on all of them alike. Each runs in a process of its own
(:mod:`reluopt.bench.job`) that is warmed up before the clock runs. Time is wall
time of the whole pipeline: attack, bounds, build, search, polish and check.

A run counts as *proven* when its question is settled within the time limit; anything else is
censored (:mod:`reluopt.bench.statistics`). Rows are appended to ``OUT/results.csv`` as
they come, and the same command continues where an interrupted one stopped;
``OUT/sessions.jsonl`` tells what each start found (command, machine, versions, warm-up times).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from reluopt.bench.job import BenchSettings
from reluopt.bench.peers.run import (
    contradictions,
    minimum_of,
    peers_table,
    run_peers,
    write_peers,
)
from reluopt.bench.report import load_warning, markdown_summary
from reluopt.bench.session import bench
from reluopt.bench.statistics import Disagreement, find_disagreements
from reluopt.engines import get_engine
from reluopt.engines.options import EngineOptions
from reluopt.errors import EngineUnavailableError, InputError
from reluopt.figures import (
    benchmark_figure,
    check_figure_path,
    save_figure,
    time_versus_size_figure,
)
from reluopt.files import write_atomically
from reluopt.method import Method
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.zoo import open_network
from reluopt.questions.problems import parse_margin, parse_norm, parse_target
from reluopt.runs.instances import Instance, load_instances
from reluopt.runs.methods import method_titles
from reluopt.runs.progress import RunProgress
from reluopt.runs.record import machine, told
from reluopt.runs.row import BenchRow, PeerRow
from reluopt.runs.store import ResultStore
from reluopt.versions import all_versions


@dataclass(frozen=True, eq=False)
class BenchResult:
    """What a benchmark found.

    Attributes:
        table: one row for each network, image and method; see
            :class:`~reluopt.runs.row.BenchRow`.
        summary: the Markdown summary.
        disagreements: contradictions between methods; there must be none.
        files: every file written.
        wrong: contradictions between peers and what is proven, in words.
    """

    table: pd.DataFrame
    summary: str
    disagreements: list[Disagreement]
    files: list[Path]
    wrong: Sequence[str] = ()

    @property
    def exit_code(self) -> int:
        """0, or 1 when methods or peers contradict what is proven."""
        return 1 if self.disagreements or self.wrong else 0


@dataclass(frozen=True, kw_only=True)
class BenchPlan:
    """What ``reluopt bench`` measures.

    Attributes:
        networks: bundled names or weight files.
        images: selections such as ``test:100-139``, or PNG and NPY files.
        methods: ``engine[:formulation[:bounds]]``, see :func:`~reluopt.method.Method.parse`.
        out: folder of results; ``results.csv``, ``summary.md``, ``run.json``, ``sessions.jsonl``.
        norm, target, margin: what is asked, as people write it.
        time_limit: seconds for each run.
        threads: solver threads.
        gap: relative MIP gap that counts as proven.
        seed: of every engine.
        baseline: the method that others are compared with; the last one if not given.
        peers: whether libraries of others (:mod:`reluopt.bench.peers`) are run as well.
        figure: ``.png`` (with a PDF beside it), ``.pdf`` or ``.svg``. Networks of different sizes
            get a second figure, ``NAME-size``.
        data_dir: folder of idx files in place of the bundled MNIST.
        loading: what is told of all networks, see :func:`~reluopt.networks.zoo.open_network`.
        command: the command line, for the record.
    """

    networks: Sequence[str]
    images: Sequence[str]
    methods: Sequence[str]
    out: Path
    norm: str = "l1"
    target: str = "+5"
    margin: str = "x1.2"
    time_limit: float = 100.0
    threads: int = 1
    gap: float = 1e-6
    seed: int = 0
    baseline: str | None = None
    peers: bool = False
    figure: Path | None = None
    data_dir: Path | None = None
    loading: Mapping[str, Any] = field(default_factory=dict)
    command: Sequence[str] = ()

    def settings(self) -> BenchSettings:
        """What is asked of every image, and with which limits."""
        return BenchSettings(
            parse_target(self.target),
            parse_norm(self.norm),
            parse_margin(self.margin),
            EngineOptions(self.time_limit, self.gap, self.threads, self.seed),
        )

    def reference(self) -> str:
        """The method that others are compared with."""
        chosen = self.methods[-1] if self.baseline is None else self.baseline
        if chosen not in self.methods:
            raise InputError(
                f"baseline: expected one of {', '.join(self.methods)}, found {chosen!r}"
            )
        return chosen


def run_bench(
    plan: BenchPlan,
    progress: Callable[[RunProgress], None] = lambda _: None,
    tell: Callable[[str], None] = lambda _: None,
) -> BenchResult:
    """``reluopt bench``: measure, summarise, draw.

    Args:
        plan: what is measured.
        progress: called before and after each run.
        tell: called with a sentence on what was lost from the folder and is run again.

    Raises:
        InputError: anything that does not fit, such as an unknown method or a folder with results
            of other settings.
        EngineUnavailableError: an engine cannot be used on this machine.
        UnsupportedProblemError: a method cannot solve this kind of problem.
    """
    settings = plan.settings()
    methods = {
        name: usable_method(name, settings.options) for name in _once("method", plan.methods)
    }
    reference = plan.reference()
    if plan.figure is not None:
        check_figure_path(plan.figure)
    _once("network", plan.networks)
    networks = {name: open_network(name, **plan.loading) for name in plan.networks}
    instances = {n: load_instances(net, plan.images, plan.data_dir) for n, net in networks.items()}
    engines = [method.engine for method in methods.values() if method.engine != "auto"]
    record: dict[str, Any] = {"command": list(plan.command), "versions": all_versions(engines)}
    record["activation"] = {n: f"relu ({net.metadata.activation})" for n, net in networks.items()}
    described = {**settings.describe(), **told(plan.loading)}
    store = ResultStore(plan.out, BenchRow, described, record)
    for sentence in store.repairs:
        tell(sentence)
    table = bench(networks, instances, methods, settings, store, record=record, progress=progress)
    title = f"{settings.norm.label} to target {plan.target} with margin {plan.margin}"
    summary = markdown_summary(table, reference, title, _facts(table, settings, record))
    write_atomically(plan.out / "summary.md", summary.encode())
    names = ("results.csv", "summary.md", "run.json", "sessions.jsonl")
    files = [plan.out / name for name in names]
    if plan.figure is not None:
        files += draw(table, plan.figure)
    if not plan.peers:
        return BenchResult(table, summary, find_disagreements(table), files)
    rows = _peer_rows(plan, networks, instances, table, tell)
    wrong = list(contradictions(rows))
    files.append(write_peers(rows, plan.out))
    summary = "\n".join([summary, "", peers_table(rows), *(f"* {each}" for each in wrong)])
    return BenchResult(table, summary, find_disagreements(table), files, wrong)


def _peer_rows(
    plan: BenchPlan,
    networks: Mapping[str, ReLUNetwork],
    instances: Mapping[str, Sequence[Instance]],
    table: pd.DataFrame,
    tell: Callable[[str], None],
) -> list[PeerRow]:
    """All peers on the instances of the benchmark, with the minima that its methods proved."""
    settings, asked = plan.settings(), []
    for name, network in networks.items():
        for each in instances[name]:
            task = settings.problem(each).task(network)
            minimum = minimum_of(table, network.metadata.name, each.key)
            asked.append((network, each.key, each.label, task, minimum))
    return run_peers(asked, plan.time_limit, tell)


def _once(what: str, names: Sequence[str]) -> Sequence[str]:
    """``names``, or an InputError when there are none or one stands twice."""
    if not names or len(set(names)) < len(names):
        raise InputError(f"{what}: expected at least one and each once, found {list(names)}")
    return names


def usable_method(text: str, options: EngineOptions) -> Method:
    """Read a method as :func:`~reluopt.method.Method.parse` does.

    Raises:
        InputError: an unknown engine, formulation or bounds.
        EngineUnavailableError: the engine cannot be used here.
    """
    method = Method.parse(text, options)
    state = None if method.engine == "auto" else get_engine(method.engine).state()
    if state is not None and not state.usable:
        raise EngineUnavailableError(f"method {text!r}: {state.detail}")
    return method


def _facts(
    table: pd.DataFrame, settings: BenchSettings, record: Mapping[str, Any]
) -> dict[str, str]:
    """What a reader of the summary must know."""
    here = machine()
    options = settings.options
    sessions, codes = table["session"].nunique(), table["code_sha256"].nunique()
    return {
        "limits": f"{options.time_limit:g} s and {options.threads} solver thread(s) for each run, "
        f"relative gap {options.gap:g}, seed {options.seed}",
        "order": "methods take turns on each image, another one first each time"
        + (f"; measured in {sessions} sessions" if sessions > 1 else ""),
        "not in the times": "imports and compilation (see sessions.jsonl)",
        "machine": f"{here['processor']}, {here['cores']} cores, {here['platform']}",
        "code": f"rows were measured by {codes} different states of reluopt's code; start in a new "
        "folder to compare methods"
        if codes > 1
        else "",
        "noise": load_warning(table, here["cores"] or 1),
        "versions": ", ".join(f"{name} {value}" for name, value in record["versions"].items()),
        "command": f"`{' '.join(record['command'])}`" if record["command"] else "",
    }


def draw(table: pd.DataFrame, path: Path) -> list[Path]:
    """The benchmark's figure, and one of time against size where sizes differ."""
    files = list(save_figure(benchmark_figure(_titled(table)), path))
    if table["neurons"].nunique() > 1:
        files += draw_sizes(table, path.with_name(f"{path.stem}-size{path.suffix}"))
    return files


def draw_sizes(table: pd.DataFrame, path: Path) -> list[Path]:
    """A benchmark's figure of time against size."""
    return list(save_figure(time_versus_size_figure(_titled(table)), path))


def _titled(table: pd.DataFrame) -> pd.DataFrame:
    """With methods in words."""
    titles = method_titles([str(method) for method in table["method"].unique()])
    return table.assign(method=table["method"].map(titles))
