"""The exact robust error against the radius: how many test images have a wrong answer within eps.

Two bundled networks are decided here, image by image, in Linf. Whatever else, in any norm,
``reluopt robust-error --out`` wrote to folders beside their rows (``RUNS/robust-error/ANY``) is
told too, so that networks that are not bundled take part: those of Salman et al. (2019) stand
beside what was published of them.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
from matplotlib.figure import Figure

from reluopt.errors import InputError, shown
from reluopt.figures import robust_error_figure
from reluopt.networks.zoo import bundled_names, load_bundled
from reluopt.questions.problems import Norm, parse_norm
from reluopt.runs.instances import load_instances
from reluopt.runs.record import RECORD, Record, read_record
from reluopt.runs.row import VerifyRow
from reluopt.runs.store import named, read_table
from reluopt.runs.tables import fixed
from reluopt.runs.verification import VerifyJob, balls, robust_errors
from reluopt.studies.base import Study, StudyContext, StudyFolder, StudyResult, read_facts
from reluopt.studies.published import ROBUST_ERROR_IMAGES, ROBUST_ERRORS
from reluopt.studies.words import interval

NAME = "robust-error"

COMPLETE, REDUCED = ROBUST_ERROR_IMAGES, 50
"""Images of the whole study and of a first look."""

RADII = {"nor-b": (0.02,), "adv-b": (0.05,)}
"""Radii of the bundled networks: at larger ones, some images stay open for minutes."""

SPLIT = "test"

ROUNDED = Context(prec=4, rounding=ROUND_CEILING)
"""How bounds are published: four digits, upward, so that they stay bounds (and below 0)."""


@dataclass(frozen=True)
class _Run:
    """The first test images, decided within one radius.

    Attributes:
        rows: one for each image, in order.
        given: whether another command wrote them.
        machine: what they were solved on, in words.
    """

    rows: Sequence[VerifyRow]
    given: bool
    machine: str

    @property
    def question(self) -> tuple[str, str, float]:
        """The network, the norm and the radius."""
        return self.rows[0].network, self.rows[0].norm, self.rows[0].eps

    @property
    def in_boxes(self) -> bool:
        """Whether the norm is Linf, of which others have published and the figure tells."""
        return self.rows[0].norm == str(Norm.LINF)

    @property
    def published(self) -> tuple[float, float] | None:
        """What others found, in Linf."""
        network, _, eps = self.question
        return ROBUST_ERRORS.get((network, eps)) if self.in_boxes else None

    @property
    def table(self) -> str:
        """Name of its published rows, whatever the network is called."""
        network, norm, eps = self.question
        part = "" if self.in_boxes else f"-{norm}"
        return f"{NAME}-{quote(network, safe='')}{part}-{eps:g}"


def run(context: StudyContext) -> StudyResult:
    """Decide the bundled networks, take up what lies beside, and count."""
    folder = StudyFolder(context, NAME)
    count = context.count(REDUCED, COMPLETE)
    runs: dict[tuple[str, str, float], _Run] = {}
    for each in (*_bundled(folder, count), *_given(folder.path)):
        if each.question in runs:
            network, norm, eps = each.question
            raise InputError(
                f"{folder.path}: expected one run of each network, norm and radius, found several "
                f"of {shown(network)} within {norm} {eps:g}"
            )
        runs[each.question] = each
    ordered = sorted(runs.values(), key=_place)
    facts: dict[str, Any] = {"images": count, "runs": [_facts(each) for each in ordered]}
    for each in ordered:
        folder.table(each.table, _published(each.rows))
    _tell(folder, facts)
    return folder.finish(facts, complete=count == COMPLETE, interval=interval)


def _bundled(folder: StudyFolder, count: int) -> Iterator[_Run]:
    """The networks that come along."""
    method = folder.context.method()
    for name, radii in RADII.items():
        network = load_bundled(name)
        instances = load_instances(network, [f"{SPLIT}:0-{count - 1}"])
        job = VerifyJob(network, method, Norm.LINF, name)
        units = balls(instances, radii)
        finished = folder.run(name, job, units, method, folder.context.executor())
        where = _machine(read_record(folder.path / name))
        for place in range(len(radii)):
            rows = [result.row for result in finished[place :: len(radii)]]
            yield _Run(rows, False, where)


def _given(path: Path) -> Iterator[_Run]:
    """What ``reluopt robust-error --out`` wrote to folders in ``path``.

    Raises:
        InputError: a folder holds something else, or a run that is not finished.
    """
    for folder in sorted(record.parent for record in path.glob(f"*/{RECORD}")):
        if folder.name in RADII:
            continue
        record = Record(folder, read_record(folder, "a robust error"))
        asked = record.settings.get("experiment", "no experiment")
        if asked != "verify":
            raise InputError(
                f"{folder}: expected what reluopt robust-error wrote, found {shown(str(asked))}"
            )
        rows = read_table(folder).typed(VerifyRow)
        norm = record.settings.get("norm")
        other = next((row for row in rows if row.norm != norm), None)
        if other is not None:
            raise InputError(
                f"{folder}: expected rows in norm {shown(str(norm))}, found {shown(other.norm)} in "
                f"that of {shown(other.row_key)}"
            )
        missing = record.missing({row.row_key for row in rows})
        if missing:
            raise InputError(
                f"{folder}: expected a finished run, found no row of {named(missing)}; the command "
                "that wrote it resumes"
            )
        where = _machine(record.entries)
        for eps in sorted({row.eps for row in rows}):
            own = _first_images(folder, [row for row in rows if row.eps == eps])
            yield _Run(own, True, where)


def _first_images(folder: Path, rows: Sequence[VerifyRow]) -> list[VerifyRow]:
    """The rows in the order of their images, which are the first ones of the test set."""
    by_image = {row.image: row for row in rows}
    keys = [f"{SPLIT}:{index}" for index in range(len(rows))]
    absent = next((key for key in keys if key not in by_image), None)
    if absent is not None:
        raise InputError(
            f"{folder}: expected the first {len(rows)} test images, found no {absent} among them"
        )
    return [by_image[key] for key in keys]


def _machine(record: Mapping[str, Any]) -> str:
    """What a record says that its first session ran on."""
    entry = record.get("machine") or {}
    return shown(f"{entry.get('cores', '?')} cores ({entry.get('processor', 'unknown')})")


def _place(run: _Run) -> tuple[int, str, float]:
    """Published questions first, in their order; then others, Linf first."""
    order, (network, norm, eps) = list(ROBUST_ERRORS), run.question
    if run.published is not None:
        return order.index((network, eps)), network, eps
    return len(order) + (not run.in_boxes), f"{norm} {network}", eps


def _facts(run: _Run) -> dict[str, Any]:
    """What is told of a run; errors are shares in [0, 1], ``published`` too."""
    (found,) = robust_errors(run.rows)
    network, norm, eps = run.question
    seconds = [row.seconds or 0.0 for row in run.rows]
    limit, *longer = _limits(run.rows)
    return {
        "network": shown(network),
        "norm": norm,
        "norm_label": parse_norm(norm).label,
        "eps": eps,
        "given": run.given,
        "file": shown(network if network in bundled_names() else f"{network}.safetensors"),
        "rows": run.table,
        "images": found.images,
        "clean": found.clean,
        "lower": found.lower,
        "upper": found.upper,
        "undecided": round(found.undecided * found.images),
        "published": run.published,
        "limit": limit,
        "longer": longer,
        "seconds": round(sum(seconds), 1),
        "median": round(statistics.median(seconds), 5),
        "longest": round(max(seconds), 3),
        "machine": run.machine,
    }


def _limits(rows: Sequence[VerifyRow]) -> list[float | None]:
    """The time limits that images had, None for none, the shortest first: shards may differ."""
    return sorted(
        {row.time_limit for row in rows}, key=lambda own: math.inf if own is None else own
    )


def _published(rows: Sequence[VerifyRow]) -> pd.DataFrame:
    """One line for each image: bounds rounded up, measured numbers to the nearest."""
    lines = [
        {
            "index": index,
            "label": row.label,
            "predicted": row.original_predicted,
            "status": row.status,
            "bound": None if row.bound is None else rounded_up(row.bound),
            "distance": None if row.distance is None else f"{row.distance:.6g}",
            "seconds": fixed(row.seconds, 4),
        }
        for index, row in enumerate(rows)
    ]
    return pd.DataFrame(lines, dtype=object)


def rounded_up(value: float) -> str:
    """The least number of four digits that is not below ``value``."""
    return str(ROUNDED.create_decimal_from_float(value))


def _table(runs: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """A line for each run."""
    lines = [
        {
            "network": each["network"],
            "norm": each["norm_label"],
            "eps": f"{each['eps']:g}",
            "images": f"{each['images']:,}",
            "clean (%)": interval([each["clean"]]),
            "published (%)": interval(each["published"]),
            "here (%)": interval([each["lower"], each["upper"]]),
            "undecided": str(each["undecided"]),
            "sum (s)": f"{each['seconds']:,.0f}",
            "median (s)": fixed(each["median"], 4),
            "longest (s)": fixed(each["longest"], 2),
        }
        for each in runs
    ]
    return pd.DataFrame(lines, dtype=object)


def _figure(runs: Sequence[Mapping[str, Any]]) -> Figure:
    """Robust accuracy of the networks that others bounded, or of all if there are none."""
    boxes = [each for each in runs if each["norm"] == str(Norm.LINF)]
    chosen = [each for each in boxes if each["published"]] or boxes
    series: dict[str, list[tuple[float, ...]]] = {}
    others: dict[str, list[tuple[float, ...]]] = {}
    for each in chosen:
        part = "" if each["images"] == COMPLETE else f", first {each['images']:,}"
        name = each["network"] + part
        bounds = each["clean"], each["lower"], each["upper"]
        series.setdefault(name, []).append((each["eps"], *bounds))
        if each["published"]:
            others.setdefault(name, []).append((each["eps"], *each["published"]))
    return robust_error_figure(series, f"{Norm.LINF.label} norm", others)


def _redraw(folder: StudyFolder, data: Path) -> None:
    """:func:`_tell` from what is published."""
    _tell(folder, read_facts(data, NAME))


def _tell(folder: StudyFolder, facts: Mapping[str, Any]) -> None:
    """The table and the figure of all runs."""
    folder.table(NAME, _table(facts["runs"]), facts)
    folder.figure(NAME, _figure(facts["runs"]))


def _more(_data: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The runs by kind, and how intervals are written."""
    known = [
        {**each, "open": each["published"][0] < each["published"][1]}
        for each in facts["runs"]
        if each["published"]
    ]
    return {
        "interval": interval,
        "all_images": COMPLETE,
        "machines": list(dict.fromkeys(each["machine"] for each in facts["runs"])),
        "bundled": [each for each in facts["runs"] if not each["given"]],
        "others": [each for each in facts["runs"] if each["given"] and not each["published"]],
        "whole": [each for each in known if each["images"] == COMPLETE],
        "parts": [each for each in known if each["images"] != COMPLETE],
    }


STUDY = Study(NAME, run, _redraw, _more, minutes=8)
