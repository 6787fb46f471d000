"""What exact distances say of an attack, and of the images."""

import numpy as np
import pandas as pd
import pytest

from reluopt.questions.problems import Norm
from reluopt.studies import exact_distances as tables


def _asked(found):
    return pd.DataFrame(
        {
            "index": [0, 1, 2, 3],
            "label": [1, 2, 3, 4],
            "predicted": [1, 2, 3, 0],
            "s_distance": [1.0, 2.0, 4.0, 0.0],
            "s_bound": [1.0, 2.0, 4.0, 0.0],
            "s_status": ["OPTIMAL", "OPTIMAL", "OPTIMAL", "OPTIMAL"],
            "found": found,
        }
    )


def test_overestimates_leave_misclassified_images_out():
    summary = tables.attack_summary("A", Norm.L1, _asked([1.0, 3.0, np.inf, 0.0]), "s")
    assert (summary["images"], summary["found"]) == (3, 2)
    assert summary["largest"] == pytest.approx(0.5)
    assert summary["exact"] == pytest.approx(0.5)
    assert summary["below bound"] == 0


def test_an_attack_that_refutes_a_bound_is_counted():
    assert (
        tables.attack_summary("A", Norm.L1, _asked([1.0, 1.9, 4.0, 0.0]), "s")["below bound"] == 1
    )


def test_certified_distance_is_zero_where_the_network_errs():
    table = _asked([1.0, 2.0, 4.0, 0.0]).assign(s_bound=[1.0, 2.0, 4.0, 5.0])
    assert tables.certified_distances(table, "s").tolist() == [1.0, 2.0, 4.0, 0.0]


def test_rank_correlation_sees_order_only():
    first = pd.Series([1.0, 2.0, 3.0, 4.0])
    assert tables.rank_correlation(first, first**3) == pytest.approx(1.0)
    assert tables.rank_correlation(first, -first) == pytest.approx(-1.0)


def test_agreement_counts_images_that_are_known_in_all_norms():
    table = _asked([1.0] * 4).assign(
        s_target=[5, 6, 7, 8],
        u_distance=[3.0, 2.0, 1.0, 9.0], u_bound=[3.0, 2.0, 1.0, 9.0], u_target=[5, 6, 0, 0],
        v_distance=[3.0, 2.0, 8.0, 9.0], v_bound=[3.0, 2.0, 0.0, 9.0], v_target=[0, 0, 0, 0],
    )  # fmt: skip
    two = tables.agreement(table, {"l1": "s", "l2": "u"})
    assert two == {"l1 l2": {"rank correlation": pytest.approx(-1.0), "same nearest": 2 / 3}}
    three = tables.agreement(table, {"l1": "s", "l2": "u", "linf": "v"})
    assert list(three) == ["l1 l2", "l1 linf", "l2 linf"]
    assert three["l1 l2"]["same nearest"] == 1.0
    assert three["l2 linf"]["same nearest"] == 0.0
    assert three["l2 linf"]["rank correlation"] == pytest.approx(1.0)
