"""``python -m reluopt_check PROOF NETWORK [IMAGE_SHA256]``; see docs/proof.md."""

import sys
from decimal import Decimal, localcontext
from operator import eq

from reluopt_check.exact import EXACT, INFINITY, ZERO, Vector, dot, minus, shown
from reluopt_check.files import File, InputError, ProofError, need, read, within
from reluopt_check.model import UNITS, Claim, Network
from reluopt_check.proof import check


def proven(proof: str, network: str, image: str | None = None) -> str:
    """What a proof of a network proves, in one line.

    Raises:
        InputError: a file is not what it should be.
        ProofError: the proof does not hold.
    """
    with localcontext(EXACT):
        with within(network):
            net = Network(read(network))
        with within(proof):
            return _proven(read(proof), net, image)


def _proven(file: File, net: Network, image: str | None) -> str:
    fits = file.field("network_sha256", str) == net.fingerprint
    need(fits, f"the proof is about another network than {net.fingerprint}")
    claim = Claim(file, net)
    need(image in (None, claim.sha256), f"the proof is about another image, {claim.sha256}")
    label = _label(claim, net.sizes[-1]) if claim.verdict else 0
    check(file, claim)
    sizes, lowest, highest = "-".join(map(str, net.sizes)), min(claim.lower), max(claim.upper)
    about = f"network {net.fingerprint[:12]} ({sizes}), image {claim.sha256[:12]} {claim.name}, "
    about += f"inputs from {shown(lowest)} to {shown(highest)}: "
    if claim.verdict:
        return about + f"all within {claim.norm} {shown(claim.bound)} are answered {label}"
    below = f" with {UNITS[claim.norm]} < {shown(claim.bound)}" if claim.bound < INFINITY else ""
    met = " or ".join(f"({_words(*each)})" for each in claim.alternatives)
    return about + f"none{below} meets {met}{_answer(file, claim, net)}"


def _words(matrix: list[Vector], rhs: Vector) -> str:
    """Rows ``x_t >= f x_j + g`` that differ in j alone together."""
    kinds: dict[str, list[str]] = {}
    for row, right in zip(matrix, rhs, strict=True):
        ups = " + ".join(f"{shown(v)} x{j}" for j, v in enumerate(row) if v > 0)
        downs = [(shown(-v), str(j)) for j, v in enumerate(row) if v < 0]
        factor, label = downs[0] if len(downs) == 1 else (str(downs), "")
        kinds.setdefault(f"{ups} >= {shown(right)} + {factor} x", []).append(label)
    return ", ".join(f"{kind}[{','.join(labels)}]" for kind, labels in kinds.items())


def _label(claim: Claim, n: int) -> int:
    """The label of a verdict, whose alternatives must be ``x_t >= x_label`` for all others t."""
    for d in range(n):
        rows = ([Decimal((j == t) - (j == d)) for j in range(n)] for t in range(n) if t != d)
        same = map(eq, claim.alternatives, (([row], [ZERO]) for row in rows))
        if len(claim.alternatives) == n - 1 and all(same):
            return d
    raise ProofError("the conditions of the verdict are not those of all other labels")


def _answer(file: File, claim: Claim, net: Network) -> str:
    """What the real network says of the kept answer, exactly."""
    if claim.answered is None:
        return "; no answer is kept"
    point = file.take("claim.incumbent", net.sizes[0])
    logits, (matrix, rhs) = net.logits(point), claim.alternatives[claim.answered]
    missed = max(d - dot(row, logits) for row, d in zip(matrix, rhs, strict=True))
    length = claim.length(minus(point, claim.image))
    fits = missed <= 0 and claim.holds(point) and length >= claim.bound
    need(fits, f"the kept answer misses a condition by {shown(missed)}, box or bound")
    return f"; the answer kept does, with about {shown(length)}, by an exact forward pass"


def main(words: list[str]) -> int:
    """Exit code: 0 proven, 1 refused, 2 bad files or options."""
    try:
        need(len(words) in (2, 3), f"expected PROOF NETWORK [SHA256], found {words}", InputError)
        print(f"proven: {proven(*words)}")
    except (InputError, ProofError) as error:
        print(f"{error.word}: {error}", file=sys.stderr)
        return error.code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
