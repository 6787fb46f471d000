"""Mutated proofs: accepted only where what they claim is true, judged in rational arithmetic."""

import pytest

from helpers.checked_mutants import check_mutants
from reluopt.questions.norms.base import Norm

PROOFS, MUTANTS = 4, 20


@pytest.mark.parametrize("verdict", [False, True])
@pytest.mark.parametrize("norm", list(Norm))
def test_mutants_are_accepted_only_where_they_are_true(norm, verdict, tmp_path, capsys):
    counts = check_mutants(norm, verdict, PROOFS, MUTANTS, 0, tmp_path, capsys)
    assert 2 * (counts[1] + counts[2]) > counts[0] > 0  # else the test would show nothing
