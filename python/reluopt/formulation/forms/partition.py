r"""Partition-based formulations (Tsay, Kronqvist, Thebelt and Misener, NeurIPS 2021, eqs. 19-23).

The inputs of a neuron :math:`a = w^\top x + b` are split into parts :math:`S_1, \dots, S_N`. Each
part has a copy :math:`u_n` that is its value where the neuron is active, else zero: with bounds
:math:`l_n \le \sum_{i \in S_n} w_i x_i \le h_n`,

.. math:: y = \sum_n u_n + b z, \quad l_n z \le u_n \le h_n z, \quad
          l_n (1 - z) \le \sum_{i \in S_n} w_i x_i - u_n \le h_n (1 - z)

(z = 1 is active, where the paper's :math:`\sigma` is inactive). With one part this is the big-M
program, with one for each input the convex hull of the neuron over the box of its inputs. The rows
of :class:`~reluopt.formulation.forms.bigm.BigM` stay, so that nothing is lost where pre-activation
bounds are tighter than those of the parts; the copy of a neuron's last part is no variable.

*Inputs* are the variables of a neuron's row: an input whose change has two parts, up and down
(:mod:`reluopt.questions.norms.parts`), counts as two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeAlias

import numpy as np
import scipy.sparse as sp

from reluopt.errors import InputError
from reluopt.formulation.base import EncodedLayer
from reluopt.formulation.forms.bigm import BigM
from reluopt.formulation.parts import PartEnds, interval_ends
from reluopt.formulation.stages import Form
from reluopt.numerics.arrays import FloatArray
from reluopt.numerics.linear_programs import IndexArray, ProgramBuilder

Strategy: TypeAlias = Callable[[FloatArray, int], Sequence[IndexArray]]
"""Splits weights, shape ``(n,)``, into at most so many parts: places of the weights of each."""

TAILS = 0.05
"""Share of the weights in either outermost part of equal ranges, as published."""

DRAWS = 1
"""Seed of random parts."""


def equal_size(weights: FloatArray, parts: int) -> Sequence[IndexArray]:
    """As many weights in each part, the smallest in the first."""
    return np.array_split(np.argsort(weights, kind="stable"), parts)


def equal_range(weights: FloatArray, parts: int) -> Sequence[IndexArray]:
    """The tails beyond the 5 % quantiles, and between them intervals of the same length.

    For fewer than three parts there is nothing between; they are of equal size then.
    """
    if parts < 3:
        return equal_size(weights, parts)
    low, high = np.quantile(weights, [TAILS, 1.0 - TAILS])
    ends = np.linspace(low, high, parts - 1)
    where = np.searchsorted(ends, weights, side="right")
    return [np.flatnonzero(where == part) for part in range(parts)]


def random(weights: FloatArray, parts: int) -> Sequence[IndexArray]:
    """A part drawn for each weight."""
    where = np.random.default_rng(DRAWS).integers(parts, size=weights.size)
    return [np.flatnonzero(where == part) for part in range(parts)]


def uneven(weights: FloatArray, parts: int) -> Sequence[IndexArray]:
    """Large and small magnitudes in each part: dealt out in turn, back and forth."""
    turn = np.concatenate([np.arange(parts), np.arange(parts)[::-1]])
    where = np.resize(turn, weights.size)
    order = np.argsort(-np.abs(weights), kind="stable")
    return [order[where == part] for part in range(parts)]


@dataclass(frozen=True, eq=False, kw_only=True)
class EncodedParts(EncodedLayer):
    """A layer with copies of parts.

    Attributes:
        copies: their variables, shape ``(copies,)``.
        owners: the neuron of each.
        forms: the parts as forms of variables, shape ``(copies, len(columns))``.
        columns: the variables.
    """

    copies: IndexArray
    owners: IndexArray
    forms: sp.csr_array
    columns: IndexArray

    def assign(self, values: FloatArray, before: FloatArray, after: FloatArray) -> None:
        """Set the variables; those of earlier stages stand in ``values`` already."""
        super().assign(values, before, after)
        active = before[self.owners] > 0.0
        values[self.copies] = np.where(active, self.forms @ values[self.columns], 0.0)


class Partition(BigM):
    """The inputs of every neuron in parts.

    Args:
        parts: how many, >= 1, or None for one for each input: the convex hull of each neuron.
        strategy: how weights are split.
        part_ends: how parts are bounded.

    Raises:
        InputError: no parts.
    """

    def __init__(
        self,
        parts: int | None,
        strategy: Strategy = equal_size,
        part_ends: PartEnds = interval_ends,
    ) -> None:
        if parts is not None and parts < 1:
            raise InputError(f"parts: expected at least 1, found {parts}")
        self.parts, self.strategy, self.part_ends = parts, strategy, part_ends
        words = ["partition", "all" if parts is None else str(parts)]
        if strategy is not equal_size:
            words.append(strategy.__name__.replace("_", "-"))
        if part_ends is not interval_ends:
            words.append(part_ends.__name__.removesuffix("_ends"))
        self.name = "-".join(words)

    def add_hidden(
        self, builder: ProgramBuilder, affine: Form, lower: FloatArray, upper: FloatArray
    ) -> EncodedLayer:
        slope, columns, offset = affine
        owners, forms = self._split(slope, np.flatnonzero((lower < 0.0) & (upper > 0.0)))
        ends = self.part_ends(builder, forms, columns)
        layer = super().add_hidden(builder, affine, lower, upper)
        if not owners.size:
            return layer
        last = np.append(owners[1:] != owners[:-1], True)
        free = np.flatnonzero(np.logical_not(last))
        copies = builder.add_variables(
            np.minimum(ends[0][free], 0.0), np.maximum(ends[1][free], 0.0)
        )
        held = _copies_of(layer, owners, offset, copies, last)
        _add_rows(builder, (forms, columns), ends, held, layer.z[owners])
        return EncodedParts(
            **vars(layer),
            copies=copies,
            owners=owners[free],
            forms=forms[free],
            columns=columns,
        )

    def _split(self, slope: sp.csr_array, neurons: IndexArray) -> tuple[IndexArray, sp.csr_array]:
        """The neuron of each part, and the parts as forms; none of neurons of a single part."""
        owners, data, places, sizes = [], [], [], [0]
        for neuron in neurons:
            row = slope[[neuron]]
            count = row.data.size if self.parts is None else self.parts
            groups = self.strategy(row.data, count) if count > 1 else []
            groups = [group for group in groups if group.size]
            for group in groups if len(groups) > 1 else []:
                owners.append(neuron)
                data.append(row.data[group])
                places.append(row.indices[group])
                sizes.append(group.size)
        empty = np.zeros(0)
        entries = np.concatenate([*data, empty]), np.concatenate([*places, empty]).astype(np.intp)
        shape = len(owners), slope.shape[1]
        forms = sp.csr_array((*entries, list(accumulate(sizes))), shape=shape)
        return np.array(owners, dtype=np.intp), forms


def _copies_of(
    layer: EncodedLayer,
    owners: IndexArray,
    offset: FloatArray,
    copies: IndexArray,
    last: FloatArray,
) -> list[tuple[sp.csr_array, IndexArray]]:
    """Terms of the copy of each part: a variable, or for a neuron's last part the rest of it."""
    count = owners.size
    free, ends = np.flatnonzero(np.logical_not(last)), np.flatnonzero(last)
    rest = ends[np.searchsorted(ends, free)]  # the last part beside each of the others
    ones, numbers = np.ones(free.size), np.arange(free.size)
    rows, entries = np.concatenate([free, rest]), np.concatenate([ones, -ones])
    held = sp.csr_array((entries, (rows, np.tile(numbers, 2))), shape=(count, free.size))
    place = ends, np.arange(ends.size)
    whole = sp.csr_array((np.ones(ends.size), place), shape=(count, ends.size))
    bias = sp.csr_array((-offset[owners[ends]], place), shape=(count, ends.size))
    return [(held, copies), (whole, layer.x[owners[ends]]), (bias, layer.z[owners[ends]])]


def _add_rows(
    builder: ProgramBuilder,
    parts: tuple[sp.csr_array, IndexArray],
    ends: tuple[FloatArray, FloatArray],
    held: list[tuple[sp.csr_array, IndexArray]],
    z: IndexArray,
) -> None:
    """``l z <= u <= h z`` and ``l (1 - z) <= part - u <= h (1 - z)``."""
    negative = [(-matrix, columns) for matrix, columns in held]
    for end, (low, high) in zip(ends, ((0.0, np.inf), (-np.inf, 0.0)), strict=True):
        scale = sp.csr_array(sp.diags_array(end))
        builder.add_rows([*held, (-scale, z)], low, high)
        builder.add_rows([parts, *negative, (scale, z)], low + end, high + end)


def two_parts() -> Partition:
    """``partition-2``."""
    return Partition(2)


def four_parts() -> Partition:
    """``partition-4``."""
    return Partition(4)
