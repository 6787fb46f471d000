"""Gradient steps in boxes: how many a look may make."""

import numpy as np

from reluopt.engines.branch_and_bound.dual.attack import STEPS, BoxAttack
from reluopt.questions.problems import AnyTarget, MinimalPerturbation, Norm


def test_first_looks_are_short(thesis, test_images, monkeypatch):
    question = MinimalPerturbation(
        test_images.image(0), test_images.label(0), AnyTarget(), Norm.LINF
    )
    task = question.task(thesis)
    lower, upper = (np.clip(task.image + each, 0.0, 1.0) for each in (-1e-3, 1e-3))
    attack = BoxAttack(thesis, task.alternatives, lower, upper, 0, rising=(1, 2))
    steps = []
    whole = attack._gradients.slacks

    def slacks(*args):
        steps.append(None)
        return whole(*args)

    monkeypatch.setattr(attack._gradients, "slacks", slacks)
    for expected in (1, 2, STEPS, STEPS):
        assert attack.run(*attack.starts([0], 1)) is None
        assert len(steps) == expected
        steps.clear()
