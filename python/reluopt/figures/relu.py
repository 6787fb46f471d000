"""The ReLU, and what a linear program makes of it."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from reluopt.errors import InputError
from reluopt.figures.style import CYCLE, SINGLE_COLUMN, new_figure, style

_OPACITY = 0.2
"""Of what the relaxation allows beside the ReLU."""


@style()
def relu_figure(lower: float, upper: float) -> Figure:
    """``max(0, a)`` between pre-activation bounds, and the triangle that its relaxation allows.

    Args:
        lower: L < 0.
        upper: U > 0.

    Raises:
        InputError: the neuron is stable.
    """
    if not lower < 0.0 < upper:
        raise InputError(f"figure: expected bounds around 0, found {lower} and {upper}")
    figure = new_figure(SINGLE_COLUMN, 1.8)
    axes = figure.add_axes((0.14, 0.22, 0.83, 0.74))
    ends = np.array([lower, 0.0, upper])
    relu = np.maximum(ends, 0.0)
    above = upper * (ends - lower) / (upper - lower)
    axes.fill_between(ends, relu, above, color=CYCLE[1], alpha=_OPACITY, linewidth=0.0,
                      label="relaxation: $x \\leq U (a - L) / (U - L)$")  # fmt: skip
    axes.plot(ends, relu, color=CYCLE[0], label="$x = \\max(0, a)$")
    axes.set(xlabel="pre-activation $a$", ylabel="output $x$", xlim=(lower, upper))
    axes.grid(True)
    axes.legend(loc="upper left")
    return figure
