"""Random small networks of any scale: what the pipeline claims against exact brute force.

The decisive claims are judged in rational arithmetic: no bound above the exact optimum, nothing
called infeasible that is not, and no incumbent that misses a condition by more than the rounding of
a float64 forward pass.
"""

import math
from collections import Counter
from fractions import Fraction

import numpy as np

from helpers.exact import (
    exact_layers,
    exact_objective,
    exact_optimum,
    exact_slacks,
    forward_rounding,
)
from helpers.instances import random_network, random_problem
from reluopt.answers.solution import GAP_DENOMINATOR_FLOOR, Status
from reluopt.engines.options import EngineOptions
from reluopt.method import Method
from reluopt.pipeline import solve

INSTANCES = 10_000

GAP = 1e-6

UNSETTLED = 0.02
"""Share of instances that may end without proof: some are beyond double precision."""


def judge(network, problem, solution, optimum):
    """Everything that is wrong with a solution, in words."""
    task = problem.task(network)
    if solution.status is Status.INFEASIBLE and optimum != math.inf:
        yield f"INFEASIBLE, but the optimum is {float(optimum)}"
    if solution.bound == math.inf and optimum != math.inf:
        yield "an infinite bound"
    if math.isfinite(solution.bound) and Fraction(solution.bound) > optimum:
        yield f"bound {solution.bound!r} above the optimum {float(optimum)!r}"
    if not solution.bound >= 0.0:
        yield f"bound {solution.bound}"
    answered = solution.status in (Status.OPTIMAL, Status.FEASIBLE, Status.NOT_ADVERSARIAL)
    if not answered:
        return
    if solution.certified == (solution.status is Status.NOT_ADVERSARIAL):
        yield f"{solution.status} and certified {solution.certified}"
    alternative = next(a for a in task.alternatives if a.target == solution.target)
    logits = exact_layers(network, solution.image)[-1]
    errors = forward_rounding(network, solution.image)
    conditions = alternative.conditions
    allowed = np.abs(conditions.matrix) @ errors * 1.01
    allowed += 2.0**-50 * (np.abs(conditions.matrix) @ np.abs(np.array(logits, dtype=float)))
    allowed += 2.0**-50 * np.abs(conditions.rhs)
    for slack, room in zip(exact_slacks(alternative, logits), allowed, strict=True):
        if slack < -Fraction(float(room)):
            yield f"a condition is missed by {float(-slack)}, rounding explains {room}"
    rivals = [value for j, value in enumerate(logits) if j != solution.target]
    lead = logits[solution.target] - max(rivals)
    if solution.certified and lead <= -Fraction(2.0 * float(errors.max())):
        yield f"the target leads by {float(lead)}"
    if task.box.violation(solution.image) != 0.0:
        yield "the image leaves its box"
    objective = float(exact_objective(task, solution.image))
    if abs(objective - solution.objective) > 1e-12 * objective:
        yield f"objective {solution.objective!r} is {objective!r}"
    gap = (solution.objective - solution.bound) / max(solution.objective, GAP_DENOMINATOR_FLOOR)
    if solution.status is Status.OPTIMAL and not 0.0 <= gap <= GAP:
        yield f"OPTIMAL with a gap of {gap}"


def test_claims_hold_against_exact_brute_force(fuzz_seed, fuzz_count):
    count = fuzz_count(INSTANCES)
    print(f"\nbrute force: {count} instances, seed {fuzz_seed}")
    method = Method("bnb", options=EngineOptions(time_limit=20.0, gap=GAP))
    statuses, failures, deepest = Counter(), [], 0.0
    for number in range(count):
        generator = np.random.default_rng((fuzz_seed, number))
        network = random_network(generator)
        problem = random_problem(generator, network)
        solution = solve(network, problem, method)
        task = problem.task(network)
        optimum = exact_optimum(network, task, solution.image)
        statuses[solution.status] += 1
        failures += [
            f"seed ({fuzz_seed}, {number}): {failure}"
            for failure in judge(network, problem, solution, optimum)
        ]
        if solution.status is Status.OPTIMAL and optimum > 0:
            below = float((optimum - exact_objective(task, solution.image)) / optimum)
            deepest = max(deepest, below)
    print(", ".join(f"{number} {status}" for status, number in sorted(statuses.items())))
    print(f"OPTIMAL objectives lie below the exact optimum by at most {deepest:.3g} (relative)")
    assert not failures, "\n".join(failures[:20])
    open_ends = statuses[Status.FEASIBLE] + statuses[Status.TIME_LIMIT] + statuses[Status.NUMERICAL]
    assert open_ends <= max(1.0, UNSETTLED * count)
