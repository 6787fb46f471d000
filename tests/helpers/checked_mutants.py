"""The independent checker tried on mutated proofs."""

import time
from collections import Counter

import numpy as np

from helpers.kept_proofs import kept_proof, untrue
from helpers.proof_mutations import mutated
from reluopt_check.__main__ import main

MOST_SECONDS = 10.0
"""Of the processor: proofs of this size take milliseconds; hostile exponents make numbers long."""


def checked(kept, folder, capsys):
    """Exit code of the checker, and what it wrote."""
    paths = [str(path) for path in kept.write(folder)]
    capsys.readouterr()
    code = main(paths)
    told = capsys.readouterr()
    text = told.err if code else told.out
    assert text.count("\n") == 1, text
    assert code in (0, 1, 2)
    return code, text.strip()


def check_mutants(norm, verdict, proofs, mutants, seed, folder, capsys):
    """Counts of exit codes of so many mutants of each of so many proofs; none may be false."""
    counts, failures = Counter(), []
    for number in range(proofs):
        generator = np.random.default_rng((seed, number))
        kept = kept_proof(generator, norm, verdict)
        code, text = checked(kept, folder, capsys)
        assert (code, untrue(kept)) == (0, ""), f"proof {number}: {text}"
        for mutant in range(mutants):
            kind, changed = mutated(kept, np.random.default_rng((seed, number, mutant)))
            started = time.process_time()
            try:
                code, text = checked(changed, folder, capsys)
                wrong = untrue(changed) if code == 0 else ""
            except Exception as error:  # none may leave
                wrong = repr(error)[:200]
            if time.process_time() - started > MOST_SECONDS:
                wrong = wrong or "takes too long"
            counts[code] += 1
            if wrong:
                failures.append(f"seed {seed}, {number}, {mutant}: {kind}: {wrong}")
    assert not failures, f"{len(failures)} of {counts.total()}\n" + "\n".join(failures[:20])
    return counts
