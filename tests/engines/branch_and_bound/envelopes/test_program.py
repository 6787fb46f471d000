"""The programs hold every input that meets what is decided, and no more where all is decided."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.convolutions import SIDE, network_of, unit_values
from reluopt.deadline import NEVER
from reluopt.engines.branch_and_bound.corners.units import units_of
from reluopt.engines.branch_and_bound.envelopes import program as program_module
from reluopt.engines.branch_and_bound.envelopes.neurons import narrow_neurons
from reluopt.engines.branch_and_bound.envelopes.patches import Changes, patches_of
from reluopt.engines.branch_and_bound.envelopes.program import NOTHING, EnvelopeProgram, Fixed
from reluopt.engines.branch_and_bound.envelopes.reading import linear_region_of, split
from reluopt.engines.branch_and_bound.frame import make_frame
from reluopt.questions.problems import AbsoluteMargin, AnyTarget, MinimalPerturbation, Norm

KINDS = ("pool", "pool of pools")
SETS = ("ball", "box")


def made(seed, kind, which, radius=1.5):
    """A program, its units and random points of its set."""
    random = np.random.default_rng(seed)
    network = network_of(kind, random)
    image = random.random(SIDE * SIDE) * (random.random(SIDE * SIDE) < 0.8)
    label = int(network.predict(image))
    asked = MinimalPerturbation(image, label, AnyTarget(), Norm.L1, AbsoluteMargin(0.01))
    task = asked.task(network)
    if which == "ball":
        changes = Changes.within(make_frame(network, task).inputs, radius)
    else:
        ends = np.maximum(image - 0.3, 0.0), np.minimum(image + 0.3, 1.0)
        changes = Changes.of_box(*ends)
    units = units_of(network)
    program = EnvelopeProgram(changes, patches_of(units[0], changes), units[1:], task.alternatives)
    return program, units, list(points_of(random, changes)), network


def points_of(random, changes, count=12):
    """Changes of a set, some of them at ends."""
    for _ in range(count):
        point = np.clip(random.random(changes.rooms.size) * 2.0 - 0.8, 0.0, 1.0) * changes.rooms
        yield (
            point
            * min(1.0, changes.radius / max(float(point.sum()), 1e-9))
            * random.choice([1.0, 0.6])
        )


def solution(program, units, point):
    """All variables at an input, in the program's order."""
    found = np.zeros(program.layout.program.cost.size)
    values = program.changes.input(point)[None]
    found[program.layout.p] = point
    posts = list(unit_values(units, values))
    found[program.layout.units] = posts[0][0]
    pairs = list(zip(units[1:-1], posts, strict=False))
    found[program.layout.z] = np.concatenate([own.pieces.forward(post)[0] for own, post in pairs])
    found[program.layout.x] = np.concatenate([post[0] for post in posts[1:-1]])
    found[program.layout.logits] = posts[-1][0]
    return found


def missed(program, point):
    """By how much a point misses the present rows and ends."""
    now, rows = program._now, program._matrix @ point
    parts = now.row_lower - rows, rows - now.row_upper, now.lower - point, point - now.upper
    return max(float(part.max(initial=0.0)) for part in parts)


def meets(region, decisions):
    """Whether a linear region is part of a node."""
    pieces = all(region.pieces[unit][0] in own for unit, own in decisions.pieces.items())
    phases = all(region.phases[neuron] is active for neuron, active in decisions.phases.items())
    return pieces and phases


@pytest.mark.parametrize("which", SETS)
@pytest.mark.parametrize("kind", KINDS)
@given(st.integers(0, 10**6))
@settings(max_examples=5, deadline=None)
def test_every_input_of_the_set_meets_all_rows(kind, which, seed):
    program, units, points, network = made(seed, kind, which)
    narrow_neurons(program, NEVER)
    for index in range(len(program.alternatives)):
        program.decide(index, NOTHING)
        for _ in range(3):
            solved = program.solve(60.0)
            if solved.point is None or not program.add_planes(solved, NOTHING, 100, 60.0):
                break
    assert program.layout.x.size == 5
    program.decide(None, NOTHING)
    for point in points:
        own = solution(program, units, point)
        logits = network.forward(program.changes.input(point))
        assert own[program.layout.logits] == pytest.approx(logits, abs=1e-9)
        assert missed(program, own) < 1e-9
        region = linear_region_of(program, own)
        program.decide(None, region)
        assert missed(program, own) < 1e-9
        program.decide(None, NOTHING)


@pytest.mark.parametrize("which", SETS)
@given(st.integers(0, 10**6))
@settings(max_examples=5, deadline=None)
def test_sides_of_a_split_hold_every_input(which, seed):
    program, units, points, _ = made(seed, "pool", which)
    decisions = NOTHING
    for _ in range(6):
        program.decide(0, decisions)
        solved = program.solve(60.0)
        if solved.point is None:
            break
        program.add_planes(solved, decisions, 100, 60.0)
        sides = split(program, solved, decisions)
        if not sides:
            break
        assert len(sides) == 2
        for point in points:
            own = solution(program, units, point)
            if not meets(linear_region_of(program, own), decisions):
                continue
            held = [side for side in sides if meets(linear_region_of(program, own), side)]
            assert held
            for side in held:
                program.decide(None, side)
                assert missed(program, own) < 1e-9
        decisions = sides[seed % 2]


@pytest.mark.parametrize("which", SETS)
@given(st.integers(0, 10**6))
@settings(max_examples=6, deadline=None)
def test_a_linear_region_computes_what_the_network_does(which, seed):
    program, units, points, network = made(seed, "pool", which)
    program.decide(None, linear_region_of(program, solution(program, units, points[0])))
    cost = np.zeros(program.layout.program.cost.size)
    cost[program.layout.logits[0]] = 1.0
    found = program.solve(60.0, cost)
    logits = network.forward(program.changes.input(found.point[program.layout.p]))
    assert found.point[program.layout.logits] == pytest.approx(logits, abs=1e-6)
    assert found.bound == pytest.approx(logits[0], abs=1e-6)


@given(st.integers(0, 10**6))
@settings(max_examples=6, deadline=None)
def test_planes_that_are_lowered_hold_for_the_smaller_ball(seed):
    program, units, _, _ = made(seed, "pool", "ball", radius=2.0)
    program.decide(0, NOTHING)
    for _ in range(4):
        solved = program.solve(60.0)
        if solved.point is None or not program.add_planes(solved, NOTHING, 100, 60.0):
            break
    before = [plane.top(None) for plane in program.planes]
    program.narrow(0.7)
    program.decide(None, NOTHING)
    after = [plane.top(None) for plane in program.planes]
    assert all(new <= old for new, old in zip(after, before, strict=True))
    for point in points_of(np.random.default_rng(seed), program.changes):
        assert missed(program, solution(program, units, point)) < 1e-9


def test_idle_planes_are_dropped_and_the_others_keep_their_rows(monkeypatch):
    monkeypatch.setattr(program_module, "CROWDED", 3)
    monkeypatch.setattr(program_module, "MOST_IDLE", 0)
    program, units, points, _ = made(3, "pool", "ball")
    sizes = []
    for turn in range(12):
        program.decide(turn % len(program.alternatives), NOTHING)
        solved = program.solve(60.0)
        program.add_planes(solved, NOTHING, 100, 60.0)
        sizes.append(len(program.planes))
        assert program.size["constraints"] == program.first_plane + len(program.planes)
        assert program._solver.getNumRow() == program.size["constraints"]
        program.decide(None, NOTHING)
        for row, plane in enumerate(program.planes, program.first_plane):
            assert program._now.row_upper[row] == plane.top(None)
        for point in points:
            assert missed(program, solution(program, units, point)) < 1e-9
    assert any(new < old for old, new in itertools.pairwise(sizes))


def test_a_node_without_inputs_is_proven_to_be_empty():
    program, units, points, _ = made(5, "pool", "ball")
    region = linear_region_of(program, solution(program, units, points[0]))
    unit = next(u for u, patch in enumerate(program.patches) if len(patch.pieces) > 1)
    patch = program.patches[unit]
    program.decide(None, Fixed({unit: region.pieces[unit]}))
    program._root.lower[program.layout.units[unit]] = patch.upper + 1.0
    program._root.upper[program.layout.units[unit]] = patch.upper + 2.0
    program.decide(None, Fixed({unit: region.pieces[unit]}))
    found = program.solve(60.0)
    assert found.point is None
    assert found.bound == np.inf
