"""The main job on real digits, and the same again without work and without a change."""

import numpy as np
import pandas as pd
import pytest

from reluopt.errors import InputError
from reluopt.experiments.reproduce import NORMS, digits_of_each_class, reproduce
from reluopt.mnist import load_images
from reluopt.network import Dense, NetworkMetadata, ReLUNetwork


def _contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_the_main_job_proves_draws_and_resumes(thesis, tmp_path):
    figures, runs = tmp_path / "figures", tmp_path / "runs"
    statuses = []
    made = reproduce(thesis, figures, runs, on_finished=statuses.append)
    assert len(statuses) == 10 * len(NORMS) + 10
    assert list(made.table["norm"].unique()) == ["l1", "l2"]
    assert made.table["certified"].all()
    assert (made.table["status"] == "OPTIMAL").all()
    assert (made.table["predicted"] == (made.table["label"] + 5) % 10).all()
    assert all(result.row["status"] == "OPTIMAL" for result in made.ideals)
    before = _contents(figures)
    assert {"adversarial-l1.png", "adversarial-l2.pdf", "optimal-inputs.png", "digits.csv"} <= set(
        before
    )
    assert len(pd.read_csv(figures / "digits.csv")) == 20
    again = reproduce(thesis, figures, runs)
    assert all(result.resumed for results in again.finished.values() for result in results)
    assert _contents(figures) == before


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
