"""Sat, unsat, unknown or timeout: every region is a question of the pipeline."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from reluopt.answers.solution import Status
from reluopt.deadline import Deadline
from reluopt.errors import InputError
from reluopt.method import Method
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.readers.agreement import left_out
from reluopt.pipeline import solve
from reluopt.specifications.normal_form import Region
from reluopt.specifications.specification import RegionQuestion, Specification
from reluopt.specifications.witness import Replay, Witness, witness

LATE = 0.05
"""Share of its time that an engine may leave when it stops because the time is up."""


class Verdict(StrEnum):
    """The words of the competition."""

    SAT = "sat"
    UNSAT = "unsat"
    UNKNOWN = "unknown"
    TIMEOUT = "timeout"


@dataclass(frozen=True, eq=False)
class Decision:
    """What came of a specification.

    Attributes:
        verdict: ``unsat`` is proven for every region, ``sat`` has a counterexample.
        witness: the counterexample, or None.
    """

    verdict: Verdict
    witness: Witness | None = None


def decide(
    specification: Specification,
    network: ReLUNetwork,
    replay: Replay,
    method: Method | None = None,
    deadline: Deadline | None = None,
) -> Decision:
    """Decide a specification, region by region.

    Regions share the time that is left; those that need more come back after the others.

    Args:
        specification: what is asked.
        network: of which network.
        replay: what computes the outputs of counterexamples.
        method: how to solve; its time limit holds for all regions together.
        deadline: when to stop, if earlier than the time limit of the method.

    Raises:
        InputError: the network does not fit, may overflow, or had a softmax behind its outputs.
        UnsupportedProblemError: the engine cannot solve such questions.
    """
    specification.check_fits(network)
    if (end := left_out(network)) is not None:
        raise InputError(f"network {network.metadata.name}: a {end} at the end is not supported")
    method = Method() if method is None else method
    limit = Deadline.after(method.options.time_limit)
    deadline = limit if deadline is None else deadline.within(limit.left)
    pending, given_up = list(specification.regions), False
    while pending and not deadline.passed:
        region = pending.pop(0)
        share = deadline.share(1.0 / (1 + len(pending)))
        seconds = share.left
        found, proven = _decided(specification, region, network, replay, method, share)
        if found is not None:
            return Decision(Verdict.SAT, found)
        if proven:
            continue
        if seconds < math.inf and share.left <= LATE * seconds:
            pending.append(region)
        else:
            given_up = True
    if pending:
        return Decision(Verdict.TIMEOUT)
    return Decision(Verdict.UNKNOWN if given_up else Verdict.UNSAT)


def _decided(
    specification: Specification,
    region: Region,
    network: ReLUNetwork,
    replay: Replay,
    method: Method,
    deadline: Deadline,
) -> tuple[Witness | None, bool]:
    """A counterexample in a region, or whether it is proven to hold none."""
    if any(not conditions.rhs.size for conditions in region.alternatives):
        middle = 0.5 * region.box.lower + 0.5 * region.box.upper
        return witness(specification, region, network, replay, np.asarray(middle)), False
    options = replace(method.options, time_limit=deadline.solver_seconds)
    chosen = replace(method, options=options)
    solution = solve(network, RegionQuestion(region), chosen)
    if solution.status is Status.ROBUST:
        return None, True
    if solution.image is None:
        return None, False
    return witness(specification, region, network, replay, solution.image), False
