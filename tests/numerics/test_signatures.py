"""Signatures are read from annotations."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from numba import typeof, types

from reluopt.numerics.arrays import FloatArray, FloatMatrix
from reluopt.numerics.signatures import signature_of


class Both(NamedTuple):
    matrix: FloatMatrix
    values: FloatArray
    count: int


class Alike(NamedTuple):
    first: FloatArray
    second: FloatArray


def test_every_kind_of_argument():
    def function(both: Both, alike: Alike, flag: bool, share: float, count: int) -> None: ...

    signature = signature_of(function)
    both = Both(np.ones((2, 2)), np.ones(2), 3)
    arguments = (both, Alike(np.ones(1), np.ones(1)), True, 0.5, 2)
    assert signature.args == tuple(typeof(each) for each in arguments)
    assert signature.return_type == types.none


@pytest.mark.parametrize(
    ("returns", "value"), [("tuple[float, int]", (0.5, 1)), ("tuple[float, float]", (0.5, 1.0))]
)
def test_tuples_are_returned(returns, value):
    def function() -> None: ...

    function.__annotations__["return"] = returns
    assert signature_of(function).return_type == typeof(value)


def test_missing_and_unknown_annotations_are_refused():
    def bare(x, y: float) -> float: ...

    def strange(x: list[float]) -> float: ...

    for function in (bare, strange):
        with pytest.raises(TypeError, match=f"{function.__name__}: expected annotations"):
            signature_of(function)
