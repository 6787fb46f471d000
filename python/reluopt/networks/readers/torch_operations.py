"""What becomes of PyTorch's modules, functions and methods (https://pytorch.org/docs/stable/nn.html).

A module, a function and a method of the same meaning are one operation: it is told its settings by
the names that the function has for its arguments, and modules call their attributes the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeAlias

import numpy as np

from reluopt.errors import InputError, shown
from reluopt.networks.layers.windows import Pair
from reluopt.networks.readers.assembly import Assembly, Padding
from reluopt.numerics.arrays import FloatArray

Settings: TypeAlias = Mapping[str, Any]
Apply: TypeAlias = Callable[[Settings, Assembly], None]


@dataclass(frozen=True)
class Operation:
    """What a step does to the values.

    Attributes:
        apply: adds it to an assembly.
        names: of its settings, in the order of the function's arguments behind the values.
    """

    apply: Apply
    names: tuple[str, ...] = ()


def numbers(values: Any) -> FloatArray:
    """A tensor or number as an array of float64.

    Raises:
        InputError: it holds no floating-point numbers of 32 or 64 bits.
    """
    torch: Any = import_module("torch")
    if not isinstance(values, torch.Tensor):
        if isinstance(values, bool) or not isinstance(values, int | float):
            raise InputError(f"expected a tensor or a number, found {shown(values)}")
        return np.array(float(values))
    floating = values.dtype in (torch.float32, torch.float64)
    if not floating and (values.is_floating_point() or values.dim() > 0):
        raise InputError(
            f"expected float32 or float64, found {values.dtype}: convert it (module.float())"
        )
    if values.is_meta or values.is_quantized or values.layout != torch.strided:
        raise InputError("expected numbers in memory, found a tensor of another kind")
    return np.asarray(values.detach().to("cpu", torch.float64).numpy())


def _optional(values: Any) -> FloatArray | None:
    return None if values is None else numbers(values)


def _pair(name: str, values: Any) -> Pair:
    """Two whole numbers, or one for both."""
    found = (values, values) if isinstance(values, int) else tuple(values)
    if len(found) != 2:
        raise InputError(f"{name}: expected one or two numbers, found {shown(values)}")
    return int(found[0]), int(found[1])


def _usual(settings: Settings, **usual: Any) -> None:
    """Refuse another value of a setting than the one that can be represented."""
    for name, value in usual.items():
        if settings.get(name, value) != value:
            raise InputError(f"{name}: expected {value}, found {shown(settings[name])}")


def _symmetric(settings: Settings) -> Padding:
    rows, columns = _pair("padding", settings.get("padding", 0))
    return rows, columns, rows, columns


def _linear(settings: Settings, assembly: Assembly) -> None:
    if len(assembly.shape) != 1:
        raise InputError(f"expected flat values, found shape {assembly.shape}: flatten them first")
    assembly.dense(numbers(settings["weight"]), _optional(settings.get("bias")))


def _conv2d(settings: Settings, assembly: Assembly) -> None:
    _usual(settings, padding_mode="zeros")
    weight = numbers(settings["weight"])
    dilation = _pair("dilation", settings.get("dilation", 1))
    match settings.get("padding", 0):
        case "valid":
            pads: Padding = (0, 0, 0, 0)
        case "same":  # PyTorch puts what is odd behind
            total = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
            before = [each // 2 for each in total]
            pads = (*before, *(t - b for t, b in zip(total, before, strict=True)))
        case _:
            pads = _symmetric(settings)
    stride, groups = _pair("stride", settings.get("stride", 1)), int(settings.get("groups", 1))
    assembly.conv(weight, _optional(settings.get("bias")), stride, pads, dilation, groups)


def _max_pool2d(settings: Settings, assembly: Assembly) -> None:
    _usual(settings, return_indices=False)
    kernel = _pair("kernel_size", settings["kernel_size"])
    stride = _pair("stride", settings.get("stride") or kernel)
    dilation = _pair("dilation", settings.get("dilation", 1))
    ceil = bool(settings.get("ceil_mode", False))
    assembly.max_pool(kernel, stride, _symmetric(settings), dilation, ceil)


def _avg_pool2d(settings: Settings, assembly: Assembly) -> None:
    _usual(settings, divisor_override=None)
    pads, ceil = _symmetric(settings), bool(settings.get("ceil_mode", False))
    counts = bool(settings.get("count_include_pad", True))
    if ceil and counts:
        raise InputError("ceil_mode: expected False where padding counts, found True")
    kernel = _pair("kernel_size", settings["kernel_size"])
    stride = _pair("stride", settings.get("stride") or kernel)
    assembly.average_pool(kernel, stride, pads, ceil, counts)


def _adaptive_avg_pool2d(settings: Settings, assembly: Assembly) -> None:
    sides, wanted = assembly.image_shape[1:], settings["output_size"]
    rows, columns = (wanted, wanted) if isinstance(wanted, int) else tuple(wanted)
    wanted = (rows or sides[0], columns or sides[1])
    if sides[0] % wanted[0] or sides[1] % wanted[1]:
        raise InputError(f"output_size: expected divisors of {sides}, found {shown(wanted)}")
    kernel = sides[0] // wanted[0], sides[1] // wanted[1]
    assembly.average_pool(kernel, kernel)


def _batch_norm(settings: Settings, assembly: Assembly) -> None:
    _usual(settings, training=False)
    mean, variance = settings.get("running_mean"), settings.get("running_var")
    if mean is None or variance is None:
        raise InputError("expected running mean and variance, found that it keeps none")
    scale = 1.0 / np.sqrt(numbers(variance) + float(settings.get("eps", 1e-5)))
    if settings.get("weight") is not None:
        scale = scale * numbers(settings["weight"])
    shift = -scale * numbers(mean)
    if settings.get("bias") is not None:
        shift = shift + numbers(settings["bias"])
    axes = (-1, *[1] * (len(assembly.shape) - 1))
    assembly.scale(scale.reshape(axes), shift.reshape(axes))


def _pad(settings: Settings, assembly: Assembly) -> None:
    """Zeros around images: left, right, top, bottom, the last axis first."""
    _usual(settings, mode="constant")
    if (settings.get("value") or 0.0) != 0.0:
        raise InputError(f"value: expected zeros as padding, found {shown(settings['value'])}")
    pads = [int(pad) for pad in (settings.get("pad") or settings.get("padding") or ())]
    if len(pads) not in (2, 4) or min(pads) < 0:
        raise InputError(f"padding: expected two or four numbers from 0 on, found {shown(pads)}")
    left, right, top, bottom = (*pads, 0, 0)[:4]
    assembly.zero_pad((top, left, bottom, right))


def _leaky_relu(settings: Settings, assembly: Assembly) -> None:
    assembly.leaky_relu(float(settings.get("negative_slope", 0.01)))


def _permute(settings: Settings, assembly: Assembly) -> None:
    axes = [axis % (len(assembly.shape) + 1) for axis in settings["dims"]]
    if sorted(axes) != list(range(len(assembly.shape) + 1)) or axes[0] != 0:
        raise InputError(f"expected an order that keeps the batch axis, found {shown(axes)}")
    assembly.transpose(tuple(axis - 1 for axis in axes[1:]))


def _dropout(settings: Settings, assembly: Assembly) -> None:
    _usual(settings, training=False)


def nothing(settings: Settings, assembly: Assembly) -> None:
    """What changes nothing when a network answers."""


_WINDOW = ("stride", "padding")
OPERATIONS: Mapping[str, Operation] = {
    "linear": Operation(_linear, ("weight", "bias")),
    "conv2d": Operation(_conv2d, ("weight", "bias", *_WINDOW, "dilation", "groups")),
    "max_pool2d": Operation(
        _max_pool2d, ("kernel_size", *_WINDOW, "dilation", "ceil_mode", "return_indices")
    ),
    "avg_pool2d": Operation(
        _avg_pool2d,
        ("kernel_size", *_WINDOW, "ceil_mode", "count_include_pad", "divisor_override"),
    ),
    "adaptive_avg_pool2d": Operation(_adaptive_avg_pool2d, ("output_size",)),
    "batch_norm": Operation(
        _batch_norm,
        ("running_mean", "running_var", "weight", "bias", "training", "momentum", "eps"),
    ),
    "relu": Operation(lambda settings, assembly: assembly.relu(), ("inplace",)),
    "leaky_relu": Operation(_leaky_relu, ("negative_slope", "inplace")),
    "dropout": Operation(_dropout, ("p", "training", "inplace")),
    "pad": Operation(_pad, ("pad", "mode", "value")),
    "permute": Operation(_permute, ("dims",)),
    "nothing": Operation(nothing),
}
"""By the names of the functions; arithmetic and shapes are :mod:`.torch_module`'s own."""

MODULES: Mapping[str, str] = {
    "Linear": "linear",
    "Conv2d": "conv2d",
    "MaxPool2d": "max_pool2d",
    "AvgPool2d": "avg_pool2d",
    "AdaptiveAvgPool2d": "adaptive_avg_pool2d",
    "BatchNorm1d": "batch_norm",
    "BatchNorm2d": "batch_norm",
    "ReLU": "relu",
    "LeakyReLU": "leaky_relu",
    "ZeroPad2d": "pad",
    "Dropout": "nothing",
    "Dropout2d": "nothing",
    "Identity": "nothing",
}
"""Operations of modules in eval mode, by the names of their classes."""
