"""What the study of smoothness tells is what its images are."""

import numpy as np
import pandas as pd
import pytest

from reluopt.answers.check import LIMIT_TOLERANCE
from reluopt.images.mnist import load_images
from reluopt.runs.store import read_store
from reluopt.studies.smoothness import FEW_LIMITS
from reluopt.studies.words import sentence


def test_images_keep_the_limit_and_numbers_are_theirs(few, told, thesis):
    result = few("smoothness", 1)
    table = pd.read_csv(result.folder / "smoothness-rows.csv")
    assert table["limit"].isna().tolist() == [True, False, False]
    assert table["limit"].tolist()[1:] == list(FEW_LIMITS)
    assert (table["bound"] <= table["distance"] + 1e-6).all()
    assert table["distance"].is_monotonic_increasing  # tighter limits cost
    for stage, row in zip(("none", "0.5", "0.1"), table.itertuples(), strict=True):
        ((_, image),) = read_store(result.folder / f"few-{stage}")
        original = load_images("train").image(int(row.image.removeprefix("train:")))
        assert thesis.predict(image) == row.target == (row.label + 5) % 10
        change = image - np.reshape(original, (28, 28))
        assert row.distance == pytest.approx(np.abs(change).sum(), abs=2e-6)
        assert row.largest_change == pytest.approx(np.abs(change).max(), abs=2e-6)
        if stage != "none":
            steps = max(np.abs(np.diff(change, axis=axis)).max() for axis in (0, 1))
            assert steps <= float(stage) + LIMIT_TOLERANCE
    free, *limited = result.facts["limits"]
    assert free["times_as_far"] == pytest.approx(1.0)
    ratios = table["distance"] / table["distance"][0]
    assert [found["times_as_far"] for found in limited] == pytest.approx(ratios[1:], abs=1e-5)
    assert not result.complete
    text = " ".join(told(result).split())
    assert f"{ratios[2]:.2f} times as far at s = 0.1" in text


def test_sentences_hold_when_nothing_was_settled():
    """A busy machine may prove nothing within the short limits of a first look."""
    empty = {"times_as_far": None, "impossible": 0, "proven": 0}
    facts = {
        "images": 2,
        "pairs": 1512,
        "problems": 6,
        "unproven": 4,
        "limits": [
            {**empty, "limit": None, "times_as_far": 1.0},
            *({**empty, "limit": limit} for limit in FEW_LIMITS),
        ],
    }
    assert sentence("smoothness", "lines", facts=facts) == (
        "Nearest images of 2 digits under limits on neighbouring changes: none is proven nearest "
        "(0 of 6 problems have no answer, 4 not proven)"
    )
    lead = sentence("smoothness", "lead", facts=facts)
    assert "nearest L1 images were not proven (6 problems, 4 not proven)." in lead
    assert "No limit on neighbouring changes was settled." in sentence(
        "smoothness", "brief", facts=facts
    )
