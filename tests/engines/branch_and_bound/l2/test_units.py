"""Tiny changes: programs in units of their size, and gaps that only they make reachable."""

import math

import numpy as np
import pytest

from reluopt.answers.solution import GAP_DENOMINATOR_FLOOR, Status
from reluopt.engines.branch_and_bound.frame import make_frame
from reluopt.engines.branch_and_bound.l2.fixing import springs_at
from reluopt.engines.branch_and_bound.l2.interior import Effort, solve_program
from reluopt.engines.branch_and_bound.l2.iterate import residuals_at, start_iterate
from reluopt.engines.branch_and_bound.l2.model import POSITIVE
from reluopt.engines.branch_and_bound.l2.program import curvature, start_multipliers
from reluopt.engines.branch_and_bound.l2.relaxation import Cuts, L2Relaxation
from reluopt.engines.branch_and_bound.l2.units import SMALL, from_units, in_units, unit_of
from reluopt.engines.options import EngineOptions
from reluopt.method import Method
from reluopt.numerics.input_sets import with_radius
from reluopt.numerics.propagate import tighten
from reluopt.pipeline import solve
from reluopt.questions.problems import (
    Alternative,
    AnyTarget,
    Box,
    LogitConditions,
    MinimalPerturbation,
    Norm,
    RelativeMargin,
)
from reluopt.questions.tasks import Task

UNIT = 2.0**-7


@pytest.fixture
def program_and_layers(make_network):
    """A program with ReLU terms, one product and a tilt."""
    network = make_network((4, 6, 4, 2), 1)
    generator = np.random.default_rng(1)
    image = generator.uniform(0.2, 0.8, 4)
    matrix = generator.normal(size=(2, 2))
    here, there = matrix @ network.forward(image), matrix @ network.forward(image + 0.2)
    sign = np.sign(there - here)  # what the point behind meets and the image does not
    conditions = LogitConditions(sign[:, None] * matrix, sign * there)
    task = Task.nearest(image, Box.unit(4), Norm.L2, (Alternative(0, conditions),))
    frame = make_frame(network, task)
    lower, upper = np.full(12, -np.inf), np.full(12, np.inf)
    region = with_radius(frame.inputs, 0.9)
    tighten(frame.flat, region, lower, upper, np.empty(12), 0, 2, False)
    relaxation = L2Relaxation(frame, conditions, lower[:10], upper[:10])
    effort = Effort(60, 1e-8, 0.0)
    first, second = np.flatnonzero((lower[:10] < 0.0) & (upper[:10] > 0.0))[:2]
    cuts = Cuts(np.array([first]), np.array([POSITIVE]), np.array([second]))
    solved = relaxation.solve(lower[:10], upper[:10], cuts, relaxation.largest, effort)
    assert solved.program.term_at.size == solved.model.neuron.size + 1
    assert solved.bound > 1e-3
    return solved.program._replace(tilt=0.1), solved.model.layer


def test_units_are_powers_of_two_and_tell_on_small_goals_only():
    for goal in (math.inf, 30.0, SMALL):
        assert unit_of(goal) == 1.0
    for goal in (0.99 * SMALL, 3e-5, 1e-6):
        unit = unit_of(goal)
        assert math.frexp(unit)[0] == 0.5
        assert 0.25 <= goal / unit**2 <= 1.0
    assert unit_of(0.0) == unit_of(GAP_DENOMINATOR_FLOOR)


def test_scaling_rounds_nothing(program_and_layers):
    program, layer = program_and_layers
    scaled = in_units(program, UNIT)
    theta = start_multipliers(program, layer)
    assert (start_multipliers(scaled, layer) == theta).all()
    it = start_iterate(program, theta)
    moved = it._replace(delta=it.delta / UNIT, x=it.x / UNIT, slack=it.slack / UNIT, z=it.z / UNIT)
    plain = residuals_at(program, it, curvature(program, theta))
    other = residuals_at(scaled, moved, curvature(scaled, theta))
    assert other.objective * UNIT**2 == plain.objective
    assert (other.terms * UNIT**2 == plain.terms).all()
    for name in ("gradient_delta", "gradient_x", "rows", "forms"):
        assert (getattr(other, name) * UNIT == getattr(plain, name)).all()


def test_answers_come_back_in_the_units_of_the_image(program_and_layers):
    program, layer = program_and_layers
    theta = start_multipliers(program, layer)
    effort, quarters = Effort(80, 1e-9, 0.0), in_units(program, 0.25)
    plain = solve_program(program, start_iterate(program, theta), math.inf, effort)
    scaled = solve_program(quarters, start_iterate(quarters, theta), math.inf, effort)
    answer = from_units(scaled, 0.25)
    assert answer.bound == pytest.approx(plain.bound, rel=1e-7)
    assert answer.objective == pytest.approx(plain.objective, rel=1e-7)
    assert answer.best.delta == pytest.approx(plain.best.delta, abs=1e-5)
    assert answer.best.x == pytest.approx(plain.best.x, abs=1e-5)
    own = springs_at(in_units(program, 0.25), scaled.best).gain * 0.25**2
    assert springs_at(program, answer.best).gain == pytest.approx(own, rel=1e-9)
    assert from_units(plain, 1.0) is plain
    assert in_units(program, 1.0) is program


@pytest.mark.parametrize("index", [195, 4248, 7990])
def test_images_on_a_decision_boundary_are_proven(thesis, test_images, index):
    """Squared distances of 5e-7 to 2e-6: gaps of 1e-12 in absolute terms."""
    image, label = test_images.image(index), test_images.label(index)
    problem = MinimalPerturbation(image, label, AnyTarget(), Norm.L2, RelativeMargin(0.0))
    solution = solve(thesis, problem, Method(engine="bnb", options=EngineOptions(time_limit=600)))
    assert solution.objective < 1e-5
    assert solution.status is Status.OPTIMAL
    assert solution.certified
    assert solution.gap <= 1e-6
