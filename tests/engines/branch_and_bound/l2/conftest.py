"""A box for programs to decide."""

import pytest

from reluopt.deadline import NEVER
from reluopt.engines.branch_and_bound.dual import programs
from reluopt.engines.branch_and_bound.dual.domains import BoxDomain
from reluopt.engines.branch_and_bound.dual.layers import bounded_chain
from reluopt.questions.problems import Verification


@pytest.fixture(scope="module")
def mlp_box(thesis, test_images):
    """A box of ``thesis`` that no root shows to be empty, and one alternative."""
    image = test_images.image(0).ravel()
    question = Verification(image, int(thesis.predict(image)), 0.035)
    task = question.task(thesis)
    domain = BoxDomain(*task.inputs.ends)
    tree = programs.tree_over(
        thesis, bounded_chain(thesis, domain), task.alternatives[3].conditions, bool, NEVER
    )
    return thesis, domain.ends, task.alternatives[3].conditions, tree.root
