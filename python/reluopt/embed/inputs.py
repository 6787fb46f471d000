"""What people give as inputs of a network: their variables, linear expressions of them, numbers."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, ValuesView
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from reluopt.embed.packages.base import Package, Terms
from reluopt.errors import InputError, shown
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.input_sets import Box

if TYPE_CHECKING:
    import scipy.sparse as sp

ROOM = 1e-12
"""Relative room for the rounding of an expression's bounds."""


def arranged(given: Any) -> Any:
    """Variables as an array of objects in the shape that they were given in.

    Lists of any depth, arrays, matrix variables of gurobipy and pyscipopt, and what has values by
    key: dictionaries, tupledicts, and indexed variables of Pyomo; series of pandas; generators and
    the values of a dictionary.

    Raises:
        InputError: lists of different lengths stand side by side.
    """
    if hasattr(given, "to_numpy"):
        given = given.to_numpy()
    if callable(getattr(given, "values", None)):
        given = list(given.values())
    elif isinstance(given, Iterator | ValuesView):
        given = list(given)
    elif hasattr(given, "item") and hasattr(given, "shape") and not isinstance(given, np.ndarray):
        entries = [given[place].item() for place in np.ndindex(given.shape)]
        return _array(entries).reshape(given.shape)
    leaves: list[Any] = []
    shape = _shape(given, leaves)
    return _array(leaves).reshape(shape)


def _array(entries: list[Any]) -> Any:
    """A vector of objects, whatever numpy would make of them."""
    array = np.empty(len(entries), dtype=object)
    for place, entry in enumerate(entries):
        array[place] = entry
    return array


def _shape(given: Any, leaves: list[Any]) -> tuple[int, ...]:
    """Shape of nested lists, whose entries are added to ``leaves``."""
    if isinstance(given, np.ndarray):
        leaves.extend(np.asarray(given, dtype=object).ravel().tolist())
        return tuple(given.shape)
    if not isinstance(given, list | tuple):
        leaves.append(given)
        return ()
    shapes = {_shape(each, leaves) for each in given}
    if len(shapes) > 1:
        raise InputError(f"inputs: expected rows of one length, found {shown(sorted(shapes))}")
    return (len(given), *shapes.pop()) if shapes else (0,)


@dataclass(frozen=True, eq=False)
class Entries:
    """Inputs ``matrix @ variables + constant`` of a network.

    Attributes:
        variables: each once, m of them.
        matrix: CSR of shape ``(n_0, m)``.
        constant: shape ``(n_0,)``.
        box: what the bounds of the variables leave of the inputs.
    """

    variables: list[Any]
    matrix: sp.csr_array
    constant: FloatArray
    box: Box


def read_entries(package: Package, network: ReLUNetwork, given: Any) -> Entries:
    """Inputs, an array of objects, in the order in which the network reads them.

    Raises:
        InputError: they do not fit the network, are not linear, belong to another model, or a
            variable has no finite bounds.
    """
    import scipy.sparse as sp

    forms = [_terms(package, i, entry) for i, entry in enumerate(_in_order(network, given))]
    columns: dict[Hashable, int] = {}
    variables: list[Any] = []
    rows, places, factors = [], [], []
    for row, (terms, _) in enumerate(forms):
        for variable, factor in terms:
            key = package.key(variable)
            if key not in columns:
                columns[key] = len(variables)
                variables.append(variable)
            rows.append(row)
            places.append(columns[key])
            factors.append(float(factor))
    ends = [_ends(package, variable) for variable in variables]
    shape = len(forms), len(variables)
    matrix = sp.csr_array((factors, (rows, places)), shape=shape, dtype=np.float64)
    constant = np.array([float(number) for _, number in forms])
    lower, upper = np.array(ends, dtype=np.float64).reshape(-1, 2).T
    box = _box_of(matrix, constant, Box(lower, upper))
    return Entries(variables, matrix, constant, box)


def _in_order(network: ReLUNetwork, given: Any) -> list[Any]:
    """The entries as the network reads them: in its shape, flat, or with channels at the end."""
    shape, seen = given.shape, network.input_shape
    if given.size == network.input_size:
        sides = tuple(side for side in shape if side > 1)
        if len(sides) < 2 or sides == tuple(side for side in seen if side > 1):
            return list(given.ravel())
        if len(seen) == 3 and shape == (*seen[1:], seen[0]):
            return list(np.moveaxis(given, -1, 0).ravel())
    raise InputError(f"inputs: expected shape {seen} ({network.input_size} entries), found {shape}")


def _terms(package: Package, place: int, entry: Any) -> Terms:
    if isinstance(entry, Real) and math.isfinite(entry):
        return [], float(entry)
    found = package.terms(entry)
    if found is None:
        what = repr(entry) if isinstance(entry, Real | str) else type(entry).__name__
        raise InputError(
            f"inputs: entry {place}: expected a variable, a linear expression or a finite number, "
            f"found {shown(what)}"
        )
    for variable, _ in found[0]:
        if not package.owns(variable):
            raise InputError(
                f"inputs: entry {place}: expected variables of this model, found one of another"
            )
    return found


def _ends(package: Package, variable: Any) -> tuple[float, float]:
    """Bounds of a variable, or an InputError that names it where they are not finite."""
    lower, upper = package.ends(variable)
    if math.isfinite(lower) and math.isfinite(upper) and lower <= upper:
        return lower, upper
    raise InputError(
        f"inputs: expected finite bounds of all, from which those of neurons follow, found "
        f"[{lower:g}, {upper:g}] of variable {shown(package.label(variable))}"
    )


def _box_of(matrix: sp.csr_array, constant: FloatArray, box: Box) -> Box:
    """What linear expressions of variables in a box can be, rounded outward."""
    above, below = matrix.maximum(0.0), matrix.minimum(0.0)
    lower = above @ box.lower + below @ box.upper + constant
    upper = above @ box.upper + below @ box.lower + constant
    size = abs(matrix) @ np.maximum(abs(box.lower), abs(box.upper)) + abs(constant)
    alone = (np.diff(matrix.indptr) <= 1) & (constant == 0.0) & np.isin(matrix.sum(axis=1), (0, 1))
    room = np.where(alone, 0.0, ROOM * size)
    return Box(lower - room, upper + room)
