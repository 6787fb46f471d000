"""Architectures as texts, for tensors whose file does not say how they are put together.

Steps are separated by ``/`` or line ends::

    conv(16, 1, 4, 4) s2 p1 / conv(32, 16, 4, 4) s2 p1 / fc1568-100 / fc100-10

* ``conv(OUT, IN, ROWS, COLUMNS) sSTRIDE pPADDING``: a convolution of the tensors of this shape;
  ``psame`` pads as TensorFlow does, so that each stride has a window;
* ``fcIN-OUT``: a dense layer of the tensors of this shape;
* ``maxpoolSIZE`` and ``avgpoolSIZE`` with ``sSTRIDE pPADDING``; unless told, the stride is the
  size;
* ``leakySLOPE``: a leaky ReLU;
* ``flatten-chw`` or ``flatten-hwc``: the order in which the next dense layer reads an image,
  channels first as in PyTorch (which is meant where none is told) or last as in TensorFlow.

A ReLU follows every convolution and dense layer but the last, unless a ``leaky`` does. Images are
channels x rows x columns, as in PyTorch.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass

from reluopt.errors import InputError, shown
from reluopt.networks.layers.windows import Pair
from reluopt.networks.metadata import NetworkMetadata
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.readers.assembly import Assembly, Padding, same_padding
from reluopt.networks.readers.chain import LayerKey, numbers_of, pair_tensors, words_of
from reluopt.numerics.arrays import FloatArray

MAX_STEPS = 1_000
"""More steps than this are no architecture that anybody writes down."""


@dataclass(frozen=True, eq=False)
class Tensors:
    """Weight and bias of a layer, with the key that the names give it and the weight's name."""

    key: LayerKey
    name: str
    weight: FloatArray
    bias: FloatArray


_STEP = re.compile(
    r"(?P<kind>conv|fc|maxpool|avgpool|leaky)"
    r"(?P<sizes>\(\d+(?: *, *\d+){3}\)|\d+-\d+|\d+(?:\.\d+)?)"
    r"(?: +s(?P<stride>\d{1,9}))?(?: +p(?P<padding>\d{1,9}|same))?"
)
_FLATTEN = "flatten-"


@dataclass(frozen=True)
class Step:
    """A step of an architecture.

    Attributes:
        kind: conv, fc, maxpool, avgpool, leaky or flatten.
        sizes: of the tensor or the window.
        stride: 0 means that none was told.
        padding: on every side, None for ``same``.
        slope: of a leaky ReLU.
        order: of a flatten, chw or hwc.
        ceil: whether windows of a pool that do not fit count.
    """

    kind: str
    sizes: tuple[int, ...] = ()
    stride: int = 0
    padding: int | None = 0
    slope: float = 0.0
    order: str = ""
    ceil: bool = False


def parse_architecture(text: str) -> tuple[Step, ...]:
    """The steps of a text.

    Raises:
        InputError: a step that is none.
    """
    parts = [part.strip() for part in re.split(r"[/\n]", text) if part.strip()]
    if not 0 < len(parts) <= MAX_STEPS:
        raise InputError(f"architecture: expected 1 to {MAX_STEPS} steps, found {len(parts)}")
    return tuple(map(_step, parts))


def _step(part: str) -> Step:
    """One step of a text."""
    if part in (f"{_FLATTEN}chw", f"{_FLATTEN}hwc"):
        return Step("flatten", order=part.removeprefix(_FLATTEN))
    match = _STEP.fullmatch(part)
    sizes = () if match is None else tuple(re.findall(r"\d+(?:\.\d+)?", match["sizes"]))
    counts = {"conv": 4, "fc": 2, "maxpool": 1, "avgpool": 1, "leaky": 1}
    if match is None or len(sizes) != counts[match["kind"]] or max(map(len, sizes)) > 9:
        raise InputError(
            "architecture: expected steps such as conv(16, 1, 4, 4) s2 p1, maxpool2, leaky0.1, "
            f"flatten-hwc or fc784-10, found '{shown(part)}'"
        )
    told = [match[name] for name in ("stride", "padding") if match[name] is not None]
    still = match["stride"] is not None and int(match["stride"]) == 0
    if still or (told and match["kind"] in ("fc", "leaky")):
        raise InputError(
            "architecture: expected a stride from 1 on and a padding of windows only, found "
            f"'{shown(part)}'"
        )
    if match["kind"] == "leaky":
        return Step("leaky", slope=float(sizes[0]))
    padding = None if match["padding"] == "same" else int(match["padding"] or 0)
    numbers = tuple(int(float(size)) for size in sizes)
    return Step(match["kind"], numbers, int(match["stride"] or 0), padding)


def relu_follows(steps: tuple[Step, ...]) -> tuple[bool, ...]:
    """Whether a ReLU follows each step."""
    ends = [i for i, step in enumerate(steps) if step.kind in ("conv", "fc")]
    leaky = {i - 1 for i, step in enumerate(steps) if step.kind == "leaky"}
    return tuple(i in ends[:-1] and i not in leaky for i in range(len(steps)))


def assemble(
    steps: tuple[Step, ...],
    tensors: Mapping[str, FloatArray],
    input_shape: tuple[int, ...],
    metadata: NetworkMetadata,
) -> ReLUNetwork:
    """The network of an architecture and the tensors of its layers.

    Args:
        steps: the architecture.
        tensors: weight and bias of each layer, by the names that :mod:`.chain` knows. A step takes
            those of its shape, in the order of the numbers in their names, 2 before 10.
        input_shape: channels, rows and columns, or the number of inputs.
        metadata: of the network.

    Raises:
        InputError: tensors and steps do not fit.
    """
    pairs = _pairs(tensors)
    assembly = Assembly(input_shape)
    for i, (step, relu) in enumerate(zip(steps, relu_follows(steps), strict=True)):
        try:
            _add(step, assembly, pairs)
        except InputError as error:
            raise InputError(f"architecture, step {i + 1} ({step.kind}): {error}") from error
        if relu:
            assembly.relu()
    if pairs:
        raise InputError(f"tensor '{shown(pairs[0].name)}': expected a step for it, found none")
    return assembly.finish(metadata)


def _add(step: Step, assembly: Assembly, pairs: list[Tensors]) -> None:
    """Add one step; what it takes leaves ``pairs``."""
    if step.kind == "leaky":
        assembly.leaky_relu(step.slope)
        return
    if step.kind == "flatten":
        _flatten(step, assembly)
        return
    length = step.stride or (1 if step.kind == "conv" else step.sizes[0])
    stride = length, length
    kernel = (step.sizes[-2] if step.kind == "conv" else step.sizes[0], step.sizes[-1])
    if step.kind.endswith("pool"):
        pads = _padding(step, kernel, stride, assembly)
        pool = assembly.max_pool if step.kind == "maxpool" else assembly.average_pool
        pool(kernel, stride, pads, ceil=step.ceil)
        return
    taken = _take(step.sizes if step.kind == "conv" else step.sizes[::-1], pairs)
    if step.kind == "conv":
        pads = _padding(step, kernel, stride, assembly)
        assembly.conv(taken.weight, taken.bias, stride, pads)
    else:
        assembly.reshape((assembly.size,))
        assembly.dense(taken.weight, taken.bias)


def _padding(step: Step, kernel: Pair, stride: Pair, assembly: Assembly) -> Padding:
    if step.padding is None:
        return same_padding(assembly.image_shape, kernel, stride)
    return (step.padding,) * 4


def _flatten(step: Step, assembly: Assembly) -> None:
    """Values of an image in the order that the next dense layer reads."""
    channels, rows, columns = assembly.image_shape
    if step.order == "hwc" and channels > 1 and rows * columns > 1:
        assembly.transpose((1, 2, 0))
    assembly.reshape((assembly.size,))


def _take(shape: tuple[int, ...], pairs: list[Tensors]) -> Tensors:
    """The first layer of a shape by the numbers in the names; it leaves ``pairs``.

    Raises:
        InputError: none has the shape, or several do whose names have no order.
    """
    fitting = [pair for pair in pairs if pair.weight.shape == shape]
    if not fitting:
        left = ", ".join(f"{shown(pair.name)} {pair.weight.shape}" for pair in pairs[:5])
        raise InputError(f"expected a weight of shape {shape}, found {left or 'none left'}")
    if len({words_of(pair.key) for pair in fitting}) > 1:
        names = " or ".join(shown(pair.name) for pair in fitting[:5])
        raise InputError(
            f"expected one weight of shape {shape}, found {names}; number the names in the order "
            "of the layers"
        )
    taken = min(fitting, key=lambda pair: numbers_of(pair.key))
    pairs.remove(taken)
    return taken


def _pairs(tensors: Mapping[str, FloatArray]) -> list[Tensors]:
    """The layers that the tensors make."""
    shapes = {name: array.shape for name, array in tensors.items()}
    return [
        Tensors(key, weight, tensors[weight], tensors[bias])
        for key, (weight, bias) in pair_tensors(shapes, convolutions=True).items()
    ]


def input_shape_of(steps: tuple[Step, ...], told: tuple[int, ...] | None = None) -> tuple[int, ...]:
    """The inputs of an architecture: their number, or images that fit its dense layer.

    Args:
        steps: the architecture.
        told: what else is known: rows and columns, perhaps behind channels.

    Raises:
        InputError: no side of square images fits, or several do and none is told.
    """
    first = steps[0]
    if first.kind == "fc":
        return (first.sizes[0],)
    if told is not None and len(told) in (2, 3):
        return told if len(told) == 3 else (1, *told)
    sides = _image_sides(steps)
    if first.kind != "conv" or len(sides) != 1:
        found = " or ".join(f"{side} x {side}" for side in sides) or "none that fit"
        raise InputError(
            f"input_shape: expected rows and columns of the images, which the steps leave open: "
            f"found {found}"
        )
    return first.sizes[1], sides[0], sides[0]


LARGEST_SIDE = 512
"""Of square images whose side is looked for."""


def _image_sides(steps: tuple[Step, ...]) -> list[int]:
    """Sides of square images of which as much reaches the first dense layer as it takes."""
    before = list(itertools.takewhile(lambda step: step.kind != "fc", steps))
    dense = next((step for step in steps if step.kind == "fc"), None)
    if dense is None:
        return []
    channels = [step.sizes[0] for step in before if step.kind == "conv"][-1:] or [0]
    return [
        side
        for side in range(1, LARGEST_SIDE + 1)
        if channels[0] * _side_after(before, side) ** 2 == dense.sizes[0]
    ]


def _side_after(steps: list[Step], side: int) -> int:
    """The side of what is left of square images, 0 when nothing is."""
    for step in steps:
        if step.kind in ("conv", "maxpool", "avgpool") and side > 0:
            kernel = step.sizes[2] if step.kind == "conv" else step.sizes[0]
            stride = step.stride or (1 if step.kind == "conv" else step.sizes[0])
            if step.padding is None:
                side = -(-side // stride)
                continue
            room = side + 2 * step.padding - kernel
            side = max(0, (-(-room // stride) if step.ceil else room // stride) + 1)
    return side
