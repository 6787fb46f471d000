"""Pre-activation bounds: how far every neuron can go over a set of inputs.

``thesis`` is one constant for all, ``interval`` interval arithmetic, ``linear`` CROWN, ``lp``
LP-based OBBT. All but ``thesis`` are valid in exact arithmetic and need no trust in a tolerance.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from reluopt.bounds.base import BoundingMethod, InputSet, PreActivationBounds
from reluopt.bounds.constant import thesis_bounds
from reluopt.bounds.interval import interval_bounds
from reluopt.bounds.linear import linear_bounds
from reluopt.choices import BOUND_NAMES as BOUND_NAMES
from reluopt.deadline import NEVER, Deadline
from reluopt.errors import InputError
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.overflow import refuse_overflow

if TYPE_CHECKING:
    from reluopt.bounds.lp import bounds_within as bounds_within
    from reluopt.bounds.lp import lp_bounds as lp_bounds

__all__ = [
    "BOUND_NAMES",
    "BoundingMethod",
    "InputSet",
    "PreActivationBounds",
    "bounds_within",
    "compute_bounds",
    "interval_bounds",
    "linear_bounds",
    "lp_bounds",
    "thesis_bounds",
]

_IN_LP = ("bounds_within", "lp_bounds")


def __getattr__(name: str) -> Any:
    """The names of :mod:`.lp`, loaded on first use: HiGHS and scipy take their time."""
    if name in _IN_LP:
        return getattr(import_module("reluopt.bounds.lp"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def compute_bounds(
    name: str,
    network: ReLUNetwork,
    region: InputSet,
    *,
    workers: int = 1,
    deadline: Deadline = NEVER,
) -> PreActivationBounds:
    """Bounds by the method called ``name``.

    Args:
        name: one of :data:`BOUND_NAMES`.
        network: the network.
        region: the inputs over which the bounds must hold.
        workers: processes for ``lp``; the other methods take milliseconds and ignore it.
        deadline: when ``lp`` stops and the rest keeps its linear bounds.

    Raises:
        InputError: the name is unknown, the region does not fit the network, or the network may
            overflow over it.
    """
    lower, upper = region.box.lower, region.box.upper
    if lower.size == network.input_size:  # the methods name a box of another size
        refuse_overflow(network, lower, upper)
    if name == "lp":
        from reluopt.bounds.lp import lp_bounds

        return lp_bounds(network, region, workers=workers, deadline=deadline)
    methods: dict[str, BoundingMethod] = {
        "thesis": thesis_bounds,
        "interval": interval_bounds,
        "linear": linear_bounds,
    }
    if name not in methods:
        raise InputError(f"bounds: expected one of {', '.join(BOUND_NAMES)}, found {name!r}")
    return methods[name](network, region)
