"""Norms and blends: values, balls, names."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reluopt.errors import InputError
from reluopt.questions.problems import Blend, Norm, parse_norm


def test_a_blend_is_the_weighted_sum_of_both_objectives() -> None:
    delta = np.array([0.5, -0.25, 0.0])
    assert Blend(0.3).objective(delta) == pytest.approx(0.3 * 0.75 + 0.7 * 0.3125)
    assert Blend(0.3).distance_of(2.0) == 2.0


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), weight=st.floats(0.01, 0.99))
def test_the_ball_holds_every_change_of_that_objective(seed: int, weight: float) -> None:
    delta = np.random.default_rng(seed).normal(size=7)
    for measure in (Norm.L1, Norm.L2, Norm.LINF, Blend(weight)):
        norm, radius = measure.ball(measure.objective(delta))
        assert norm.distance_of(norm.objective(delta)) <= radius * (1.0 + 1e-12)


@pytest.mark.parametrize("text", ["l1", "l2", "linf", "blend:0.5", "blend:0.125"])
def test_names_are_read_back(text: str) -> None:
    assert str(parse_norm(text)) == text


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("l3", "expected l1, l2, linf or blend:W with 0 < W < 1, found 'l3'"),
        ("blend:", "found 'blend:'"),
        ("blend:much", "found 'blend:much'"),
        ("blend:nan", "found 'blend:nan'"),
        ("blend:0", r"0 \(which is l2\) and 1 \(which is l1\), found 0"),
        ("blend:1", "found 1"),
        ("blend:-0.5", "found -0.5"),
        ("blend:inf", "found inf"),
    ],
)
def test_other_names_are_refused(text: str, found: str) -> None:
    with pytest.raises(InputError, match=found):
        parse_norm(text)
