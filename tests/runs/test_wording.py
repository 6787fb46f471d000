"""One wording for what the network answers."""

import math

import pytest

from reluopt.runs.wording import change_words


@pytest.mark.parametrize(
    ("label", "before", "after", "words"),
    [
        (7, 7, 2, "7 → 2"),
        (5, 6, 6, "6 → 6 (label 5)"),
        (5.0, 6.0, math.nan, "6 → ? (label 5)"),
        (7, 7, None, "7 → ?"),
        (math.nan, 7, 2, "7 → 2"),
        (7, None, None, "? → ?"),
    ],
)
def test_answers_before_and_after(label, before, after, words):
    assert change_words(label, before, after) == words
