"""Trees of programs in verdicts: when they begin, and what they leave to dual bounds."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from reluopt.deadline import NEVER, Deadline
from reluopt.engines.branch_and_bound.dual import programs
from reluopt.engines.branch_and_bound.dual.domains import BoxDomain
from reluopt.engines.branch_and_bound.dual.planes import NO_PLANES
from reluopt.engines.branch_and_bound.dual.verdict import DomainSearch
from reluopt.method import Method
from reluopt.pipeline import solve
from reluopt.questions.problems import AnyTarget, MinimalPerturbation, Norm, RelativeMargin

ANSWER = 3
"""What the image is answered after its smallest change, in place of 7."""


@pytest.fixture
def question(test_images):
    given = test_images.image(0), test_images.label(0)
    return MinimalPerturbation(*given, AnyTarget(), Norm.LINF, RelativeMargin(0.0))


@pytest.fixture
def stuck(thesis, question):
    """A tree of programs over a box that has left its root, or the leaf of an input; the rest."""

    def made(radius, leaf, deadline):
        task = question.task(thesis)
        ends = np.clip(task.image - radius, 0.0, 1.0), np.clip(task.image + radius, 0.0, 1.0)
        search = DomainSearch(thesis, BoxDomain(*ends), task.alternatives, deadline)
        (which,) = (i for i, each in enumerate(task.alternatives) if each.target == ANSWER)
        chain, goal = search._chain(planes=False), search._goal([which])
        conditions = task.alternatives[which].conditions
        tree = programs.tree_over(thesis, chain, conditions, lambda _: False, deadline)
        (node,), tree.open = tree.open, []
        if leaf is not None:
            active = np.concatenate(thesis.pre_activations(leaf)) > 0.0
            lower = np.where(active, np.maximum(node.lower, 0.0), node.lower)
            upper = np.where(active, node.upper, np.minimum(node.upper, 0.0))
            node = replace(node, lower=lower, upper=upper)
        tree.stuck = [node]
        below = search._tree(search._model(chain, goal), goal, NO_PLANES, [which], None)
        return tree, thesis, below, goal.root(chain), deadline

    return made


@pytest.mark.parametrize("decided", [False, True])
def test_dual_bounds_close_what_programs_leave(stuck, question, decided):
    tree, *rest = stuck(0.02, question.image if decided else None, NEVER)
    programs.finish(tree, *rest)
    assert tree.empty


@pytest.mark.parametrize("decided", [False, True])
def test_what_holds_an_input_stays_stuck(thesis, stuck, question, decided):
    found = solve(thesis, question, Method("bnb"))
    assert int(thesis.predict(found.image)) == ANSWER
    leaf = found.image if decided else None
    tree, *rest = stuck(1.01 * found.objective, leaf, Deadline.after(1.0))
    programs.finish(tree, *rest)
    assert len(tree.stuck) == 1


@pytest.mark.parametrize(
    ("undecided", "expected"),
    [([75, 75], 1000), ([200, 100], 4000), ([45, 0], 90), ([45], 90), ([30, 10, 5], 3000)],
)
def test_small_programs_begin_sooner_and_large_ones_later(undecided, expected):
    layers = [SimpleNamespace(undecided=np.zeros(count)) for count in undecided]
    assert programs.nodes_before(SimpleNamespace(hidden=layers), 1000) == pytest.approx(expected)
