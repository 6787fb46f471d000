r"""Feed-forward ReLU networks: values, derivatives and linear regions, nothing else.

Notation (used everywhere in reluopt): layers :math:`k = 1..K` with :math:`n_k` nodes and

.. math:: a^k = W^k x^{k-1} + b^k, \qquad x^k = \max(0, a^k)\ (k < K), \qquad x^K = a^K,

where :math:`x^0` is the input (an image), :math:`a^k` are the *pre-activations* and
:math:`x^K` the *logits*. A ReLU stands between every two consecutive layers and none stands after
the last one. Layers of other kinds lower themselves to such affine maps with ReLUs between them
(:class:`~reluopt.networks.layers.base.Layer`); K, n_k and a^k count these.

Pixels are ``float64`` in row-major (C) order: pixel ``(row, column)`` of a 28 x 28 image is entry
``28 * row + column`` of :math:`x^0`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reluopt.errors import InputError
from reluopt.networks.layers.base import Affine, Layer, Stage, refuse_entries
from reluopt.networks.metadata import NetworkMetadata
from reluopt.numerics.arrays import BoolArray, FloatArray


@dataclass(frozen=True, eq=False)
class ReLUNetwork:
    """An immutable ReLU network: layers with a ReLU between every two of them.

    Attributes:
        layers: the layers as they were given, input first; :meth:`forward` runs these.
        metadata: names, input shape, recipe; filled in with defaults where it is silent.

    Raises:
        InputError: no layers, layers that do not chain, or metadata that does not fit them.

    Example:
        >>> from reluopt import Dense
        >>> network = ReLUNetwork((Dense([[1.0, -1.0]], [0.0]), Dense([[2.0]], [1.0])))
        >>> network.forward([3.0, 1.0])
        array([5.])
        >>> network
        <ReLUNetwork network: 2-1-1>
    """

    layers: tuple[Layer, ...]
    metadata: NetworkMetadata = field(default_factory=NetworkMetadata)

    def __post_init__(self) -> None:
        layers = tuple(self.layers)
        if not layers:
            raise InputError("network: expected at least one layer, found none")
        for k in range(1, len(layers)):
            before, after = layers[k - 1], layers[k]
            if before.output_size != after.input_size:
                raise InputError(
                    f"layer {k}: expected {before.output_size} inputs (the outputs of layer "
                    f"{k - 1}), found {after.input_size}"
                )
        object.__setattr__(self, "layers", layers)
        sizes = layers[0].input_size, layers[-1].output_size
        object.__setattr__(self, "metadata", self.metadata.completed(*sizes))

    def __repr__(self) -> str:
        """Name, nodes of every layer and, unless all are dense, kinds: weights fill a screen."""
        kinds = [layer.kind for layer in self.layers]
        told = "" if set(kinds) <= {"dense"} else f" ({', '.join(kinds)})"
        return f"<ReLUNetwork {self.metadata.name}: {'-'.join(map(str, self.sizes))}{told}>"

    @cached_property
    def affine_layers(self) -> tuple[Affine, ...]:
        """The affine maps that the layers lower to, with a ReLU between every two of them.

        Raises:
            InputError: they have too many weights (:data:`.layers.base.MAX_ENTRIES`).
        """
        others = (layer for layer in self.layers if not isinstance(layer, Affine))
        try:
            refuse_entries(sum(layer.entries() for layer in others))
            return tuple(part for layer in self.layers for part in layer.lower())
        except InputError as error:
            raise InputError(f"network {self.metadata.name}: {error}") from error

    @cached_property
    def stages(self) -> tuple[tuple[Stage, ...], ...]:
        """What programs write for each of the layers; a ReLU stands between every two of them."""
        return tuple(layer.stages() for layer in self.layers)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of nodes of every layer, ``(n_0, n_1, ..., n_K)``."""
        behind = (width for layer in self.layers for width in layer.widths()[1:])
        return (self.layers[0].input_size, *behind)

    @property
    def hidden_sizes(self) -> tuple[int, ...]:
        """Number of ReLUs of every hidden layer, ``(n_1, ..., n_{K-1})``."""
        return self.sizes[1:-1]

    @property
    def input_size(self) -> int:
        """Number of inputs, :math:`n_0`."""
        return self.layers[0].input_size

    @property
    def output_size(self) -> int:
        """Number of logits (classes), :math:`n_K`."""
        return self.layers[-1].output_size

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input as people see it, such as ``(28, 28)``."""
        return self.metadata.input_shape

    @property
    def class_names(self) -> tuple[str, ...]:
        """One name for each logit."""
        return self.metadata.class_names

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of sizes, settings and weights; the same numbers give the same one."""
        digest = hashlib.sha256(repr(self.sizes).encode())
        for layer in self.layers:
            settings = layer.settings()
            digest.update(repr((layer.kind, settings)).encode() if settings else b"")
            for array in layer.tensors().values():
                digest.update(array.tobytes())
        return digest.hexdigest()

    @cached_property
    def norms(self) -> tuple[tuple[float, float], ...]:
        """For each layer the largest sum of ``|weight|`` over a row, and the largest ``|bias|``."""
        with np.errstate(over="ignore"):
            return tuple(
                (float(abs(layer.weight).sum(axis=1).max()), float(np.abs(layer.bias).max()))
                for layer in self.affine_layers
            )

    def flat_inputs(self, inputs: ArrayLike) -> tuple[FloatArray, bool]:
        """Bring inputs to shape ``(batch, n_0)``.

        Args:
            inputs: one input, of shape ``(n_0,)`` or ``input_shape``, or a batch of them.

        Returns:
            The batch, and whether ``inputs`` was a single input.

        Raises:
            InputError: the shape fits neither.
        """
        array = np.asarray(inputs, dtype=np.float64)
        for shape in ((self.input_size,), self.input_shape):
            if array.shape == shape:
                return array.reshape(1, -1), True
            if array.ndim == len(shape) + 1 and array.shape[1:] == shape:
                return array.reshape(array.shape[0], self.input_size), False
        raise InputError(
            f"input: expected shape {(self.input_size,)} or {self.input_shape}, alone or with a "
            f"leading batch axis, found {array.shape}"
        )

    def pre_activations(self, inputs: ArrayLike) -> tuple[FloatArray, ...]:
        """Pre-activations :math:`a^1, ..., a^K` of every layer; the last ones are the logits.

        Returns:
            One array for each layer, shape ``(n_k,)`` for one input and ``(batch, n_k)`` else.
        """
        values, single = self.flat_inputs(inputs)
        result = []
        for layer in self.affine_layers:
            values = layer.forward(values)
            result.append(values[0] if single else values)
            values = np.maximum(values, 0.0)
        return tuple(result)

    def forward(self, inputs: ArrayLike) -> FloatArray:
        """Logits :math:`x^K`, shape ``(n_K,)`` for one input and ``(batch, n_K)`` for a batch."""
        values, single = self.flat_inputs(inputs)
        for layer in self.layers[:-1]:
            values = np.maximum(layer.forward(values), 0.0)
        values = self.layers[-1].forward(values)
        return values[0] if single else values

    def predict(self, inputs: ArrayLike) -> NDArray[np.intp]:
        """Index of the largest logit of every input (the lowest index among ties)."""
        return np.asarray(np.argmax(self.forward(inputs), axis=-1), dtype=np.intp)

    def activation_pattern(self, inputs: ArrayLike) -> tuple[BoolArray, ...]:
        """Whether each hidden neuron is active (:math:`a > 0`), one array for each hidden layer."""
        return tuple(values > 0.0 for values in self.pre_activations(inputs)[:-1])

    def gradient(self, inputs: ArrayLike, weights: ArrayLike) -> FloatArray:
        r"""Gradient of :math:`w^\top x^K` with respect to the input.

        Args:
            inputs: one input or a batch.
            weights: shape ``(n_K,)``, or ``(batch, n_K)`` for a row of its own for each input.

        Returns:
            Shape ``(n_0,)`` or ``(batch, n_0)``. A neuron with pre-activation exactly zero
            counts as inactive.
        """
        batch, single = self.flat_inputs(inputs)
        rows = np.asarray(weights, dtype=np.float64)
        rows = np.broadcast_to(rows, (batch.shape[0], self.output_size))
        gradient = self.gradient_in(self.activation_pattern(batch), rows)
        return gradient[0] if single else gradient

    def gradient_in(self, pattern: Sequence[BoolArray], weights: FloatArray) -> FloatArray:
        """:meth:`gradient` for a batch whose phases are known.

        Args:
            pattern: which hidden neurons are active, shape ``(batch, n_k)`` for each hidden layer.
            weights: shape ``(batch, n_K)``.

        Returns:
            Shape ``(batch, n_0)``.
        """
        gradient = weights
        for k in range(len(self.affine_layers) - 1, -1, -1):
            gradient = self.affine_layers[k].backward(gradient)
            if k > 0:
                gradient = gradient * pattern[k - 1]
        return gradient

    def region_map(self, pattern: Sequence[BoolArray]) -> list[tuple[FloatArray, FloatArray]]:
        """The affine maps that the network is equal to on one linear region.

        Args:
            pattern: which hidden neurons are active, one array ``(n_k,)`` for each hidden layer.

        Returns:
            For every layer ``k`` a pair ``(G, h)`` with :math:`a^k = G x^0 + h` for every input
            that has this pattern; shapes ``(n_k, n_0)`` and ``(n_k,)``.
        """
        maps: list[tuple[FloatArray, FloatArray]] = []
        for k, layer in enumerate(self.affine_layers):
            if k == 0:
                maps.append((layer.matrix, layer.bias))
                continue
            slope, offset = maps[-1]
            mask = pattern[k - 1].astype(np.float64)
            maps.append(
                (
                    layer.weight @ (mask[:, None] * slope),
                    layer.weight @ (mask * offset) + layer.bias,
                )
            )
        return maps
