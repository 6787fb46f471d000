"""``python -m reluopt_check PROOF NETWORK [IMAGE_SHA256]``; see docs/proof.md."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Context

from reluopt_check import ball, box
from reluopt_check.exact import ZERO, dot, shown, vec
from reluopt_check.files import File, InputError, ProofError, read
from reluopt_check.model import Alternative, Claim, Network

CHECKS = {"proof": (ball.check, 1), "box-proof": (box.check, 2)}
UNITS = {"l1": "sum |change|", "l2": "sum change^2", "linf": "max |change|"}


def proven(proof: str, network: str, image: str | None = None) -> str:
    """What a proof of a network proves, in one line.

    Raises:
        InputError: a file is not what it should be.
        ProofError: the proof does not hold.
    """
    file, net = read(proof), read(network)
    try:
        return _proven(file, Network(net), image)
    except (InputError, ProofError) as error:
        raise type(error)(f"{proof}: {error}") from None


def _proven(file: File, net: Network, image: str | None) -> str:
    check, version = CHECKS[file.field("kind", str, among=CHECKS)]
    file.field("schema_version", int, among=(version,))
    if file.field("network_sha256", str) != net.fingerprint:
        raise ProofError(f"the proof is about another network than {net.fingerprint}")
    claim = Claim(file, net)
    if image not in (None, claim.sha256):
        raise ProofError(f"the proof is about another image, {claim.sha256}")
    label = _label(claim, net) if claim.verdict else 0
    check(file, net, claim)
    sizes, ends = "-".join(map(str, net.sizes)), (shown(min(claim.lower)), shown(max(claim.upper)))
    about = f"network {net.fingerprint[:12]} ({sizes}), image {claim.sha256[:12]} {claim.name}, "
    about += "inputs from {} to {}: ".format(*ends)
    bound = None if claim.bound is None else shown(claim.bound)
    if claim.verdict:
        return about + f"all within {claim.norm} {bound} are answered {label}"
    met = " or ".join(f"({each.words()})" for each in claim.alternatives)
    below = "" if bound is None else f" with {UNITS[claim.norm]} < {bound}"
    return about + f"none{below} meets {met}{_answer(claim, net)}"


def _label(claim: Claim, net: Network) -> int:
    """The label of a verdict, whose alternatives must be ``x_t >= x_label`` for all others t."""
    n = net.sizes[-1]
    for d in range(n):
        rows = [vec([(j == t) - (j == d) for j in range(n)]) for t in range(n) if t != d]
        if claim.alternatives == [Alternative([row], [ZERO]) for row in rows]:
            return d
    raise ProofError("the conditions of the verdict are not those of all other labels")


def _answer(claim: Claim, net: Network) -> str:
    """What the real network says of the kept answer, exactly."""
    if claim.answered is None:
        return "; no answer is kept"
    logits, asked = vec(net.logits(claim.answer)), claim.alternatives[claim.answered]
    missed = max(d - dot(row, logits) for row, d in zip(asked.matrix, asked.rhs, strict=True))
    point = claim.answer.list()
    length = claim.length([a - b for a, b in zip(point, claim.image, strict=True)])
    if missed > 0 or not claim.holds(point) or claim.bound is None or length < claim.bound:
        raise ProofError(f"the kept answer misses a condition by {shown(missed)}, box or bound")
    low, high = (
        Context(12, each).divide(length.numerator, length.denominator)
        for each in (ROUND_FLOOR, ROUND_CEILING)
    )
    return f"; the answer kept does, with {low}..{high}, by an exact forward pass"


def main(arguments: Sequence[str]) -> int:
    """Exit code: 0 proven, 1 refused, 2 bad files or options."""
    try:
        if not 2 <= len(arguments) <= 3:
            raise InputError(f"expected PROOF NETWORK [IMAGE_SHA256], found {len(arguments)} words")
        print(f"proven: {proven(*arguments)}")
    except (InputError, ProofError) as error:
        print(
            f"{'refused' if isinstance(error, ProofError) else 'error'}: {error}", file=sys.stderr
        )
        return 1 if isinstance(error, ProofError) else 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
