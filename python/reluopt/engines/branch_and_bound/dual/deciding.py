"""What a box holds, by the way of searching that suits the network."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from reluopt.deadline import Deadline
from reluopt.engines.branch_and_bound.dual import enveloped
from reluopt.engines.branch_and_bound.dual.attack import BoxAttack
from reluopt.engines.branch_and_bound.dual.boxes import folded_over
from reluopt.engines.branch_and_bound.dual.decision import Decision
from reluopt.engines.branch_and_bound.dual.domains import BoxDomain
from reluopt.engines.branch_and_bound.dual.verdict import (
    FIRST_STARTS,
    FIRST_STEPS,
    DomainSearch,
)
from reluopt.engines.branch_and_bound.envelopes.tree import takes
from reluopt.engines.branch_and_bound.frame import scaled
from reluopt.engines.branch_and_bound.l2.boxes import OpenNode
from reluopt.engines.branch_and_bound.simplifying import is_simplified
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.tasks import Task


@dataclass(frozen=True)
class Effort:
    """How a search goes about it; see :class:`~.verdict.DomainSearch`.

    Attributes:
        keep: whether a proof is kept.
        most: nodes after which it ends undecided.
        few: nodes after which semidefinite programs take over; None for as many as usual.
        settles: whether a search that is not easy has been settled otherwise, called once.
        meanwhile: called once when trees of these have become large, with the alternatives that
            are excluded by then.
        begun: trees of these, by alternative: what larger boxes left open, and this one does.
    """

    keep: bool = False
    most: float = math.inf
    few: int | None = None
    settles: Callable[[], bool] | None = None
    meanwhile: Callable[[Sequence[int]], bool] | None = None
    begun: dict[int, list[OpenNode]] | None = None


def decided(
    network: ReLUNetwork,
    task: Task,
    ends: tuple[FloatArray, FloatArray],
    deadline: Deadline,
    attack: BoxAttack,
    effort: Effort,
) -> Decision:
    """What a box holds.

    Linear forms come first where a network is led or folded over the box. Of networks whose first
    units see little of the input envelopes (:mod:`..envelopes`) follow, of others dual trees.

    Raises:
        InputError: too many neurons are undecided.
    """
    by_envelopes = None if effort.keep else _enveloped(network, task, ends)
    folds = by_envelopes is None
    folded = folded_over(network, task, ends, keeps_proof=effort.keep, folds=folds)
    if folded.empty:
        return Decision(slack=folded.slack)
    if by_envelopes is None:
        given = folded.network, BoxDomain(*ends), folded.task.alternatives, deadline, folded.known
        return DomainSearch(*given, attack, **vars(effort), linear=folded.is_led).run()
    points, which = attack.starts(range(len(task.alternatives)), FIRST_STARTS)
    witness = attack.run(points, which, FIRST_STEPS) if which.size else None
    if witness is not None:
        return Decision(witness=witness)
    small, asked, factor = by_envelopes
    decision = enveloped.decided(small, asked, ends, deadline, attack)
    return replace(decision, slack=decision.slack / factor)  # a power of two


def _enveloped(
    network: ReLUNetwork, task: Task, ends: tuple[FloatArray, FloatArray]
) -> tuple[ReLUNetwork, Task, float] | None:
    """Network and task as envelopes take them, and the factor of the logits; None if they do not.

    Scaling may lower a network, so that it is asked of what comes out.
    """
    if not (is_simplified(network, False) and takes(network)):
        return None
    found = scaled(network, task, float(np.abs(np.array(ends)).max(initial=0.0)))
    return found if takes(found[0]) else None
