"""As many threads as were asked for: kernels release Python's lock, so nodes share them well.

Matrix products keep to one thread: they are small, and two levels of threads are in each other's
way.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib import import_module
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

_Part = TypeVar("_Part")
_Result = TypeVar("_Result")

_pool: ContextVar[tuple[int, ThreadPoolExecutor | None]] = ContextVar("_pool", default=(1, None))


@cache
def _controller(compiled: bool) -> Any:
    """The libraries that numpy, and compiled kernels, have loaded; looking takes a millisecond."""
    del compiled
    return ThreadpoolController()


@contextmanager
def limited_threads(count: int, *, multiply: bool = False) -> Iterator[None]:
    """Within the block :func:`each` runs on so many threads, and nothing on more.

    Matrix products of the whole process keep to one: searches that end at different times in
    several Python threads are in each other's way.

    Args:
        count: at least one.
        multiply: whether compiled kernels call BLAS, that of scipy, which must be there to be
            limited; they would load it, too.
    """
    if multiply:
        import_module("scipy.linalg.cython_blas")
    # A thread that inherits the context, pool included, would wait for itself.
    pool = None
    if count > 1:
        pool = ThreadPoolExecutor(count, initializer=_pool.set, initargs=((1, None),))
    token = _pool.set((count, pool))
    try:
        with _controller("scipy.linalg.cython_blas" in sys.modules).limit(limits=1):
            yield
    finally:
        _pool.reset(token)
        if pool is not None:
            pool.shutdown(cancel_futures=True)


def thread_count() -> int:
    """How many threads there are."""
    return _pool.get()[0]


def each(function: Callable[[_Part], _Result], parts: Sequence[_Part]) -> list[_Result]:
    """The function of each part, in their order.

    What a part calls keeps to its own thread.
    """
    _, pool = _pool.get()
    if pool is None or len(parts) < 2:
        return [function(part) for part in parts]
    return list(pool.map(function, parts))
