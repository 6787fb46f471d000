"""Random small networks of any scale: what the pipeline claims against exact brute force.

The decisive claims are judged in rational arithmetic: no bound above the exact optimum, nothing
called infeasible that is not, and no incumbent that misses a condition by more than the rounding of
a float64 forward pass.
"""

import itertools
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
from reluopt.engines.base import EngineOptions
from reluopt.network import Dense, ReLUNetwork
from reluopt.problems import (
    AbsoluteMargin,
    AnyTarget,
    BareRelativeMargin,
    Blend,
    Box,
    FixedTarget,
    MinimalPerturbation,
    Norm,
    RelativeMargin,
    RunnerUpTarget,
)
from reluopt.solution import GAP_DENOMINATOR_FLOOR, Status
from reluopt.solve import Method, solve

INSTANCES = 10_000

GAP = 1e-6

UNSETTLED = 0.02
"""Share of instances that may end without proof: some are beyond double precision."""

SHORT = 2.0**-10
"""Most weights are multiples of it times a power of ten: exact arithmetic is faster with them."""


def random_layer(generator, inputs, outputs, scale, reach):
    """A layer with ties, twins, opposites, zeros or hardly any weights; biases of size ``reach``."""
    if generator.random() < 0.3:
        weight = generator.integers(-2, 3, size=(outputs, inputs)).astype(float)
        bias = generator.integers(-1, 2, size=outputs).astype(float)
    else:
        weight, bias = generator.normal(size=(outputs, inputs)), 0.5 * generator.normal(size=outputs)
        if generator.random() < 0.8:
            weight, bias = np.round(weight / SHORT) * SHORT, np.round(bias / SHORT) * SHORT
    flaw = generator.integers(0, 12)
    if flaw == 0:
        weight[0] = 0.0
    elif flaw == 1:
        weight[-1], bias[-1] = weight[0], bias[0]
    elif flaw == 2:
        weight[-1], bias[-1] = -weight[0], -bias[0]
    elif flaw == 3:
        weight[:, 0] *= 2.0**-30
    elif flaw == 4:
        weight[0], bias[0] = -np.abs(weight[0]), -1.0
    return Dense(scale * weight, reach * bias)


def random_network(generator):
    """At most five hidden neurons in up to three layers; each layer of its own scale."""
    shapes = ((), (2,), (3,), (4,), (5,), (2, 2), (3, 2), (2, 3), (2, 1, 2))
    hidden = shapes[generator.integers(len(shapes))]
    sizes = (int(generator.integers(1, 6)), *hidden, int(generator.integers(2, 4)))
    extreme, fitting = generator.random() < 0.5, generator.random() < 0.9
    layers, reach = [], 1.0
    for inputs, outputs in itertools.pairwise(sizes):
        scale = 10.0 ** generator.uniform(-9.0, 6.0) if extreme else 1.0
        reach = scale * reach if fitting else scale
        layers.append(random_layer(generator, inputs, outputs, scale, reach))
    return ReLUNetwork(tuple(layers))


def within_reach(generator, network, box, label):
    """A label that some inputs of the box are given, not ``label`` if possible, and its best lead."""
    corners = generator.integers(0, 2, size=(40, network.input_size))
    mixed = np.where(generator.random(corners.shape) < 0.3, generator.random(corners.shape), corners)
    logits = network.forward(box.lower + mixed * (box.upper - box.lower))
    leads = np.sort(logits, axis=1)[:, -1] - np.sort(logits, axis=1)[:, -2]
    leads[logits.argmax(axis=1) == label] = -np.inf
    best = int(np.argmax(leads))
    return int(logits[best].argmax()), max(float(leads[best]), 0.0)


def random_margin(generator, network, image, lead):
    """Margins that fit the scale of the logits, tiny ones and huge ones."""
    size = lead or float(np.abs(network.forward(image)).max()) or 1.0
    choices = (
        RelativeMargin(0.2),
        RelativeMargin(0.0, strict_gap=1e-4 * size),
        RelativeMargin(0.1, strict_gap=1e-9 * size),
        AbsoluteMargin(0.1 * size),
        AbsoluteMargin(size * 10.0 ** generator.uniform(-12.0, 1.0)),
        BareRelativeMargin(0.2),
    )
    return choices[generator.choice(6, p=(0.1, 0.25, 0.15, 0.25, 0.15, 0.1))]


def random_problem(generator, network):
    """An image on, beside or far from the sides of a box of any width."""
    size = network.input_size
    low = -generator.random(size) * generator.choice([0.0, 1.0, 3.0])
    high = low + generator.random(size) * 10.0 ** generator.choice([0.0, 0.5, 1.0, -3.0, -6.0])
    if generator.random() < 0.6:
        low, high = np.zeros(size), np.ones(size)
    fixed = generator.random(size) < 0.1
    high[fixed] = low[fixed]
    place = generator.choice([0.0, 1.0, 0.25, 0.5, 0.7], size=size)
    image = np.clip(low + place * (high - low), low, high)
    label = int(network.predict(image))
    classes = network.output_size
    reached, lead = within_reach(generator, network, Box(low, high), label)
    target = (
        AnyTarget(),
        RunnerUpTarget(),
        FixedTarget(reached),
        FixedTarget((label + 1) % classes),
        FixedTarget(label),
    )[generator.choice(5, p=(0.3, 0.05, 0.5, 0.1, 0.05))]
    norms = (Norm.L1, Norm.L2, Blend(0.5), Blend(float(generator.choice([0.01, 0.3, 0.9]))))
    norm = norms[generator.choice(4, p=(0.45, 0.4, 0.05, 0.1))]
    margin = random_margin(generator, network, image, lead)
    return MinimalPerturbation(image, label, target, norm, margin, Box(low, high))


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
    if not task.box.violation(solution.image) == 0.0:
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
