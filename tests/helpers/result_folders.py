"""Small result folders of every status, and mutants of them."""

import contextlib
import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from safetensors.numpy import load, save

from reluopt.answers.solution import Status, relative_gap
from reluopt.engines.options import EngineOptions
from reluopt.method import Method
from reluopt.networks.layers.base import Dense
from reluopt.networks.metadata import NetworkMetadata
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.saving import save_network
from reluopt.questions.problems import (
    AbsoluteMargin,
    AnyTarget,
    BareRelativeMargin,
    Norm,
    RelativeMargin,
    RunnerUpTarget,
    ShiftTarget,
)
from reluopt.runs.attack import AttackJob, AttackSettings
from reluopt.runs.instances import load_instances
from reluopt.runs.job import CRASHED, ERROR, KILLED
from reluopt.runs.row import AttackRow
from reluopt.runs.runner import run_job
from reluopt.runs.store import ResultStore

SIZES, SHAPE, SEED = (6, 5, 4, 3), (2, 3), 6

IMAGES = 3

NAMES = ("007", "1e3", "NA", "+0.1")
"""Names of networks that readers of tables take for something else."""


def networks(folder: Path, random_network) -> list[str]:
    """Files of one small network under odd names; the last one can never answer label 2."""
    drawn = random_network(SIZES, SEED)
    paths = []
    for name in NAMES:
        layers = drawn.layers
        if name == NAMES[-1]:
            last = layers[-1]
            bias = np.array(last.bias)
            bias[2] -= 1e3
            layers = (*layers[:-1], Dense(last.weight, bias))
        paths.append(str(folder / f"{name}.safetensors"))
        metadata = NetworkMetadata(name=name, input_shape=SHAPE)
        save_network(ReLUNetwork(layers, metadata), Path(paths[-1]))
    return paths


def images(folder: Path) -> list[str]:
    """Files of images."""
    paths = []
    for number in range(IMAGES):
        paths.append(str(folder / f"image-{number}.npy"))
        np.save(paths[-1], np.random.default_rng(number).random(SHAPE))
    return paths


def _questions(paths: list[str]) -> dict[str, tuple[str, AttackSettings]]:
    """Folders by name: the network's file, and what is asked."""
    proof = EngineOptions(30.0, extra={"proof": True})
    plain = EngineOptions(30.0)
    bare, ahead = BareRelativeMargin(0.2), AbsoluteMargin(0.1)
    asked = {
        "proven": (0, ShiftTarget(1), Norm.L1, ahead, Method("bnb", options=proof)),
        "squares": (1, AnyTarget(), Norm.L2, RelativeMargin(0.2), Method("bnb", options=proof)),
        "own": (2, RunnerUpTarget(), Norm.L1, bare, Method("auto", options=plain)),
        "largest": (1, AnyTarget(), Norm.LINF, ahead, Method("highs", options=plain)),
        "bare": (0, ShiftTarget(2), Norm.L1, bare, Method("highs", options=plain)),
        "impossible": (3, ShiftTarget(2), Norm.L1, ahead, Method("bnb", options=proof)),
        "stopped": (2, ShiftTarget(1), Norm.L2, ahead, Method("bnb", options=plain)),
    }
    return {
        name: (paths[number], AttackSettings(*question, network_path=paths[number]))
        for name, (number, *question) in asked.items()
    }


def make_folders(place: Path, random_network, open_network: Callable) -> dict[str, Path]:
    """Honest result folders by name."""
    place.mkdir(parents=True, exist_ok=True)
    files = images(place)
    folders = {}
    for name, (path, settings) in _questions(networks(place, random_network)).items():
        network = open_network(path)
        instances = load_instances(network, files)
        folders[name] = place / name
        job = AttackJob(network, settings)
        store = ResultStore(folders[name], AttackRow, job.describe(), {"command": []})
        first, *_ = run_job(job, instances, store)
        if name == "stopped":
            _stop(store, first)
            _fail(store, job, instances)
    return folders


def _stop(store, finished) -> None:
    """A row of a search that ended halfway: half of its bound, as no time limit is sure to."""
    row = finished.row
    assert row.status == Status.OPTIMAL
    bound = 0.5 * row.bound
    cells = {"bound": bound, "gap": relative_gap(row.objective, bound)}
    store.forget({row.row_key})
    store.append(replace(finished, row=replace(row, status=Status.FEASIBLE, **cells)))


def _fail(store, job, instances) -> None:
    """Rows of workers that died, in place of those that ended."""
    store.forget({instance.key for instance in instances[1:]})
    for instance, status in zip(instances[1:], (KILLED, CRASHED), strict=False):
        store.append(job.failed(instance, status, "it died"))
    store.finish()


@dataclass
class Files:
    """The files of a folder, in memory."""

    contents: dict[str, bytes]

    @classmethod
    def of(cls, folder: Path) -> "Files":
        """Read a folder."""
        paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        return cls({str(path.relative_to(folder)): path.read_bytes() for path in paths})

    def write(self, folder: Path, before: "Files") -> None:
        """Make ``folder``, which holds ``before``, hold these."""
        for name in before.contents.keys() - self.contents.keys():
            (folder / name).unlink()
        for name, data in self.contents.items():
            if before.contents.get(name) != data:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(data)

    def copy(self) -> "Files":
        """The same files, to change."""
        return Files(dict(self.contents))

    @property
    def table(self) -> list[list[str]]:
        """Cells of ``results.csv``; the first line is the header."""
        return list(csv.reader(io.StringIO(self.contents["results.csv"].decode(errors="replace"))))

    @table.setter
    def table(self, lines: list[list[str]]) -> None:
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\n").writerows(lines)
        self.contents["results.csv"] = buffer.getvalue().encode()

    def change_images(self, change: Callable) -> None:
        """Change the stored answers by key; nothing happens where they cannot be read."""
        name = "images/part-0000.safetensors"
        try:
            tensors = load(self.contents[name])
        except Exception:
            return
        change(tensors)
        held = {key: np.ascontiguousarray(value) for key, value in tensors.items()}
        self.contents[name] = save(held)


TEXTS = ("", "007", "1e3", "NA", "nan", "inf", "-inf", "1e999", "-1", "0", "1", "True", "False",
         "+0.1", "x1.2", "6.0", "9" * 30, "9" * 18, "1e308", "5e-324",
         "l1", "l2", "bnb", "highs", "auto", "\u0663",
         " 1", *Status, KILLED, CRASHED, ERROR, "SUPERB")  # fmt: skip
"""Cells that a mutant may hold."""

VALUES = (None, True, 0, -1, 1e308, 10**30, "", "x", "any", "+2", "l2", "blend:0.5", "bare-x1.2",
          "x1.0", "+1e-9", [], {}, [[]], {"proof": True}, {"proof": 0}, 0.5, "0")  # fmt: skip
"""Values that a mutant of ``run.json`` may hold."""


def _some(rng: np.random.Generator, sequence):
    return sequence[int(rng.integers(len(sequence)))]


def _bytes(rng, data: bytes) -> bytes:
    """Bytes changed, lost, doubled, or cut off."""
    kind, at = int(rng.integers(4)), int(rng.integers(len(data) + 1))
    if kind == 0:
        return data[:at]
    end = at + int(rng.integers(1, 9))
    new = {1: rng.bytes(end - at), 2: b"", 3: data[at:end] * 2}[kind]
    return data[:at] + new + data[end:]


def spoil_bytes(rng, files: Files) -> None:
    """Any file."""
    name = _some(rng, sorted(files.contents))
    files.contents[name] = _bytes(rng, files.contents[name])


def spoil_cell(rng, files: Files) -> None:
    """A cell becomes another text, a number near it, or that of another row."""
    header, *rows = lines = files.table
    if not rows:
        return
    row, column = int(rng.integers(len(rows))), int(rng.integers(len(header)))
    cell = rows[row][column : column + 1]
    if not cell:
        return
    new = _some(rng, TEXTS)
    kind = int(rng.integers(3))
    if kind == 1:
        other = _some(rng, rows)
        new = other[column] if column < len(other) else new
    elif kind == 2:
        with contextlib.suppress(ValueError):
            new = repr(float(cell[0]) * _some(rng, (0.0, 0.5, 0.99, 1 + 1e-7, 1.5, 2, -1, 1e300)))
    rows[row][column] = new
    files.table = lines


def claim_more(rng, files: Files) -> None:
    """Several cells of a row at once, so that they fit each other."""
    header, *rows = lines = files.table
    if not rows:
        return
    row = _some(rng, rows)
    if len(row) != len(header):
        return
    cells = dict(zip(header, row, strict=True))
    factor = _some(rng, (0.0, 0.5, 0.999, 1.001, 2.0, 10.0))
    try:
        objective = float(cells.get("objective") or 1.0)
    except ValueError:
        objective = 1.0
    empty = dict.fromkeys(("objective", "distance", "gap", "predicted", "margin", "slack",
                           "box_violation"), "")  # fmt: skip
    claims = (
        {"bound": repr(objective), "gap": "0.0", "status": "OPTIMAL"},
        {"objective": repr(objective * factor), "distance": repr(objective * factor)},
        {"bound": repr(objective * factor), "gap": repr(abs(1.0 - factor))},
        {"bound": repr(objective * factor), "gap": repr(abs(1.0 - factor)), "status": "FEASIBLE"},
        {**empty, "bound": "", "certified": "False", "status": "INFEASIBLE"},
        {**empty, "bound": repr(objective * factor), "certified": "False", "status": "TIME_LIMIT"},
        {**empty, "bound": "", "certified": "False", "status": "NUMERICAL"},
        {"status": "NOT_ADVERSARIAL", "certified": "False"},
        {"status": "OPTIMAL", "certified": "True"},
        {"status": _some(rng, (KILLED, CRASHED, ERROR)), "certified": "False", **empty},
    )
    cells |= {name: value for name, value in _some(rng, claims).items() if name in cells}
    row[:] = list(cells.values())
    if cells.get("objective") == "" and rng.integers(2):
        files.change_images(lambda images: images.pop(cells.get("image"), None))
    files.table = lines


def spoil_lines(rng, files: Files) -> None:
    """A row is lost, doubled, put elsewhere, or cut; or all are."""
    header, *rows = files.table
    if not rows:
        return
    kind, at = int(rng.integers(5)), int(rng.integers(len(rows)))
    if kind == 0:
        del rows[at]
    elif kind == 1:
        rows.append(rows[at])
    elif kind == 2:
        rows.insert(0, rows.pop(at))
    elif kind == 3:
        rows = []
    else:
        rows[at] = rows[at][:-1]
    files.table = [header, *rows]


def spoil_image(rng, files: Files) -> None:
    """An image is lost, swapped, moved, scaled, stretched, or put where there was none."""

    def change(tensors):
        rows = [row[0] for row in files.table[1:] if row] or ["nowhere"]
        key = _some(rng, rows)
        image = tensors.get(key, np.full(SHAPE, 0.5))
        other = tensors[_some(rng, sorted(tensors))] if tensors else image
        kind = int(rng.integers(7))
        if kind == 0:
            tensors.pop(key, None)
            return
        tensors[key] = (
            image,
            other,
            image + 1e-3 * rng.normal(size=image.shape),
            0.5 * image,
            np.resize(image, (2, 4)),
            np.where(rng.random(image.shape) < 0.3, _some(rng, (np.nan, np.inf, 2.0)), image),
        )[kind - 1]

    files.change_images(change)


def lose_file(rng, files: Files) -> None:
    """A file is lost, or is another one of its folder."""
    name = _some(rng, sorted(files.contents))
    if rng.integers(2):
        del files.contents[name]
        return
    folder = name.rpartition("/")[0]
    beside = [n for n in sorted(files.contents) if n.rpartition("/")[0] == folder]
    files.contents[name] = files.contents[_some(rng, beside)]


def spoil_record(rng, files: Files) -> None:
    """A value of ``run.json`` is lost, or is another one, perhaps of another kind."""
    try:
        record = json.loads(files.contents["run.json"])
        place = record if rng.integers(4) == 0 else record["settings"]
        name = _some(rng, sorted(place))
    except (ValueError, KeyError, TypeError, IndexError):
        return
    if not isinstance(place, dict):
        return
    kind = int(rng.integers(4))
    if kind == 0:
        del place[name]
    elif kind == 1 and isinstance(place[name], list) and place[name]:
        place[name].pop()
    else:
        place[name] = _some(rng, VALUES)
    files.contents["run.json"] = json.dumps(record).encode()


MUTATIONS = (
    spoil_bytes,
    spoil_cell,
    claim_more,
    claim_more,
    spoil_lines,
    spoil_image,
    lose_file,
    spoil_record,
)


def mutate(rng: np.random.Generator, files: Files, mutations=MUTATIONS) -> tuple[Files, list[str]]:
    """A mutant, and the names of what was done to it."""
    mutant = files.copy()
    done = []
    for _ in range(1 + int(rng.integers(3))):
        change = _some(rng, mutations)
        needed = {"run.json": (spoil_record,), "images/part-0000.safetensors": (spoil_image,)}
        if any(change in who and name not in mutant.contents for name, who in needed.items()):
            continue
        if change in (spoil_cell, claim_more, spoil_lines, spoil_image):
            if "results.csv" not in mutant.contents:
                continue
            try:
                _ = mutant.table[0]
            except (csv.Error, IndexError):
                continue
        if not mutant.contents:
            continue
        change(rng, mutant)
        done.append(change.__name__)
    return mutant, done
