"""The independent checker: 10,000 mutated proofs, and those of 200 images of ``thesis``."""

from collections import Counter

import numpy as np
import pytest

from helpers.checked_mutants import check_mutants, checked
from helpers.kept_proofs import digit_proof, untrue_of_digit
from helpers.proof_mutations import mutated
from reluopt.questions.norms.base import Norm

MUTANTS, MUTANTS_OF_ONE = 10_000, 20

IMAGES, MUTANTS_OF_DIGITS = 200, 1_000


@pytest.mark.parametrize("verdict", [False, True])
@pytest.mark.parametrize("norm", list(Norm))
def test_no_mutant_is_accepted_that_is_false(
    norm, verdict, fuzz_seed, fuzz_count, tmp_path, capsys
):
    proofs = fuzz_count(MUTANTS // (6 * MUTANTS_OF_ONE))
    counts = check_mutants(norm, verdict, proofs, MUTANTS_OF_ONE, fuzz_seed + 1, tmp_path, capsys)
    with capsys.disabled():
        print(f"\n{norm}, verdict {verdict}: {proofs} proofs, exit codes {dict(counts)}")


@pytest.mark.parametrize("eps", [None, 0.02])
@pytest.mark.parametrize("norm", list(Norm))
def test_proofs_of_digits_are_accepted(
    norm, eps, thesis, test_images, fuzz_count, tmp_path, capsys
):
    counts = Counter()
    for index in range(fuzz_count(IMAGES)):
        kept = digit_proof(thesis, test_images, index, norm, eps)
        counts[None if kept is None else checked(kept, tmp_path, capsys)[0]] += 1
    with capsys.disabled():
        print(f"\n{norm}, eps {eps}: exit codes {dict(counts)}")
    assert counts.keys() <= {None, 0}


def test_mutants_of_digits_claim_no_more_than_an_image_allows(
    thesis, test_images, fuzz_seed, fuzz_count, tmp_path, capsys
):
    """No optimum is known, but the answer is an upper bound where the task stays as it was."""
    for number in range(fuzz_count(MUTANTS_OF_DIGITS)):
        generator = np.random.default_rng((fuzz_seed, number))
        if number % MUTANTS_OF_ONE == 0:
            norm = list(Norm)[generator.integers(3)]
            kept = digit_proof(thesis, test_images, number, norm)
        if kept is None:
            continue
        kind, changed = mutated(kept, generator)
        code, _ = checked(changed, tmp_path, capsys)
        wrong = untrue_of_digit(kept, changed) if code == 0 else ""
        assert not wrong, f"seed ({fuzz_seed}, {number}): {kind}: {wrong}"
