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
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from reluopt.errors import InputError
from reluopt.files import read_regular_file, write_atomically
from reluopt.runs.row import LARGEST_WHOLE

RECORD = "run.json"

LONGEST_SHOWN = 60
"""Characters of a wrong entry that a message shows."""


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


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


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(entry, str) for entry in value)


def _are_mappings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(entry, dict) for entry in value)


_TEXT, _NUMBER, _WHOLE = (
    ("a text", _is_text),
    ("a number", _is_number),
    ("a whole number", _is_whole),
)
_MAPPING = ("an object", _is_mapping)

_KINDS = {
    "settings": _MAPPING,
    "instances": ("a list of texts", _are_texts),
    "sessions": ("a list of objects", _are_mappings),
    "machine": _MAPPING,
    "versions": _MAPPING,
    "command": ("a list of texts", _are_texts),
    "started": _TEXT,
    "finished": _MAPPING,
}
"""What the entries of the file are, where they are there."""

_SETTING_KINDS = {
    **dict.fromkeys(("experiment", "network", "network_path", "network_sha256"), _TEXT),
    **dict.fromkeys(("target", "norm", "margin", "engine", "formulation", "bounds"), _TEXT),
    **dict.fromkeys(("time_limit", "gap", "smoothness"), _NUMBER),
    **dict.fromkeys(("threads", "seed"), _WHOLE),
    "extra": _MAPPING,
}
"""What settings are, where they are there; None is none (no time limit, say)."""


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
    _check(path, "settings: ", record["settings"], _SETTING_KINDS)
    return record


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name}, which is no number in JSON")


def _check(
    path: Path, place: str, found: Mapping[str, Any], kinds: Mapping[str, tuple[str, Any]]
) -> None:
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


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Write the record of a folder."""
    data = (json.dumps(record, indent=2) + "\n").encode()
    write_atomically(folder / RECORD, data)


def add_instances(record: dict[str, Any], keys: Iterable[str]) -> bool:
    """Add instances that were asked for to a record; whether there were new ones."""
    known = record.get("instances") or []
    record["instances"] = list(dict.fromkeys([*known, *keys]))
    return len(record["instances"]) > len(known)


def now() -> str:
    """The time, as records tell it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
