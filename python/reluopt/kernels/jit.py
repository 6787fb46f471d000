"""The one decorator of every compiled kernel.

Kernels are compiled on their first call and cached on disk next to their module (or in
``NUMBA_CACHE_DIR``). They release the global interpreter lock, divide as numpy does, and keep IEEE
semantics: no reassociation, no contraction across statements, no flushing of NaN. numba does not
notice that a kernel called from *another* module has changed; delete ``__pycache__`` after edits
to a kernel that other modules call.

Ctrl-C waits while a kernel is being compiled or loaded from the cache (milliseconds each; seconds
where it is compiled): numba is left in pieces when it is interrupted there, and the next call of a
kernel in the same process, as in a notebook, fails or crashes. A second Ctrl-C does not wait.
See :func:`interrupts_wait` for long kernels that return named tuples.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar, cast

import numba
from numba.core import event

_Function = TypeVar("_Function", bound=Callable[..., Any])


@contextmanager
def on_compilation(announce: Callable[[], None]) -> Iterator[None]:
    """Call ``announce`` once, when a kernel is compiled because the cache does not hold it.

    The first use on a machine compiles for the better part of a minute; people should know why
    they wait. Loading from the cache announces nothing.
    """
    announced = False

    class Listener(event.Listener):
        def on_start(self, happened: Any) -> None:
            nonlocal announced
            del happened
            if not announced:
                announced = True
                announce()

        def on_end(self, happened: Any) -> None:
            del happened

    with event.install_listener("numba:compile", Listener()):
        yield


class _Interrupts:
    """Holds SIGINT back in the main thread, nested as often as one likes.

    Attributes:
        compiling: how many of the nested holds are numba's compiler lock.
    """

    def __init__(self) -> None:
        self.compiling = 0
        self._depth = 0
        self._handler: Callable[[int, FrameType | None], Any] | None = None
        self._waiting = False

    def hold(self) -> None:
        """From now on an interrupt waits."""
        self._depth += 1
        handler = signal.getsignal(signal.SIGINT)
        if self._depth == 1 and callable(handler):
            self._handler, self._waiting = handler, False
            signal.signal(signal.SIGINT, self._note)

    def release(self) -> None:
        """Interrupts come through again, and the one that waited does now."""
        self._depth -= 1
        if self._depth > 0 or self._handler is None:
            return
        handler, self._handler = self._handler, None
        signal.signal(signal.SIGINT, handler)
        if self._waiting:
            handler(signal.SIGINT, None)

    def _note(self, number: int, frame: FrameType | None) -> None:
        """The handler meanwhile."""
        if self._waiting and self.compiling == self._depth and self._handler is not None:
            self._handler(number, frame)
        self._waiting = True


_interrupts = _Interrupts()


def _in_main_thread() -> bool:
    """Whether this thread gets the signals."""
    return threading.current_thread() is threading.main_thread()


class _CompilerLock(event.Listener):
    """Holds interrupts back while numba compiles or loads."""

    def on_start(self, happened: Any) -> None:
        del happened
        if _in_main_thread():
            _interrupts.compiling += 1
            _interrupts.hold()

    def on_end(self, happened: Any) -> None:
        del happened
        if _in_main_thread():
            _interrupts.compiling -= 1
            _interrupts.release()


_register = cast("Callable[[str, event.Listener], None]", event.register)
_register("numba:compiler_lock", _CompilerLock())


@contextmanager
def interrupts_wait() -> Iterator[None]:
    """Ctrl-C waits for the end of the block; for kernels that run long and return named tuples.

    numba makes a named tuple by running Python code, does not look whether that succeeded, and so
    crashes when the interrupt came in while the kernel ran.
    """
    if not _in_main_thread():
        yield
        return
    _interrupts.hold()
    try:
        yield
    finally:
        _interrupts.release()


def kernel(function: _Function) -> _Function:
    """Compile with IEEE semantics; safe for code whose results are part of a proof."""
    jit = numba.njit(cache=True, nogil=True, error_model="numpy")
    return cast("_Function", jit(function))


def search_kernel(function: _Function) -> _Function:
    """Compile with reassociation allowed: only for searches whose result needs no accuracy.

    Used where any result is *valid* and a good one is merely tight, such as the multiplier of a
    weak duality bound, which a strict kernel evaluates afterwards.
    """
    jit = numba.njit(
        cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"}
    )
    return cast("_Function", jit(function))
