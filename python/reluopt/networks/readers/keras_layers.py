"""What becomes of Keras's layers (https://keras.io/api/layers).

Keras keeps images as rows x columns x channels, an assembly as channels x rows x columns. Only what
changes the number of axes (``Flatten``, ``Reshape``) sees the difference, and puts the values into
another order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from reluopt.errors import InputError, shown
from reluopt.networks.layers.windows import Pair
from reluopt.networks.readers.assembly import Assembly, Padding, same_padding
from reluopt.numerics.arrays import FloatArray

Apply: TypeAlias = Callable[[Any, Assembly], None]
"""Adds a layer of Keras, which is built, to an assembly."""

_LEAST_DEVIATION = 1e-7
"""Deviations that ``Normalization`` divides by are at least ``keras.config.epsilon()``."""


def numbers(values: Any) -> FloatArray:
    """A variable, tensor, list or number as an array of float64."""
    if hasattr(values, "numpy"):
        values = values.numpy()
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    found = np.asarray(values)
    if found.dtype.kind not in "fiu":
        raise InputError(f"expected numbers, found {found.dtype}")
    return found.astype(np.float64)


def _optional(values: Any) -> FloatArray | None:
    return None if values is None else numbers(values)


def _refuse_unless(layer: Any, **usual: Any) -> None:
    """Refuse another value of an attribute than the one that can be represented."""
    for name, value in usual.items():
        found = getattr(layer, name, value)
        if found != value:
            raise InputError(f"{name}: expected {value}, found {shown(found)}")


def _of_channels(values: FloatArray, assembly: Assembly) -> FloatArray:
    """Numbers for each channel, or one for all, as they are broadcast to the present values."""
    flat = values.ravel()
    return flat.reshape(-1, 1, 1) if len(assembly.shape) == 3 else flat


def _axis(layer: Any, assembly: Assembly) -> None:
    """Refuse another axis than the last one."""
    axes = layer.axis if isinstance(layer.axis, tuple | list) else (layer.axis,)
    if list(axes) not in ([-1], [len(assembly.shape)]):
        raise InputError(f"axis: expected -1, the channels, found {shown(axes)}")


def _padding(layer: Any, kernel: Pair, stride: Pair, dilation: Pair, assembly: Assembly) -> Padding:
    """Zeros around an image."""
    _refuse_unless(layer, data_format="channels_last")
    if layer.padding == "valid":
        return 0, 0, 0, 0
    if layer.padding != "same":
        raise InputError(f"padding: expected valid or same, found {shown(layer.padding)}")
    return same_padding(assembly.image_shape, kernel, stride, dilation)


def _pair(values: Any) -> Pair:
    rows, columns = (values, values) if isinstance(values, int) else values
    return int(rows), int(columns)


def _activation(layer: Any, assembly: Assembly) -> None:
    """The activation of a layer, or an ``Activation`` layer."""
    name = getattr(layer.activation, "__name__", shown(layer.activation))
    if name not in ACTIVATIONS:
        raise InputError(f"activation: expected one of {', '.join(ACTIVATIONS)}, found {name}")
    ACTIVATIONS[name](assembly)


def _dense(layer: Any, assembly: Assembly) -> None:
    if len(assembly.shape) != 1:
        raise InputError(f"expected flat values, found {assembly.shape}: put a Flatten before it")
    assembly.dense(numbers(layer.kernel).T, _optional(layer.bias))
    _activation(layer, assembly)


def _conv2d(layer: Any, assembly: Assembly) -> None:
    weight = numbers(layer.kernel).transpose(3, 2, 0, 1)
    kernel = weight.shape[2], weight.shape[3]
    stride, dilation = _pair(layer.strides), _pair(layer.dilation_rate)
    padding = _padding(layer, kernel, stride, dilation, assembly)
    assembly.conv(weight, _optional(layer.bias), stride, padding, dilation, int(layer.groups))
    _activation(layer, assembly)


def _pool(average: bool) -> Apply:
    def apply(layer: Any, assembly: Assembly) -> None:
        kernel, stride = _pair(layer.pool_size), _pair(layer.strides)
        padding = _padding(layer, kernel, stride, (1, 1), assembly)
        if average and padding[:2] != padding[2:]:
            raise InputError(
                "padding: expected the same number of rows and columns on both sides, found "
                f"{padding}, of which Keras's backends make different means"
            )
        pool = assembly.average_pool if average else assembly.max_pool
        pool(kernel, stride, padding)

    return apply


def _global_average(layer: Any, assembly: Assembly) -> None:
    _refuse_unless(layer, data_format="channels_last")
    channels, rows, columns = assembly.image_shape
    assembly.average_pool((rows, columns), (1, 1))
    if not layer.keepdims:
        assembly.reshape((channels,))


def _zero_padding(layer: Any, assembly: Assembly) -> None:
    _refuse_unless(layer, data_format="channels_last")
    (top, bottom), (left, right) = layer.padding
    assembly.zero_pad((int(top), int(left), int(bottom), int(right)))


def _batch_normalisation(layer: Any, assembly: Assembly) -> None:
    _axis(layer, assembly)
    scale = 1.0 / np.sqrt(numbers(layer.moving_variance) + layer.epsilon)
    if layer.gamma is not None:
        scale = scale * numbers(layer.gamma)
    shift = -scale * numbers(layer.moving_mean)
    if layer.beta is not None:
        shift = shift + numbers(layer.beta)
    assembly.scale(_of_channels(scale, assembly), _of_channels(shift, assembly))


def _rescaling(layer: Any, assembly: Assembly) -> None:
    scale, offset = (_of_channels(numbers(each), assembly) for each in (layer.scale, layer.offset))
    assembly.scale(scale, offset)


def _normalization(layer: Any, assembly: Assembly) -> None:
    _refuse_unless(layer, invert=False)
    if layer.axis is not None and layer.axis != ():
        _axis(layer, assembly)
    deviation = np.maximum(np.sqrt(numbers(layer.variance)), _LEAST_DEVIATION)
    scale = _of_channels(1.0 / deviation, assembly)
    assembly.scale(scale, -scale * _of_channels(numbers(layer.mean), assembly))


def _relu(layer: Any, assembly: Assembly) -> None:
    _refuse_unless(layer, max_value=None, threshold=0.0)
    if layer.negative_slope:
        assembly.leaky_relu(float(layer.negative_slope))
    else:
        assembly.relu()


def _leaky_relu(layer: Any, assembly: Assembly) -> None:
    assembly.leaky_relu(float(layer.negative_slope))


def _softmax(layer: Any, assembly: Assembly) -> None:
    _refuse_unless(layer, axis=-1)
    assembly.softmax()


def _flatten(layer: Any, assembly: Assembly) -> None:
    _refuse_unless(layer, data_format="channels_last")
    flatten(assembly)


def flatten(assembly: Assembly) -> None:
    """All values in the order of Keras."""
    _reshaped(assembly, (assembly.size,))


def _reshape(layer: Any, assembly: Assembly) -> None:
    target = [int(length) for length in layer.target_shape]
    if target.count(-1) == 1:
        known = math.prod(length for length in target if length != -1)
        target[target.index(-1)] = assembly.size // max(known, 1)
    _reshaped(assembly, tuple(target))


def _reshaped(assembly: Assembly, target: tuple[int, ...]) -> None:
    """Values in the order of Keras, in another shape of Keras."""
    if len(assembly.shape) == 3:
        channels, rows, columns = assembly.shape
        if channels > 1 and rows * columns > 1:
            assembly.transpose((1, 2, 0))
    assembly.reshape(target)
    if len(target) == 3:
        rows, columns, channels = target
        if channels > 1 and rows * columns > 1:
            assembly.transpose((2, 0, 1))
        assembly.reshape((channels, rows, columns))


def _nothing(layer: Any, assembly: Assembly) -> None:
    """What changes nothing when a network answers."""


ACTIVATIONS: Mapping[str, Callable[[Assembly], None]] = {
    "linear": lambda assembly: None,
    "relu": lambda assembly: assembly.relu(),
    "leaky_relu": lambda assembly: assembly.leaky_relu(0.2),
    "softmax": lambda assembly: assembly.softmax(),
    "log_softmax": lambda assembly: assembly.softmax("log-softmax"),
}

LAYERS: Mapping[str, Apply] = {
    "Dense": _dense,
    "Conv2D": _conv2d,
    "MaxPooling2D": _pool(average=False),
    "AveragePooling2D": _pool(average=True),
    "GlobalAveragePooling2D": _global_average,
    "ZeroPadding2D": _zero_padding,
    "BatchNormalization": _batch_normalisation,
    "Rescaling": _rescaling,
    "Normalization": _normalization,
    "ReLU": _relu,
    "LeakyReLU": _leaky_relu,
    "Activation": _activation,
    "Softmax": _softmax,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Dropout": _nothing,
    "SpatialDropout2D": _nothing,
    "GaussianNoise": _nothing,
    "InputLayer": _nothing,
}
"""By the names of Keras's classes."""
