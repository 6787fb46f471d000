"""Where the programs of children begin."""

import numpy as np
import pytest

from helpers.boxes import searched_through
from reluopt.engines.branch_and_bound.frame import sides
from reluopt.engines.branch_and_bound.l2 import boxes, inherited, relaxation
from reluopt.engines.branch_and_bound.l2.boxes import Ellipsoid
from reluopt.engines.branch_and_bound.l2.interior import TROUBLE, Effort
from reluopt.engines.branch_and_bound.l2.iterate import start_iterate, unevenness
from reluopt.engines.branch_and_bound.l2.program import curvature, start_multipliers

EXACTLY = Effort(80, 1e-8, 0.0)
"""Programs are solved to the end."""


@pytest.fixture(scope="module")
def family(mlp_box):
    """A node's relaxation and program; and its children's relaxation, bounds and products."""
    network, ends, conditions, bounds = mlp_box
    even = np.full(ends[0].size, 1.0 / ends[0].size)
    made = Ellipsoid(network, ends, even)
    above = boxes.L2Relaxation(made.frame, conditions, *bounds)
    solved = above.solve(*bounds, boxes.Cuts.none(), above.largest, boxes.EFFORT)
    below = boxes.L2Relaxation(
        Ellipsoid(network, ends, made.asked(solved)).frame, conditions, *bounds
    )
    cuts = above.handed(solved, above.largest, 0.3)
    neurons = solved.model.neuron
    children = [(*side, cuts) for neuron in neurons for side in sides(*bounds, neuron)]
    return solved, below, children


@pytest.fixture(scope="module")
def child(family):
    """The first that is not empty, its active side."""
    _, below, children = family
    for one in children[1::2]:
        if below.solve(*one, below.largest, EXACTLY).bound < below.largest:
            return one
    raise AssertionError("every child is empty")


def handed_by(solved):
    return inherited.hand_on(solved.model, solved.program, solved.answer.early)


def test_programs_end_where_they_do_without_an_iterate_of_their_parents(family):
    """Of all children, on either side."""
    solved, below, children = family
    handed, ends = handed_by(solved), (boxes.EFFORT, EXACTLY)
    steps = []
    for child in children:
        colds = [below.solve(*child, below.largest, effort) for effort in ends]
        warms = [below.solve(*child, below.largest, effort, handed) for effort in ends]
        steps.append((colds[0].answer.steps, warms[0].answer.steps))
        cold, warm = colds[1].bound, warms[1].bound
        if min(cold, warm) < below.largest:
            assert warm == pytest.approx(cold, rel=1e-6)
        else:
            assert max(cold, warm) > below.largest, "both are empty"
    cold_steps, warm_steps = np.sum(steps, axis=0)
    assert warm_steps < cold_steps


def test_what_is_inherited_is_strictly_inside(family, child):
    solved, below, _ = family
    cold = below.solve(*child, below.largest, EXACTLY)
    program = cold.program
    theta = start_multipliers(program, cold.model.layer)
    begin = inherited.start_below(handed_by(solved), cold.model, program, theta)
    assert (program.low < begin.delta).all()
    assert (begin.delta < program.high).all()
    assert (begin.x > 0.0).all()
    assert (begin.x < program.cap).all()
    pulls = begin.delta_low, begin.delta_high, begin.x_low, begin.x_high, begin.slack, begin.z
    assert min(each.min() for each in pulls) > 0.0
    products = slice(program.cap.size, None)
    assert begin.theta[products].min() > 0.0
    assert begin.room[products].min() > 0.0
    for matrix in (begin.moment, curvature(program, begin.theta).reduced):
        assert np.linalg.eigvalsh(matrix)[0] > 0.0


def test_small_products_beside_rows_that_are_not_met_get_a_little_of_a_cold_start(
    family, child, monkeypatch
):
    """Without it steps are short."""
    solved, below, _ = family
    handed = handed_by(solved)
    tiny = 1e-4 * np.array([1e4, 1.0, 1.0])[:, None]  # places stay
    handed = handed._replace(
        pixels=tiny * handed.pixels,
        posts=tiny * handed.posts,
        slack=1e-2 * handed.slack,
        z=1e-2 * handed.z,
        room=1e-4 * handed.room,
        moment=np.float32(1e-4) * handed.moment,
    )
    cold = below.solve(*child, below.largest, EXACTLY)
    program = cold.program
    theta = start_multipliers(program, cold.model.layer)

    def begun(even):
        monkeypatch.setattr(inherited, "EVEN", even)
        begin = inherited.start_below(handed, cold.model, program, theta)
        found = below.solve(*child, below.largest, EXACTLY, handed)
        assert found.bound == pytest.approx(cold.bound, rel=1e-6)
        return begin, unevenness(program, begin), found.answer.steps

    near, uneven, many = begun(np.inf)
    mixed, even, few = begun(1.0)
    assert uneven > 30.0
    assert even < uneven / 3.0
    assert few < many
    far = start_iterate(program, theta)
    for one, warm, other in zip(mixed, near, far, strict=True):
        share = inherited.COLD
        np.testing.assert_allclose(one, (1.0 - share) * warm + share * other)


def test_unevenness_is_the_gap_in_terms_of_the_products(family):
    """Of an iterate that meets rows and terms: where the programs end."""
    solved, *_ = family
    assert unevenness(solved.program, solved.answer.best) < 1.5
    best = solved.answer.best
    assert unevenness(solved.program, best._replace(x=0.5 * best.x)) > 1.5


@pytest.mark.parametrize("of_use", ["multipliers", "neurons"])
def test_an_iterate_of_no_use_is_left_alone(family, child, monkeypatch, of_use):
    solved, below, _ = family
    begun, begin = [], relaxation.start_below
    monkeypatch.setattr(
        relaxation, "start_below", lambda *each: begun.append(begin(*each)) or begun[-1]
    )
    handed = handed_by(solved)
    if of_use == "multipliers":
        handed = handed._replace(psi=1e6 * handed.psi)
    else:
        handed = handed._replace(neuron=handed.neuron + 1000)
    cold = below.solve(*child, below.largest, EXACTLY)
    assert below.solve(*child, below.largest, EXACTLY, handed).bound == cold.bound
    assert begun == [None]


@pytest.mark.parametrize("heirs", [(0, 1000), (1000, 1000), (0, 1)])
def test_children_begin_where_their_parent_was(mlp_box, monkeypatch, heirs):
    monkeypatch.setattr(relaxation, "HEIRS", heirs)
    begun, begin = [], relaxation.start_below
    monkeypatch.setattr(
        relaxation, "start_below", lambda *each: begun.append(begin(*each)) or begun[-1]
    )
    tree = searched_through(mlp_box)
    if heirs != (0, 1000):
        assert not begun
    else:
        assert len(begun) == tree.count - 1, "all but the root"
        assert sum(one is not None for one in begun) > len(begun) / 2


def test_a_program_that_fails_from_an_iterate_above_begins_anew(family, child, monkeypatch):
    solved, below, _ = family
    cold, real, seen = below.solve(*child, below.largest, EXACTLY), relaxation.solve_program, []

    def fails_first(*each):
        seen.append(each[-1].steps)
        answer = real(*each)
        return answer._replace(status=TROUBLE) if len(seen) == 1 else answer

    monkeypatch.setattr(relaxation, "solve_program", fails_first)
    found = below.solve(*child, below.largest, EXACTLY, handed_by(solved))
    assert found.bound == cold.bound
    assert seen[0] == EXACTLY.steps
    assert seen[1] == EXACTLY.steps - (found.answer.steps - cold.answer.steps), "within the budget"
