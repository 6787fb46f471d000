"""Putting networks together: what small sources can claim is bounded."""

import numpy as np
import pytest

from reluopt.errors import InputError
from reluopt.networks.metadata import NetworkMetadata
from reluopt.networks.readers.assembly import Assembly, same_padding


@pytest.mark.parametrize("sign", "+-*/")
@pytest.mark.parametrize("first", [True, False])
def test_arithmetic_with_a_constant(sign, first):
    values, constant = np.array([[1.0, -2.0, 3.0]]), np.array([[2.0, 4.0, -8.0]])
    functions = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide}
    assembly = Assembly((3,))
    if sign == "/" and not first:
        with pytest.raises(InputError, match="expected a division by a constant"):
            assembly.combine(sign, constant, first)
        return
    assembly.combine(sign, constant, first)
    network = assembly.finish(NetworkMetadata())
    expected = functions[sign](*((values, constant) if first else (constant, values)))
    np.testing.assert_array_equal(network.forward(values), expected)


def test_zeros_around_an_image():
    assembly = Assembly((2, 2, 3))
    assembly.zero_pad((1, 0, 2, 3))
    image = np.arange(12.0).reshape(2, 2, 3)
    expected = np.pad(image, ((0, 0), (1, 2), (0, 3)))
    found = assembly.finish(NetworkMetadata()).forward(image.ravel())
    np.testing.assert_array_equal(found, expected.ravel())


@pytest.mark.parametrize(
    ("side", "kernel", "stride", "dilation", "expected"),
    [(5, 3, 1, 1, (1, 1)), (6, 3, 2, 1, (0, 1)), (5, 2, 3, 1, (0, 0)), (7, 3, 1, 2, (2, 2)),
     (4, 4, 1, 1, (1, 2)), (28, 4, 2, 1, (1, 1))],
)  # fmt: skip
def test_same_padding_is_that_of_tensorflow(side, kernel, stride, dilation, expected):
    pads = same_padding((1, side, side), *((n, n) for n in (kernel, stride, dilation)))
    assert (pads[0], pads[2]) == expected == (pads[1], pads[3])


def repeat(step, count):
    def apply(assembly):
        for _ in range(count):
            step(assembly)

    return apply


@pytest.mark.parametrize(
    ("shape", "steps", "message"),
    [
        ((3, 2000, 2000), lambda a: None, "expected at most 2097152 values"),
        (
            (1, 1000, 1000),
            lambda a: a.zero_pad((2000, 2000, 2000, 2000)),
            "at most 16777216 entries",
        ),
        ((1, 1400, 1400), lambda a: a.zero_pad((0, 0, 200, 0)), "at most 2097152 values"),
        ((1, 1000, 1000), repeat(lambda a: a.scale(2.0, 1.0), 20), "scales and orders of at most"),
        ((2, 1000, 1000), repeat(lambda a: a.transpose((0, 2, 1)), 20), "scales and orders of at"),
        ((2000000,), repeat(lambda a: a.relu(), 20), "scales and orders of at most"),
        ((1, 1000, 1000), lambda a: a.max_pool((8, 8), (1, 1)), "entries of windows"),
    ],
)
def test_claims_are_bounded(shape, steps, message):
    with pytest.raises(InputError, match=message):
        steps(Assembly(shape))


def test_nothing_stands_behind_a_softmax():
    assembly = Assembly((3,))
    assembly.softmax()
    assembly.reshape((3, 1))
    for step in (assembly.relu, assembly.softmax, lambda: assembly.scale(2.0, 0.0)):
        with pytest.raises(InputError, match="expected nothing behind the softmax"):
            step()
