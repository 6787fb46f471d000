"""Boxes by semidefinite programs, against enumeration of all activation patterns."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from helpers.boxes import brute_slack, random_ball, random_network, searched_through
from reluopt.answers.solution import Status
from reluopt.deadline import NEVER, Deadline
from reluopt.engines.branch_and_bound.dual import distance, programs, verdict
from reluopt.engines.branch_and_bound.dual.domains import BoxDomain
from reluopt.engines.branch_and_bound.l2 import boxes, fixing, relaxation
from reluopt.engines.branch_and_bound.l2.boxes import BoxTree, Ellipsoid
from reluopt.engines.branch_and_bound.l2.interior import TROUBLE, Effort
from reluopt.method import Method
from reluopt.pipeline import solve
from reluopt.questions.problems import (
    AnyTarget,
    MinimalPerturbation,
    Norm,
    RelativeMargin,
    Verification,
)

CLOSE = 1e-7
"""Slacks this near to zero are left to rounding: the brute force keeps rows to 1e-7 itself."""

EXACTLY = Effort(80, 1e-8, 0.0)
"""Programs are solved to the end."""

SLOW = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


def none(_, first, node, *__):
    """No side of the undecided neurons is ruled out."""
    model, _ = node
    return np.zeros((model.neuron.size, 2), dtype=np.bool_)


def no_bounds(network):
    unknown = np.full(sum(layer.output_size for layer in network.affine_layers), np.inf)
    return -unknown, unknown


def searched(network, task, look=lambda _: False, most=200):
    (alternative,) = task.alternatives
    ends = task.inputs.ends
    tree = BoxTree(network, ends, alternative.conditions, no_bounds(network), look, NEVER)
    return tree, tree.grow(most)


@SLOW
@given(st.integers(0, 10**6), st.sampled_from([(2, 3, 2), (3, 4, 3, 2), (3, 2, 3, 2, 2)]))
@example(seed=592140, sizes=(3, 4, 3, 2))
def test_what_is_shown_to_be_empty_is(seed, sizes):
    generator = np.random.default_rng(seed)
    network = random_network(generator, sizes, integers=seed % 2 == 0)
    task = random_ball(generator, network, Norm.LINF).task(network)
    conditions = task.alternatives[0].conditions

    def meets(image):
        seen.append(image)
        return bool(conditions.slack(network.forward(image)).min() >= 0.0)

    seen = []
    tree, found = searched(network, task, meets)
    exact = brute_slack(network, task)
    lower, upper = task.inputs.ends
    assert all(((lower <= image) & (image <= upper)).all() for image in seen)
    if tree.empty:
        assert not found
        assert exact < CLOSE
    elif exact < -1e-4:
        assert tree.stuck, f"nothing comes nearer than {exact}, and {len(tree.open)} nodes are open"
        hidden = slice(sum(sizes[1:-1]))
        for node in tree.stuck:  # for dual bounds: leaves, and programs that failed twice
            sides = np.minimum(-node.lower, node.upper)[hidden]
            assert node.troubled or not (sides > 0.0).any()
    if found:
        assert exact > -CLOSE


@settings(SLOW, max_examples=12)
@given(st.integers(0, 10**6), st.sampled_from([(2, 3, 2), (3, 4, 3, 2), (3, 2, 3, 2, 2)]))
def test_a_tree_goes_on_over_a_smaller_box(seed, sizes):
    """Nothing that the smaller box holds is lost, whatever the larger one's tree has left open."""
    generator = np.random.default_rng(seed)
    network = random_network(generator, sizes, integers=seed % 2 == 0)
    question = random_ball(generator, network, Norm.LINF)
    task = question.task(network)
    tree, _ = searched(network, task, most=int(generator.integers(1, 5)))
    smaller = replace(question, eps=float(generator.uniform(0.5, 1.0)) * question.eps).task(network)
    conditions, ends = smaller.alternatives[0].conditions, smaller.inputs.ends
    rest = BoxTree(network, ends, conditions, no_bounds(network), lambda _: False, NEVER)
    left = tree.open + tree.stuck
    rest.resume(left)
    if left:
        assert len(rest.open) == len(left)
        rest.grow(200)
    exact = brute_slack(network, smaller)
    if not left or rest.empty:
        assert exact < CLOSE
    elif exact < -1e-4:
        assert rest.stuck, f"nothing comes nearer than {exact}"


def test_what_is_left_of_a_larger_box_is_less_than_a_new_tree(mlp_box):
    network, (lower, upper), conditions, bounds = mlp_box
    tree = BoxTree(network, (lower, upper), conditions, bounds, lambda _: False, NEVER)
    tree.grow(4)
    made, middle = [], 0.5 * (lower + upper)
    ends = 0.001 * middle + 0.999 * lower, 0.001 * middle + 0.999 * upper
    for left in (tree.open + tree.stuck, []):
        rest = BoxTree(network, ends, conditions, bounds, lambda _: False, NEVER)
        rest.resume(left)
        rest.grow()
        made.append((rest.count, len(rest.stuck)))
    assert made[0][0] < made[1][0]
    assert made[0][1] == made[1][1]


def test_nodes_that_the_smaller_box_excludes_are_left_out(mlp_box):
    network, ends, conditions, (lower, upper) = mlp_box
    tree = BoxTree(network, ends, conditions, (lower, upper), lambda _: False, NEVER)
    tree.grow(4)
    left = tree.open + tree.stuck
    mixed = [len({node.upper[i] > 0.0 for node in left}) == 2 for i in range(48)]
    active = lower.copy()
    active[mixed.index(True)] = 1e-3
    rest = BoxTree(network, ends, conditions, (active, upper), lambda _: False, NEVER)
    rest.resume(left)
    assert 0 < len(rest.open) < len(left)
    assert all((node.lower <= node.upper).all() for node in rest.open)


@pytest.mark.parametrize("fixed", [False, True])
def test_an_ellipsoid_holds_the_box_and_its_network_is_the_same(fixed):
    generator = np.random.default_rng(3)
    network = random_network(generator, (6, 5, 3))
    lower, upper = np.zeros(6), generator.uniform(0.1, 1.0, 6)
    if fixed:
        lower[2] = upper[2]
        lower[4], upper[4] = 0.5, 0.5 + 1e-12
    shares = generator.dirichlet(np.ones(6))
    made = Ellipsoid(network, (lower, upper), shares)
    inputs = made.frame.inputs
    scale = made.frame.task.image / np.where(lower + upper > 0.0, 0.5 * (lower + upper), 1.0)
    for corner in itertools.product(*zip(lower, upper, strict=True)):
        image = np.array(corner)
        change = image * scale - inputs.center
        assert (inputs.low <= change).all()
        assert (change <= inputs.high).all()
        assert change @ change <= 1.0 + 1e-9
        found = made.frame.network.forward(image * scale)
        np.testing.assert_allclose(found, network.forward(image), atol=1e-9)


def test_weights_that_are_asked_for_raise_the_bound(mlp_box):
    network, ends, conditions, bounds = mlp_box
    shares, found = np.full(ends[0].size, 1.0 / ends[0].size), []
    for _ in range(3):
        made = Ellipsoid(network, ends, shares)
        relaxation = boxes.L2Relaxation(made.frame, conditions, *bounds)
        given = (*bounds, boxes.Cuts.none(), relaxation.largest, boxes.EFFORT)
        solved = relaxation.solve(*given)
        found.append(solved.bound)
        shares = made.asked(solved)
        assert shares.sum() == pytest.approx(1.0)
    assert found[0] + 0.02 < found[1] < found[2] < 1.0


def test_time_and_nodes_end_a_search_and_what_is_open_stays(mlp_box):
    network, ends, conditions, bounds = mlp_box
    for most, deadline in ((2, NEVER), (1e9, Deadline.after(0.0))):
        tree = BoxTree(network, ends, conditions, bounds, lambda _: False, deadline)
        assert not tree.grow(most)
        assert tree.count == min(most, 0 if deadline.passed else most)
        assert tree.open
        assert not tree.empty


def test_phases_that_programs_rule_out_make_trees_smaller(mlp_box, monkeypatch):
    network, ends, conditions, bounds = mlp_box

    def grown():
        tree = BoxTree(network, ends, conditions, bounds, lambda _: False, NEVER)
        tree.grow()
        return tree

    smaller = grown()
    monkeypatch.setattr(relaxation, "ruled_out", none)
    larger = grown()
    assert smaller.count < larger.count
    assert len(smaller.stuck) == len(larger.stuck) == 2, "linear regions that hold an input"


@pytest.fixture
def failing(monkeypatch):
    """Lets the first so many programs fail."""
    solve, calls = boxes.L2Relaxation.solve, []

    def fail(count):
        def failed(*given):
            calls.append(1)
            solved = solve(*given)
            if len(calls) > count:
                return solved
            return replace(solved, bound=0.0, answer=solved.answer._replace(status=TROUBLE))

        monkeypatch.setattr(boxes.L2Relaxation, "solve", failed)

    return fail


def test_the_node_of_a_program_that_fails_is_split(mlp_box, failing):
    failing(1)
    tree = searched_through(mlp_box)
    assert len(tree.stuck) == 2, "linear regions that hold an input"


def test_a_node_whose_program_fails_after_the_one_above_is_left(mlp_box, failing):
    failing(100)
    tree = searched_through(mlp_box)
    assert tree.count == 3, "the root and both children"
    assert len(tree.stuck) == 2


def test_sides_are_left_alone_after_some_that_are_not_ruled_out(mlp_box, monkeypatch):
    network, ends, conditions, bounds = mlp_box
    made = Ellipsoid(network, ends, np.full(ends[0].size, 1.0 / ends[0].size))
    relaxed = boxes.L2Relaxation(made.frame, conditions, *bounds)
    given = (*bounds, boxes.Cuts.none(), relaxed.largest, boxes.EFFORT)
    solved, tried = relaxed.solve(*given), []
    tangent = fixing.bound_by_tangent
    monkeypatch.setattr(fixing, "bound_by_tangent", lambda *each: tried.append(1) or tangent(*each))

    def outcome(misses):
        tried.clear()
        monkeypatch.setattr(fixing, "MISSES", misses)
        return relaxed.branching(solved, relaxed.largest).out, len(tried)

    monkeypatch.setattr(fixing, "PROMISING", 0.0)
    (few, cheap), (all_, dear) = outcome(2), outcome(10**6)
    assert cheap < dear
    assert few.any()
    assert not (few & ~all_).any()


def test_what_was_taken_stays_open_when_an_input_is_found(mlp_box, monkeypatch):
    """Two programs at a time: but for those that are empty, none is lost."""
    monkeypatch.setattr(boxes, "thread_count", lambda: 2)
    monkeypatch.setattr(boxes, "EFFORT", EXACTLY)  # as large a tree as this box has
    monkeypatch.setattr(relaxation, "ruled_out", none)
    network, ends, conditions, bounds = mlp_box
    seen, left = [], []

    def look(_):
        seen.append(1)
        return len(seen) > 7

    def solved(function, ready):
        answers = [function(one) for one in ready]
        empty = [
            answer.bound > one.relaxation.largest
            for one, (answer, _) in zip(ready, answers, strict=True)
        ]
        left.append((len(ready), len(tree.open) + len(ready) - (*empty, False).index(False)))
        return answers

    monkeypatch.setattr(boxes, "each", solved)
    tree = BoxTree(network, ends, conditions, bounds, look, NEVER)
    for _ in range(2):
        assert tree.grow()
        assert left[-1] == (2, len(tree.open))


@pytest.fixture
def programs_at_once(monkeypatch):
    """Whether each tree of programs was shown to be empty; nothing else decides much."""
    solved = []

    class Counted(BoxTree):
        def grow(self, *most):
            found = super().grow(*most)
            solved.append(self.empty)
            return found

    monkeypatch.setattr(programs, "BoxTree", Counted)
    monkeypatch.setattr(verdict, "PLAIN_NODES", 0)
    monkeypatch.setattr(verdict, "FEW", 1)
    monkeypatch.setattr(distance, "LOOKS", 1)
    monkeypatch.setattr(verdict, "PATIENCE", 1)
    monkeypatch.setattr(verdict, "fan", lambda *_: None)
    return solved


def test_distances_and_verdicts_by_programs_are_those_of_a_solver(programs_at_once):
    for seed in range(8):
        generator = np.random.default_rng(seed)
        network = random_network(generator, (4, 6, 4, 3))
        image = generator.random(4)
        label = int(network.predict(image))
        asked = MinimalPerturbation(image, label, AnyTarget(), Norm.LINF, RelativeMargin(0.0))
        exact = solve(network, asked, Method("highs"))
        found = solve(network, asked, Method("bnb"))
        assert found.status is exact.status
        if exact.status is Status.INFEASIBLE:
            continue
        assert found.objective == pytest.approx(exact.objective, rel=1e-4)
        for share, status in ((0.99, Status.ROBUST), (1.01, Status.NOT_ROBUST)):
            question = Verification(image, label, share * exact.objective)
            assert solve(network, question, Method("bnb")).status is status
    assert sum(programs_at_once) > 4


def test_proofs_and_large_programs_go_without(monkeypatch, thesis, test_images):
    monkeypatch.setattr(verdict, "PLAIN_NODES", 0)
    monkeypatch.setattr(verdict, "FEW", 1)
    asked = []
    monkeypatch.setattr(programs, "tree_over", lambda *_: asked.append(1))
    monkeypatch.setattr(programs, "MOST_UNDECIDED", 1)
    image = test_images.image(0).ravel()
    question = Verification(image, int(thesis.predict(image)), 0.02)
    assert solve(thesis, question, Method("bnb")).status is Status.ROBUST
    assert not asked


@pytest.mark.parametrize("wanted", [True, False])
def test_what_becomes_known_meanwhile_may_end_a_search(
    wanted, programs_at_once, thesis, test_images
):
    """Asked once, after the first programs; what is not wanted any more stays undecided."""
    image, asked = test_images.image(0).ravel(), []
    label = int(thesis.predict(image))
    nearest = solve(
        thesis,
        MinimalPerturbation(image, label, AnyTarget(), Norm.LINF, RelativeMargin(0.0)),
        Method("bnb"),
    )
    task = Verification(image, label, 0.999 * nearest.objective).task(thesis)
    given = thesis, BoxDomain(*task.inputs.ends), task.alternatives, NEVER
    search = verdict.DomainSearch(*given, meanwhile=lambda gone: asked.append(gone) or wanted)
    decision = search.run()
    (gone,) = asked
    assert set(gone) <= set(decision.excluded)
    assert len(gone) < len(task.alternatives)
    assert decision.empty is wanted
    assert decision.witness is None
