"""What people give: models of any framework, inputs of any kind and shape, words for choices."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any

import numpy as np

from reluopt.engines.options import EngineOptions
from reluopt.errors import InputError, shown
from reluopt.method import Method
from reluopt.networks.input_box import checked_box
from reluopt.networks.metadata import picture_shape
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.readers.keras_model import from_keras
from reluopt.networks.readers.sklearn_model import from_sklearn
from reluopt.networks.readers.torch_module import from_torch
from reluopt.networks.zoo import open_network
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.problems import (
    Box,
    FixedTarget,
    parse_margin,
    parse_norm,
    parse_target,
)

Shape = tuple[int, ...]

_BYTE = 255.0
"""White, where pixels are bytes."""


def as_network(model: Any, inputs: Any, box: Any = None) -> ReLUNetwork:
    """A network, or what one is read from: a name, a file, a model of a framework.

    Args:
        model: a :class:`ReLUNetwork`, a bundled name or a path, a Keras model, a PyTorch module
            (whose input shape is that of ``inputs``), or an estimator of scikit-learn.
        inputs: one input or a batch.
        box: lower and upper bounds of the inputs, numbers or arrays; None leaves the network's.

    Raises:
        InputError: it is none of these, or cannot be read.
    """
    network = next((read(model, inputs) for known, read in _READERS if known(model)), None)
    if network is None:
        expected = "a ReLUNetwork, a name, a file, or a PyTorch, Keras or scikit-learn model"
        raise InputError(f"network: expected {expected}, found {shown(type(model).__name__)}")
    if box is None:
        return network
    box = (box.lower, box.upper) if isinstance(box, Box) else box
    if not isinstance(box, Sequence | np.ndarray) or len(box) != 2:
        raise InputError(f"box: expected (lower, upper), found {shown(repr(box))}")
    ends = checked_box([_numbers("box", end).ravel().tolist() for end in box], network.input_size)
    return replace(network, metadata=replace(network.metadata, input_box=ends))


def _of(module: str, kind: str) -> Callable[[Any], bool]:
    """Whether a model is of a framework's class; who has one has imported the framework."""
    return lambda model: isinstance(model, getattr(sys.modules.get(module), kind, ()))


def _torch_network(module: Any, inputs: Any) -> ReLUNetwork:
    """A module takes a batch, or one of its inputs; one channel and flat inputs may be meant."""
    shape, refused = tuple(np.shape(inputs)), []
    alone = len(shape) == 1 or (len(shape) == 3 and shape[0] in (1, 3))
    for one in (shape, shape[1:]) if alone else (shape[1:], shape):
        for tried in dict.fromkeys((one, (1, *one), (math.prod(one),))):
            try:
                return from_torch(module, tried)
            except InputError as error:
                refused.append(error)
    raise refused[0]


_READERS: tuple[tuple[Callable[[Any], bool], Callable[[Any, Any], ReLUNetwork]], ...] = (
    (lambda model: isinstance(model, ReLUNetwork), lambda model, _: model),
    (lambda model: isinstance(model, str | os.PathLike), lambda model, _: open_network(model)),
    (_of("keras", "Model"), lambda model, _: from_keras(model)),  # may be a module, too
    (_of("torch.nn", "Module"), _torch_network),
    (_of("sklearn.base", "BaseEstimator"), lambda model, _: from_sklearn(model)),
)
_is_tensor = _of("torch", "Tensor")


def plain(given: Any) -> Any:
    """A tensor as an array; anything else as it is."""
    if not _is_tensor(given):
        return given
    tensor = given.detach().cpu()
    halved = tensor.is_floating_point() and tensor.element_size() < 4  # numpy lacks some of these
    return (tensor.float() if halved else tensor).numpy()


def _numbers(what: str, given: Any) -> FloatArray:
    """Numbers of any kind as a float64 array."""
    try:
        found = np.asarray(plain(given))
        if not np.iscomplexobj(found):
            return found.astype(np.float64)
    except (TypeError, ValueError):
        pass
    kind = shown(type(given).__name__)
    raise InputError(f"{what}: expected an array of numbers, found {kind}")


@dataclass(frozen=True, eq=False)
class Inputs:
    """Inputs, and how they came.

    Attributes:
        flat: shape ``(batch, n_0)``.
        single: whether it is one input without a batch axis.
        shape: of one, as it came.
        network_shape: of one, as the network has it, where channels came last; else ``shape``.
        given: what came.
    """

    flat: FloatArray
    single: bool
    shape: Shape
    network_shape: Shape
    given: Any

    @classmethod
    def read(cls, network: ReLUNetwork, given: Any) -> Inputs:
        """Inputs for ``network``: flat, as it has them, or with channels of colours at the end.

        A tensor of shape (1, rows, columns) is one image, as in PyTorch; an array is a batch of it.

        Raises:
            InputError: the shape fits neither one input nor a batch.
        """
        values, seen = _numbers("x", given), network.input_shape
        shape, last = values.shape, (*seen[1:], seen[0])

        def fits(one: Shape) -> bool:
            known = ((network.input_size,), seen, picture_shape(seen))
            sides = [tuple(side for side in each if side > 1) for each in (one, *known)]
            return one != () and (sides[0] in sides[1:] or (one == last and len(one) == 3))

        image = _is_tensor(given) and len(shape) == 3
        single = fits(shape) and (shape in (seen, last) or image or not fits(shape[1:]))
        one = shape if single else shape[1:]
        if not fits(one):
            raise InputError(
                f"x: expected one input of shape {seen} ({network.input_size} values) or a batch, "
                f"found shape {shape}"
            )
        turned = len(one) == 3 and one == last and one != seen
        rows = values.reshape(-1, *one) if one and values.size else values
        rows = np.moveaxis(rows, -1, 1) if turned else rows
        flat = rows.reshape(1 if single else len(values), network.input_size)
        return cls(flat, single, one, seen if turned else one, given)

    def refuse_outside(self, network: ReLUNetwork) -> None:
        """Refuse inputs in other units than those of the network.

        Raises:
            InputError: a value lies outside the box of the network.
        """
        lower, upper = network.metadata.input_ends()
        outside = np.flatnonzero(((self.flat < lower) | (self.flat > upper)).any(axis=1))
        if not outside.size:
            return
        place = int(outside[0])
        low, high = float(self.flat[place].min()), float(self.flat[place].max())
        box = f"[{float(np.min(lower)):g}, {float(np.max(upper)):g}]"
        units = "divide by 255, or say" if (box, high) == ("[0, 1]", _BYTE) else "say"
        raise InputError(
            f"{'x' if self.single else f'x[{place}]'}: expected values in {box}, the box of the "
            f"inputs, found {low:g} to {high:g}: {units} with box=(lower, upper) what is allowed"
        )

    def rounded(self, images: FloatArray, places: Any = slice(None)) -> FloatArray:
        """``images``, shape ``(k, n_0)``, as float32 can hold them where the inputs are float32.

        They are rounded towards the inputs at ``places``, so that no ball and no box is left.
        """
        if not self._single_precision:
            return images
        before, near = self.flat[places], images.astype(np.float32)
        over = np.abs(near - before) > np.abs(images - before)
        near = np.where(over, np.nextafter(near, before.astype(np.float32)), near)
        return near.astype(np.float64)

    @property
    def _single_precision(self) -> bool:
        return str(getattr(self.given, "dtype", "")).endswith("float32")

    def back(self, images: FloatArray) -> Any:
        """Rounded images, shape ``(k, n_0)``, as the inputs came: k of them, in shape and kind."""
        rows = images.reshape(len(images), *self.network_shape)
        rows = rows if self.shape == self.network_shape else np.moveaxis(rows, 1, -1)
        return self.like(np.array(rows, dtype=np.float32 if self._single_precision else None))

    def like(self, array: Any) -> Any:
        """An array as a tensor, on its device, where the inputs are one."""
        if not _is_tensor(self.given):
            return array
        return sys.modules["torch"].from_numpy(array).to(self.given.device)


def labels_of(network: ReLUNetwork, label: Any, inputs: Inputs) -> list[int]:
    """One label for each input; None means what the network answers.

    Raises:
        InputError: they are no whole numbers, or not as many.
    """
    if label is None:
        return [int(each) for each in network.predict(inputs.flat)]
    count = len(inputs.flat)
    try:
        found = np.asarray(plain(label))
    except ValueError:  # rows of unlike lengths
        found = np.zeros(0)
    if not np.issubdtype(found.dtype, np.integer) or found.shape not in ((), (count,)):
        raise InputError(
            f"label: expected a whole number, or one for each of {count} inputs, found "
            f"{shown(repr(label))}"
        )
    return [int(each) for each in np.broadcast_to(found, (count,))]


_CHOICES: Mapping[str, tuple[str, str, Callable[[str], Any], Any, Callable[[Any], Any]]] = {
    "target": (
        'a label such as 3, "+5", "runner-up" or "any"',
        *("candidates", parse_target, Integral, lambda number: FixedTarget(int(number))),
    ),
    "norm": (
        '"l1", "l2", "linf" or "blend:0.5"',
        *("objective", lambda text: parse_norm(text.lower()), Real),
        lambda order: parse_norm(f"l{order:g}" if order in (1, 2, math.inf) else str(order)),
    ),
    "margin": ('"x1.2" (a ratio) or "+0.1" (a lead)', "conditions", parse_margin, (), str),
}
"""What may be chosen: in words, what the thing itself can do, and how texts and numbers are read. A
bare number as a margin could mean either."""


def chosen(what: str, given: Any) -> Any:
    """The target, norm or margin that people name, such as ``3``, ``"any"``, ``"l2"``, ``"x1.2"``.

    Raises:
        InputError: what is given means none.
    """
    expected, does, of_text, numbers, of_number = _CHOICES[what]
    if isinstance(given, str):
        return of_text(given)
    if isinstance(given, numbers) and not isinstance(given, bool):
        return of_number(given)
    if isinstance(given, type) or not hasattr(given, does):
        raise InputError(f"{what}: expected {expected}, found {shown(repr(given))}")
    return given


def number(what: str, given: Any, kind: type = Real) -> Any:
    """A number, or an InputError."""
    if not isinstance(given, kind) or isinstance(given, bool):
        words = "a whole number" if kind is Integral else "a number"
        raise InputError(f"{what}: expected {words}, found {shown(repr(given))}")
    return given


def as_method(engine: Any, time_limit: Any, threads: Any) -> Method:
    """``engine[:formulation[:bounds]]``, seconds for each input, and threads."""
    if not isinstance(engine, str):
        raise InputError(f"engine: expected a name such as 'auto', found {shown(repr(engine))}")
    limit, count = float(number("time limit", time_limit)), number("threads", threads, Integral)
    return Method.parse(engine, EngineOptions(time_limit=limit, threads=int(count)))
