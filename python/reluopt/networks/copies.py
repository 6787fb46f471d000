"""One network at several images at once, as a function of the change that all of them share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from reluopt.networks.layers.base import Affine, Layer, affine, refuse_entries
from reluopt.numerics.arrays import FloatArray, frozen_array

if TYPE_CHECKING:
    from reluopt.networks.network import ReLUNetwork


@dataclass(frozen=True, eq=False)
class Copies(Layer):
    r"""``delta -> (x^K(image_1 + delta), ..., x^K(image_m + delta))``.

    It runs the network itself, and lowers to its affine maps: the first ones on top of each other,
    with biases :math:`b^1 + W^1 image_i`, all others block-diagonal. No file holds such a layer.

    Attributes:
        network: the network.
        images: shape ``(m, n_0)``.
    """

    kind: ClassVar[str] = "copies"

    network: ReLUNetwork
    images: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "images", frozen_array(self.images))

    @property
    def input_size(self) -> int:
        """That of the network."""
        return self.network.input_size

    @property
    def output_size(self) -> int:
        """The logits of all copies."""
        return len(self.images) * self.network.output_size

    def forward(self, values: FloatArray) -> FloatArray:
        """Every image with every change, by the network's own layers."""
        changed = values[:, None, :] + self.images
        logits = self.network.forward(changed.reshape(-1, self.input_size))
        return logits.reshape(values.shape[0], self.output_size)

    def widths(self) -> tuple[int, ...]:
        """Those of the network, but for the inputs as many times as there are images."""
        first, *others = self.network.sizes
        return (first, *(len(self.images) * width for width in others))

    def lower(self) -> tuple[Affine, ...]:
        """First maps on top of each other, the others block-diagonal.

        Raises:
            InputError: they have too many weights (:data:`.layers.base.MAX_ENTRIES`).
        """
        first, *others = self.network.affine_layers
        stacked = _stacked([first.weight] * len(self.images))
        bias = (self.images @ first.weight.T + first.bias).ravel()
        return affine(stacked, bias), *(_diagonal(each, len(self.images)) for each in others)

    def entries(self) -> int:
        """The weights of the network so many times."""
        maps = self.network.affine_layers
        return len(self.images) * sum(each.input_size * each.output_size for each in maps)

    def settings(self) -> dict[str, Any]:
        """The network's fingerprint."""
        return {"network": self.network.fingerprint}

    def tensors(self) -> dict[str, FloatArray]:
        """The images."""
        return {"images": self.images}


def _stacked(weights: Sequence[Any]) -> Any:
    """Matrices on top of each other."""
    if isinstance(weights[0], np.ndarray):
        return np.vstack(weights)
    import scipy.sparse as sp

    return sp.vstack(weights, format="csr")


def _diagonal(layer: Affine, count: int) -> Affine:
    """The map for every one of ``count`` parts of its input."""
    import scipy.sparse as sp

    weight = sp.csr_array(sp.block_diag([sp.csr_array(layer.weight)] * count, format="csr"))
    refuse_entries(weight.nnz)
    return affine(weight, np.tile(layer.bias, count))
