"""What a recipe is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from importlib import import_module
from importlib.metadata import version
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from reluopt.errors import EngineUnavailableError, InputError
from reluopt.install import install_command
from reluopt.networks.training.plan import Parameters, Plan

#: Larger ones are no numbers of float32, which weights and steps are.
MAX_LEARNING_RATE = 1e30


@dataclass(frozen=True)
class Recipe(ABC):
    """How to train; subclasses say by what.

    Attributes:
        name: what the command line calls it.
        epochs: passes over all images.
        batch_size: images in one gradient step; None for all of them.
        learning_rate: of Adam (other parameters: 0.9, 0.999, 1e-8).
        package: what trains, as pip calls it; recorded with its version.
        module: a module of it.
        extra: of ours, which installs it.
        min_classes: it trains networks of at least so many.

    Raises:
        InputError: a number is not positive.
    """

    name: str
    epochs: int
    batch_size: int | None
    learning_rate: float

    package: ClassVar[str]
    module: ClassVar[str]
    extra: ClassVar[str]
    min_classes: ClassVar[int] = 2

    def __post_init__(self) -> None:
        rate_fits = 0.0 < self.learning_rate <= MAX_LEARNING_RATE
        if self.epochs < 1 or (self.batch_size or 1) < 1 or not rate_fits:
            raise InputError(
                "recipe: expected positive epochs, batch size and learning rate (at most "
                f"{MAX_LEARNING_RATE:g}), found {self}"
            )

    @abstractmethod
    def fit(
        self,
        plan: Plan,
        inputs: NDArray[np.float32],
        targets: NDArray[np.int64],
        parameters: Sequence[Parameters],
        seed: int,
    ) -> list[Parameters]:
        """Train from given parameters.

        Args:
            plan: the network.
            inputs: shape ``(n, n_0)``, values in [0, 1].
            targets: classes, shape ``(n,)``.
            parameters: those of the first layer first.
            seed: of the shuffling and whatever else is drawn.

        Raises:
            InputError: training diverges, or the recipe trains no such layers.
        """

    def measured(
        self,
        plan: Plan,
        parameters: Sequence[Parameters],
        inputs: NDArray[np.float32],
        targets: NDArray[np.int64],
        seed: int,
    ) -> dict[str, Any]:
        """What is recorded of unseen images besides the accuracy; arguments as in :meth:`fit`."""
        del plan, parameters, inputs, targets, seed
        return {}

    def described(self) -> dict[str, Any]:
        """The settings, as they are recorded with the network."""
        return asdict(self)

    def adjusted(self, **settings: Any) -> Self:
        """The recipe with other settings.

        Raises:
            InputError: it has no such setting, or not of this value.
        """
        known = {field.name for field in fields(self)}
        for name in settings:
            if name not in known:
                raise InputError(
                    f"--{name.replace('_', '-')}: expected a recipe with this setting, found "
                    f"'{self.name}'"
                )
        return replace(self, **settings)

    def check(self) -> None:
        """Refuse to train without what trains, before data are downloaded.

        Raises:
            EngineUnavailableError: it is not installed.
        """
        try:
            import_module(self.module)
        except ImportError as error:
            raise EngineUnavailableError(
                f"training by recipe '{self.name}' needs {self.package}, found it not installed: "
                f"{install_command(self.extra)}"
            ) from error

    def versions(self) -> dict[str, str]:
        """Versions of what trains."""
        return {name: version(name) for name in ("numpy", self.package)}

    def diverged(self, found: object) -> InputError:
        """What to raise when training does not converge."""
        return InputError(f"recipe '{self.name}': expected training to converge, found: {found}")
