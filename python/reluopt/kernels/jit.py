"""The one decorator of every compiled kernel.

Kernels are compiled on their first call and cached on disk next to their module (or in
``NUMBA_CACHE_DIR``). They release the global interpreter lock, divide as numpy does, and keep IEEE
semantics: no reassociation, no contraction across statements, no flushing of NaN. numba does not
notice that a kernel called from *another* module has changed; delete ``__pycache__`` after edits
to a kernel that other modules call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
