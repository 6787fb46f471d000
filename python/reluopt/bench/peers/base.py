"""What a peer is: a library of others that looks for the nearest input, with or without proof."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp

from reluopt.answers.solution import relative_gap
from reluopt.deadline import Deadline
from reluopt.errors import EngineUnavailableError, UnsupportedProblemError
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.input_sets import Box
from reluopt.questions.tasks import Alternative, Task

GAP = 1e-6
"""Relative gap that exact peers are asked for."""


@dataclass(frozen=True, eq=False)
class Found:
    """What a peer says.

    Attributes:
        image: shape ``(n_0,)``, or None.
        bound: no allowed input has a smaller objective, says the peer; minus infinity without one.
        done: whether the peer says that its answer is the best.
        message: what else it says, in one line.
    """

    image: FloatArray | None = field(repr=False)
    bound: float = -math.inf
    done: bool = False
    message: str = ""


@dataclass(frozen=True, eq=False)
class Conditions:
    """What makes a network's program a search for the nearest input of one target.

    The change is at most ``change``, entry by entry for L1 and as a whole for Linf; its sum is
    minimised, and ``matrix @ (inputs, logits, change) >= least``.

    Attributes:
        changes: how many entries ``change`` has.
        matrix: CSR of shape ``(rows, n_0 + n_K + changes)``.
        least: shape ``(rows,)``.
    """

    changes: int
    matrix: sp.csr_array
    least: FloatArray

    @property
    def most(self) -> FloatArray:
        """The rows have no upper limits, shape ``(rows,)``."""
        return np.full(self.least.size, np.inf)

    @classmethod
    def of(cls, task: Task, alternative: Alternative) -> Conditions:
        """The conditions of one target on its logits, and those on the change."""
        conditions, size = alternative.conditions, task.image.size
        one = sp.eye_array(size)
        own = one if str(task.norm) == "l1" else sp.coo_array(np.ones((size, 1)))
        logits = sp.coo_array(conditions.matrix)
        rows: list[list[Any]] = [[None, logits, None], [-one, None, own], [one, None, own]]
        least = np.concatenate([conditions.rhs, -task.image, task.image])
        return cls(own.shape[1], sp.csr_array(sp.block_array(rows)), least)


class Peer(ABC):
    """A library with one way to use it.

    Attributes:
        modules: that it needs, by the name of the package that brings them.
        norms: that it knows.
        exact: whether it proves its answers.
        settings: in words, where they are not the library's defaults.
    """

    modules: ClassVar[Mapping[str, str]] = {}
    norms: ClassVar[tuple[str, ...]] = ("l1", "linf")
    exact: ClassVar[bool] = False
    settings: ClassVar[str] = ""

    def check(self, network: ReLUNetwork, task: Task) -> None:
        """Refuse what cannot work.

        Raises:
            EngineUnavailableError: a package is not installed.
            UnsupportedProblemError: the norm is none of the peer's, or a layer is not dense.
        """
        for package, module in self.modules.items():
            try:
                import_module(module)
            except ImportError:
                fix = "pip install 'reluopt[peers]'"
                raise EngineUnavailableError(f"{package} is not installed: {fix}") from None
        norm = str(task.norm)
        if norm not in self.norms:
            raise UnsupportedProblemError(f"it knows {', '.join(self.norms)}, not {norm}")
        if not all(isinstance(layer, Dense) for layer in network.layers):
            raise UnsupportedProblemError("only networks of dense layers are handed over")

    @abstractmethod
    def nearest(self, network: ReLUNetwork, task: Task, seconds: float) -> Found:
        """The nearest input that it finds within a time limit, if it keeps one."""


class ExactPeer(Peer):
    """A peer that solves one program for each target, sharing the time among them."""

    exact = True

    def nearest(self, network: ReLUNetwork, task: Task, seconds: float) -> Found:
        """The best over all targets; the bound is that of the worst of them."""
        deadline, found = Deadline.after(seconds), []
        for count, alternative in enumerate(task.alternatives):
            share = deadline.share(1.0 / (len(task.alternatives) - count))
            found.append(
                Found(None)
                if deadline.passed
                else self.solve(
                    network, task.box, Conditions.of(task, alternative), share.solver_seconds
                )
            )
        images = [each.image for each in found if each.image is not None]
        best = min(images, key=task.distance, default=None)
        message = next((each.message for each in found if each.message), "")
        bound = min(each.bound for each in found)
        value = math.inf if best is None else task.distance(best)
        settled = relative_gap(value, bound) <= GAP  # a target may be open and yet farther
        return Found(best, bound, settled or all(each.done for each in found), message)

    @abstractmethod
    def solve(
        self, network: ReLUNetwork, box: Box, conditions: Conditions, seconds: float
    ) -> Found:
        """One program; inputs are anywhere in a box."""


def dense_layers(network: ReLUNetwork) -> list[tuple[FloatArray, FloatArray]]:
    """Weights, shape ``(n_k, n_{k-1})``, and biases of each layer."""
    return [(each.weight, each.bias) for each in network.layers if isinstance(each, Dense)]


def sequential(network: ReLUNetwork, *, double: bool = True) -> Any:
    """The network as a ``torch.nn.Sequential``."""
    import torch

    kind = torch.float64 if double else torch.float32
    layers: list[Any] = []
    for weight, bias in dense_layers(network):
        linear = torch.nn.Linear(weight.shape[1], weight.shape[0], dtype=kind)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(np.array(weight)))
            linear.bias.copy_(torch.from_numpy(np.array(bias)))
        layers += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1]).eval()


def scalar_box(task: Task) -> tuple[float, float]:
    """The ends of a box that is the same for all inputs.

    Raises:
        UnsupportedProblemError: it is not.
    """
    ends = [np.unique(end) for end in (task.box.lower, task.box.upper)]
    if any(end.size != 1 for end in ends):
        raise UnsupportedProblemError("it knows one lower and one upper bound for all inputs")
    return float(ends[0][0]), float(ends[1][0])


def aim(network: ReLUNetwork, task: Task) -> tuple[int, bool]:
    """The one target and True, or, where any other label will do, the true one and False.

    Raises:
        UnsupportedProblemError: some other labels will do.
    """
    targets = {alternative.target for alternative in task.alternatives}
    if len(targets) == 1:
        return targets.pop(), True
    others = set(range(network.output_size)) - targets
    if len(others) != 1:
        raise UnsupportedProblemError("it knows one target, or any label but the true one")
    return others.pop(), False
