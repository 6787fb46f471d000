"""Nearest inputs of linear regions in Linf against HiGHS."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.boxes import random_ball, random_network
from reluopt.attacks.linear_regions import solve_linear_region
from reluopt.deadline import Deadline
from reluopt.engines.branch_and_bound.dual import region
from reluopt.engines.branch_and_bound.dual.region import nearest_in_linear_region
from reluopt.questions.problems import AnyTarget, MinimalPerturbation, Norm, RelativeMargin


def asked(network, image, label, box=None):
    question = MinimalPerturbation(
        image, label, AnyTarget(), Norm.LINF, RelativeMargin(0.0), **({"box": box} if box else {})
    )
    return question.task(network)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.sampled_from([(3, 4, 3), (4, 3, 3, 3), (6, 5, 4, 3)]))
def test_the_optimum_is_that_of_highs(seed, sizes):
    generator = np.random.default_rng(seed)
    network = random_network(generator, sizes)
    ball = random_ball(generator, network, Norm.LINF)
    task = asked(network, ball.image, ball.label, ball.box)
    low, high = task.box.lower, task.box.upper
    pattern = network.activation_pattern(generator.uniform(low, high))
    for alternative in task.alternatives:
        found = nearest_in_linear_region(network, task, alternative, pattern)
        exact = solve_linear_region(network, task, alternative, pattern)
        assert (found is None) == (exact is None)
        if found is None or exact is None:
            continue
        assert found.objective == pytest.approx(exact.objective, rel=1e-7, abs=1e-8)
        assert alternative.conditions.slack(network.forward(found.image)).min() >= 0.0
        assert task.box.violation(found.image) == 0.0
        shorter = 0.5 * found.objective
        if shorter > 1e-6:
            given_up = nearest_in_linear_region(network, task, alternative, pattern, shorter)
            assert given_up is None


def test_neurons_that_stand_in_the_way_become_rows(thesis, test_images, monkeypatch):
    counts = []
    whole = region.few_rows

    def counted(rows, *rest):
        counts.append(len(rows))
        return whole(rows, *rest)

    monkeypatch.setattr(region, "few_rows", counted)
    image, label = test_images.image(102), test_images.label(102)
    task = asked(thesis, image, label)
    generator = np.random.default_rng(0)
    pattern = thesis.activation_pattern(np.clip(task.image + generator.uniform(-1, 1, 784), 0, 1))
    for alternative in task.alternatives:
        found = nearest_in_linear_region(thesis, task, alternative, pattern)
        exact = solve_linear_region(thesis, task, alternative, pattern)
        assert (found is None) == (exact is None)
        if found is not None and exact is not None:
            assert found.objective == pytest.approx(exact.objective, rel=1e-7)
    assert min(counts) < 9
    assert max(counts) > 9


def test_large_programs_are_left_to_highs(thesis, test_images, monkeypatch):
    monkeypatch.setattr(region, "MOST_ROWS", 5)
    task = asked(thesis, test_images.image(100), test_images.label(100))
    pattern = thesis.activation_pattern(task.image)
    alternative = task.alternatives[0]
    found = nearest_in_linear_region(thesis, task, alternative, pattern)
    exact = solve_linear_region(thesis, task, alternative, pattern)
    assert (found is None) == (exact is None)


def test_nothing_is_found_without_time(thesis, test_images):
    task = asked(thesis, test_images.image(100), test_images.label(100))
    pattern = thesis.activation_pattern(task.image)
    given = (thesis, task, task.alternatives[0], pattern, np.inf, Deadline.after(0.0))
    assert nearest_in_linear_region(*given) is None
