"""``python -m reluopt_check PROOF NETWORK [IMAGE_SHA256]``; see docs/proof.md."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from reluopt_check.exact import ZERO, dot, shown, vec
from reluopt_check.files import File, InputError, ProofError, need, read, within
from reluopt_check.model import UNITS, Alternative, Claim, Network
from reluopt_check.proof import check


def proven(proof: str, network: str, image: str | None = None) -> str:
    """What a proof of a network proves, in one line.

    Raises:
        InputError: a file is not what it should be.
        ProofError: the proof does not hold.
    """
    file, weights = read(proof), read(network)
    with within(proof):
        return _proven(file, Network(weights), image)


def _proven(file: File, net: Network, image: str | None) -> str:
    fits = file.field("network_sha256", str) == net.fingerprint
    need(fits, f"the proof is about another network than {net.fingerprint}")
    claim = Claim(file, net)
    need(image in (None, claim.sha256), f"the proof is about another image, {claim.sha256}")
    label = _label(claim, net.sizes[-1]) if claim.verdict else 0
    check(file, net, claim)
    sizes, ends = "-".join(map(str, net.sizes)), (shown(min(claim.lower)), shown(max(claim.upper)))
    about = f"network {net.fingerprint[:12]} ({sizes}), image {claim.sha256[:12]} {claim.name}, "
    about += "inputs from {} to {}: ".format(*ends)
    bound = None if claim.bound is None else shown(claim.bound)
    if claim.verdict:
        return about + f"all within {claim.norm} {bound} are answered {label}"
    met = " or ".join(f"({each.words()})" for each in claim.alternatives)
    below = "" if bound is None else f" with {UNITS[claim.norm]} < {bound}"
    return about + f"none{below} meets {met}{_answer(file, claim, net)}"


def _label(claim: Claim, n: int) -> int:
    """The label of a verdict, whose alternatives must be ``x_t >= x_label`` for all others t."""
    for d in range(n):
        rows = [vec([(j == t) - (j == d) for j in range(n)]) for t in range(n) if t != d]
        if claim.alternatives == [Alternative([row], [ZERO]) for row in rows]:
            return d
    raise ProofError("the conditions of the verdict are not those of all other labels")


def _answer(file: File, claim: Claim, net: Network) -> str:
    """What the real network says of the kept answer, exactly."""
    if claim.answered is None:
        return "; no answer is kept"
    point = file.take("claim.incumbent", net.sizes[0])
    logits, asked = vec(net.logits(vec(point))), claim.alternatives[claim.answered]
    missed = max(d - dot(row, logits) for row, d in zip(asked.matrix, asked.rhs, strict=True))
    length = claim.length(claim.change(point))
    fits = missed <= 0 and claim.holds(point)
    fits = fits and claim.bound is not None and length >= claim.bound
    need(fits, f"the kept answer misses a condition by {shown(missed)}, box or bound")
    return f"; the answer kept does, with about {shown(length)}, by an exact forward pass"


def main(arguments: Sequence[str]) -> int:
    """Exit code: 0 proven, 1 refused, 2 bad files or options."""
    try:
        fits = 2 <= len(arguments) <= 3
        need(fits, f"expected PROOF NETWORK [SHA256], found {len(arguments)} words", InputError)
        print(f"proven: {proven(*arguments)}")
    except (InputError, ProofError) as error:
        print(f"{error.word}: {error}", file=sys.stderr)
        return error.code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
