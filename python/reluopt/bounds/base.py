r"""What every bounding method takes and gives.

Pre-activation bounds are numbers :math:`L^k \le a^k \le U^k` that hold for every input of an
:class:`~reluopt.questions.input_sets.InputSet`. They become the big-M constants of the program
and decide which neurons are *stable* (``L >= 0`` or ``U <= 0``) and need no binary.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from reluopt.deadline import NEVER, Deadline
from reluopt.errors import InputError
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray, frozen_array
from reluopt.questions.input_sets import Box, InputSet
from reluopt.questions.overflow import refuse_overflow


@dataclass(frozen=True, eq=False)
class PreActivationBounds:
    """Bounds ``lower[k] <= a <= upper[k]`` of every layer, the logits last.

    Attributes:
        lower: K arrays of shape ``(n_k,)``.
        upper: K arrays of shape ``(n_k,)``.
        method: name of what computed them.

    Example:
        >>> import numpy as np
        >>> import reluopt as ro
        >>> lower, upper = np.array([-1.0, 0.5]), np.array([1.0, 2.0])
        >>> ro.PreActivationBounds((lower,), (upper,), "by hand").method
        'by hand'
    """

    lower: tuple[FloatArray, ...]
    upper: tuple[FloatArray, ...]
    method: str

    def __post_init__(self) -> None:
        lower = tuple(frozen_array(values) for values in self.lower)
        upper = tuple(frozen_array(values) for values in self.upper)
        if [values.shape for values in lower] != [values.shape for values in upper]:
            raise InputError("bounds: expected lower and upper of the same shapes")
        if any(bool(np.isnan(values).any()) for values in (*lower, *upper)):
            raise InputError(f"bounds {self.method}: expected numbers, found NaN")
        object.__setattr__(self, "lower", lower)
        object.__setattr__(self, "upper", upper)

    @property
    def empty(self) -> bool:
        """Whether some lower bound exceeds its upper bound: the set holds no input."""
        return any(bool((low > up).any()) for low, up in zip(self.lower, self.upper, strict=True))

    @property
    def unstable_count(self) -> int:
        """Number of unstable hidden neurons: the binaries of the program."""
        pairs = list(zip(self.lower, self.upper, strict=True))[:-1]
        return int(sum(np.count_nonzero((low < 0.0) & (up > 0.0)) for low, up in pairs))


class BoundingMethod(ABC):
    """A way to compute pre-activation bounds; see :data:`reluopt.bounds.BOUNDING_METHODS`.

    Attributes:
        name: how people call it.
    """

    name: ClassVar[str]

    def compute(
        self, network: ReLUNetwork, inputs: InputSet, *, deadline: Deadline = NEVER
    ) -> PreActivationBounds:
        """Bounds valid for every input of a set; ``empty`` when it provably is.

        Args:
            network: the network, as its layers lower.
            inputs: the inputs over which they must hold.
            deadline: when methods that take their time stop with what they have.

        Raises:
            InputError: the inputs do not fit the network, or it may overflow over them.
        """
        box = inputs.box
        if box.lower.size == network.input_size:  # another size is named where it does not fit
            refuse_overflow(network, box.lower, box.upper)
        return self._bounds(network, inputs, deadline)

    @abstractmethod
    def _bounds(
        self, network: ReLUNetwork, inputs: InputSet, deadline: Deadline
    ) -> PreActivationBounds:
        """See :meth:`compute`."""

    def refuse_untrue(self, network: ReLUNetwork, box: Box, deadline: Deadline = NEVER) -> None:
        """Raise an UnsupportedProblemError where the bounds are not proven; computed ones are."""
        del network, box, deadline

    def __str__(self) -> str:
        return self.name
