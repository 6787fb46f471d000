"""Finished runs as a report needs them: rows in a good order, answers, original images."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reluopt.errors import InputError, ReluoptError
from reluopt.images.display import pixel_span
from reluopt.networks.metadata import RELU
from reluopt.networks.zoo import open_network
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.problems import Norm, parse_norm
from reluopt.report.kinds import kind_of
from reluopt.report.kinds.base import Kind
from reluopt.runs.answers import Answers
from reluopt.runs.instances import load_by_key
from reluopt.runs.record import RECORD, read_record, told
from reluopt.runs.store import read_table


@dataclass(frozen=True, eq=False)
class Run:
    """One folder of results.

    Attributes:
        name: short and different from those of other runs in the report.
        folder: where it lies.
        record: what ``run.json`` holds.
        rows: finished rows, sorted by image (and method); None for what is missing.
        answers: the answer of each row that has one, by row number.
        originals: the image of each row that could be read, by row number.
        note: why there are no originals, or an empty text.
    """

    name: str
    folder: Path
    record: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]
    answers: Mapping[int, FloatArray] = field(repr=False)
    originals: Mapping[int, FloatArray] = field(repr=False)
    note: str = ""

    @property
    def settings(self) -> Mapping[str, Any]:
        """What determines the results."""
        found: Mapping[str, Any] = self.record.get("settings", {})
        return found

    @property
    def norm(self) -> Norm | None:
        """How changes are measured, if the run says so."""
        name = self.settings.get("norm")
        return None if name is None else parse_norm(str(name))

    def ends(self, size: int) -> tuple[FloatArray, FloatArray]:
        """Lower and upper bounds of so many inputs: those on record, or [0, 1]."""
        box = self.settings.get("input_box") or ((0.0,), (1.0,))
        lower, upper = (np.broadcast_to(np.array(ends, dtype=np.float64), size) for ends in box)
        return lower, upper

    @property
    def span(self) -> tuple[float, float]:
        """The values of black and white pixels."""
        lower, upper = self.settings.get("input_box") or ((0.0,), (1.0,))
        return pixel_span(lower, upper)

    @property
    def kind(self) -> Kind:
        """What it asked, and how its rows are told."""
        return kind_of(self.settings)


def load_runs(
    folders: Sequence[Path], network_name: str | None = None, data_dir: Path | None = None
) -> list[Run]:
    """Read finished (or still growing) runs; nothing in the folders is touched.

    Args:
        folders: folders written with ``--out``.
        network_name: weights, if they are not where the runs recorded them.
        data_dir: folder of idx files, if the runs used one.

    Raises:
        InputError: a folder holds no results, or is named twice.
    """
    places = [folder.resolve() for folder in folders]
    twice = [str(place) for place, count in Counter(places).items() if count > 1]
    if twice:
        raise InputError(f"runs: expected each folder once, found {twice[0]} twice")
    names = _short_names(places)
    return [
        _load(name, folder, network_name, data_dir)
        for name, folder in zip(names, folders, strict=True)
    ]


def _short_names(places: Sequence[Path]) -> list[str]:
    """The last parts of the paths, as many as tell them apart."""
    depth = 1
    while True:
        names = ["/".join(place.parts[-depth:]).strip("/") for place in places]
        if len(set(names)) == len(names) or depth > max(len(p.parts) for p in places):
            return names
        depth += 1


def _load(name: str, folder: Path, network_name: str | None, data_dir: Path | None) -> Run:
    """One run."""
    table = read_table(folder)
    if not table.rows:
        raise InputError(f"{folder}: expected finished rows in results.csv, found none")
    record = _record(folder)
    stored = Answers(folder)
    keyed = sorted(
        zip(table.keys, table.rows, strict=True), key=lambda pair: natural(_sort_text(pair[1]))
    )
    rows = [row for _, row in keyed]
    found = {number: stored.find(key) for number, (key, _) in enumerate(keyed)}
    answers = {number: image for number, image in found.items() if image is not None}
    originals: dict[int, FloatArray] = {}
    note = "the run stored no answers"
    if answers or kind_of(record.get("settings", {})).pictured:
        originals, note = _read_originals(record, rows, network_name, data_dir)
    for number, image in answers.items():
        _check_answer(folder, keyed[number][0], image, originals.get(number))
    return Run(name, folder, record, rows, answers, originals, note)


def _check_answer(folder: Path, key: str, image: FloatArray, original: FloatArray | None) -> None:
    """Refuse what is no image, or none like the one that it started from."""
    if not (image.size and np.isfinite(image).all()):
        raise InputError(f"{folder}: answer of {key}: expected finite pixels, found none or others")
    if original is not None and image.shape != original.shape:
        raise InputError(
            f"{folder}: answer of {key}: expected the shape {original.shape}, found {image.shape}"
        )


def _record(folder: Path) -> Mapping[str, Any]:
    if not (folder / RECORD).exists():
        raise InputError(f"{folder}: expected run.json beside results.csv, found none")
    return read_record(folder)


def _sort_text(row: Mapping[str, Any]) -> str:
    parts = (row.get("network"), row.get("image") or next(iter(row.values())), row.get("method"))
    return " ".join(str(part) for part in parts if part is not None)


def natural(text: str) -> list[tuple[int, str]]:
    """A sort key under which test:9 comes before test:10."""
    words, numbers = re.split(r"[0-9]+", text), re.findall(r"[0-9]+", text)
    digits = [number.lstrip("0") for number in numbers]  # the longer, the larger
    pairs = [((0, word), (len(d), d)) for word, d in zip(words, [*digits, ""], strict=True)]
    return [key for pair in pairs for key in pair]


def _read_originals(
    record: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    network_name: str | None,
    data_dir: Path | None,
) -> tuple[dict[int, FloatArray], str]:
    """The image that each row started from; a reason instead when they are out of reach."""
    settings = record["settings"]
    if "norm" not in settings:
        return {}, ""  # optimal inputs, say: they start from no image
    if "images" in settings:
        return {}, "the answer is a change of several images, which `universal --figure` draws"
    name = network_name or settings.get("network_path") or settings.get("network")
    try:
        # Of which only the shape of inputs matters.
        network = open_network(str(name), RELU, **told(settings))
        labels = {str(row.get("image")): 0 for row in rows}  # only pixels matter
        loaded = load_by_key(network, labels, data_dir)
    except ReluoptError as error:
        return {}, f"the original images could not be read ({error})"
    originals = {}
    for number, row in enumerate(rows):
        image = loaded[str(row.get("image"))].image
        known = row.get("image_sha256")
        if known is None or known == hashlib.sha256(image.tobytes()).hexdigest():
            originals[number] = image.reshape(network.input_shape)
    strangers = len(rows) - len(originals)
    if strangers:
        return originals, f"{strangers} original images have changed since the run (see --data-dir)"
    return originals, ""


@dataclass(frozen=True, eq=False)
class Entry:
    """One instance of a run as reports tell it; a number that is missing or damaged is NaN.

    Attributes:
        run: where it comes from.
        row: what its table says, as it is.
        image: what it is called.
        label: the true label.
        eps: radius of the ball; NaN without one.
        before: the network's answer to the original image; the label of an optimal input.
        after: its answer to the image that was found.
        status: how it ended.
        proven: whether the question is answered with proof.
        checked: whether the real network confirmed the answer.
        value: what was reached of what the kind of the run measures, such as a distance.
        bound: what is proven of the best value, or of the lead of a verdict.
        gap, seconds, nodes: of the solve.
        lead: logit of the target minus the largest other one.
    """

    run: Run
    row: Mapping[str, Any]
    image: str
    label: float
    eps: float
    before: float
    after: float
    status: str
    proven: bool
    checked: bool
    value: float
    bound: float
    gap: float
    seconds: float
    nodes: float
    lead: float

    @classmethod
    def of(cls, run: Run, row: Mapping[str, Any]) -> Entry:
        """What a row tells."""

        def number(name: str) -> float:
            value = row.get(name)
            return float("nan") if value is None else float(value)

        kind, before = run.kind, run.kind.before(row)
        return cls(
            run=run,
            row=row,
            image=str(row.get("image")),
            label=number("label"),
            eps=number("eps"),
            before=float("nan") if before is None else float(before),
            after=number("predicted"),
            status=str(row.get("status")),
            proven=row.get("status") in kind.settled,
            checked=kind.checked(row),
            value=number(kind.value),
            bound=kind.bound(number("bound"), run.norm),
            gap=number("gap"),
            seconds=number("seconds"),
            nodes=number("nodes"),
            lead=number(kind.lead),
        )

    @property
    def change(self) -> str:
        """The network's answers in words."""
        return self.run.kind.change(self.row, self.label, self.before, self.after)


def series(runs: Sequence[Run]) -> dict[str, list[Entry]]:
    """Entries by what is compared: runs, the methods of a benchmark, the radii of verdicts."""
    found: dict[str, list[Entry]] = {}
    for run, names in zip(runs, series_names(runs), strict=True):
        for row, name in zip(run.rows, names, strict=True):
            found.setdefault(name, []).append(Entry.of(run, row))
    return found


def series_names(runs: Sequence[Run]) -> list[list[str]]:
    """For each run the names of its rows' series."""
    found = []
    for run in runs:
        parts = [run.kind.part(row) for row in run.rows]
        told = parts if len(set(parts)) > 1 else [""] * len(parts)
        own = [run.name] if len(runs) > 1 else []
        found.append([", ".join(filter(None, (*own, part))) or run.name for part in told])
    return found


def radii(runs: Sequence[Run]) -> list[float]:
    """Radii of the balls of all rows, in order."""
    found = {row.get("eps") for run in runs for row in run.rows}
    return sorted(float(eps) for eps in found if eps is not None)


def time_table(runs: Sequence[Run]) -> pd.DataFrame:
    """Times as :mod:`reluopt.bench.statistics` wants them, one method a series."""
    rows = []
    for name, entries in series(runs).items():
        for each in entries:
            row = each.row
            limit = row.get("time_limit", each.run.settings.get("time_limit"))
            bounds = {key: row.get(key) for key in ("objective", "bound")}
            rows.append(
                {
                    "network": "",
                    "image": f"{row.get('network', '')} {row.get('image')}".strip(),
                    "method": name,
                    "seconds": each.seconds,
                    "time_limit": float("inf") if limit is None else float(limit),
                    "proven": each.proven,
                    **{key: row.get(key) for key in ("status", "certified")},
                    **{key: np.nan if v is None else float(v) for key, v in bounds.items()},
                    **dict.fromkeys(("cpu_seconds", "memory_before", "memory_peak"), np.nan),
                }
            )
    table = pd.DataFrame(rows)
    # A row without a time (a worker that was killed) has used up its limit.
    table["seconds"] = table["seconds"].fillna(table["time_limit"])
    return table
