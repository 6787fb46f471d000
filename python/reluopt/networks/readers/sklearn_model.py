"""Multi-layer perceptrons of scikit-learn (the extra ``sklearn``), alone or behind scalers.

Scalers become layers, so that inputs keep the units of the data. Files of scikit-learn are pickles,
which run code when they are read, and are never read here.

Source: https://scikit-learn.org/stable/modules/neural_networks_supervised.html.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from reluopt.errors import InputError, shown
from reluopt.networks.metadata import NetworkMetadata, picture_shape
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.readers.agreement import Source, before, verified
from reluopt.networks.readers.assembly import Assembly
from reluopt.networks.readers.frameworks import framework, input_shape_told
from reluopt.numerics.arrays import FloatArray


@dataclass(frozen=True)
class _Scaler:
    """``scale * x + shift``, made from data with this middle and half width."""

    scale: FloatArray
    shift: FloatArray
    centre: FloatArray
    spread: FloatArray


def from_sklearn(
    estimator: Any, input_shape: Sequence[int] | None = None, *, name: str | None = None
) -> ReLUNetwork:
    """Read a network from an estimator of scikit-learn.

    Args:
        estimator: a fitted ``MLPClassifier`` or ``MLPRegressor`` with ``activation`` relu or
            identity, or a ``Pipeline`` of ``StandardScaler`` and ``MinMaxScaler`` with one at its
            end.
        input_shape: how inputs are seen, such as ``(8, 8)``.
        name: of the network; the class of the perceptron unless told.

    Returns:
        The network. Its inputs are those of the pipeline, in the units of the data. Classes are in
        the order of ``classes_``. A classifier of two classes has one logit z in scikit-learn, and
        answers the second class where z > 0; the network has the two logits (0, z), of which the
        larger one is the answer, with margin abs(z). A regressor's outputs are numbers, no classes.
        It was run beside the estimator on random inputs around its data, and
        ``network.metadata.recipe["imported"]`` says how well it agreed, and what was changed.

    Raises:
        InputError: the estimator is another one, not fitted, or its outputs differ.
        EngineUnavailableError: scikit-learn is not installed.

    Warns:
        NoteWarning: of the two logits, and of outputs that are no classes.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.neural_network import MLPClassifier
        >>> import reluopt as ro
        >>> perceptron = MLPClassifier((8,), max_iter=2000, random_state=0)
        >>> ro.from_sklearn(perceptron.fit(*load_iris(return_X_y=True))).sizes
        (4, 8, 3)
    """
    framework("sklearn", "estimators", "sklearn")
    steps = [step for _, step in estimator.steps] if _kind(estimator) == "Pipeline" else [estimator]
    *before_it, last = [step for step in steps if step not in ("passthrough", None)] or [None]
    kind = _kind(last)
    if kind not in ("MLPClassifier", "MLPRegressor"):
        raise InputError(
            "estimator: expected an MLPClassifier or MLPRegressor, or a Pipeline of scalers with "
            f"one at its end, found {shown(type(last).__name__)}"
        )
    try:
        scalers = [_scaler(step) for step in before_it]
        size = scalers[0].scale.size if scalers else int(getattr(last, "n_features_in_", 0))
        if not hasattr(last, "coefs_") or size < 1:
            raise InputError("expected a fitted estimator; call fit first")
        assembly = Assembly((size,))
        for scaler in scalers:
            assembly.scale(scaler.scale, scaler.shift)
        _layers(last, assembly)
        shape = picture_shape((size,)) if input_shape is None else input_shape_told(input_shape)
        network = assembly.finish(NetworkMetadata(name or kind, shape, _names(last)))
        return verified(network, _source(estimator, last, scalers, assembly.end))
    except InputError as error:
        raise InputError(f"{kind}: {error}") from error


def _kind(estimator: Any) -> str:
    """Name of a class of scikit-learn, empty for others, which may compute anything."""
    kind = type(estimator)
    return kind.__name__ if kind.__module__.startswith("sklearn.") else ""


def _standard(scaler: Any) -> _Scaler:
    size = scaler.n_features_in_
    mean = np.zeros(size) if scaler.mean_ is None else np.asarray(scaler.mean_, dtype=float)
    deviation = np.ones(size) if scaler.scale_ is None else np.asarray(scaler.scale_, dtype=float)
    shift = -mean / deviation if scaler.with_mean else np.zeros(size)
    return _Scaler(1.0 / deviation, shift, mean, math.sqrt(3.0) * deviation)


def _min_max(scaler: Any) -> _Scaler:
    if scaler.clip:
        raise InputError("clip: expected False, found True")
    low, high = scaler.data_min_, scaler.data_max_
    scale, shift = (np.asarray(each, dtype=float) for each in (scaler.scale_, scaler.min_))
    return _Scaler(scale, shift, (low + high) / 2.0, (high - low) / 2.0)


ScalerOf: TypeAlias = Callable[[Any], _Scaler]
SCALERS: Mapping[str, ScalerOf] = {"StandardScaler": _standard, "MinMaxScaler": _min_max}
"""What may stand before a perceptron, by the names of the classes."""


def _scaler(step: Any) -> _Scaler:
    """A step before the perceptron."""
    kind = _kind(step)
    if kind not in SCALERS:
        raise InputError(
            f"step {shown(type(step).__name__)}: expected one of {', '.join(SCALERS)}; leave it "
            "out, and apply it to the data"
        )
    if not hasattr(step, "scale_"):
        raise InputError(f"step {kind}: expected a fitted one; call fit first")
    return SCALERS[kind](step)


def _layers(perceptron: Any, assembly: Assembly) -> None:
    """Add the layers of a perceptron."""
    hidden, end = perceptron.activation, perceptron.out_activation_
    if hidden not in ("relu", "identity"):
        raise InputError(f"activation: expected relu or identity, found {shown(hidden)}")
    binary = end == "logistic" and len(_names(perceptron)) == 2
    if end not in ("identity", "softmax") and not binary:
        raise InputError(
            f"expected numbers, or one of several classes, as output, found {shown(end)} of "
            f"{perceptron.n_outputs_} outputs"
        )
    count = len(perceptron.coefs_)
    arrays = zip(perceptron.coefs_, perceptron.intercepts_, strict=True)
    for i, (matrix, bias) in enumerate(arrays):
        weight, bias = (np.asarray(each, dtype=np.float64) for each in (matrix.T, bias))
        if i == count - 1 and binary:
            weight, bias = (np.concatenate([np.zeros_like(each), each]) for each in (weight, bias))
        assembly.dense(weight, bias)
        if i < count - 1 and hidden == "relu":
            assembly.relu()
    if end != "identity":
        assembly.softmax()


def _names(perceptron: Any) -> tuple[str, ...]:
    """Names of the classes, or of the outputs of a regressor."""
    if _kind(perceptron) == "MLPRegressor":
        return tuple(f"output {i}" for i in range(perceptron.n_outputs_))
    if perceptron.out_activation_ == "logistic" and perceptron.n_outputs_ > 1:
        return ()  # several answers at once
    return tuple(str(label) for label in perceptron.classes_)


def _source(estimator: Any, perceptron: Any, scalers: Sequence[_Scaler], end: str) -> Source:
    """The estimator as what the network is compared with, around the data of its scaler."""
    import sklearn

    classifies = bool(end)
    source = Source(
        f"the {_kind(estimator)}",
        f"scikit-learn {sklearn.__version__}",
        (estimator.predict_proba if classifies else estimator.predict),
        *((scalers[0].centre, scalers[0].spread) if scalers else (0.5, 0.5)),
    )
    source = replace(source, run=_plain(source.run))
    if not classifies:
        return replace(source, notes=("outputs are numbers, no classes",))
    if perceptron.n_outputs_ > 1:
        return before(end, source)
    # The first probability is 1 minus the second there, which has no digits where that is near 1.
    compared = before(end, source)
    run, finish = compared.run, compared.finish
    return replace(
        compared,
        run=lambda inputs: run(inputs)[:, 1:],
        finish=lambda logits: finish(logits)[:, 1:],
        notes=(
            "the one logit z became the two logits (0, z): the larger one is the class that "
            "predict answers, the second where z > 0; margins are of z",
        ),
    )


def _plain(run: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """What an estimator gives for float64 inputs, asked without names of columns."""

    def outputs(inputs: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return run(inputs.astype(np.float64))

    return outputs
