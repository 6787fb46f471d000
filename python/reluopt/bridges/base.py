"""What a bridge is, and which one a task needs."""

from __future__ import annotations

from typing import Any, Protocol

from reluopt.answers.solution import Incumbent
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.tasks import Task
from reluopt.registry import Registry

BRIDGES: Registry[Any] = Registry("bridge", blend="bridges.lifting:BlendBridge")


class Lifted(Protocol):
    """A task beside the one that it has become.

    Attributes:
        network: the lifted network.
        task: the lifted task, with the alternatives of the original.
    """

    @property
    def network(self) -> ReLUNetwork:
        """The lifted network."""
        ...

    @property
    def task(self) -> Task:
        """The lifted task; its alternatives are those of the original."""
        ...

    def lowered(self, incumbent: Incumbent | None) -> Incumbent | None:
        """An incumbent of the lifted task as one of the original task."""
        ...

    def image(self, point: FloatArray) -> FloatArray:
        """The original input that an input of the lifted network stands for."""
        ...


class Bridge(Protocol):
    """A way from some tasks to others."""

    def carries(self, task: Task) -> bool:
        """Whether the task is one of those that it lifts."""
        ...

    def lift(self, network: ReLUNetwork, task: Task) -> Lifted:
        """The lifted form of a task."""
        ...


class Unchanged:
    """A task that needs no bridge, as a lifted one."""

    def __init__(self, network: ReLUNetwork, task: Task) -> None:
        self.network, self.task = network, task

    def lowered(self, incumbent: Incumbent | None) -> Incumbent | None:
        """The incumbent itself."""
        return incumbent

    def image(self, point: FloatArray) -> FloatArray:
        """The input itself."""
        return point


def lifted(network: ReLUNetwork, task: Task) -> Lifted:
    """``task`` by the bridge that carries it; as it is where none does."""
    for name in BRIDGES.names:
        bridge: Bridge = BRIDGES.get(name)
        if bridge.carries(task):
            return bridge.lift(network, task)
    return Unchanged(network, task)
