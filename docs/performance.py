"""``make performance``: this tree against an earlier commit, a row for each change that told.

Both trees solve the same fixed instances, taking turns, each in a process of its own on one thread;
what counts is the CPU time of solves, the median of repeats, after a first solve that compiles. The
rows lie in ``figures/data/performance.csv``, and ``docs/performance.md`` is rendered from them.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from reluopt.bench.peers.run import peers_table
from reluopt.bench.statistics import AGREEMENT_TOLERANCE
from reluopt.errors import InputError, ReluoptError
from reluopt.files import write_atomically
from reluopt.runs.row import PeerRow
from reluopt.runs.row_table import read_rows
from reluopt.runs.tables import DASH, markdown_grid

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "figures" / "data" / "performance.csv"
PAGE = ROOT / "docs" / "performance.md"
PEERS = TABLE.with_name("peers.csv")

LIMIT = 60.0
"""Seconds for each solve; one that is not proven by then is left out of the ratio of a row."""


@dataclass(frozen=True)
class Set:
    """Instances of one row.

    Attributes:
        network, norm, target, margin: what is asked.
        images: of the test set, first and last.
    """

    network: str
    norm: str
    target: str
    margin: str
    images: tuple[int, int]

    def __str__(self) -> str:
        first, last = self.images
        asked = f"{self.norm}, {self.target}, margin {self.margin}"
        return f"{self.network}, {asked}, test:{first}-{last}"

    def instances(self) -> list[dict[str, Any]]:
        """What is sent to the workers."""
        first, last = self.images
        asked = {**asdict(self), "limit": LIMIT}
        return [{**asked, "image": image} for image in range(first, last + 1)]


SETS = (
    Set("thesis", "l1", "+5", "x1.2", (100, 109)),
    Set("thesis", "l2", "+5", "x1.2", (100, 109)),
    Set("thesis", "linf", "any", "x1", (100, 109)),
    Set("thesis", "linf", "any", "x1.2", (140, 149)),
    Set("dnn2", "l1", "+5", "x1.2", (100, 104)),
    Set("thesis-96", "l2", "any", "x1", (100, 104)),
    Set("mlp-100", "l2", "any", "x1", (140, 143)),
)
"""Small on purpose: all of them take a few minutes, so that a change is soon measured."""


@dataclass(frozen=True)
class Row:
    """One change on one set of instances.

    Attributes:
        commit: the later one; ``against`` the earlier one, empty where the message named none.
        date: of the commit.
        instances: in words.
        before: CPU seconds before, in all or a median as ``source`` says; empty if not told.
        after: the same after.
        ratio: how many times faster.
        source: who measured.
        change: what was changed.
    """

    commit: str
    against: str
    date: str
    instances: str
    before: str
    after: str
    ratio: str
    source: str
    change: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What a measurement that is repeated replaces."""
        return self.commit, self.against, self.instances


class Worker:
    """A process that solves with one tree of sources."""

    def __init__(self, sources: Path) -> None:
        env = {**os.environ, "PYTHONPATH": str(sources)}
        env |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("performance_worker.py"))],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def solve(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """One instance.

        Raises:
            ReluoptError: the process ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(asked), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise ReluoptError(f"performance: the tree could not solve {dict(asked)}")
        found: dict[str, Any] = json.loads(line)
        return found

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def measure(workers: Sequence[Worker], chosen: Set, repeats: int) -> tuple[float, float, float]:
    """CPU seconds of all instances before and after, and the geometric mean of ratios.

    Raises:
        ReluoptError: nothing was proven by both, or two proven objectives differ.
    """
    asked = chosen.instances()
    for worker in workers:
        worker.solve(asked[0])  # compiles
    sums, ratios = np.zeros(2), []
    for number, each in enumerate(asked):
        times: tuple[list[float], list[float]] = ([], [])
        found: list[dict[str, Any]] = [{}, {}]
        for turn in range(repeats):
            for place in (0, 1) if (number + turn) % 2 else (1, 0):
                found[place] = workers[place].solve(each)
                times[place].append(float(found[place]["seconds"]))
        if any(one["status"] not in ("OPTIMAL", "INFEASIBLE") for one in found):
            continue
        first, second = (float(one["objective"]) for one in found)
        if first != second and abs(first - second) > AGREEMENT_TOLERANCE * max(abs(first), 1e-6):
            raise ReluoptError(f"performance: {each}: objectives {first} and {second} differ")
        medians = np.array([statistics.median(own) for own in times])
        sums += medians
        ratios.append(np.log(medians[0] / medians[1]))
    if not ratios:
        raise ReluoptError(f"performance: {chosen}: nothing was proven by both trees")
    return float(sums[0]), float(sums[1]), float(np.exp(np.mean(ratios)))


def git(*arguments: str) -> bytes:
    """What git prints.

    Raises:
        InputError: it refuses.
    """
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise InputError(f"performance: git {arguments[0]}: {' '.join(reason)}")
    return done.stdout


def unpack(commit: str, folder: Path) -> Path:
    """The Python sources of a commit."""
    with tarfile.open(fileobj=io.BytesIO(git("archive", commit, "python"))) as archive:
        archive.extractall(folder, filter="data")
    return folder / "python"


def read_table(path: Path = TABLE) -> list[Row]:
    """The rows; none where there is no file."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as stream:
        return [Row(**line) for line in csv.DictReader(stream)]


def write_table(rows: Sequence[Row], path: Path = TABLE) -> None:
    """The rows by date, the latest last."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([each.name for each in fields(Row)])
    writer.writerows(list(asdict(row).values()) for row in sorted(rows, key=lambda r: r.date))
    write_atomically(path, buffer.getvalue().encode())


def merged(rows: Sequence[Row], new: Sequence[Row]) -> list[Row]:
    """Rows with new ones in the place of those with the same key."""
    return list({row.key: row for row in (*rows, *new)}.values())


def page(rows: Sequence[Row]) -> str:
    """The page as Markdown."""
    head = ["commit", "date", "what", "instances", "before", "after", "times as fast", "measured"]
    lines = [
        [
            *(f"`{row.commit}`", row.date, row.change, row.instances),
            *(value or DASH for value in (row.before, row.after, row.ratio)),
            row.source + (f", against `{row.against}`" if row.against else ""),
        ]
        for row in sorted(rows, key=lambda r: r.date)
    ]
    sides = [False] * 4 + [True] * 3 + [False]
    return f"{_HEAD}\n{markdown_grid(head, lines, sides)}\n{peers_section(PEERS)}"


def peers_section(path: Path) -> str:
    """What libraries of others found; empty where nothing is published."""
    if not path.exists():
        return ""
    return f"\n{_PEERS_HEAD}\n{peers_table(read_rows(path).typed(PeerRow))}\n"


_PEERS_HEAD = """## Published libraries on the same instances

`reluopt bench thesis --images test:200-203 --method bnb --norm l1 --target any --margin x1 --peers
--time-limit 60 --out runs/peers-l1`, and the same in L2 (extra `peers`); what a library does not
take is a note below. Our engine proves each minimum in 0.03 to 0.07 CPU seconds. Exact libraries
share the limit among the nine targets and bring no incumbent; status and bound are their own word.
Attacks keep no limit.
Every distance is recomputed by the real network beside the minimum that our engine proves;
*checked* asks for the margin too (a lead of at least 0.0001), which an attack that stops at the
border misses. The bundled licence of Gurobi takes these programs. Rows of test:200 and 201 in L1
are older than the others; the machine had other work each time.
"""


_HEAD = """# Changes that touched speed

A row for each change and set of instances. `make performance` times this tree against an earlier
commit (`ARGS="--against COMMIT --change 'what it was'"`): both solve the same instances on one
thread, taking turns; seconds are CPU seconds of all instances, each the median of its repeats, and
the ratio is the geometric mean over instances. Rows whose last column says *commit message* or
*title* are what the authors wrote then, in their own measure; a dash is what they did not say.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, keep the rows, render."""
    parser = argparse.ArgumentParser(prog="make performance", description=__doc__)
    parser.add_argument("--against", help="an earlier commit; without it the page is rendered only")
    parser.add_argument("--change", default="", help="what was changed, in a few words")
    parser.add_argument("--repeats", type=int, default=3, help="solves of each instance by a tree")
    parser.add_argument("--sets", type=int, default=len(SETS), help="the first so many sets only")
    given = parser.parse_args(arguments)
    rows = read_table()
    if given.against:
        rows = merged(
            rows, measured(given.against, given.change, given.repeats, SETS[: given.sets])
        )
        write_table(rows)
    write_atomically(PAGE, page(rows).encode())


def measured(against: str, change: str, repeats: int, sets: Sequence[Set]) -> list[Row]:
    """Rows of the current sources against those of a commit.

    Raises:
        InputError: there is no such commit, or nothing is to be repeated.
        ReluoptError: a tree fails, or both contradict each other.
    """
    if repeats < 1:
        raise InputError(f"--repeats: expected at least 1, found {repeats}")
    earlier = git("rev-parse", "--short", f"{against}^{{commit}}").decode().strip()
    commit = git("rev-parse", "--short", "HEAD").decode().strip()
    dirty = "+" if git("status", "--porcelain", "--", "python").strip() else ""
    date = git("show", "-s", "--format=%ad", "--date=short", "HEAD").decode().strip()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        workers = [Worker(unpack(earlier, Path(folder))), Worker(ROOT / "python")]
        try:
            for chosen in sets:
                before, after, ratio = measure(workers, chosen, repeats)
                told = (f"{before:.3g} s", f"{after:.3g} s", f"{ratio:.2f}")
                asked = (commit + dirty, earlier, date, str(chosen), *told)
                rows.append(Row(*asked, f"CPU seconds, median of {repeats}", change))
                print(f"{chosen}: {told[0]} to {told[1]}, {told[2]} times as fast", flush=True)
        finally:
            for worker in workers:
                worker.close()
    return rows


if __name__ == "__main__":
    try:
        main()
    except ReluoptError as problem:
        sys.exit(f"error: {problem}")
