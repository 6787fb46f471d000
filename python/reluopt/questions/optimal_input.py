"""Which input in a box makes one logit as large as possible?"""

from __future__ import annotations

from dataclasses import dataclass

from reluopt.networks.network import ReLUNetwork
from reluopt.questions.input_sets import Box
from reluopt.questions.tasks import Task, check_label, fitting_box


@dataclass(frozen=True, eq=False)
class OptimalInput:
    """The input in a box (None: that of the network) that maximises the logit of ``label``.

    Example:
        >>> import numpy as np
        >>> import reluopt as ro
        >>> double = ro.Dense(np.array([[2.0, -1.0]]), np.array([0.5]))
        >>> network = ro.ReLUNetwork((double, ro.Dense(np.ones((1, 1)), np.zeros(1))))
        >>> round(ro.solve(network, ro.OptimalInput(0)).objective, 6)  # at (1, 0)
        2.5
    """

    label: int
    box: Box | None = None

    def task(self, network: ReLUNetwork) -> Task:
        """The logit over the box, or an InputError where label or box do not fit the network."""
        check_label(network, self.label)
        return Task.largest_logit(self.label, fitting_box(network, self.box))
