"""``run.json``: what was run, which instances were asked for, and by whom, when and where.

``settings``
    what determines the results.
``instances``
    keys of all instances that any session asked for, in their order. A finished run has a row of
    each; folders of earlier versions do not tell.
``sessions``
    an entry for each start: when, command, machine, shard, how many instances it was given
    (``tasks``), and how many had no row then (``pending``).
``finished``
    when the last session that was not stopped ended, and how many rows there were then.
anything else
    the first command, versions, machine.
"""

from __future__ import annotations

import json
import math
import os
import platform
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

from reluopt.errors import InputError
from reluopt.files import read_regular_file, write_atomically
from reluopt.runs.column import LARGEST_WHOLE
from reluopt.runs.lock import ANOTHER_FOLDER

RECORD = "run.json"

LONGEST_SHOWN = 60
"""Characters of a wrong entry that a message shows."""


Check: TypeAlias = tuple[str, Callable[[Any], bool]]
"""What an entry should be, in words, and whether it is."""


def _is_number(value: Any) -> bool:
    # True and False are integers in Python, but not in JSON.
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _is_whole(value: Any) -> bool:
    return _is_number(value) and float(value).is_integer() and abs(value) < LARGEST_WHOLE


def _list_of(held: type, words: str) -> Check:
    return (
        words,
        lambda value: isinstance(value, list) and all(isinstance(entry, held) for entry in value),
    )


_TEXT: Check = ("a text", lambda value: isinstance(value, str))
_NUMBER: Check = ("a number", _is_number)
_WHOLE: Check = ("a whole number", _is_whole)
_MAPPING: Check = ("an object", lambda value: isinstance(value, dict))
_TEXTS = _list_of(str, "a list of texts")


def _is_box(value: Any) -> bool:
    ends = value if isinstance(value, list) and len(value) == 2 else [None]
    return all(isinstance(each, list) and each and all(map(_is_number, each)) for each in ends)


def _is_shape(value: Any) -> bool:
    return isinstance(value, list) and all(_is_whole(each) and each > 0 for each in value)


_KINDS = {
    "settings": _MAPPING,
    "instances": _TEXTS,
    "sessions": _list_of(dict, "a list of objects"),
    "machine": _MAPPING,
    "versions": _MAPPING,
    "command": _TEXTS,
    "started": _TEXT,
    "finished": _MAPPING,
}
"""What the entries of the file are, where they are there."""

_SETTING_KINDS = {
    **dict.fromkeys(("experiment", "network", "network_path", "network_sha256"), _TEXT),
    "target": ("a text or a whole number", lambda value: _TEXT[1](value) or _is_whole(value)),
    **dict.fromkeys(("norm", "margin", "engine", "formulation", "bounds"), _TEXT),
    **dict.fromkeys(("time_limit", "gap", "smoothness", "eps", "fooled"), _NUMBER),
    **dict.fromkeys(("threads", "seed", "objective"), _WHOLE),
    "images": _TEXTS,
    "labels": _list_of(int, "a list of whole numbers"),
    "extra": _MAPPING,
    "architecture": _TEXT,
    "input_shape": ("a list of whole numbers", _is_shape),
    "input_box": ("lower and upper bounds", _is_box),
}
"""What settings are, where they are there; None is none (no time limit, say)."""

_RENAMED = {"logit": "objective", "against": "target"}
"""What folders of worst cases once called options."""


def told(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What was told of the network beyond its file, and its box: arguments to open it."""
    names = ("input_shape", "architecture", "input_box")
    return {name: settings[name] for name in names if settings.get(name) is not None}


def read_record(folder: Path, what: str = "a run") -> dict[str, Any]:
    """The record of a folder, with ``settings`` in it.

    Args:
        folder: where it lies.
        what: what it should be the record of, for messages.

    Raises:
        InputError: there is none, or an entry is not what it should be.
    """
    path = folder / RECORD
    data = read_regular_file(path, f"the record of {what}")
    try:
        record = json.loads(data.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        reason = "deep nesting" if isinstance(error, RecursionError) else error
        raise InputError(f"{path}: expected the record of {what}, found: {reason}") from None
    if not isinstance(record, dict) or not isinstance(record.get("settings"), dict):
        raise InputError(f"{path}: expected the record of {what}, found no settings in it")
    record = {name: value for name, value in record.items() if value is not None}
    _check(path, "", record, _KINDS)
    settings = record["settings"]
    record["settings"] = {_RENAMED.get(name, name): value for name, value in settings.items()}
    _check(path, "settings: ", record["settings"], _SETTING_KINDS)
    return record


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name}, which is no number in JSON")


def _check(path: Path, place: str, found: Mapping[str, Any], kinds: Mapping[str, Check]) -> None:
    """Refuse an entry that is not what it should be."""
    for name, (expected, fits) in kinds.items():
        value = found.get(name)
        if value is not None and not fits(value):
            raise InputError(f"{path}: {place}{name}: expected {expected}, found {_shown(value)}")


def _shown(value: Any) -> str:
    """A wrong entry, for a message of one line."""
    if isinstance(value, list | dict):
        return "an object" if isinstance(value, dict) else "a list"
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


class Record:
    """The record of a folder, to be kept up.

    Args:
        folder: where it lies.
        entries: what it holds.
    """

    def __init__(self, folder: Path, entries: dict[str, Any]) -> None:
        self._path = folder / RECORD
        self.entries = entries

    @classmethod
    def opened(
        cls, folder: Path, settings: Mapping[str, Any], more: Mapping[str, Any], table: Path
    ) -> Record:
        """The record of a folder that holds results of these settings, or a new one.

        Args:
            folder: where it lies; nothing is written.
            settings: what determines the results.
            more: what else a new record holds.
            table: the results.

        Raises:
            InputError: there are results without a record, or with other settings.
        """
        if not (folder / RECORD).exists():
            if table.exists():
                raise InputError(f"{folder}: expected run.json beside {table.name}, found none")
            begun = {"settings": plain(settings), "started": now(), "machine": machine()}
            return cls(folder, {**begun, **plain(more)})
        held = read_record(folder)
        found, wanted = held["settings"], json.loads(json.dumps(plain(settings)))
        for name in sorted({*found, *wanted}):
            if found.get(name) != wanted.get(name):
                raise InputError(
                    f"{folder}: holds results with {name} = {found.get(name)!r}, and this command "
                    f"asks for {wanted.get(name)!r}; {ANOTHER_FOLDER}"
                )
        return cls(folder, held)

    @property
    def settings(self) -> Mapping[str, Any]:
        """What determines the results."""
        found: Mapping[str, Any] = self.entries["settings"]
        return found

    @property
    def sessions(self) -> list[Mapping[str, Any]]:
        """An entry for each start."""
        return self.entries.get("sessions") or []

    @property
    def instances(self) -> list[str]:
        """Keys of all instances that were asked for; none in folders of earlier versions."""
        return self.entries.get("instances") or []

    def save(self) -> None:
        """Write the file."""
        write_atomically(self._path, (json.dumps(self.entries, indent=2) + "\n").encode())

    def expect(self, keys: Iterable[str]) -> bool:
        """Note instances that are asked for; whether there were new ones."""
        known = self.instances
        self.entries["instances"] = list(dict.fromkeys([*known, *keys]))
        more = len(self.instances) > len(known)
        if more:
            self.save()
        return more

    def add_session(self, session: Mapping[str, Any]) -> None:
        """Note who computed what, when and where."""
        entry = {"started": now(), **plain(session)}
        self.entries.setdefault("sessions", []).append(entry)
        self.save()

    def finish(self, rows: int) -> None:
        """Note that everything that was asked for now has a row, and how many there are."""
        if (self.entries.get("finished") or {}).get("rows") != rows:
            self.entries["finished"] = {"at": now(), "rows": rows}
            self.save()

    def missing(self, keys: Collection[str]) -> list[str]:
        """Instances that the run was asked for and that are not among ``keys``."""
        return [key for key in self.instances if key not in keys]

    def had_more(self, rows: int) -> bool:
        """Whether a session was finished when there were more rows than now."""
        last = (self.entries.get("finished") or {}).get("rows")
        return isinstance(last, int) and last > rows

    def absent_shards(self) -> list[str]:
        """Shards ``i/n`` that no session computed, where all sessions computed shards of one n."""
        matches = [_SHARD.fullmatch(str(session.get("shard"))) for session in self.sessions]
        present = {(int(m[1]), int(m[2])) for m in matches if m is not None}
        counts = {count for _, count in present}
        if None in matches or len(counts) != 1:
            return []
        (count,) = counts
        return [f"{i}/{count}" for i in range(1, count + 1) if (i, count) not in present]


_SHARD = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")


def now() -> str:
    """The time, as records tell it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


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
