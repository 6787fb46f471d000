"""How long, how exactly and with what an engine searches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reluopt.errors import InputError

MAX_THREADS = 64
"""Most threads that every engine accepts."""

MAX_SEED = 2_000_000_000
"""Largest seed that every engine accepts."""


@dataclass(frozen=True)
class EngineOptions:
    """How long, how exactly, and with what to search.

    Attributes:
        time_limit: wall-clock seconds for one problem, > 0.
        gap: relative MIP gap at which a solution counts as optimal, from 0 to below 1.
        threads: solver threads, 1 to 64 (more is refused by SCIP and never faster here).
        seed: random seed, 0 to 2,000,000,000 (Gurobi's limit); the same seed gives the same search.
        verbose: whether the solver writes its own log to stderr.
        extra: settings of one engine, such as ``{"optimizer": "gurobi"}`` for Julia.

    Example:
        >>> import reluopt as ro
        >>> ro.EngineOptions(time_limit=10, threads=2).gap
        1e-06
    """

    time_limit: float = 60.0
    gap: float = 1e-6
    threads: int = 1
    seed: int = 0
    verbose: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.time_limit > 0.0:
            raise InputError(f"time limit: expected seconds > 0, found {self.time_limit}")
        if not 0.0 <= self.gap < 1.0:  # with 1, any image would be proven nearest
            raise InputError(f"gap: expected a relative gap from 0 to below 1, found {self.gap}")
        if not 1 <= self.threads <= MAX_THREADS:
            raise InputError(f"threads: expected 1 to {MAX_THREADS}, found {self.threads}")
        if not 0 <= self.seed <= MAX_SEED:
            raise InputError(f"seed: expected 0 to {MAX_SEED}, found {self.seed}")
