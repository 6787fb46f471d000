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


MARGINS = (1e-6, 1e-5, 1e-4)
"""Slack that conditions on outputs are asked to have where the replay does not confirm an input,
relative to the largest output there: 10 to 1000 times the rounding of a float32 number."""


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
        missed: whether an input was found that only the float64 network takes for one.
    """

    verdict: Verdict
    witness: Witness | None = None
    missed: bool = False


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
    pending, given_up, missed = list(specification.regions), False, False
    while pending and not deadline.passed:
        region = pending.pop(0)
        share = deadline.share(1.0 / (1 + len(pending)))
        seconds = share.left
        found, proven = _decided(specification, region, network, replay, method, share)
        if found is not None and found.exact:
            return Decision(Verdict.SAT, found)
        missed |= found is not None
        if proven:
            continue
        if seconds < math.inf and share.left <= LATE * seconds:
            pending.append(region)
        else:
            given_up = True
    verdict = Verdict.UNKNOWN if given_up else Verdict.UNSAT
    return Decision(Verdict.TIMEOUT if pending else verdict, missed=missed)


def _decided(
    specification: Specification,
    region: Region,
    network: ReLUNetwork,
    replay: Replay,
    method: Method,
    deadline: Deadline,
) -> tuple[Witness | None, bool]:
    """A counterexample in a region, or whether it is proven to hold none.

    Where the replay confirms no input, one is sought that has some slack.
    """
    if any(not conditions.rhs.size for conditions in region.alternatives):
        middle = 0.5 * region.box.lower + 0.5 * region.box.upper
        return witness(specification, region, network, replay, np.asarray(middle)), False
    asked, found, largest = region, None, 0.0
    for margin in (0.0, *MARGINS):
        if margin:
            asked = region.tightened(margin * largest)
        options = replace(method.options, time_limit=deadline.solver_seconds)
        solution = solve(network, RegionQuestion(asked), replace(method, options=options))
        if solution.image is None:
            return found, solution.status is Status.ROBUST and not margin
        found = witness(specification, region, network, replay, solution.image) or found
        if (found is not None and found.exact) or deadline.passed:
            break
        largest = float(np.abs(network.forward(solution.image)).max())
    return found, False
