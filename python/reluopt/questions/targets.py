"""Which label the network shall answer: one label, a shift, the runner-up, or any other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from reluopt.errors import InputError
from reluopt.numerics.arrays import FloatArray


class Target(Protocol):
    """Which label the network shall answer."""

    def candidates(self, label: int, logits: FloatArray) -> tuple[int, ...]:
        """Labels that count as an answer, for a true ``label`` and the image's logits."""
        ...


@dataclass(frozen=True)
class FixedTarget:
    """One label for every image.

    Example:
        >>> import numpy as np
        >>> import reluopt as ro
        >>> ro.FixedTarget(3).candidates(7, np.zeros(10))
        (3,)
    """

    target: int

    def candidates(self, label: int, logits: FloatArray) -> tuple[int, ...]:
        """That label."""
        del label
        if not 0 <= self.target < logits.size:
            raise InputError(
                f"target: expected a label from 0 to {logits.size - 1}, found {self.target}"
            )
        return (self.target,)

    def __str__(self) -> str:
        return str(self.target)


@dataclass(frozen=True)
class ShiftTarget:
    """``(label + shift) mod classes``; the thesis uses a shift of 5.

    Example:
        >>> import numpy as np
        >>> import reluopt as ro
        >>> ro.ShiftTarget(5).candidates(7, np.zeros(10))
        (2,)
    """

    shift: int = 5

    def candidates(self, label: int, logits: FloatArray) -> tuple[int, ...]:
        """The shifted label."""
        target = (label + self.shift) % logits.size
        if target == label:
            raise InputError(
                f"target: expected a shift that changes the label among {logits.size} classes, "
                f"found {self.shift:+d}"
            )
        return (target,)

    def __str__(self) -> str:
        return f"{self.shift:+d}"


@dataclass(frozen=True)
class RunnerUpTarget:
    """The label with the largest logit among all but the true one.

    Example:
        >>> import numpy as np
        >>> import reluopt as ro
        >>> ro.RunnerUpTarget().candidates(1, np.array([1.0, 3.0, 2.0]))
        (2,)
    """

    def candidates(self, label: int, logits: FloatArray) -> tuple[int, ...]:
        """The runner-up at the unchanged image (the lowest label among ties)."""
        others = logits.copy()
        others[label] = -np.inf
        return (int(np.argmax(others)),)

    def __str__(self) -> str:
        return "runner-up"


@dataclass(frozen=True)
class AnyTarget:
    """Any label but the true one (an *untargeted* attack); the nearest of them wins.

    Example:
        >>> import numpy as np
        >>> import reluopt as ro
        >>> ro.AnyTarget().candidates(2, np.array([1.0, 3.0, 2.0]))  # the largest logit first
        (1, 0)
    """

    def candidates(self, label: int, logits: FloatArray) -> tuple[int, ...]:
        """All other labels, by falling logit at the unchanged image."""
        order = np.argsort(-logits, kind="stable")
        return tuple(int(j) for j in order if j != label)

    def __str__(self) -> str:
        return "any"


def parse_target(text: str) -> Target:
    """Read a label (``3``), a shift (``+5``, ``-1``), ``runner-up`` or ``any``.

    Raises:
        InputError: anything else.
    """
    if text == "runner-up":
        return RunnerUpTarget()
    if text == "any":
        return AnyTarget()
    try:
        value = int(text)
    except ValueError:
        raise InputError(
            f"target: expected a label, +5, runner-up or any, found {text!r}"
        ) from None
    return ShiftTarget(value) if text[0] in "+-" else FixedTarget(value)
