"""What solvers print past Python: file descriptors 1 and 2 while a solver runs."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout


@contextmanager
def stdout_on_stderr() -> Iterator[None]:
    """Send what solvers write to file descriptor 1 to stderr: stdout belongs to results.

    Licence notices, interruption messages and logs bypass Python's ``sys.stdout``.
    """
    sys.stdout.flush()
    try:
        saved = os.dup(1)
    except OSError:  # stdout is closed: nothing can be spoilt
        yield
        return
    try:
        os.dup2(2, 1)
        with redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(saved, 1)
        os.close(saved)


@contextmanager
def without_lines(text: str) -> Iterator[None]:
    """Drop the lines with ``text`` from what is written to file descriptor 2.

    Some solvers' libraries repeat a warning hundreds of times, past every setting that should
    silence them. Python's own ``sys.stderr``, where progress is shown, is left alone.
    """
    sys.stderr.flush()
    try:
        saved = os.dup(2)
    except OSError:  # stderr is closed: nobody reads it
        yield
        return
    source, sink = os.pipe()
    filtering = threading.Thread(target=_copy_lines, args=(source, saved, text.encode()))
    filtering.start()
    os.dup2(sink, 2)
    os.close(sink)
    try:
        with os.fdopen(os.dup(saved), "w", buffering=1) as own, redirect_stderr(own):
            yield
    finally:
        os.dup2(saved, 2)  # closes the last writing end, which ends the thread
        filtering.join()
        os.close(saved)


def _copy_lines(source: int, target: int, unwanted: bytes) -> None:
    """Copy lines from one descriptor to another, without the unwanted ones."""
    with os.fdopen(source, "rb") as lines:
        for line in lines:
            if unwanted not in line:
                os.write(target, line)
