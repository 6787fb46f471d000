"""Recipes of scikit-learn (the extra ``train``), for dense layers."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from reluopt.errors import InputError
from reluopt.networks.training.plan import Parameters, Plan
from reluopt.networks.training.recipe import Recipe


@dataclass(frozen=True)
class ScikitRecipe(Recipe):
    """Training by scikit-learn's ``MLPClassifier``.

    Example:
        >>> import reluopt as ro
        >>> ro.ScikitRecipe("short", epochs=3, batch_size=50, learning_rate=0.01).epochs
        3
    """

    package: ClassVar[str] = "scikit-learn"
    module: ClassVar[str] = "sklearn.neural_network"
    extra: ClassVar[str] = "train"
    #: scikit-learn gives two classes a single logit, which is no network of the kind used here.
    min_classes: ClassVar[int] = 3

    def fit(
        self,
        plan: Plan,
        inputs: NDArray[np.float32],
        targets: NDArray[np.int64],
        parameters: Sequence[Parameters],
        seed: int,
    ) -> list[Parameters]:
        """Run scikit-learn from given parameters and return the trained ones (out x in)."""
        others = {step.kind for step in plan.steps} - {"fc"}
        if others:
            raise InputError(
                f"recipe '{self.name}': expected dense layers (recipe torch trains others), found "
                f"{min(others)}"
            )
        from sklearn.exceptions import ConvergenceWarning
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        model = self._model(parameters, seed)
        # One thread: sums in another order would round differently from run to run.
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore", ConvergenceWarning)  # the number of steps is fixed
            # A first fit makes the model's arrays; the second starts from ours, with a new Adam.
            _, one_of_each = np.unique(targets, return_index=True)
            model.fit(inputs[one_of_each], targets[one_of_each])
            model.coefs_ = [np.array(weight.T, order="C") for weight, _ in parameters]
            model.intercepts_ = [bias.copy() for _, bias in parameters]
            batch_size = min(self.batch_size or len(inputs), len(inputs))
            model.set_params(max_iter=self.epochs, batch_size=batch_size)
            try:
                model.fit(inputs, targets)
            except ValueError as error:
                raise self.diverged(error) from error
        if model.n_iter_ != self.epochs:
            # scikit-learn swallows Ctrl-C and hands back a half-trained model.
            raise KeyboardInterrupt
        fitted = zip(model.coefs_, model.intercepts_, strict=True)
        return [(weight.T, bias) for weight, bias in fitted]

    def _model(self, parameters: Sequence[Parameters], seed: int) -> Any:
        from sklearn.neural_network import MLPClassifier

        return MLPClassifier(
            hidden_layer_sizes=tuple(len(bias) for _, bias in parameters[:-1]),
            solver="adam",
            alpha=0.0,
            learning_rate_init=self.learning_rate,
            max_iter=1,
            shuffle=self.batch_size is not None,
            random_state=seed,
            warm_start=True,
            n_iter_no_change=2**31 - 1,
        )


#: The recipe of Linkola (2023): 50 steps, each on all images.
THESIS = ScikitRecipe("thesis", epochs=50, batch_size=None, learning_rate=0.01)

MINI_BATCH = ScikitRecipe("mini-batch", epochs=20, batch_size=128, learning_rate=0.001)
