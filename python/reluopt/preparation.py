"""What a solve calls is compiled and loaded before its clock runs."""

from __future__ import annotations

from reluopt.engines.base import Engine
from reluopt.method import Method
from reluopt.numerics.prepare import prepare
from reluopt.questions.tasks import Task


def prepare_solve(engine: Engine, method: Method, task: Task) -> None:
    """Compile, unless that has been done on this machine, what a solve of ``task`` calls."""
    prepare(_sets(engine, method, task))


def _sets(engine: Engine, method: Method, task: Task) -> list[str]:
    """Sets of kernels that the steps of a solve call."""
    names = [*engine.kernels(task), *(["balls"] if task.inputs.ball_norm is not None else [])]
    if engine.self_contained:
        return names
    names.append("bounds")
    if task.minimises_distance:
        names += ["attacks"] if method.wants_attack else []
        names += ["regions"] if task.norm.quadratic else []
    return names
