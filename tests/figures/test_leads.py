"""Leads and logits: points on the side of 0 where they belong, and the right bars marked."""

import numpy as np
import pytest

from reluopt.errors import InputError
from reluopt.figures import lead_figure, logit_figure


def test_leads_are_split_at_zero_and_counted():
    panels = {
        "l1": {"a": [-0.5, 0.0, 0.2], "b": [0.1]},
        "l2": {"a": [0.3], "b": [-0.1, 0.4]},
    }
    figure = lead_figure(panels)
    counts = [[text.get_text() for text in axes.texts] for axes in figure.axes]
    assert counts == [["2 of 3", "0 of 1"], ["0 of 1", "1 of 2"]]
    ahead, behind = (points.get_offsets()[:, 0] for points in figure.axes[0].collections[:2])
    np.testing.assert_allclose(ahead, [0.2])
    np.testing.assert_allclose(behind, [-0.5, 0.0])  # a tie fools nobody
    assert len({axes.get_xlim() for axes in figure.axes}) == 1


@pytest.mark.parametrize(
    ("panels", "message"),
    [
        ({}, "the same series"),
        ({"l1": {"a": [1.0]}, "l2": {}}, "the same series"),
        ({"x": {"a": [1.0]}}, "found 'x'"),
    ],
)
def test_leads_of_nothing_are_refused(panels, message):
    with pytest.raises(InputError, match=message):
        lead_figure(panels)


def test_target_answer_and_condition_are_marked(test_images):
    original = test_images.image(0)
    changed = original.copy()
    changed[0, 0] = 1.0
    logits = np.array([-5.0, -2.0, -2.4])
    figure = logit_figure(original, changed, logits, 2, 1.2)
    first, second, difference, bars = figure.axes
    np.testing.assert_array_equal(first.images[0].get_array(), original)
    np.testing.assert_array_equal(second.images[0].get_array(), changed)
    np.testing.assert_array_equal(difference.images[0].get_array(), changed - original)
    np.testing.assert_allclose([bar.get_height() for bar in bars.patches], logits)
    assert [bool(bar.get_hatch()) for bar in bars.patches] == [False, False, True]
    assert bars.get_lines()[0].get_ydata()[0] == pytest.approx(-2.4)


def test_images_and_targets_that_do_not_fit_are_refused(test_images):
    image = test_images.image(0)
    for changed, target in ((image[:14], 0), (image, 3)):
        with pytest.raises(InputError, match="two images of one shape and a target among 3"):
            logit_figure(image, changed, np.zeros(3), target, 1.2)
