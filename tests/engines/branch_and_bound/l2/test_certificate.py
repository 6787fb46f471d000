"""Forms and safe bounds of the L2 relaxation, checked in exact rational arithmetic."""

import itertools
from fractions import Fraction

import numpy as np
import pytest

from reluopt.engines.branch_and_bound.frame import Frame
from reluopt.engines.branch_and_bound.l2.certificate import (
    Witness,
    bound_by_tangent,
    first_layer,
    form_spread,
    negative_curvature,
    safe_quadratic_bound,
)
from reluopt.engines.branch_and_bound.l2.interior import Effort
from reluopt.engines.branch_and_bound.l2.model import (
    CONDITION,
    NEGATIVE,
    PHASE,
    POSITIVE,
    L2Setting,
    build_model,
)
from reluopt.engines.branch_and_bound.l2.relaxation import Cuts, L2Relaxation
from reluopt.networks.flattening import flatten
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.input_sets import with_radius
from reluopt.numerics.propagate import tighten
from reluopt.questions.input_sets import InputSet
from reluopt.questions.problems import Alternative, Box, LogitConditions, Norm
from reluopt.questions.tasks import Task

EFFORT = Effort(60, 1e-8, 0.0)

SIZES = [(3, 4, 3, 2), (4, 3, 2), (3, 4, 4, 3, 2), (5, 6, 2)]


def make_node(make_network, sizes, seed, decide=0.0):
    """Frame, conditions and bounds of a node; a share of the neurons is decided at random."""
    generator = np.random.default_rng(seed)
    network = make_network(sizes, seed)
    image = generator.uniform(0.2, 0.8, sizes[0])
    # Conditions that some point nearby meets with a little room.
    point = np.clip(image + 0.2 * generator.normal(size=sizes[0]), 0.0, 1.0)
    matrix = generator.normal(size=(2, sizes[-1]))
    rhs = matrix @ network.forward(point) - 0.05 * generator.random(2)
    alternative = Alternative(0, LogitConditions(matrix, rhs))
    task = Task.nearest(image, Box.unit(sizes[0]), Norm.L2, (alternative,))
    flat = flatten(network)
    region = InputSet(Box.unit(sizes[0]), np.array(image), Norm.L2, 10.0).flat(flat)
    lower = np.full(flat.biases.size, -np.inf)
    upper = np.full(flat.biases.size, np.inf)
    layers = len(sizes) - 1
    tighten(
        flat, with_radius(region, 0.9), lower, upper, np.empty(lower.size), 0, layers - 1, False
    )
    hidden = sum(sizes[1:-1])
    root = (lower[:hidden] < 0.0) & (upper[:hidden] > 0.0)
    for h in np.flatnonzero(root):
        if generator.random() < decide:
            if generator.random() < 0.5:
                lower[h] = 0.0
            else:
                upper[h] = 0.0
    frame = Frame(network, flat, task, region, (network, task))
    return frame, task.alternatives[0].conditions, lower[:hidden], upper[:hidden], root


def exact_network(network, point):
    """Pre-activations of all layers for a point of fractions."""
    values, result = point, []
    for layer in network.layers:
        values = [
            sum((Fraction(w) * v for w, v in zip(row, values, strict=True)), Fraction(b))
            for row, b in zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)
        ]
        result.append(values)
        values = [max(v, Fraction(0)) for v in values]
    return result


def exact_points(frame, lower, upper, conditions, count, seed):
    """Points of the node: (delta, exact hidden pre-activations, exact condition slacks)."""
    generator = np.random.default_rng(seed)
    image = [Fraction(v) for v in frame.task.image.tolist()]
    found = []
    for _ in range(count):
        direction = generator.normal(size=len(image))
        step = 0.9 * generator.random() / np.linalg.norm(direction)
        point = np.clip(frame.task.image + step * direction, 0.0, 1.0)
        exact = [Fraction(v) for v in point.tolist()]
        layers = exact_network(frame.network, exact)
        hidden = [v for layer in layers[:-1] for v in layer]
        inside = all(
            (v >= 0 if low >= 0.0 else v <= 0 if high <= 0.0 else True)
            for v, low, high in zip(hidden, lower, upper, strict=True)
        )
        if not inside:
            continue
        slacks = [
            sum(Fraction(c) * v for c, v in zip(row, layers[-1], strict=True)) - Fraction(d)
            for row, d in zip(conditions.matrix.tolist(), conditions.rhs.tolist(), strict=True)
        ]
        delta = [a - b for a, b in zip(exact, image, strict=True)]
        found.append((delta, hidden, slacks, layers[0]))
    return found


def answers(node, count, seed):
    """Exact objective and hidden pre-activations of points that meet the conditions."""
    frame, conditions, lower, upper, _ = node
    return [
        (sum(d * d for d in delta), hidden)
        for delta, hidden, slacks, _ in exact_points(frame, lower, upper, conditions, count, seed)
        if min(slacks) >= 0
    ]


def relaxed(node, goal=None):
    """The relaxation of a node, and its program solved."""
    frame, conditions, lower, upper, _ = node
    relaxation = L2Relaxation(frame, conditions, lower, upper)
    goal = relaxation.largest if goal is None else goal
    return relaxation, relaxation.solve(lower, upper, Cuts.none(), goal, EFFORT)


def exact_form_values(model, region, frame, delta, hidden):
    """Values of all forms with their coefficients taken as exact numbers."""
    x = [max(hidden[h], Fraction(0)) for h in model.neuron.tolist()]
    weight = frame.network.layers[0].weight.tolist()
    first = [
        sum((Fraction(w) * d for w, d in zip(row, delta, strict=True)), Fraction(float(v)))
        for row, v in zip(weight, region.values, strict=True)
    ]
    return [
        sum((Fraction(float(c)) * v for c, v in zip(on_x, x, strict=True)), Fraction(float(k)))
        + sum(Fraction(float(c)) * v for c, v in zip(on_a, first, strict=True))
        for on_x, on_a, k in zip(model.on_x, model.on_a, model.constant, strict=True)
    ]


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("decide", [0.0, 0.5])
def test_forms_are_nonnegative_within_their_error(make_network, sizes, decide):
    checked = 0
    for seed in range(4):
        frame, conditions, lower, upper, root = make_node(make_network, sizes, seed, decide)
        matrix, rhs = np.array(conditions.matrix), np.array(conditions.rhs)
        model = build_model(L2Setting(frame.flat, frame.inputs, matrix, rhs, root), lower, upper)
        q = conditions.rhs.size
        assert model.error.max(initial=0.0) < 1e-10
        for delta, hidden, slacks, _ in exact_points(frame, lower, upper, conditions, 200, seed):
            values = exact_form_values(model, frame.inputs, frame, delta, hidden)
            forms = zip(values, model.error.tolist(), strict=True)
            ordinary = list(forms)[: len(values) - q]
            assert all(value >= -Fraction(error) for value, error in ordinary)
            for value, error, slack in zip(
                values[-q:], model.error[-q:].tolist(), slacks, strict=True
            ):
                assert abs(value - slack) <= Fraction(error)
            checked += 1
    assert checked > 20


def wild_network(sizes, seed):
    """Weights over eight orders of magnitude, so that sums cancel and their rounding shows."""
    generator = np.random.default_rng(seed)
    layers = []
    for inputs, outputs in itertools.pairwise(sizes):
        scale = 10.0 ** generator.integers(-4, 5, (outputs, inputs))
        weight = scale * generator.normal(size=(outputs, inputs))
        layers.append(Dense(weight, generator.normal(size=outputs)))
    return ReLUNetwork(tuple(layers))


@pytest.mark.parametrize("sizes", [*SIZES, (20, 3, 2), (2, 12, 12, 2)])
def test_errors_of_forms_hold_where_sums_cancel(sizes):
    checked, rounded = 0, 0
    for seed in range(6):
        # Phases of a point: sums of all active neurons stand in the forms behind them.
        frame, conditions, lower, upper, root = make_node(wild_network, sizes, seed)
        there = exact_network(frame.network, [Fraction(v) for v in frame.task.image.tolist()])
        values = [v for layer in there[:-1] for v in layer]
        for h in np.flatnonzero(root)[seed % 2 :: 2]:
            lower[h], upper[h] = (0.0, upper[h]) if values[h] > 0 else (lower[h], 0.0)
        matrix, rhs = np.array(conditions.matrix), np.array(conditions.rhs)
        model = build_model(L2Setting(frame.flat, frame.inputs, matrix, rhs, root), lower, upper)
        for delta, hidden, slacks, _ in exact_points(frame, lower, upper, conditions, 60, seed):
            values = exact_form_values(model, frame.inputs, frame, delta, hidden)
            errors = [Fraction(e) for e in model.error.tolist()]
            for value, error, kind, owner in zip(
                values, errors, model.kind, model.owner, strict=True
            ):
                true = slacks[owner] if kind == CONDITION else hidden[owner]
                if kind == NEGATIVE:
                    true = max(-true, Fraction(0))
                elif kind == PHASE:
                    true = abs(true)
                elif kind != CONDITION:
                    assert value >= -error
                    continue
                assert abs(value - true) <= error
                rounded += value != true
            checked += 1
    assert checked > 20
    assert rounded > 0


@pytest.mark.parametrize("sizes", SIZES)
def test_safe_bound_is_below_every_exact_objective(make_network, sizes):
    """Random multipliers and points prove valid, if useless, bounds."""
    checked = 0
    for seed in range(6):
        frame, *_ = node = make_node(make_network, sizes, seed, 0.3)
        _, solved = relaxed(node)
        generator = np.random.default_rng(seed)
        bounds = [solved.bound]
        model, good = solved.model, solved.witness
        first = first_layer(frame.flat)
        for scale in (1e-3, 1e-1, 1.0):
            witness = Witness(
                good.delta + scale * generator.normal(size=good.delta.size),
                good.x + scale * generator.normal(size=good.x.size),
                good.z + scale * generator.normal(size=good.z.size),
                good.psi * (1.0 + scale * generator.normal(size=good.psi.size)),
                good.term_at,
                good.term_form,
            )
            bounds.append(safe_quadratic_bound(frame.flat, frame.inputs, first, model, witness))
        for objective, _ in answers(node, 300, seed):
            assert all(Fraction(b) <= objective for b in bounds if np.isfinite(b))
            checked += 1
        assert np.isfinite(solved.bound)
    assert checked > 0


@pytest.mark.parametrize("sizes", SIZES)
def test_a_form_that_is_zero_may_have_any_multiplier(make_network, sizes):
    """Of either sign, and of any size: on its side of the neuron bounds stay valid."""
    checked = 0
    for seed in range(4):
        frame, *_ = node = make_node(make_network, sizes, seed, 0.3)
        _, solved = relaxed(node)
        model, good, generator = solved.model, solved.witness, np.random.default_rng(seed)
        kappa = negative_curvature(frame.inputs, first_layer(frame.flat), model, good)
        points, spread = answers(node, 200, seed), form_spread(frame.inputs, model)
        u = model.neuron.size
        for place, neuron in enumerate(model.neuron.tolist()):
            for side in range(2):
                kind, z = (POSITIVE, NEGATIVE)[side], good.z.copy()
                zero = kind * u + place
                assert (model.kind[zero], model.owner[zero]) == (kind, neuron)
                z[zero] += generator.normal() * 10.0 ** generator.integers(-2, 2)
                moved = good._replace(z=z, x=good.x + 0.1 * generator.normal(size=u))
                bound = bound_by_tangent(
                    frame.flat, frame.inputs, model, spread, moved, kappa, zero
                )
                for objective, hidden in points:
                    if hidden[neuron] <= 0 if side == 0 else hidden[neuron] >= 0:
                        assert not np.isfinite(bound) or Fraction(bound) <= objective
                        checked += 1
    assert checked > 0


@pytest.mark.parametrize("sizes", SIZES)
def test_sides_that_are_ruled_out_hold_nothing_nearer(make_network, sizes):
    ruled = 0
    for seed in range(8):
        node = make_node(make_network, sizes, seed, 0.2)
        points = answers(node, 300, seed)
        for goal in sorted(float(objective) for objective, _ in points)[:3]:
            relaxation, solved = relaxed(node, goal)
            out = relaxation.branching(solved, goal).out
            ruled += np.count_nonzero(out)
            neurons = solved.model.neuron
            for objective, hidden in points:
                if objective <= Fraction(goal):
                    assert all(hidden[h] > 0 for h in neurons[out[:, 0]])
                    assert all(hidden[h] < 0 for h in neurons[out[:, 1]])
    assert ruled > 0


def test_rounding_costs_little(make_network):
    _, solved = relaxed(make_node(make_network, (4, 6, 4, 2), 1))
    assert solved.answer.bound - 1e-9 <= solved.bound <= solved.answer.bound


def test_an_indefinite_hessian_is_noticed(make_network):
    """Multipliers beyond convexity must not prove more than convex ones."""
    frame, *_ = node = make_node(make_network, (4, 6, 4, 2), 1)
    _, solved = relaxed(node)
    assert solved.model.neuron.size > 0
    too_much = solved.witness._replace(psi=50.0 * solved.witness.psi)
    first = first_layer(frame.flat)
    bound = safe_quadratic_bound(frame.flat, frame.inputs, first, solved.model, too_much)
    assert bound < solved.bound


@pytest.mark.parametrize("ends", [(-1.0, np.nan), (np.nan, 1.0), (np.nan, np.nan)])
def test_a_bound_that_is_nan_decides_nothing(make_network, ends):
    """Sums that overflow differ as NaN; a neuron of which nothing is known is not inactive."""
    frame, conditions, lower, upper, root = make_node(make_network, (3, 4, 3, 2), 1)
    (*_, h) = np.flatnonzero(root)
    lower[h], upper[h] = ends
    relaxation = L2Relaxation(frame, conditions, lower, upper)
    solved = relaxation.solve(lower, upper, Cuts.none(), relaxation.largest, EFFORT)
    assert h in solved.model.neuron
    assert frame.undecided(lower, upper)[h]
    assert solved.bound == 0.0


def test_a_neuron_with_one_bound_that_is_nan_is_decided_by_the_other(make_network):
    frame, conditions, lower, upper, root = make_node(make_network, (3, 4, 3, 2), 1)
    (h, *_) = np.flatnonzero(root)
    found = []
    for unknown in (-1.0, np.nan):
        lower[h], upper[h] = unknown, 0.0
        solved = L2Relaxation(frame, conditions, lower, upper).solve(
            lower, upper, Cuts.none(), 1.0, EFFORT
        )
        assert h not in solved.model.neuron
        found.append(solved.bound)
    assert found[0] == found[1] > 0.0
