"""What a formulation is, and where everything stands in the program that it writes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from reluopt.bounds.base import BoundingMethod, PreActivationBounds
from reluopt.deadline import NEVER, Deadline
from reluopt.networks.layers.base import Affine, Rectifier, Stage
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import BoolArray, FloatArray
from reluopt.questions.input_sets import Box
from reluopt.questions.tasks import Task

if TYPE_CHECKING:
    import scipy.sparse as sp

    from reluopt.numerics.linear_programs import IndexArray, Program


@dataclass(frozen=True, eq=False)
class InputEncoding:
    """``x0 = base + matrix @ v[columns]``.

    Attributes:
        base: shape ``(n_0,)``.
        matrix: CSR of shape ``(n_0, len(columns))``.
        columns: program variables that the input depends on.
        image: what sizes of a change count from; None where nothing has a size.
        sizes: variables that hold sizes of the change, or None.
        sizes_of: their values for a change.
    """

    base: FloatArray
    matrix: sp.csr_array
    columns: IndexArray
    image: FloatArray | None = None
    sizes: IndexArray | None = None
    sizes_of: Callable[[FloatArray], Any] = np.abs

    def point(self, values: FloatArray) -> FloatArray:
        """The input that program values describe, shape ``(n_0,)``."""
        return np.asarray(self.base + self.matrix @ values[self.columns])

    def assign(self, values: FloatArray, point: FloatArray) -> None:
        """Set the encoding's variables in ``values`` so that they describe ``point``."""
        difference = point - self.base
        if (self.matrix.data < 0.0).any():  # parts: one variable for each direction
            values[self.columns] = np.maximum(self.matrix.T @ difference, 0.0)
        else:
            values[self.columns] = self.matrix.T @ difference
        if self.sizes is not None and self.image is not None:
            values[self.sizes] = self.sizes_of(point - self.image)


ABSENT = -1
"""Marks a neuron without a variable in :class:`EncodedLayer`."""


@dataclass(frozen=True, eq=False)
class EncodedLayer:
    """Variables of one layer; entries are ``ABSENT`` where a neuron has none.

    Attributes:
        x, s, z: shape ``(n_k,)``, indices into the program's variables.
        always_active: neurons known to be active (``L >= 0``).
        output: whether these are the logits.
    """

    x: IndexArray
    s: IndexArray
    z: IndexArray
    always_active: BoolArray
    output: bool = False

    def assign(self, values: FloatArray, before: FloatArray, after: FloatArray) -> None:
        """Set the variables; ``before`` are the pre-activations, for logits ``after`` are."""
        a = after if self.output else before
        parts = (
            (self.x, a if self.output else np.maximum(a, 0.0)),
            (self.s, np.zeros_like(a) if self.output else np.maximum(-a, 0.0)),
            (self.z, (a > 0.0).astype(np.float64)),
        )
        for columns, numbers in parts:
            has = columns != ABSENT
            values[columns[has]] = numbers[has]


@dataclass(frozen=True, eq=False)
class EncodedValues:
    """Variables for what an affine map gives, ``ABSENT`` where there is none; shape ``(n,)``."""

    columns: IndexArray

    def assign(self, values: FloatArray, before: FloatArray, after: FloatArray) -> None:
        """Set them to what stands ``after`` the map."""
        del before
        has = self.columns != ABSENT
        values[self.columns[has]] = after[has]


class EncodedStage(Protocol):
    """Variables of one stage."""

    def assign(self, values: FloatArray, before: FloatArray, after: FloatArray) -> None:
        """Set them, given what stands before and after the stage at some input."""
        ...


@dataclass(frozen=True, eq=False)
class EncodedNetwork:
    """Where a network's variables stand in a program.

    Attributes:
        network: the network.
        input: how the input enters.
        steps: the stages with their variables, if they have any.
    """

    network: ReLUNetwork
    input: InputEncoding
    steps: tuple[tuple[Stage, EncodedStage | None], ...]

    @property
    def layers(self) -> tuple[EncodedLayer, ...]:
        """What has x, s and z, the logits last."""
        return tuple(each for _, each in self.steps if isinstance(each, EncodedLayer))

    @property
    def logits(self) -> IndexArray:
        """Variables of the logits, shape ``(n_K,)``."""
        return self.layers[-1].x

    def point(self, values: FloatArray) -> FloatArray:
        """The input that program values describe."""
        return self.input.point(values)

    def pattern(self, values: FloatArray) -> tuple[BoolArray, ...] | None:
        """Phases of the hidden neurons by their rounded binaries (or by their stability).

        None where maxima or leaky ReLUs stand in the place of neurons.
        """
        plain = all(isinstance(stage, Affine) or stage == Rectifier() for stage, _ in self.steps)
        if (
            not plain
            or tuple(each.x.size for each in self.layers[:-1]) != self.network.hidden_sizes
        ):
            return None
        patterns = []
        for layer in self.layers[:-1]:
            active = layer.always_active.copy()
            has = layer.z != ABSENT
            active[has] = values[layer.z[has]] >= 0.5
            patterns.append(active)
        return tuple(patterns)

    def assign(self, size: int, point: FloatArray) -> FloatArray:
        """Values of all variables for the input ``point``, by a forward pass: a warm start.

        Args:
            size: number of variables of the program.
            point: shape ``(n_0,)``.
        """
        values = np.zeros(size)
        self.input.assign(values, point)
        after = np.asarray(point, dtype=np.float64)
        for stage, encoded in self.steps:
            before, after = after, stage.forward(after[None])[0]
            if encoded is not None:
                encoded.assign(values, before, after)
        return values


@dataclass(frozen=True, eq=False)
class EncodedSlack:
    """A variable that lies below every slack ``matrix @ logits - rhs``, in units of the program.

    Attributes:
        column: the variable.
        matrix: shape ``(conditions, n_K)``.
        rhs: shape ``(conditions,)``.
    """

    column: int
    matrix: FloatArray
    rhs: FloatArray

    def assign(self, values: FloatArray, logits: IndexArray) -> None:
        """Set it to the least slack of the logits that stand in ``values``."""
        values[self.column] = (self.matrix @ values[logits] - self.rhs).min()


@dataclass(frozen=True, eq=False)
class Implications:
    """``v[z] = value`` implies ``v[zero] <= 0``, one beside the other.

    Attributes:
        z: binary variables, shape ``(implications,)``.
        value: what implies it, True for 1.
        zero: variables that are >= 0.
    """

    z: IndexArray
    value: BoolArray
    zero: IndexArray


@dataclass(frozen=True, eq=False)
class EncodedProblem:
    """A program and the meaning of its variables.

    Attributes:
        program: the matrices.
        network: where the network's variables stand.
        logit_factor: logits of the program are those of the network times this power of two.
        slack: what is maximised where that is the slack of the alternative.
        implications: what belongs to the program besides its rows, of formulations with
            ``indicators``.
    """

    program: Program
    network: EncodedNetwork
    logit_factor: float = 1.0
    slack: EncodedSlack | None = None
    implications: Implications | None = None

    def start(self, point: FloatArray) -> FloatArray:
        """Values of all variables for the input ``point``: a warm start."""
        values = self.network.assign(self.program.cost.size, point)
        if self.slack is not None:
            self.slack.assign(values, self.network.logits)
        return values


class Formulation(ABC):
    """A way to write a task as a program; see :data:`reluopt.formulation.FORMULATIONS`.

    Attributes:
        name: how people call it.
        attacks: whether an incumbent is looked for first unless somebody says otherwise.
        bounds: the pre-activation bounds that belong to it; None where any will do.
        in_python: whether :meth:`encode` writes it, not only the Julia package.
        indicators: whether what it writes for a network alone has implications.
    """

    name: str
    attacks: ClassVar[bool] = True
    bounds: ClassVar[BoundingMethod | None] = None
    in_python: ClassVar[bool] = True
    indicators: ClassVar[bool] = False

    @abstractmethod
    def encode(
        self,
        network: ReLUNetwork,
        task: Task,
        bounds: PreActivationBounds,
        deadline: Deadline = NEVER,
    ) -> EncodedProblem:
        """Write a task with at most one alternative, given valid pre-activation bounds.

        What strengthens a program by solving others stops at the deadline.

        Raises:
            InputError: the task has several alternatives.
        """

    @abstractmethod
    def encode_network(
        self, network: ReLUNetwork, bounds: PreActivationBounds, box: Box
    ) -> EncodedProblem:
        """Write the network alone, without an objective, in its own units.

        The first ``n_0`` variables are its inputs, anywhere in ``box``, where ``bounds`` hold.
        """

    def __str__(self) -> str:
        return self.name
