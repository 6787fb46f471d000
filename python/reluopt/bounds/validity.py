"""Whether the thesis' constants are true bounds of a network over a box."""

from __future__ import annotations

import hashlib

import numpy as np

from reluopt.bounds.base import InputSet
from reluopt.bounds.constant import THESIS_MAGNITUDE
from reluopt.bounds.lp import bounds_within
from reluopt.deadline import NEVER, Deadline
from reluopt.errors import UnsupportedProblemError
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.problems import Box


def check_thesis_bounds(network: ReLUNetwork, box: Box, deadline: Deadline = NEVER) -> None:
    """Refuse the thesis' constants where they are not proven; proofs are kept by network and box.

    Raises:
        UnsupportedProblemError: a pre-activation may leave the thesis' bounds of -1000 and 1000, or
            the deadline passed before it was proven that none does.
    """
    digest = hashlib.sha256(box.lower.tobytes() + box.upper.tobytes()).hexdigest()
    key = (network.fingerprint, digest)
    if key not in _EXCEEDING:
        exceeding = _exceeding(network, InputSet(box), deadline)
        if exceeding and deadline.passed:
            raise UnsupportedProblemError(f"{exceeding}, or a longer time limit (it ran out)")
        _EXCEEDING[key] = exceeding
    if _EXCEEDING[key]:
        raise UnsupportedProblemError(_EXCEEDING[key])


_EXCEEDING: dict[tuple[str, str], str] = {}
"""Why the thesis' constants do not hold, by network and box; an empty text where they do."""


def _exceeding(network: ReLUNetwork, region: InputSet, deadline: Deadline) -> str:
    """Why the thesis' constants are not valid over ``region``; an empty text if they are."""
    proven = bounds_within(network, region, THESIS_MAGNITUDE, deadline=deadline)
    for k, (low, up) in enumerate(zip(proven.lower, proven.upper, strict=True), start=1):
        reach = np.maximum(-low, up)
        worst = int(np.argmax(reach))
        if not reach[worst] <= THESIS_MAGNITUDE:
            return (
                f"bounds thesis: expected pre-activations within ±{THESIS_MAGNITUDE:g}, found that "
                f"neuron {worst} of layer {k} may reach [{low[worst]:.6g}, {up[worst]:.6g}]; use "
                "other bounds (--bounds interval, linear or lp)"
            )
    return ""
