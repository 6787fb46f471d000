"""What a weights file says about its network besides the numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import numpy as np

from reluopt.errors import InputError, shown
from reluopt.networks.input_box import InputBox, checked_box
from reluopt.numerics.arrays import FloatArray

#: Fewer inputs than those of a square image of this side are more likely plain features.
MIN_IMAGE_SIDE = 8

#: The only activation there is, as files and options spell it; also its key in metadata.
RELU = "relu"
ACTIVATION_KEY = "activation"


class ActivationSource(StrEnum):
    """How it is known that ReLUs stand between the layers of a network.

    * ``STATED``: the code or the file that the network comes from says so.
    * ``CONFIRMED``: whoever loaded the weights said so, where the file does not.
    * ``ASSUMED``: nobody did.
    """

    STATED = "stated"
    CONFIRMED = "confirmed"
    ASSUMED = "assumed"


@dataclass(frozen=True)
class NetworkMetadata:
    """What a weights file says about its network besides the numbers.

    Attributes:
        name: a short name, such as ``thesis``.
        input_shape: shape of one input, such as ``(28, 28)``; its product is :math:`n_0`.
        class_names: one name for each logit; empty means ``0..n_K - 1``.
        recipe: how the network was trained (free-form, JSON-serialisable).
        test_accuracy: measured fraction in [0, 1] of test images classified correctly, if known.
        activation: how it is known that ReLUs stand between the layers.
        input_box: lower and upper bounds of the inputs, in units of the data; None for pixels in
            [0, 1].
        told: what whoever loaded the network told of it beyond its file, JSON-serialisable.

    Example:
        >>> import reluopt as ro
        >>> metadata = ro.load_network("thesis").metadata
        >>> metadata.input_shape, metadata.test_accuracy
        ((28, 28), 0.9332)
    """

    name: str = "network"
    input_shape: tuple[int, ...] = ()
    class_names: tuple[str, ...] = ()
    recipe: Mapping[str, Any] = field(default_factory=dict)
    test_accuracy: float | None = None
    activation: ActivationSource = ActivationSource.STATED
    input_box: InputBox | None = None
    told: Mapping[str, Any] = field(default_factory=dict)

    def completed(self, inputs: int, outputs: int) -> NetworkMetadata:
        """Fill in the silent parts for a network of these sizes.

        Raises:
            InputError: a part does not fit them.
        """
        shape = tuple(self.input_shape) or (inputs,)
        names = tuple(self.class_names) or tuple(str(label) for label in range(outputs))
        if math.prod(shape) != inputs:
            raise InputError(
                f"input_shape: expected a shape of {inputs} values, found {shape} "
                f"({math.prod(shape)} values)"
            )
        if len(names) != outputs:
            raise InputError(f"class_names: expected {outputs} names, found {len(names)}")
        box = None if self.input_box is None else checked_box(self.input_box, inputs)
        recipe = dict(self.recipe)
        return replace(self, input_shape=shape, class_names=names, recipe=recipe, input_box=box)

    def input_ends(self) -> tuple[FloatArray, FloatArray]:
        """Lower and upper bounds of the inputs, each of shape ``(n_0,)``."""
        ends = self.input_box or ((0.0,), (1.0,))
        size = math.prod(self.input_shape)
        lower, upper = (np.broadcast_to(np.array(each), (size,)) for each in ends)
        return lower, upper

    def recorded(self) -> dict[str, Any]:
        """What records of runs keep beside the fingerprint: what was told, and the box."""
        box = {} if self.input_box is None else {"input_box": [list(e) for e in self.input_box]}
        return {**self.told, **box}


def picture_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """How inputs of this shape are seen, where nobody tells.

    One channel is none, and a square number of plain values (64 or more) is taken as a square
    image, as all MNIST networks mean it. This only matters for display.
    """
    sides = tuple(length for length in shape if length > 1) or (1,)
    if len(sides) > 1:
        return shape[1:] if shape[0] == 1 else shape
    side = math.isqrt(sides[0])
    return (side, side) if side * side == sides[0] and side >= MIN_IMAGE_SIDE else sides


def require_relu(activation: object) -> None:
    """Refuse another activation, whoever states it."""
    if not isinstance(activation, str) or activation.lower() != RELU:
        raise InputError(
            f"{ACTIVATION_KEY}: expected '{RELU}' (nothing else can be answered for), found "
            f"'{shown(activation)}'"
        )
