"""Margins, targets, boxes and the tasks they become."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reluopt.errors import InputError
from reluopt.questions.problems import (
    STRICT_GAP,
    AbsoluteMargin,
    AnyTarget,
    BareRelativeMargin,
    Box,
    FixedTarget,
    LogitConditions,
    MinimalPerturbation,
    Norm,
    RelativeMargin,
    RunnerUpTarget,
    ShiftTarget,
    parse_margin,
    parse_target,
)

LOGITS = np.array([-3.0, -1.0, -2.0])


def test_bare_margin_accepts_a_smaller_negative_logit():
    # x_1 = -1.1 against x_0 = -1: -1.1 >= 1.2 * -1 holds although the network answers 0.
    logits = np.array([-1.0, -1.1])
    assert BareRelativeMargin(0.2).conditions(1, 2).slack(logits).min() > 0
    assert RelativeMargin(0.2).conditions(1, 2).slack(logits).min() < 0


@given(
    st.lists(st.floats(-5, 5), min_size=3, max_size=6),
    st.floats(0, 2),
)
def test_relative_margin_means_what_it_says(values, fraction):
    logits = np.array(values)
    for target in range(logits.size):
        others = np.delete(logits, target)
        slack = RelativeMargin(fraction).conditions(target, logits.size).slack(logits)
        expected = min(
            (logits[target] - (1 + fraction) * others).min() if fraction > 0 else np.inf,
            (logits[target] - others).min() - STRICT_GAP,
        )
        assert slack.min() == pytest.approx(expected, abs=1e-12)
        if slack.min() >= 0:
            assert np.argmax(logits) == target


def test_a_margin_over_one_label_leads_all_others_by_the_gap_alone():
    margin = RelativeMargin(0.5, over=0)
    for logits, least in (([2.0, 3.1, 3.0], 0.1), ([2.0, 3.0, 2.9], 0.0), ([2.1, 3.0, 2.9], -0.15)):
        slack = margin.conditions(1, 3).slack(np.array(logits)).min()
        assert slack == pytest.approx(least - STRICT_GAP if least == 0.1 else least, abs=1e-12)
    with pytest.raises(InputError, match="label from 0 to 2 after ':', found 3"):
        RelativeMargin(0.5, over=3).conditions(1, 3)


def test_absolute_margin():
    conditions = AbsoluteMargin(0.5).conditions(1, 3)
    np.testing.assert_allclose(conditions.slack(LOGITS), [1.5, 0.5])


@pytest.mark.parametrize(
    ("text", "margin"),
    [
        ("x1.2", RelativeMargin(0.2)),
        ("x1", RelativeMargin(0.0)),
        ("x1.2:9", RelativeMargin(0.2, over=9)),
        ("+0.1", AbsoluteMargin(0.1)),
        ("bare-x1.2", BareRelativeMargin(0.2)),
    ],
)
def test_parse_margin(text, margin):
    assert parse_margin(text) == margin
    assert str(margin) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1.2",
        "x",
        "xx",
        "+0",
        "+-1",
        "x0.5",
        "+nan",
        "x1e999",
        "x1.2:",
        "x1.2:-1",
        "x1.2:a",
        "+0.1:2",
        "bare-x1.2:2",
    ],
)
def test_bad_margins(text):
    with pytest.raises(InputError, match="margin"):
        parse_margin(text)


def test_targets():
    assert ShiftTarget(5).candidates(7, np.zeros(10)) == (2,)
    assert ShiftTarget(-1).candidates(0, np.zeros(10)) == (9,)
    assert RunnerUpTarget().candidates(1, LOGITS) == (2,)
    assert AnyTarget().candidates(1, LOGITS) == (2, 0)
    assert FixedTarget(2).candidates(1, LOGITS) == (2,)


@pytest.mark.parametrize("text", ["3", "+5", "-1", "runner-up", "any"])
def test_parse_target_round_trip(text):
    assert str(parse_target(text)) == text


@pytest.mark.parametrize("text", ["", "three", "+", "1.5", "ANY"])
def test_bad_targets(text):
    with pytest.raises(InputError, match="target"):
        parse_target(text)


def test_targets_out_of_range():
    with pytest.raises(InputError, match="label from 0 to 2, found 3"):
        FixedTarget(3).candidates(0, LOGITS)
    with pytest.raises(InputError, match="changes the label"):
        ShiftTarget(3).candidates(0, LOGITS)


def test_box_refuses_nonsense():
    with pytest.raises(InputError, match="lower <= upper"):
        Box(np.array([0.0, 2.0]), np.array([1.0, 1.0]))
    with pytest.raises(InputError, match="finite"):
        Box(np.array([0.0]), np.array([np.inf]))
    with pytest.raises(InputError, match="length"):
        Box(np.zeros(2), np.ones(3))


def test_box_violation_and_clip():
    box = Box.unit(2)
    assert box.violation(np.array([0.5, 1.25])) == 0.25
    assert box.violation(np.array([0.0, 1.0])) == 0.0
    np.testing.assert_array_equal(box.clip(np.array([-1.0, 2.0])), [0.0, 1.0])


def test_norms():
    delta = np.array([3.0, -4.0])
    assert Norm.L1.objective(delta) == 7
    assert Norm.L2.objective(delta) == 25
    assert Norm.LINF.objective(delta) == 4
    assert Norm.L2.distance_of(25.0) == 5


def test_task_of_an_image(thesis, test_images):
    task = MinimalPerturbation(test_images.image(0), test_images.label(0)).task(thesis)
    assert task.alternatives[0].target == (7 + 5) % 10
    assert task.alternatives[0].conditions.matrix.shape == (18, 10)
    untargeted = MinimalPerturbation(test_images.image(0), 7, AnyTarget()).task(thesis)
    assert sorted(a.target for a in untargeted.alternatives) == [0, 1, 2, 3, 4, 5, 6, 8, 9]


def test_task_errors(thesis, test_images):
    image = test_images.image(0)
    with pytest.raises(InputError, match="label from 0 to 9, found 10"):
        MinimalPerturbation(image, 10).task(thesis)
    with pytest.raises(InputError, match="inside the box"):
        MinimalPerturbation(image + 0.5, 7).task(thesis)
    with pytest.raises(InputError, match="finite"):
        MinimalPerturbation(np.full(784, np.nan), 7).task(thesis)
    with pytest.raises(InputError, match="batch of 2"):
        MinimalPerturbation(np.zeros((2, 784)), 7).task(thesis)
    with pytest.raises(InputError, match="784 bounds"):
        MinimalPerturbation(image, 7, box=Box.unit(3)).task(thesis)
    with pytest.raises(InputError, match="right-hand side"):
        LogitConditions(np.zeros((2, 3)), np.zeros(3))
