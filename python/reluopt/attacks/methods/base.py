"""What an attack within a ball is: images in, images out, which a forward pass then judges."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Self

from numpy.typing import ArrayLike

from reluopt.attacks.criteria import Misclassification
from reluopt.attacks.methods import METHODS
from reluopt.errors import InputError
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.input_sets import Box
from reluopt.questions.norms.base import Norm


@dataclass(frozen=True)
class AttackMethod(ABC):
    """An attack that looks for misclassified images in the ball of a norm.

    A new one is a frozen dataclass whose fields, all with defaults, are its settings.

    Attributes:
        name: what it is called in :data:`~reluopt.attacks.methods.METHODS`.
        together: images that are best attacked at a time.
    """

    name: ClassVar[str]
    together: ClassVar[int] = 250

    @abstractmethod
    def __call__(
        self,
        network: ReLUNetwork,
        images: ArrayLike,
        criterion: Misclassification,
        eps: float,
        *,
        norm: Norm = Norm.LINF,
        box: Box | None = None,
    ) -> FloatArray:
        """Attack one image or a batch.

        Args:
            network: the network.
            images: flat or in the network's input shape, inside the box.
            criterion: the labels to be missed, and whether a tie with them does.
            eps: radius of the ball, in the norm's own unit (L2: the length, not its square).
            norm: of the ball.
            box: inputs allowed; None means those of the network, [0, 1] for images.

        Returns:
            Images in the shape of ``images``, inside box and ball: one that meets the criterion
            where one was found (the image itself if it does), else where the attack ended.

        Raises:
            InputError: images, labels, radius or a setting do not fit.
        """

    @property
    def settings(self) -> dict[str, Any]:
        """Its settings by name, JSON-serialisable."""
        return asdict(self)

    @classmethod
    def made(cls, given: dict[str, Any]) -> Self:
        """The attack with these settings in place of its defaults.

        Raises:
            InputError: it has no such setting.
        """
        known = [each.name for each in fields(cls)]
        for name in given:
            if name not in known:
                expected = f"one of {', '.join(known)}" if known else "no settings"
                raise InputError(f"method {cls.name}: expected {expected}, found {name}")
        return cls(**given)


def parse_method(name: str, **given: Any) -> AttackMethod:
    """The attack of this name, with these settings.

    Raises:
        InputError: there is none, or it has no such setting.
    """
    made: AttackMethod = METHODS.load(name).made(given)
    return made


def refuse_below(what: str, least: int, found: int | None) -> None:
    """Raise an InputError for a count below ``least``; None stands for a default."""
    if found is not None and found < least:
        raise InputError(f"{what}: expected at least {least}, found {found}")


def refuse_step(found: float | None) -> None:
    """Raise an InputError for a step that is no finite length > 0; None stands for a default."""
    if found is not None and not (math.isfinite(found) and found > 0.0):
        raise InputError(f"step_size: expected a finite length > 0, found {found}")
