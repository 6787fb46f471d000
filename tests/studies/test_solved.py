"""What studies count of solved problems."""

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from reluopt.errors import InputError
from reluopt.studies.solved import (
    change_of,
    count_unproven,
    finite,
    image_index,
    median,
    printed,
    proven_distances,
    recognised_images,
)


def _finished(image, status, distance=None, certified=True, pixels=None):
    row = SimpleNamespace(image=image, status=status, distance=distance, certified=certified)
    return SimpleNamespace(row=row, image=pixels)


def test_only_proofs_count_as_distances():
    results = [_finished("a", "OPTIMAL", 1.5), _finished("b", "FEASIBLE", 2.5)]
    found = proven_distances([*results, _finished("c", "INFEASIBLE")])
    assert found["a"] == 1.5
    assert found.index.tolist() == ["a", "b", "c"]
    assert found.isna().tolist() == [False, True, True]
    assert count_unproven([results, [_finished("c", "INFEASIBLE")]]) == 1


def test_a_change_is_that_of_a_checked_answer():
    original = SimpleNamespace(image=np.array([0.0, 0.5, 1.0, 0.25]))
    pixels = np.array([[0.5, 0.5], [1.0, 0.0]])
    assert change_of(original, _finished("a", "OPTIMAL", pixels=pixels)).tolist() == [
        0.5, 0.0, 0.0, -0.25
    ]  # fmt: skip
    assert change_of(original, _finished("a", "NUMERICAL", certified=False, pixels=pixels)) is None
    assert change_of(original, _finished("a", "TIME_LIMIT", certified=False)) is None


def test_medians_leave_out_what_is_not_finite():
    assert finite([1.0000004, math.nan, math.inf, 2]) == [1.0, 2.0]
    assert median([3.0, math.nan, 1.0]) == 2.0
    assert median([math.nan]) is None


def test_printed_columns_are_texts_and_others_stay():
    table = pd.DataFrame({"a": [1.0, math.nan], "b": [1, 2]}, index=[7, 3])
    shown = printed(table, {"a": 2})
    assert shown["a"].tolist() == ["1.00", None]
    assert shown["b"].tolist() == [1, 2]
    assert shown.index.tolist() == [7, 3]


def test_images_are_recognised_ones(thesis, test_images):
    images = recognised_images(thesis, 12)
    assert len(images) == 12
    assert [thesis.predict(each.image) for each in images] == [each.label for each in images]
    places = [image_index(each) for each in images]
    assert places == sorted(places)
    with pytest.raises(InputError, match="expected 100000 test images"):
        recognised_images(thesis, 100_000)
