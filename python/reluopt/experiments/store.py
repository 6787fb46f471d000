"""A folder of results that survives interruption.

``RUN/results.csv``
    one row for each finished instance, appended with a single write; a line torn by a crash is
    dropped on the next start, and its instance is run again.
``RUN/images/part-0000.safetensors``
    the answers (``float64``, the network's input shape), up to 100 a file, keyed by instance.
    A file is written anew and swapped in before the row that speaks of it is appended, so every
    row has its image.
``RUN/proofs/``
    one safetensors file for each instance whose engine kept a proof, written before its row.
``RUN/run.json``
    what was run: command, settings, versions, machine, and an entry for every session.
``RUN/run.lock``
    while a process writes here; see :mod:`reluopt.experiments.lock`.

A process that is killed loses no finished row. What was appended within the last second
(:data:`SYNC_SECONDS`) may still be on its way to the disk when the power fails; rows whose answers
did not get there are run again.

Opening a folder that holds results of other settings is refused, and nothing in it is touched.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
import platform
import time
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
from safetensors.numpy import save

from reluopt.errors import InputError
from reluopt.experiments.experiment import PROOF
from reluopt.experiments.experiment import Row as Row
from reluopt.experiments.lock import ANOTHER_FOLDER, lock_folder
from reluopt.files import write_atomically
from reluopt.network import FloatArray, frozen_array
from reluopt.tensor_files import open_tensor_file

IMAGES_PER_FILE = 100
"""Answers in one safetensors file: rewriting a file of 100 MNIST images takes about 1 ms."""


SYNC_SECONDS = 1.0
"""How long appended rows may wait for the disk. Waiting for it after each would take up to a tenth
of a second, several times as long as a small problem does."""

LONGEST_NAME = 200
"""Longest name of a file made from a key; file systems allow 255 bytes."""


def plain(value: Any) -> Any:
    """``value`` as JSON knows it: numpy scalars unpacked, NaN and infinity as None."""
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return value


def machine() -> dict[str, Any]:
    """What this run ran on."""
    return {
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }


def _processor() -> str:
    """The processor's name, from the kernel where it tells."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


class ResultStore:
    """Results of one run in one folder; see the module's docstring.

    Args:
        folder: created if missing.
        columns: columns of ``results.csv``; the first is the key of an instance.
        settings: what determines the results. A folder with other settings is refused.
        record: anything else worth keeping in ``run.json`` (command, versions).

    Raises:
        InputError: the folder is not one, holds results of other settings, or another process
            writes to it.
    """

    def __init__(
        self,
        folder: Path,
        columns: tuple[str, ...],
        settings: Mapping[str, Any],
        record: Mapping[str, Any],
    ) -> None:
        self.folder = folder
        self.columns = columns
        self._table = folder / "results.csv"
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder}: expected a folder for results, found a file")
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = lock_folder(folder)  # ours until this object goes
        self._refuse_other_settings(plain(settings))
        self.rows = self._recover()
        self._images = _load_images(folder)
        self._drop_rows_without_answers()
        self._synced = time.monotonic()
        self._write_record(plain(settings), plain(record))

    @property
    def done(self) -> dict[str, Row]:
        """Finished rows by key."""
        return {str(row[self.columns[0]]): row for row in self.rows}

    def append(self, row: Row, image: FloatArray | None) -> None:
        """Add a finished instance: its answer and its proof first, then its row.

        A proof (:data:`~reluopt.experiments.experiment.PROOF`) is taken out of ``row``.
        """
        proof = row.pop(PROOF, None)
        if proof is not None:
            write_atomically(proof_path(self.folder, str(row[self.columns[0]])), proof)
        now = time.monotonic()
        durable = now - self._synced >= SYNC_SECONDS
        if image is not None:
            self._add_image(str(row[self.columns[0]]), image, durable)
        line = _csv_line([plain(row.get(name)) for name in self.columns])
        if not self._table.exists():
            write_atomically(self._table, _csv_line(list(self.columns)))
        with self._table.open("ab") as stream:
            stream.write(line)
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
                self._synced = now
        self.rows.append(dict(row))

    def forget(self, keys: Collection[str]) -> None:
        """Drop the rows of these instances, so that they can be run again."""
        if not keys or not self._table.exists():
            return
        header, *lines = self._table.read_bytes().splitlines(keepends=True)
        kept = [line for line in lines if next(csv.reader([line.decode()]))[0] not in keys]
        write_atomically(self._table, b"".join([header, *kept]))
        self.rows = [row for row in self.rows if str(row[self.columns[0]]) not in keys]

    def image(self, key: str) -> FloatArray | None:
        """The answer of a finished instance, or None."""
        return _find(self._images, key)

    def add_session(self, session: Mapping[str, Any]) -> None:
        """Add an entry to ``sessions`` in ``run.json``: who computed what, when and where."""
        path = self.folder / "run.json"
        body = json.loads(path.read_text(encoding="utf-8"))
        now = datetime.now(UTC).isoformat(timespec="seconds")
        body.setdefault("sessions", []).append({"started": now, **plain(session)})
        write_atomically(path, (json.dumps(body, indent=2) + "\n").encode())

    def frame(self) -> pd.DataFrame:
        """All finished rows as a table."""
        return pd.DataFrame(self.rows, columns=list(self.columns))

    def _refuse_other_settings(self, settings: Any) -> None:
        path = self.folder / "run.json"
        if not path.exists():
            if self._table.exists():
                raise InputError(f"{self.folder}: expected run.json beside results.csv, found none")
            return
        try:
            found = json.loads(path.read_text(encoding="utf-8"))["settings"]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: expected a record of a run, found {error!r}") from None
        wanted = json.loads(json.dumps(settings))
        names = sorted(n for n in {*found, *wanted} if found.get(n) != wanted.get(n))
        if names:
            name = names[0]
            raise InputError(
                f"{self.folder}: holds results with {name} = {found.get(name)!r}, and this command "
                f"asks for {wanted.get(name)!r}; {ANOTHER_FOLDER}"
            )

    def _recover(self) -> list[Row]:
        """Rows of an earlier run; a torn last line is cut off."""
        if not self._table.exists():
            return []
        data = self._table.read_bytes()
        end = data.rfind(b"\n") + 1
        if end < len(data):
            write_atomically(self._table, data[:end])
        if not end:
            self._table.unlink()
            return []
        frame = _parse(self._table, data[:end])
        if tuple(frame.columns) != self.columns:
            raise InputError(
                f"{self._table}: expected columns {','.join(self.columns)}, found "
                f"{','.join(map(str, frame.columns))}"
            )
        return _records(frame)

    def _drop_rows_without_answers(self) -> None:
        """After a power failure: a checked answer that is not there is computed again."""
        if self._images:
            self.forget(
                {
                    key
                    for key, row in self.done.items()
                    if str(row.get("certified")) == "True" and self.image(key) is None
                }
            )

    def _add_image(self, key: str, image: FloatArray, durable: bool) -> None:
        """Write the part that holds ``key`` (after a crash between image and row), or the last."""
        numbers = (number for number, part in enumerate(self._images) if key in part)
        number = next(numbers, len(self._images) - 1)
        full = number >= 0 and len(self._images[number]) >= IMAGES_PER_FILE
        if number < 0 or (full and key not in self._images[number]):
            number = len(self._images)
            self._images.append({})
        part = self._images[number]
        part[key] = frozen_array(image)
        data = save({name: part[name].copy() for name in sorted(part)})
        full = len(part) >= IMAGES_PER_FILE
        write_atomically(_part_path(self.folder, number), data, durable=durable or full)

    def _write_record(self, settings: Any, record: Any) -> None:
        path = self.folder / "run.json"
        if path.exists():
            return
        body = {
            "settings": settings,
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine(),
            **record,
        }
        write_atomically(path, (json.dumps(body, indent=2) + "\n").encode())


def _csv_line(values: list[Any]) -> bytes:
    """One line of CSV; line breaks inside of texts become spaces, so that a row is a line."""
    texts = [" ".join(v.splitlines()) if isinstance(v, str) else v for v in values]
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow("" if v is None else v for v in texts)
    return buffer.getvalue().encode()


def _parse(table: Path, data: bytes) -> pd.DataFrame:
    """A table whose first column is text, with every float as it was written."""
    try:
        return _parsed(data)
    except ValueError as error:  # pandas' ParserError and UnicodeDecodeError are ValueErrors
        reason = " ".join(str(error).split())
        raise InputError(f"{table}: expected a table with commas, found: {reason}") from None


def _parsed(data: bytes) -> pd.DataFrame:
    key = data.partition(b"\n")[0].decode().split(",")[0]
    # From pandas 3 on this is the default, and asking for it is deprecated.
    old = int(pd.__version__.partition(".")[0]) < 3
    exact: dict[str, Any] = {"float_precision": "round_trip"} if old else {}
    frame: pd.DataFrame = pd.read_csv(io.BytesIO(data), dtype={key: str}, **exact)
    return frame


def _records(frame: pd.DataFrame) -> list[Row]:
    """Rows with None for what is missing."""
    records = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return [{str(key): value for key, value in record.items()} for record in records]


def _part_path(folder: Path, number: int) -> Path:
    return folder / "images" / f"part-{number:04d}.safetensors"


def proof_path(folder: Path, key: str) -> Path:
    """Where the proof of an instance lies, if there is one."""
    name = quote(key, safe="")
    if len(name) > LONGEST_NAME:
        name = hashlib.sha256(key.encode()).hexdigest()
    return folder / "proofs" / f"{name}.safetensors"


def _load_images(folder: Path) -> list[dict[str, FloatArray]]:
    """All stored answers, part by part."""
    parts: list[dict[str, FloatArray]] = []
    while (path := _part_path(folder, len(parts))).exists():
        loaded = open_tensor_file(path).read()
        parts.append({key: frozen_array(value) for key, value in loaded.items()})
    return parts


def _find(parts: list[dict[str, FloatArray]], key: str) -> FloatArray | None:
    return next((part[key] for part in parts if key in part), None)


MAX_NAMED = 5
"""Folders that a message names."""


def runs_inside(folder: Path) -> str:
    """Which folders directly in this one hold results, as the end of a message; often nothing."""
    inside = sorted(str(path.parent) for path in folder.glob("*/results.csv"))
    more = f" and {len(inside) - MAX_NAMED} more" if len(inside) > MAX_NAMED else ""
    return f"; such folders in it: {', '.join(inside[:MAX_NAMED])}{more}" if inside else ""


def read_table(folder: Path) -> pd.DataFrame:
    """Finished rows of a folder, also while a run is still writing to it; nothing is touched.

    Raises:
        InputError: the folder holds no results.
    """
    table = folder / "results.csv"
    if not table.is_file():
        hint = runs_inside(folder)
        raise InputError(f"{folder}: expected a folder with results.csv, found none{hint}")
    data = table.read_bytes()
    end = data.rfind(b"\n") + 1
    if not end:
        raise InputError(f"{table}: expected a table with a header, found none")
    return _parse(table, data[:end])


def read_store(folder: Path) -> Iterator[tuple[Row, FloatArray | None]]:
    """Rows and answers of a folder, whatever its settings; nothing is touched.

    Raises:
        InputError: the folder holds no results.
    """
    frame = read_table(folder)
    parts = _load_images(folder)
    for row in _records(frame):
        yield row, _find(parts, str(row[str(frame.columns[0])]))
