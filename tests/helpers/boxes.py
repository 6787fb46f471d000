"""Small random problems over balls, and their answers by enumeration of activation patterns."""

import itertools
import math
from dataclasses import replace

import numpy as np
from scipy.optimize import linprog

from helpers.regions import enumerate_patterns
from reluopt.deadline import NEVER
from reluopt.engines.branch_and_bound.l2.boxes import BoxTree
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.problems import Box, Verification


def random_network(generator, sizes, *, integers=False):
    """A dense network; with small integers ties and dead neurons are common."""
    layers = []
    for below, above in itertools.pairwise(sizes):
        if integers:
            weight = generator.integers(-2, 3, (above, below)).astype(float)
            bias = generator.integers(-2, 3, above).astype(float)
        else:
            weight = generator.normal(size=(above, below))
            bias = 0.5 * generator.normal(size=above)
        layers.append(Dense(weight, bias))
    return ReLUNetwork(tuple(layers))


def random_ball(generator, network, norm, box=None):
    """A question about a point that the network answers, and a radius that often matters."""
    box = Box.unit(network.input_size) if box is None else box
    image = generator.uniform(box.lower, box.upper)
    image = np.where(generator.random(image.size) < 0.3, box.lower, image)
    eps = float(generator.choice([0.02, 0.1, 0.3, 0.8]))
    label = int(network.predict(image))
    return Verification(image, label, eps, norm, box)


def largest_slack(network, task, pattern, conditions):
    """The largest slack within one linear region of an Linf or L1 ball; None if that is empty."""
    inputs = task.inputs
    n = inputs.center.size
    maps = network.region_map(pattern)
    rows, rhs = [], []
    for (slope, offset), active in zip(maps[:-1], pattern, strict=True):
        sign = np.where(active, -1.0, 1.0)
        rows.append(sign[:, None] * slope)
        rhs.append(-sign * offset)
    slope, offset = maps[-1]
    form, constant = conditions.matrix @ slope, conditions.matrix @ offset - conditions.rhs
    rows = np.vstack([*rows, np.zeros((0, n))])
    rhs = np.concatenate([*rhs, np.zeros(0)])
    low, high = inputs.box.lower, inputs.box.upper
    if str(inputs.norm) == "linf":
        low, high = (
            np.maximum(low, inputs.center - inputs.radius),
            np.minimum(high, inputs.center + inputs.radius),
        )
    # variables: x, top (below every condition), sizes of the change
    count = n + 1 + n
    matrix = np.hstack([rows, np.zeros((rows.shape[0], 1 + n))])
    tops = np.hstack([-form, np.ones((form.shape[0], 1)), np.zeros((form.shape[0], n))])
    eye = np.eye(n)
    sizes = np.vstack(
        [
            np.hstack([eye, np.zeros((n, 1)), -eye]),
            np.hstack([-eye, np.zeros((n, 1)), -eye]),
        ]
    )
    total = np.concatenate([np.zeros(n + 1), np.ones(n)])[None]
    radius = inputs.radius if str(inputs.norm) == "l1" else 1e6
    result = linprog(
        -np.eye(count)[n],
        A_ub=np.vstack([matrix, tops, sizes, total]),
        b_ub=np.concatenate([rhs, constant, inputs.center, -inputs.center, [radius]]),
        bounds=[*zip(low, high, strict=True), (None, None), *[(0, None)] * n],
        method="highs",
    )
    return -result.fun if result.status == 0 else None


def brute_slack(network, task):
    """The largest slack of any alternative over the ball."""
    hidden = network.hidden_sizes
    cuts = np.cumsum(hidden)[:-1]
    best = -math.inf
    for bits in itertools.product((False, True), repeat=sum(hidden)):
        pattern = np.split(np.array(bits, dtype=bool), cuts) if hidden else []
        for alternative in task.alternatives:
            found = largest_slack(network, task, pattern, alternative.conditions)
            best = best if found is None else max(best, found)
    return best


def linf_optimum(task, matrix, rhs):
    """The smallest Linf change within one linear region."""
    n = task.image.size
    ones = np.ones((n, 1))
    eye = np.eye(n)
    low, high = task.box.lower - task.image, task.box.upper - task.image
    result = linprog(
        np.concatenate([np.zeros(n), [1.0]]),
        A_ub=np.vstack(
            [
                np.hstack([-matrix, np.zeros((matrix.shape[0], 1))]),
                np.hstack([eye, -ones]),
                np.hstack([-eye, -ones]),
            ]
        ),
        b_ub=np.concatenate([-rhs, np.zeros(2 * n)]),
        bounds=[*zip(low, high, strict=True), (0, None)],
        method="highs",
    )
    return result.fun if result.status == 0 else math.inf


def brute_linf(network, task):
    """The smallest Linf distance."""
    return enumerate_patterns(network, task, linf_optimum)


def mutated_proof(proof, generator):
    """A proof with some of its numbers changed."""
    trees = list(proof.trees)
    place = int(generator.integers(len(trees)))
    tree = trees[place]
    kind = int(generator.integers(6))
    if kind == 0 and tree.splits.size > 1:
        splits = tree.splits.copy()
        splits[generator.integers(splits.size)] = generator.integers(-1, 9)
        tree = replace(tree, splits=splits)
    elif kind == 1:
        noise = generator.normal(size=tree.multipliers.shape) * 10.0 ** generator.integers(-3, 4)
        tree = replace(tree, multipliers=tree.multipliers + noise)
    elif kind == 2:
        tree = replace(tree, shares=tree.shares + generator.normal(size=tree.shares.shape))
    elif kind == 3 and tree.points.size:
        points = generator.integers(-127, 128, tree.points.shape).astype(np.int8)
        cuts = generator.integers(-1, tree.points.shape[0], tree.cuts.size)
        tree = replace(tree, points=points, cuts=cuts)
    elif kind == 4 and proof.chains[0]:
        steps = list(proof.chains[0])
        at = int(generator.integers(len(steps)))
        noise = generator.normal(size=steps[at].multipliers.shape).astype(np.float32)
        steps[at] = replace(steps[at], multipliers=steps[at].multipliers + noise)
        return replace(proof, chains=(tuple(steps), *proof.chains[1:]))
    else:
        return replace(proof, trees=tuple(trees[:place] + trees[place + 1 :]))
    trees[place] = tree
    return replace(proof, trees=tuple(trees))


def searched_through(mlp_box):
    """The tree of a box of which nothing is open any more."""
    network, ends, conditions, bounds = mlp_box
    tree = BoxTree(network, ends, conditions, bounds, lambda _: False, NEVER)
    tree.grow()
    assert not tree.open
    return tree
