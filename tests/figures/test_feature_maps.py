"""Feature maps: a column of three for each, on one scale of differences."""

import numpy as np
import pytest

from reluopt.errors import InputError
from reluopt.figures import DOUBLE_COLUMN, feature_map_figure


def test_three_tiles_for_each_map_and_their_difference():
    true = [np.ones((2, 4, 4)), np.zeros((1, 3, 3))]
    computed = [true[0] + 0.25, true[1]]
    figure = feature_map_figure(computed, true)
    assert figure.get_size_inches()[0] <= DOUBLE_COLUMN
    drawn = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    assert len(drawn) == 9
    assert np.allclose(drawn[2], 0.25)
    assert not np.any(drawn[8])
    assert [text.get_text() for text in figure.texts][:3] == ["1.1", "1.2", "2.1"]


@pytest.mark.parametrize(
    ("computed", "true"), [([], []), ([np.ones((1, 2, 2))], [np.ones((2, 2))])]
)
def test_other_shapes_are_refused(computed, true):
    with pytest.raises(InputError, match="expected maps of the same shapes"):
        feature_map_figure(computed, true)
