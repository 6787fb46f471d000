"""What a solve calls is compiled and loaded before its clock runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reluopt.engines.base import Engine, EngineTask
from reluopt.numerics.prepare import prepare
from reluopt.questions.problems import Norm, PerturbationTask

if TYPE_CHECKING:
    from reluopt.pipeline import Method


def prepare_solve(engine: Engine, method: Method, task: EngineTask) -> None:
    """Compile, unless that has been done on this machine, what a solve of ``task`` calls."""
    prepare(_sets(engine, method, task))


def _sets(engine: Engine, method: Method, task: EngineTask) -> list[str]:
    """Sets of kernels that the steps of a solve call."""
    names = list(engine.kernels(task))
    if engine.self_contained:
        return names
    names.append("bounds")
    if isinstance(task, PerturbationTask):
        names += ["attacks"] if method.wants_attack else []
        names += ["regions"] if task.norm not in (Norm.L1, Norm.LINF) else []
    return names
