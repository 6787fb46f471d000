r"""The (x, s, z) constraints of a ReLU network (Grimstad & Andersson 2019, equation 5).

For a hidden layer with pre-activation bounds :math:`L \le a \le U`

.. math:: W x^{k-1} + b = x - s, \quad 0 \le x \le U z, \quad 0 \le s \le -L (1 - z),
          \quad z \in \{0, 1\},

so that :math:`x = \max(0, a)` and :math:`s = \max(0, -a)`. A *stable* neuron needs no binary: for
:math:`L \ge 0` it is the row :math:`a = x`, for :math:`U \le 0` it is no variable at all.

:func:`add_network` with ``keep_all=True`` writes the thesis' model: every neuron gets x, s and z,
stable or not, the output layer too (its s is fixed at zero and its x is free, because logits may
be negative).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from reluopt.bounds.base import PreActivationBounds
from reluopt.formulation.inputs import InputEncoding
from reluopt.formulation.program import IndexArray, ProgramBuilder
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import BoolArray, FloatArray

ABSENT = -1
"""Marks a neuron without a variable in :class:`EncodedLayer`."""


@dataclass(frozen=True, eq=False)
class EncodedLayer:
    """Variables of one layer; entries are ``ABSENT`` where a neuron has none.

    Attributes:
        x, s, z: shape ``(n_k,)``, indices into the program's variables.
        always_active: neurons known to be active (``L >= 0``).
    """

    x: IndexArray
    s: IndexArray
    z: IndexArray
    always_active: BoolArray


@dataclass(frozen=True, eq=False)
class EncodedNetwork:
    """Where a network's variables stand in a program.

    Attributes:
        network: the network.
        input: how the input enters.
        layers: K encoded layers, the logits last.
    """

    network: ReLUNetwork
    input: InputEncoding
    layers: tuple[EncodedLayer, ...]

    @property
    def logits(self) -> IndexArray:
        """Variables of the logits, shape ``(n_K,)``."""
        return self.layers[-1].x

    def point(self, values: FloatArray) -> FloatArray:
        """The input that program values describe."""
        return self.input.point(values)

    def pattern(self, values: FloatArray) -> tuple[BoolArray, ...]:
        """Phases of the hidden neurons by their rounded binaries (or by their stability)."""
        patterns = []
        for layer in self.layers[:-1]:
            active = layer.always_active.copy()
            has = layer.z != ABSENT
            active[has] = values[layer.z[has]] >= 0.5
            patterns.append(active)
        return tuple(patterns)

    def assign(self, size: int, point: FloatArray) -> FloatArray:
        """Values of all network variables for the input ``point``, by a forward pass.

        Args:
            size: number of variables of the program.
            point: shape ``(n_0,)``.

        Returns:
            Shape ``(size,)``; variables that do not belong to the network or its input are 0.
        """
        values = np.zeros(size)
        self.input.assign(values, point)
        pre_activations = self.network.pre_activations(point)
        for k, (layer, a) in enumerate(zip(self.layers, pre_activations, strict=True)):
            last = k == len(self.layers) - 1
            parts = (
                (layer.x, a if last else np.maximum(a, 0.0)),
                (layer.s, np.zeros_like(a) if last else np.maximum(-a, 0.0)),
                (layer.z, (a > 0.0).astype(np.float64)),
            )
            for columns, numbers in parts:
                has = columns != ABSENT
                values[columns[has]] = numbers[has]
        return values


def add_network(
    builder: ProgramBuilder,
    network: ReLUNetwork,
    input_encoding: InputEncoding,
    bounds: PreActivationBounds,
    *,
    keep_all: bool = False,
) -> EncodedNetwork:
    """Add all layers of ``network`` to a program.

    Args:
        builder: the program.
        network: the network.
        input_encoding: how its input enters the program.
        bounds: valid pre-activation bounds; they become the big-M constants.
        keep_all: write x, s, z for every neuron, the thesis' way.
    """
    encoded: list[EncodedLayer] = []
    for k, layer in enumerate(network.affine_layers):
        lower, upper = bounds.lower[k], bounds.upper[k]
        if k == 0:
            slope = sp.csr_array(layer.weight @ input_encoding.matrix)
            columns = input_encoding.columns
            offset = layer.weight @ input_encoding.base + layer.bias
        else:
            present = encoded[-1].x != ABSENT
            slope = sp.csr_array(layer.weight[:, present])
            columns, offset = encoded[-1].x[present], layer.bias
        affine = (slope, columns, offset)
        if k == len(network.affine_layers) - 1:
            encoded.append(_add_output(builder, affine, lower, upper, keep_all))
        else:
            encoded.append(_add_hidden(builder, affine, lower, upper, keep_all))
    return EncodedNetwork(network, input_encoding, tuple(encoded))


_Affine = tuple[sp.csr_array, IndexArray, FloatArray]


def _add_hidden(
    builder: ProgramBuilder, affine: _Affine, lower: FloatArray, upper: FloatArray, keep_all: bool
) -> EncodedLayer:
    """One hidden layer; see the module's docstring."""
    count = lower.size
    unstable = np.ones(count, dtype=np.bool_) if keep_all else (lower < 0.0) & (upper > 0.0)
    active = (lower >= 0.0) & ~unstable
    x, s, z = (np.full(count, ABSENT, dtype=np.intp) for _ in range(3))
    x_lower = np.where(active, lower, 0.0)
    present = unstable | active
    x[present] = builder.add_variables(x_lower[present], np.maximum(upper, 0.0)[present])
    s[unstable] = builder.add_variables(0.0 * lower[unstable], np.maximum(-lower, 0.0)[unstable])
    z[unstable] = builder.add_variables(
        np.zeros(count)[unstable], np.ones(count)[unstable], binary=True
    )
    _add_affine_rows(builder, affine, x, s)
    _add_big_m_rows(builder, x[unstable], s[unstable], z[unstable], lower, upper, unstable)
    return EncodedLayer(x, s, z, active)


def _add_output(
    builder: ProgramBuilder, affine: _Affine, lower: FloatArray, upper: FloatArray, keep_all: bool
) -> EncodedLayer:
    """The logits: free variables, with idle s and z in the thesis' model."""
    count = lower.size
    x = builder.add_variables(lower, upper)
    s, z = (np.full(count, ABSENT, dtype=np.intp) for _ in range(2))
    if keep_all:
        s = builder.add_variables(np.zeros(count), np.zeros(count))
        z = builder.add_variables(np.zeros(count), np.ones(count), binary=True)
        _add_big_m_rows(builder, x, s, z, lower, upper, np.ones(count, dtype=np.bool_))
    _add_affine_rows(builder, affine, x, s)
    return EncodedLayer(x, s, z, np.zeros(count, dtype=np.bool_))


def _add_affine_rows(
    builder: ProgramBuilder, affine: _Affine, x: IndexArray, s: IndexArray
) -> None:
    """``slope @ v - x + s = -offset`` for every neuron that has an x."""
    slope, columns, offset = affine
    present, slack = x != ABSENT, s != ABSENT
    if not present.any():
        return
    eye = sp.csr_array(sp.eye_array(x.size))
    terms = [(slope[present], columns), (-eye[present][:, present], x[present])]
    if slack.any():
        terms.append((eye[present][:, slack], s[slack]))
    builder.add_rows(terms, -offset[present], -offset[present])


def _add_big_m_rows(
    builder: ProgramBuilder,
    x: IndexArray,
    s: IndexArray,
    z: IndexArray,
    lower: FloatArray,
    upper: FloatArray,
    mask: BoolArray,
) -> None:
    """``x <= U z`` and ``s <= -L (1 - z)``."""
    if not x.size:
        return
    eye = sp.csr_array(sp.eye_array(x.size))
    big_upper, big_lower = np.maximum(upper[mask], 0.0), np.maximum(-lower[mask], 0.0)
    builder.add_rows([(eye, x), (sp.csr_array(sp.diags_array(-big_upper)), z)], -np.inf, 0.0)
    builder.add_rows([(eye, s), (sp.csr_array(sp.diags_array(big_lower)), z)], -np.inf, big_lower)
