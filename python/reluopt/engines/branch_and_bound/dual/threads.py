"""Matrix products on as many threads as were asked for: on busy machines more only wait."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]


@cache
def _controller() -> Any:
    """The libraries that numpy has loaded; looking for them takes a millisecond."""
    return ThreadpoolController()


def limited_threads(count: int) -> AbstractContextManager[Any]:
    """Matrix products within the block take at most so many threads."""
    limits: AbstractContextManager[Any] = _controller().limit(limits=count)
    return limits
