"""What an engine claims, before the network was run on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reluopt.answers.solution import Status
from reluopt.numerics.arrays import BoolArray, FloatArray


@dataclass(frozen=True, eq=False)
class EngineAnswer:
    """What an engine claims.

    Attributes:
        status: the engine's claim; OPTIMAL means that it proved its gap.
        image: input of the best solution found (None when the engine found nothing better than
            the incumbent, or nothing at all).
        alternative: which alternative the image meets.
        objective: objective of the best solution known to the engine, the incumbent included.
        bound: proven bound on the optimum, on the same scale (lower when minimising, upper when
            maximising).
        nodes: branch-and-bound nodes.
        build_seconds: seconds spent on building the program.
        search_seconds: seconds spent on solving it.
        size: ``variables``, ``constraints``, ``binaries`` of the (largest) program.
        message: one line in words when something needs saying.
        pattern: phases of the hidden neurons that the engine's solution has (its rounded
            binaries), one array for each hidden layer; None when it does not know.
        outputs: the logits as the program computed them, shape ``(n_K,)``, or None.
        proof: engine-specific material for replaying the proof, when kept.
        steps: calls and seconds of every step of the search, from engines that tell.
    """

    status: Status
    image: FloatArray | None
    alternative: int
    objective: float
    bound: float
    nodes: int = 0
    build_seconds: float = 0.0
    search_seconds: float = 0.0
    size: Mapping[str, int] = field(default_factory=dict)
    message: str = ""
    pattern: tuple[BoolArray, ...] | None = None
    outputs: FloatArray | None = None
    proof: Any = None
    steps: Mapping[str, tuple[int, float]] = field(default_factory=dict)
