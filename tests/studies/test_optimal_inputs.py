"""Figure 2: logits as large as told, and that one of them does not win."""

import numpy as np
import pandas as pd
import pytest

from reluopt.runs.store import read_store


def test_inputs_reach_the_logits_told(few, told, files, thesis):
    result = few("optimal-inputs", 2)
    table = pd.read_csv(result.folder / "optimal-inputs.csv").set_index("label")
    for row, image in read_store(result.folder / "logits"):
        label = row["label"]
        logits = thesis.forward(image)
        assert ((image >= 0) & (image <= 1)).all()
        assert table.loc[label, "logit"] == pytest.approx(logits[label], abs=1e-3)
        assert table.loc[label, "bound"] >= table.loc[label, "logit"] - 1e-4
        assert table.loc[label, "classified as"] == int(np.argmax(logits))
        others = np.delete(logits, label).max()
        assert table.loc[label, "lead"] == pytest.approx(logits[label] - others, abs=1e-3)
    assert (table["status"] == "OPTIMAL").all()
    assert not result.complete
    # The largest logit of 1 is outdone by that of 2.
    assert result.facts["others"] == [{"label": 1, "classified_as": 2}]
    assert "2 of 2 maxima proven; 1 of the 2 inputs" in told(result)
    before = files(result)
    again = few("optimal-inputs", 2)
    assert files(result) == before
    assert again.facts == result.facts
