"""What a file asks: regions to be decided, and the formulas that a counterexample must satisfy."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from reluopt.errors import InputError, shown
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.input_sets import InputSet
from reluopt.questions.overflow import refuse_large_conditions
from reluopt.questions.tasks import Alternative, LargestSlack, Task, fitting_box
from reluopt.specifications.formulas import Formula
from reluopt.specifications.normal_form import Region


@dataclass(frozen=True)
class Tensor:
    """An input or output as version 2.0 declares it.

    Attributes:
        name: in the file.
        kind: element type as written, such as ``float32``.
        shape: lengths of its axes; none for a scalar.
    """

    name: str
    kind: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of entries."""
        return math.prod(self.shape)

    def place(self, index: str | None) -> int:
        """The entry of an index such as ``[0,3]``, counted in the order of the last axis first.

        Raises:
            InputError: it is no index of this shape.
        """
        words = [] if index is None else re.findall(r"[^\s,]+", index[1:-1])
        fits = len(words) == len(self.shape) and all(
            re.fullmatch(r"\d{1,9}", word, re.ASCII) and int(word) < length
            for word, length in zip(words, self.shape, strict=True)
        )
        if not fits:
            raise InputError(
                f"{self.name}: expected an index of shape {list(self.shape)}, found "
                f"{shown(index or 'none')}"
            )
        place = 0
        for word, length in zip(words, self.shape, strict=True):
            place = place * length + int(word)
        return place


@dataclass(frozen=True, eq=False)
class RegionQuestion:
    """Whether an input of a region meets one of its alternatives.

    Attributes:
        region: box and alternatives.
    """

    region: Region

    def task(self, network: ReLUNetwork) -> Task:
        """The sign of the largest slack over the box.

        Raises:
            InputError: the network may overflow over the box, or conditions on its outputs may.
        """
        box = fitting_box(network, self.region.box)
        for conditions in self.region.alternatives:
            refuse_large_conditions(conditions, network, box.lower, box.upper)
        alternatives = tuple(
            Alternative(int(np.argmax(conditions.matrix[0])), conditions)
            for conditions in self.region.alternatives
        )
        return Task(LargestSlack(decides=True), InputSet(box), alternatives)


@dataclass(frozen=True, eq=False)
class Specification:
    """A satisfiability problem: is there an input of the network such that all formulas hold?

    Attributes:
        name: of its file.
        inputs, outputs: how many the network has.
        regions: all that may satisfy it, rounded outward (:mod:`.normal_form`).
        asserted: the formulas, exactly.
        tensors: input and output of version 2.0, None for version 1.0.
    """

    name: str
    inputs: int
    outputs: int
    regions: tuple[Region, ...]
    asserted: tuple[Formula, ...]
    tensors: tuple[Tensor, Tensor] | None = None

    def check_fits(self, network: ReLUNetwork) -> None:
        """Raise an InputError unless the network has these numbers of inputs and outputs."""
        if (network.input_size, network.output_size) != (self.inputs, self.outputs):
            raise InputError(
                f"{self.name}: expected a network of {self.inputs} inputs and {self.outputs} "
                f"outputs, found {network.input_size} and {network.output_size}"
            )

    def holds(self, inputs: FloatArray, outputs: FloatArray, lead: float = 0.0) -> bool:
        """Whether all formulas hold of finite numbers.

        Args:
            inputs: shape ``(inputs,)``.
            outputs: shape ``(outputs,)``.
            lead: by how much comparisons of outputs must be exceeded.
        """
        if not (np.isfinite(inputs).all() and np.isfinite(outputs).all()):
            return False
        values: Mapping[int, Fraction] = {
            **{place: Fraction(value) for place, value in enumerate(inputs.tolist())},
            **{-1 - place: Fraction(value) for place, value in enumerate(outputs.tolist())},
        }
        return all(formula.holds(values, Fraction(lead)) for formula in self.asserted)

    def answer(self, inputs: FloatArray, outputs: FloatArray) -> str:
        """A counterexample in the format of the competition.

        Version 1.0: ``((X_0 0.1)``, a line each, then ``(Y_0 0.2))``. Version 2.0: name, type and
        shape of each tensor, then its values, a line each (standard, "Command-line assignment
        format").
        """
        if self.tensors is None:
            pairs = [f"(X_{i} {value!r})" for i, value in enumerate(inputs.tolist())]
            pairs += [f"(Y_{j} {value!r})" for j, value in enumerate(outputs.tolist())]
            return f"({chr(10).join(pairs)})"
        lines = []
        for tensor, values in zip(self.tensors, (inputs, outputs), strict=True):
            lines.append(f"{tensor.name} {tensor.kind} [{','.join(map(str, tensor.shape))}]")
            lines += map(repr, values.tolist())
        return "\n".join(lines)
