"""Training dense ReLU networks with scikit-learn (the extra ``train``).

Two recipes, both Adam on the logit cross-entropy without regularisation or early stopping:

* ``thesis``: the recipe of Linkola (2023): 50 steps at learning rate 0.01, each on all images.
* ``mini-batch``: 20 passes in batches of 128 at learning rate 0.001.

Weights start Glorot-uniform and biases at zero, as Flux does, in float32. Without regularisation
the gradient of a pixel that is black in every training image is exactly zero, so its weights keep
their initial values; this is why smallest changes in the L1 norm like such pixels.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reluopt.errors import EngineUnavailableError, InputError
from reluopt.images.mnist import Dataset
from reluopt.install import install_command
from reluopt.networks.evaluation import evaluate
from reluopt.networks.layers.base import Dense
from reluopt.networks.metadata import NetworkMetadata
from reluopt.networks.network import ReLUNetwork

Parameters: TypeAlias = tuple[NDArray[np.float32], NDArray[np.float32]]

#: scikit-learn gives two classes a single logit, which is no network of the kind used here.
MIN_CLASSES = 3


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes:
        name: what the command line calls it.
        epochs: passes over all images.
        batch_size: images in one gradient step; None for all of them.
        learning_rate: of Adam (other parameters: 0.9, 0.999, 1e-8).
    """

    name: str
    epochs: int
    batch_size: int | None
    learning_rate: float


RECIPES: Mapping[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe("thesis", epochs=50, batch_size=None, learning_rate=0.01),
        Recipe("mini-batch", epochs=20, batch_size=128, learning_rate=0.001),
    )
}


def initial_parameters(sizes: Sequence[int], seed: int) -> list[Parameters]:
    """Weights (out x in) and biases that training starts from.

    Weights are uniform in ``[-r, r]`` with ``r = sqrt(6 / (n_in + n_out))`` (Glorot & Bengio 2010,
    equation 16), biases zero.
    """
    generator = np.random.default_rng(seed)
    parameters = []
    for inputs, outputs in itertools.pairwise(sizes):
        radius = math.sqrt(6.0 / (inputs + outputs))
        weight = generator.uniform(-radius, radius, (outputs, inputs)).astype(np.float32)
        parameters.append((weight, np.zeros(outputs, dtype=np.float32)))
    return parameters


def train(
    images: ArrayLike,
    labels: ArrayLike,
    hidden_sizes: Sequence[int],
    recipe: str | Recipe = "thesis",
    seed: int = 0,
) -> ReLUNetwork:
    """Train a dense ReLU network; the same arguments on the same machine give the same network.

    Args:
        images: shape ``(n, ...)``, values in [0, 1]; the rest of the shape becomes the network's
            input shape.
        labels: shape ``(n,)``, whole numbers; every class from 0 to the largest must occur.
        hidden_sizes: number of ReLUs in each hidden layer, at least one layer.
        recipe: a name in :data:`RECIPES`, or a recipe of your own.
        seed: of the initial weights and the shuffling, 0 to 2^32 - 1.

    Raises:
        InputError: an argument does not hold what is expected.
        EngineUnavailableError: scikit-learn is not installed.
    """
    steps = _named(recipe)
    inputs, targets = _checked_data(images, labels)
    sizes = (inputs[0].size, *_checked_sizes(hidden_sizes), int(targets.max()) + 1)
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise InputError(f"seed: expected a whole number from 0 to 2^32 - 1, found {seed!r}")
    parameters = initial_parameters(sizes, seed)
    fitted = _fit(inputs.reshape(len(inputs), -1), targets, parameters, steps, seed)
    layers = tuple(
        Dense(weight.astype(np.float64), bias.astype(np.float64)) for weight, bias in fitted
    )
    metadata = NetworkMetadata(
        name="x".join(str(size) for size in sizes),
        input_shape=inputs.shape[1:],
        recipe={
            **asdict(steps),
            "batch_size": steps.batch_size or len(inputs),
            "steps": steps.epochs * math.ceil(len(inputs) / (steps.batch_size or len(inputs))),
            "seed": seed,
            "optimiser": "Adam",
            "loss": "logit cross-entropy",
            "regularisation": None,
            "initialisation": "Glorot uniform, zero biases",
            "training_images": len(inputs),
            "versions": {name: version(name) for name in ("numpy", "scikit-learn")},
        },
    )
    return ReLUNetwork(layers, metadata)


def check_training() -> None:
    """Refuse to train without scikit-learn, before data are downloaded.

    Raises:
        EngineUnavailableError: it is not installed.
    """
    try:
        import sklearn.neural_network  # noqa: F401
    except ImportError as error:
        raise EngineUnavailableError(
            f"training needs scikit-learn, found it not installed: {install_command('train')}"
        ) from error


def check_plan(hidden_sizes: Sequence[int], recipe: str | Recipe) -> None:
    """Refuse what :func:`train` would refuse, before data are downloaded.

    Raises:
        InputError: sizes that are no sizes, or an unknown recipe.
    """
    _named(recipe)
    _checked_sizes(hidden_sizes)


def train_and_test(
    training: Dataset,
    test: Dataset,
    hidden_sizes: Sequence[int],
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
    network = train(training.images, training.labels, hidden_sizes, recipe, seed)
    accuracy = evaluate(network, test.images, test.labels).accuracy
    data = {"training_sha256": _digest(training), "test_sha256": _digest(test)}
    metadata = replace(
        network.metadata,
        name=name,
        recipe={**network.metadata.recipe, **data, "test_images": len(test)},
        test_accuracy=accuracy,
    )
    return replace(network, metadata=metadata)


def _fit(
    inputs: NDArray[np.float32],
    targets: NDArray[np.int64],
    parameters: Sequence[Parameters],
    recipe: Recipe,
    seed: int,
) -> list[Parameters]:
    """Run scikit-learn from given parameters and return the trained ones (out x in)."""
    check_training()
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    model: Any = MLPClassifier(
        hidden_layer_sizes=tuple(len(bias) for _, bias in parameters[:-1]),
        solver="adam",
        alpha=0.0,
        learning_rate_init=recipe.learning_rate,
        max_iter=1,
        shuffle=recipe.batch_size is not None,
        random_state=seed,
        warm_start=True,
        n_iter_no_change=2**31 - 1,
    )
    # One thread: sums in another order would round differently from run to run.
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)  # a fixed number of steps is the recipe
        # A first fit makes the model's arrays; the second one starts from ours, with a new Adam.
        _, one_of_each = np.unique(targets, return_index=True)
        model.fit(inputs[one_of_each], targets[one_of_each])
        model.coefs_ = [np.array(weight.T, order="C") for weight, _ in parameters]
        model.intercepts_ = [bias.copy() for _, bias in parameters]
        batch_size = min(recipe.batch_size or len(inputs), len(inputs))
        model.set_params(max_iter=recipe.epochs, batch_size=batch_size)
        try:
            model.fit(inputs, targets)
        except ValueError as error:
            raise InputError(
                f"recipe '{recipe.name}': expected training to converge, found: {error}"
            ) from error
    if model.n_iter_ != recipe.epochs:
        # scikit-learn swallows Ctrl-C and hands back a half-trained model.
        raise KeyboardInterrupt
    return [(weight.T, bias) for weight, bias in zip(model.coefs_, model.intercepts_, strict=True)]


def _named(recipe: str | Recipe) -> Recipe:
    if isinstance(recipe, str):
        if recipe not in RECIPES:
            raise InputError(f"recipe: expected {' or '.join(RECIPES)}, found '{recipe}'")
        return RECIPES[recipe]
    if recipe.epochs < 1 or (recipe.batch_size or 1) < 1 or not recipe.learning_rate > 0.0:
        raise InputError(
            f"recipe: expected positive epochs, batch size and learning rate, found {recipe}"
        )
    return recipe


def _checked_data(
    images: ArrayLike, labels: ArrayLike
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
    if len(found) < MIN_CLASSES or found[-1] != len(found) - 1:
        raise InputError(
            f"labels: expected every class from 0 on to occur, and at least {MIN_CLASSES} of them, "
            f"found {found[:20].tolist()}"
        )
    return inputs, targets.astype(np.int64)


def _checked_sizes(hidden_sizes: Sequence[int]) -> tuple[int, ...]:
    sizes = tuple(int(size) for size in hidden_sizes)
    if not sizes or min(sizes) < 1:
        raise InputError(
            f"hidden sizes: expected at least one positive number, found {list(sizes)}"
        )
    return sizes


def _digest(data: Dataset) -> str:
    digest = hashlib.sha256(repr(data.pixels.shape).encode())
    digest.update(data.pixels.tobytes())
    digest.update(data.labels.astype("<i8").tobytes())
    return digest.hexdigest()
