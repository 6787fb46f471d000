"""Optima of small networks in rational arithmetic: nothing is rounded, nothing has a tolerance.

Every activation pattern that the box admits gives a linear program (L1) or a strictly convex
quadratic one (L2 and blends), solved exactly by a dual method that starts from no change at all, so
that its value only rises and a pattern is left once it is worse than the best.
"""

import itertools
import math
from fractions import Fraction

import numpy as np

from reluopt.questions.problems import Blend, Norm

ZERO, ONE = Fraction(0), Fraction(1)


def rational(array):
    """Nested lists of Fractions with the values of a float array."""
    if np.ndim(array) == 0:
        return Fraction(float(array))
    return [rational(part) for part in array]


def dot(left, right):
    return sum((a * b for a, b in zip(left, right, strict=True) if a and b), ZERO)


def exact_layers(network, image):
    """Exact pre-activations of every layer."""
    values, layers = rational(image), []
    for layer in network.layers:
        pairs = zip(rational(layer.weight), rational(layer.bias), strict=True)
        layers.append([dot(row, values) + bias for row, bias in pairs])
        values = [max(value, ZERO) for value in layers[-1]]
    return layers


def exact_objective(task, image):
    """The exact objective of an image."""
    changes = [a - b for a, b in zip(rational(image), rational(task.image), strict=True)]
    if task.norm is Norm.L1:
        return sum(map(abs, changes), ZERO)
    if task.norm is Norm.LINF:
        return max(map(abs, changes))
    square = dot(changes, changes)
    if task.norm is Norm.L2:
        return square
    weight = Fraction(task.norm.weight)
    return weight * sum(map(abs, changes), ZERO) + (1 - weight) * square


def exact_slacks(alternative, logits):
    """``C logits - d`` exactly."""
    conditions = alternative.conditions
    pairs = zip(rational(conditions.matrix), rational(conditions.rhs), strict=True)
    return [dot(row, logits) - side for row, side in pairs]


def forward_rounding(network, image):
    """By how much a float64 forward pass may be wrong in each logit, whatever its order of sums.

    Every layer adds at most ``gamma_{n+2} (|W| |x| + |b|)`` and passes on what came before.
    """
    unit = 2.0**-53
    values, errors = np.abs(image), np.zeros(image.size)
    for layer in network.layers:
        weight, count = np.abs(layer.weight), layer.input_size + 2
        share = count * unit / (1.0 - count * unit)
        sizes = weight @ (values + errors) + np.abs(layer.bias)
        errors = 1.01 * (weight @ errors + share * sizes) + 1e-300
        values = sizes
    return errors


class _Program:
    """``rows @ delta >= sides`` within the box, and how to minimise the task's norm over it."""

    def __init__(self, task):
        low, high, image = rational(task.box.lower), rational(task.box.upper), rational(task.image)
        self.low = [a - b for a, b in zip(low, image, strict=True)]
        self.high = [a - b for a, b in zip(high, image, strict=True)]
        self.norm = task.norm

    def minimum(self, rows, sides, best):
        """The least objective, infinite when there is none or none below ``best``."""
        if self.norm is Norm.L2:
            size = len(self.low)
            for j in range(size):
                unit = [ONE if i == j else ZERO for i in range(size)]
                rows, sides = [*rows, unit], [*sides, self.low[j]]
                rows, sides = [*rows, [-value for value in unit]], [*sides, -self.high[j]]
            return dual_active_set(2 * ONE, [ZERO] * size, rows, sides, best)
        parts = [(j, 1, room) for j, room in enumerate(self.high) if room > 0]
        parts += [(j, -1, -room) for j, room in enumerate(self.low) if room < 0]
        size = len(parts)
        rows = [[sign * row[j] for j, sign, _ in parts] for row in rows]
        for at, (_, _, room) in enumerate(parts):
            rows.append([-ONE if i == at else ZERO for i in range(size)])
            sides = [*sides, -room]
        if self.norm is Norm.L1:
            return dual_simplex([ONE] * size, rows, sides, best)
        if self.norm is Norm.LINF:  # one more variable above all sums of both parts of a change
            rows = [[*row, ZERO] for row in rows]
            for j in {j for j, _, _ in parts}:
                rows.append([*(-ONE if i == j else ZERO for i, _, _ in parts), ONE])
                sides = [*sides, ZERO]
            return dual_simplex([*[ZERO] * size, ONE], rows, sides, best)
        for at in range(size):
            rows.append([ONE if i == at else ZERO for i in range(size)])
            sides = [*sides, ZERO]
        weight = Fraction(self.norm.weight)
        return dual_active_set(2 * (1 - weight), [weight] * size, rows, sides, best)


def dual_simplex(cost, rows, sides, best):
    """Minimum of ``cost @ x`` over ``rows @ x >= sides``, ``x >= 0``, for ``cost >= 0``.

    Infinite when there is none, or none at most ``best``. Smallest indices decide, so that it ends.
    """
    count, size = len(rows), len(cost)
    cost, table, values = list(cost), [list(row) for row in rows], [-side for side in sides]
    outside, basic = list(range(size)), list(range(size, size + count))
    objective = ZERO
    while True:
        wrong = [i for i in range(count) if values[i] < 0]
        if not wrong:
            return objective
        r = min(wrong, key=basic.__getitem__)
        row = table[r]
        usable = [j for j in range(size) if row[j] > 0]
        if not usable:
            return math.inf
        c = min(usable, key=lambda j: (cost[j] / row[j], outside[j]))
        step, share = -values[r] / row[c], cost[c]
        objective += share * step
        if objective > best:
            return math.inf
        pivot = row[c]
        row = [-value / pivot for value in row]
        row[c] = 1 / pivot
        table[r], values[r] = row, step
        outside[c], basic[r] = basic[r], outside[c]
        for i in range(count):
            factor = table[i][c]
            if i != r and factor:
                values[i] += factor * step
                old = table[i]
                table[i] = [
                    factor * row[j] if j == c else old[j] + factor * row[j] for j in range(size)
                ]
        cost = [share * row[j] if j == c else cost[j] + share * row[j] for j in range(size)]


def dual_active_set(curvature, linear, rows, sides, best):
    """Minimum of ``curvature/2 |x|^2 + linear @ x`` over ``rows @ x >= sides``.

    Goldfarb and Idnani (1983), A numerically stable dual method for solving strictly convex
    quadratic programs. Infinite when there is none, or none at most ``best``.
    """
    x = [-value / curvature for value in linear]
    active, duals = [], []
    while True:
        slacks = [dot(row, x) - side for row, side in zip(rows, sides, strict=True)]
        new = min(range(len(rows)), key=lambda i: slacks[i])
        if slacks[new] >= 0:
            return curvature / 2 * dot(x, x) + dot(linear, x)
        gain = ZERO
        while True:
            normals = [rows[i] for i in active]
            ratio = solve_exactly(
                [[dot(a, b) for b in normals] for a in normals],
                [dot(a, rows[new]) for a in normals],
            )
            move = list(rows[new])
            for share, normal in zip(ratio, normals, strict=True):
                move = [a - share * b for a, b in zip(move, normal, strict=True)]
            length = dot(move, move)
            blocking = [(duals[k] / r, k) for k, r in enumerate(ratio) if r > 0]
            partial, worst = min(blocking, default=(math.inf, -1))
            slack = dot(rows[new], x) - sides[new]
            full = -slack * curvature / length if length else math.inf
            step = min(partial, full)
            if step == math.inf:
                return math.inf
            if length:
                x = [a + step * b / curvature for a, b in zip(x, move, strict=True)]
            duals = [u - step * r for u, r in zip(duals, ratio, strict=True)]
            gain += step
            if full <= partial:
                active.append(new)
                duals.append(gain)
                break
            del active[worst], duals[worst]
        if curvature / 2 * dot(x, x) + dot(linear, x) > best:
            return math.inf


def solve_exactly(matrix, right):
    """Solution of a regular system by elimination."""
    size = len(right)
    table = [[*row, side] for row, side in zip(matrix, right, strict=True)]
    for k in range(size):
        pivot = next(i for i in range(k, size) if table[i][k])
        table[k], table[pivot] = table[pivot], table[k]
        head = table[k][k]
        table[k] = [value / head for value in table[k]]
        for i in range(size):
            factor = table[i][k]
            if i != k and factor:
                table[i] = [a - factor * b for a, b in zip(table[i], table[k], strict=True)]
    return [row[size] for row in table]


class _Walk:
    """All activation patterns that the box admits, layer by layer, with their affine maps."""

    def __init__(self, network, task):
        self.task = task
        self.program = _Program(task)
        self.layers = [(rational(layer.weight), rational(layer.bias)) for layer in network.layers]
        self.alternatives = [
            (rational(each.conditions.matrix), rational(each.conditions.rhs))
            for each in task.alternatives
        ]
        self.best = math.inf

    def visit(self, depth, slopes, offsets, rows, sides, only=None):
        """Go on from the affine map of the post-activations below layer ``depth``."""
        weight, bias = self.layers[depth]
        slopes = [_combined(row, slopes, len(self.program.low)) for row in weight]
        offsets = [dot(row, offsets) + b for row, b in zip(weight, bias, strict=True)]
        if depth == len(self.layers) - 1:
            for matrix, right in self.alternatives:
                asked = [_combined(row, slopes, len(self.program.low)) for row in matrix]
                limits = [d - dot(row, offsets) for row, d in zip(matrix, right, strict=True)]
                found = self.program.minimum([*rows, *asked], [*sides, *limits], self.best)
                self.best = min(self.best, found)
            return
        if rows and depth > 1 and self.program.minimum(rows, sides, self.best) == math.inf:
            return
        for phases in itertools.product(*map(self._phases, slopes, offsets)):
            if only is not None and list(phases) != only[depth]:
                continue
            signs = [1 if active else -1 for active in phases]
            more = [[s * v for v in slope] for s, slope in zip(signs, slopes, strict=True)]
            limits = [-s * offset for s, offset in zip(signs, offsets, strict=True)]
            zero = [ZERO] * len(self.program.low)
            self.visit(
                depth + 1,
                [slope if on else zero for on, slope in zip(phases, slopes, strict=True)],
                [offset if on else ZERO for on, offset in zip(phases, offsets, strict=True)],
                [*rows, *more],
                [*sides, *limits],
                only,
            )

    def _phases(self, slope, offset):
        """The phases that a neuron can have in the box."""
        low, high = self.program.low, self.program.high
        most = offset + sum(
            (v * (b if v > 0 else a) for v, a, b in zip(slope, low, high, strict=True)), ZERO
        )
        least = offset + sum(
            (v * (a if v > 0 else b) for v, a, b in zip(slope, low, high, strict=True)), ZERO
        )
        return [False] * (least <= 0) + [True] * (most > 0)


def _combined(row, slopes, size):
    """The linear form ``row @ slopes``."""
    result = [ZERO] * size
    for value, slope in zip(row, slopes, strict=True):
        if value:
            result = [a + value * b for a, b in zip(result, slope, strict=True)]
    return result


def exact_optimum(network, task, near=None):
    """The exact optimum of a perturbation task, infinite when nothing meets it.

    Args:
        network: a few neurons; all patterns that the box admits are solved.
        task: L1, L2, Linf or a blend of the first two, without limits.
        near: an image whose pattern is tried first, which saves time when it is good.
    """
    assert task.limits is None
    assert isinstance(task.norm, Blend) or task.norm in tuple(Norm)
    walk = _Walk(network, task)
    size = task.image.size
    start = [[ONE if i == j else ZERO for i in range(size)] for j in range(size)]
    if near is not None:
        pattern = [[a > 0 for a in layer] for layer in exact_layers(network, near)[:-1]]
        walk.visit(0, start, rational(task.image), [], [], pattern)
    walk.visit(0, start, rational(task.image), [], [])
    return walk.best
