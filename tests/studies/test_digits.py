"""Figure 1: which digits are drawn, and that they are what they are said to be."""

import numpy as np
import pandas as pd
import pytest

from reluopt.errors import InputError
from reluopt.images.mnist import load_images
from reluopt.networks.layers.base import Dense
from reluopt.networks.metadata import NetworkMetadata
from reluopt.networks.network import ReLUNetwork
from reluopt.studies.base import StudyContext, publish
from reluopt.studies.digits import STUDY, answer_and_lead, digits_of_each_class


def test_all_ten_digits_are_drawn_told_and_published(thesis, tmp_path):
    result = STUDY.run(StudyContext(tmp_path / "runs", seed=3))
    assert result.complete  # ten digits are all there are
    table = pd.read_csv(tmp_path / "runs" / "digits" / "digits.csv")
    assert list(table["label"]) == list(table["answer"]) == list(range(10))
    assert list(table["image"]) == digits_of_each_class(thesis, 3) == result.facts["chosen"]
    assert (table["lead"] > 0).all()
    names = {path.name for path in publish(result, tmp_path / "figures")}
    assert names == {f"digits.{ending}" for ending in ("png", "pdf", "csv", "md", "tex", "json")}
    text = STUDY.readme(tmp_path / "figures" / "data")
    assert "10 digits, one of each class, 10 of them classified correctly: train:" in text
    assert "(seed 3)" in text


def test_the_same_seed_gives_the_same_bytes(few, files):
    first, again = few("digits", 2), few("digits", 2, "again")
    other = few("digits", 2, "other", seed=1)
    assert not first.complete
    assert files(first) == files(again)
    assert first.facts["chosen"] != other.facts["chosen"]


def test_digits_are_known_to_the_network(thesis):
    chosen = digits_of_each_class(thesis, 0)
    assert chosen == digits_of_each_class(thesis, 0) != digits_of_each_class(thesis, 1)
    data = load_images("train")
    for label, key in enumerate(chosen):
        index = int(key.removeprefix("train:"))
        assert data.label(index) == label == thesis.predict(data.image(index))


def test_a_network_that_knows_no_digit_is_refused():
    always_zero = Dense(np.zeros((10, 784)), np.eye(10)[0])
    blind = ReLUNetwork((always_zero,), NetworkMetadata(input_shape=(28, 28)))
    with pytest.raises(InputError, match="class 1 correctly, found none"):
        digits_of_each_class(blind, 0)


def test_the_lead_is_the_distance_to_the_next_logit(thesis, test_images):
    answer, lead = answer_and_lead(thesis, test_images.image(0))
    logits = np.sort(thesis.forward(test_images.image(0)))
    assert answer == 7
    assert lead == pytest.approx(logits[-1] - logits[-2])
