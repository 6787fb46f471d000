"""What is to be trained: the steps of a network and the parameters that training starts from."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from reluopt.errors import InputError
from reluopt.networks.metadata import NetworkMetadata
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.readers.architecture import (
    Step,
    assemble,
    input_shape_of,
    parse_architecture,
)

Parameters: TypeAlias = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Weight and bias of a convolution, or of a dense layer (out x in)."""


@dataclass(frozen=True)
class Plan:
    """A network to be.

    Attributes:
        steps: its architecture.
        input_shape: what the first step reads: channels, rows and columns, or a number of values.
    """

    steps: tuple[Step, ...]
    input_shape: tuple[int, ...]

    def network(
        self, parameters: Sequence[Parameters], metadata: NetworkMetadata | None = None
    ) -> ReLUNetwork:
        """The network with these parameters, those of its first layer first.

        Raises:
            InputError: the steps do not follow each other.
        """
        tensors = {
            f"layers.{i}.{name}": array.astype(np.float64)
            for i, pair in enumerate(parameters)
            for name, array in zip(("weight", "bias"), pair, strict=True)
        }
        return assemble(self.steps, tensors, self.input_shape, metadata or NetworkMetadata())


def plan_of(layers: Sequence[int] | str, image_shape: tuple[int, ...], classes: int) -> Plan:
    """The plan of a network for images of this shape and so many classes.

    Args:
        layers: sizes of the hidden dense layers, or the text of an architecture
            (:mod:`reluopt.networks.readers.architecture`).
        image_shape: of one input.
        classes: number of logits.

    Raises:
        InputError: the layers are none, or do not fit the data.
    """
    pixels = math.prod(image_shape)
    steps = steps_of(layers, pixels, classes)
    plan = Plan(steps, input_shape_of(steps, image_shape))
    found = plan.network(initial_parameters(steps, 0))
    if (found.input_size, found.output_size) != (pixels, classes):
        raise InputError(
            f"architecture: expected {pixels} inputs and {classes} outputs, as many as the images "
            f"have pixels and classes, found {found.input_size} and {found.output_size}"
        )
    return plan


def steps_of(layers: Sequence[int] | str, inputs: int = 1, outputs: int = 1) -> tuple[Step, ...]:
    """The steps of hidden layers between so many inputs and outputs, or of an architecture.

    Raises:
        InputError: sizes that are no sizes, or a text that is no architecture.
    """
    if isinstance(layers, str):
        steps = parse_architecture(layers)
        if any(step.padding is None or step.kind == "flatten" for step in steps):
            raise InputError(
                "architecture: expected paddings as numbers and images channels first, found psame "
                "or flatten"
            )
        return steps
    sizes = [int(size) for size in layers]
    if not sizes or min(sizes) < 1:
        raise InputError(f"hidden sizes: expected at least one positive number, found {sizes}")
    return tuple(Step("fc", pair) for pair in itertools.pairwise((inputs, *sizes, outputs)))


def initial_parameters(steps: Sequence[Step], seed: int) -> list[Parameters]:
    """Weights and biases that training starts from.

    Weights are uniform in ``[-r, r]`` with ``r = sqrt(6 / (n_in + n_out))`` (Glorot & Bengio 2010,
    equation 16), where an output reads n_in values and an input is read by n_out; biases are zero.
    """
    generator = np.random.default_rng(seed)
    parameters = []
    for step in steps:
        if step.kind not in ("conv", "fc"):
            continue
        shape = step.sizes if step.kind == "conv" else step.sizes[::-1]
        radius = math.sqrt(6.0 / ((shape[0] + shape[1]) * math.prod(shape[2:])))
        weight = generator.uniform(-radius, radius, shape).astype(np.float32)
        parameters.append((weight, np.zeros(shape[0], dtype=np.float32)))
    return parameters
