"""One writer for each folder of results.

The lock is an advisory lock (``flock``) on ``FOLDER/run.lock``, which the kernel drops when its
process dies, however it dies. Where the file system knows no such locks, the process named in the
file is asked for instead: one on this host that is gone gives way.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import weakref
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from reluopt.errors import InputError

LOCK_NAME = "run.lock"

ANOTHER_FOLDER = "choose another folder (--out, or --runs of experiment and reproduce)"
"""How messages about a refused folder end."""


class FolderLock:
    """Exclusive use of a folder until the object is garbage collected or the process ends."""

    def __init__(self, folder: Path) -> None:
        """Take the lock.

        Raises:
            InputError: another process holds it.
        """
        self._path = folder / LOCK_NAME
        descriptor = self._acquire()
        _write_holder(descriptor)
        weakref.finalize(self, _release, self._path, descriptor)

    def _acquire(self) -> int:
        """A locked descriptor of the file that is at the path now."""
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
            if not _lock(descriptor):
                holder = _read_holder(descriptor)
                os.close(descriptor)
                raise InputError(
                    f"{self._path.parent}: expected a folder that no other run writes to, found "
                    f"process {holder.get('pid', '?')} on {holder.get('host', '?')} at work since "
                    f"{holder.get('since', '?')} ({LOCK_NAME}); wait for it, or "
                    f"{ANOTHER_FOLDER}"
                )
            if _is_at(descriptor, self._path):
                return descriptor
            os.close(descriptor)  # its holder removed it while we waited at the door


_HELD: weakref.WeakValueDictionary[Path, FolderLock] = weakref.WeakValueDictionary()


def lock_folder(folder: Path) -> FolderLock:
    """The lock of a folder; everyone in this process who asks for it shares one.

    Raises:
        InputError: another process holds it.
    """
    place = folder.resolve()
    held = _HELD.get(place)
    if held is None:
        held = _HELD[place] = FolderLock(folder)
    return held


def _lock(descriptor: int) -> bool:
    """Whether the file is ours now."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # a file system without locks
    else:
        return True
    holder = _read_holder(descriptor)
    if not holder:
        return True
    return holder.get("host") == platform.node() and not _runs(holder.get("pid"))


def _runs(pid: Any) -> bool:
    """Whether a process of this number runs on this machine."""
    try:
        os.kill(int(pid), 0)
    except PermissionError:
        return True
    except (OSError, ValueError, TypeError):
        return False
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


def _write_holder(descriptor: int) -> None:
    """Tell others who holds the lock."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    holder = {"pid": os.getpid(), "host": platform.node(), "since": now}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(holder).encode() + b"\n", 0)


def _read_holder(descriptor: int) -> dict[str, Any]:
    """What the lock's file tells of its holder; empty when it tells nothing."""
    try:
        found = json.loads(os.pread(descriptor, 4096, 0))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _release(path: Path, descriptor: int) -> None:
    """Remove the file while it is still locked, then let go."""
    if _is_at(descriptor, path):
        path.unlink(missing_ok=True)
    os.close(descriptor)
