"""What a box holds, by the way of searching that suits the network."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from reluopt.deadline import Deadline
from reluopt.engines.branch_and_bound.dual.attack import BoxAttack
from reluopt.engines.branch_and_bound.dual.boxes import Folded, folded_over
from reluopt.engines.branch_and_bound.dual.decision import Decision
from reluopt.engines.branch_and_bound.dual.domains import BoxDomain
from reluopt.engines.branch_and_bound.dual.verdict import FIRST_STEPS, DomainSearch
from reluopt.engines.branch_and_bound.envelopes import boxed
from reluopt.engines.branch_and_bound.envelopes.tree import takes
from reluopt.engines.branch_and_bound.simplifying import is_simplified
from reluopt.errors import InputError
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
        meanwhile: called once when trees of these have become large.
    """

    keep: bool = False
    most: float = math.inf
    few: int | None = None
    meanwhile: Callable[[], bool] | None = None


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
    enveloped = not effort.keep and is_simplified(network, False) and takes(network)
    try:
        folded = folded_over(network, task, ends, keeps_proof=effort.keep)
    except InputError:
        if not enveloped:
            raise
        folded = Folded(network, task)
    if folded.empty:
        return Decision(slack=folded.slack)
    if enveloped:
        every = range(len(task.alternatives))
        witness = attack.run(*attack.starts(every, 1), FIRST_STEPS)
        if witness is not None:
            return Decision(witness=witness)
        return boxed.decided(network, ends, task.alternatives, deadline, attack)
    given = folded.network, BoxDomain(*ends), folded.task.alternatives, deadline, folded.known
    search = DomainSearch(*given, attack, **vars(effort), linear=folded.is_led)
    return search.run()
