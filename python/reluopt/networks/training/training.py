"""Training by a recipe, and measuring what was trained."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reluopt.errors import InputError
from reluopt.images.mnist import Dataset
from reluopt.networks.evaluation import evaluate
from reluopt.networks.metadata import NetworkMetadata
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.training import RECIPES
from reluopt.networks.training.plan import (
    Parameters,
    Plan,
    initial_parameters,
    plan_of,
    steps_of,
)
from reluopt.networks.training.recipe import Recipe


@dataclass(frozen=True, eq=False)
class _Trained:
    """A network as its recipe left it."""

    plan: Plan
    parameters: list[Parameters]
    network: ReLUNetwork


def train(
    images: ArrayLike,
    labels: ArrayLike,
    layers: Sequence[int] | str,
    recipe: str | Recipe = "thesis",
    seed: int = 0,
) -> ReLUNetwork:
    """Train a ReLU network; the same arguments on the same machine give the same network.

    Args:
        images: shape ``(n, ...)``, values in [0, 1]; the rest of the shape becomes the network's
            input shape.
        labels: shape ``(n,)``, whole numbers; every class from 0 to the largest must occur.
        layers: numbers of ReLUs in the hidden layers, at least one, or an architecture as text
            (:mod:`reluopt.networks.readers.architecture`).
        recipe: a name in :data:`~reluopt.networks.training.RECIPES`, or a recipe of your own.
        seed: of the initial weights and the shuffling, 0 to 2^32 - 1.

    Raises:
        InputError: an argument does not hold what is expected.
        EngineUnavailableError: what the recipe trains by is not installed.

    Example:
        >>> import reluopt as ro
        >>> digits = ro.load_images("train").subset(range(500))
        >>> recipe = ro.ScikitRecipe("short", epochs=3, batch_size=50, learning_rate=0.01)
        >>> ro.train(digits.images, digits.labels, (16,), recipe).sizes
        (784, 16, 10)
    """
    return _train(images, labels, layers, _named(recipe), seed).network


def check_plan(layers: Sequence[int] | str, recipe: str | Recipe) -> None:
    """Refuse what :func:`train` would refuse, before data are downloaded.

    Raises:
        InputError: layers that are none, or an unknown recipe.
        EngineUnavailableError: what the recipe trains by is not installed.
    """
    steps_of(layers)
    _named(recipe).check()


def train_and_test(
    training: Dataset,
    test: Dataset,
    layers: Sequence[int] | str,
    recipe: str | Recipe = "thesis",
    seed: int = 0,
    name: str = "network",
) -> ReLUNetwork:
    """Train on one dataset, measure on another, and record both in the metadata.

    The data are recorded as the SHA-256 of their pixels and labels, which identifies them wherever
    they lay.

    Raises:
        InputError: as :func:`train`, or the test images do not fit the training images.
    """
    steps = _named(recipe)
    trained = _train(training.images, training.labels, layers, steps, seed)
    network = trained.network
    accuracy = evaluate(network, test.images, test.labels).accuracy
    flat = test.images.reshape(len(test), -1).astype(np.float32)
    measured = steps.measured(trained.plan, trained.parameters, flat, test.labels, seed)
    data = {"training_sha256": _digest(training), "test_sha256": _digest(test)}
    metadata = replace(
        network.metadata,
        name=name,
        recipe={**network.metadata.recipe, **data, "test_images": len(test), **measured},
        test_accuracy=accuracy,
    )
    return replace(network, metadata=metadata)


def _train(
    images: ArrayLike, labels: ArrayLike, layers: Sequence[int] | str, recipe: Recipe, seed: int
) -> _Trained:
    inputs, targets = _checked_data(images, labels, recipe.min_classes)
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise InputError(f"seed: expected a whole number from 0 to 2^32 - 1, found {seed!r}")
    plan = plan_of(layers, inputs.shape[1:], int(targets.max()) + 1)
    recipe.check()
    flat = inputs.reshape(len(inputs), -1)
    start = initial_parameters(plan.steps, seed)
    parameters = recipe.fit(plan, flat, targets, start, seed)
    network = plan.network(parameters)
    batch_size = recipe.batch_size or len(inputs)
    metadata = NetworkMetadata(
        name="x".join(str(size) for size in network.sizes),
        input_shape=inputs.shape[1:],
        recipe={
            **recipe.described(),
            "batch_size": batch_size,
            "steps": recipe.epochs * math.ceil(len(inputs) / batch_size),
            "seed": seed,
            "optimiser": "Adam",
            "loss": "logit cross-entropy",
            "regularisation": None,
            "initialisation": "Glorot uniform, zero biases",
            "training_images": len(inputs),
            "versions": recipe.versions(),
            **({"architecture": layers} if isinstance(layers, str) else {}),
        },
    )
    return _Trained(plan, parameters, replace(network, metadata=metadata))


def _named(recipe: str | Recipe) -> Recipe:
    """The recipe of a name, or the one that is given."""
    found: Recipe = RECIPES.load(recipe) if isinstance(recipe, str) else recipe
    return found


def _checked_data(
    images: ArrayLike, labels: ArrayLike, min_classes: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    inputs = np.asarray(images, dtype=np.float32)
    targets = np.asarray(labels)
    if inputs.ndim < 2 or inputs.size == 0 or targets.shape != (len(inputs),):
        raise InputError(
            f"images: expected a non-empty batch with one label for each image, found images of "
            f"shape {inputs.shape} and labels of shape {targets.shape}"
        )
    if not (np.isfinite(inputs).all() and inputs.min() >= 0.0 and inputs.max() <= 1.0):
        raise InputError(
            f"images: expected values in [0, 1], found {inputs.min()} to {inputs.max()}"
        )
    if targets.dtype.kind not in "iu" or targets.min() < 0:
        raise InputError("labels: expected whole numbers from 0 on, found others")
    found = np.unique(targets)
    if len(found) < min_classes or found[-1] != len(found) - 1:
        raise InputError(
            f"labels: expected every class from 0 on to occur, and at least {min_classes} of them, "
            f"found {found[:20].tolist()}"
        )
    return inputs, targets.astype(np.int64)


def _digest(data: Dataset) -> str:
    digest = hashlib.sha256(repr(data.pixels.shape).encode())
    digest.update(data.pixels.tobytes())
    digest.update(data.labels.astype("<i8").tobytes())
    return digest.hexdigest()
