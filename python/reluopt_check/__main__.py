"""``python -m reluopt_check PROOF NETWORK [IMAGE_SHA256]``; see docs/proof.md."""

import sys
from decimal import Decimal, localcontext

from reluopt_check.exact import EXACT, INFINITY, ONE, ZERO, Vector, dot, plus, shown
from reluopt_check.files import File, InputError, ProofError, need, read, within
from reluopt_check.model import UNITS, Bounds, Claim, Network
from reluopt_check.stages import L1, L2, OBJECTIVE, Box

NORMS: dict[str, type[L1 | L2 | Box]] = {"l1": L1, "l2": L2, "linf": Box}


def proven(proof: str, network: str, image: str | None = None) -> str:
    """What a proof of a network proves, in one line.

    Raises:
        InputError: a file is not what it should be.
        ProofError: the proof does not hold.
    """
    with localcontext(EXACT), within(network):
        net = Network(read(network))
    with localcontext(EXACT), within(proof):
        file = read(proof)
        claim = Claim(file, net)
        need(image in (None, claim.sha256), f"the proof is about image {claim.sha256}")
        _check(file, claim)
        return _stated(file, claim)


def _check(file: File, claim: Claim) -> None:
    """Refuse a proof that does not show its claim: a tree for each alternative, from a stage."""
    stages, hidden = list[L1 | L2 | Box](), claim.net.hidden
    old = Bounds(claim, [-INFINITY] * hidden, [INFINITY] * hidden)
    for s, new in enumerate(_bounds(file, "claim.bounds", claim)):
        with within(f"bounds {s}"):
            stages.append(NORMS[claim.norm](file, s, new, old))
        old = new
    for t in range(len(claim.alternatives)):
        with within(f"alternative {t}"):
            _tree(file, t, stages[claim.stages[t]])


def _tree(file: File, t: int, root: L1 | L2 | Box) -> None:
    """Refuse a tree whose leaves do not cover the inputs of the root, or hold counterexamples."""
    splits = file.take(f"tree.{t}.splits", None, kind=int)
    marked = file.take(f"claim.{t}.marked", None, kind=int)
    kept = dict(zip(marked, _bounds(file, f"claim.{t}.nodes", root.claim), strict=True))
    names, leaves, stack = root.names, iter(root.leaves(t)), [(root.bounds, True)]
    for node, name in enumerate(splits):
        with within(f"node {node}"):
            need(stack, "the tree has ended before")
            bounds, alive = stack.pop()
            if node in kept:
                old, bounds = bounds, kept[node]
                alive = alive and bounds.confirm(old, root.ways)
            if name < 0:
                kind, *numbers = next(leaves)
                if alive:
                    root.claim.check(kind == OBJECTIVE, root.value(t, bounds, kind, *numbers))
                continue
            need(name < len(names) > len(stack), f"a split of neuron {name}")
            for active in (True, False):
                low, high, h = [*bounds.low], [*bounds.high], names[name]
                (low if active else high)[h] = max(low[h], ZERO) if active else min(high[h], ZERO)
                stack.append((Bounds(root.claim, low, high), alive and low[h] <= high[h]))
    need(not stack, f"{len(stack)} leaves are missing")


def _bounds(file: File, name: str, claim: Claim) -> list[Bounds]:
    """Kept bounds."""
    return [Bounds(claim, *pair) for pair in file.take(name, None, 2, claim.net.hidden)]


def _stated(file: File, claim: Claim) -> str:
    """The claim in words."""
    about = f"network {claim.net.fingerprint[:12]} {claim.net.sizes}, image {claim.sha256[:12]} "
    about += f"{claim.name}, inputs from {shown(max(claim.lower))} to {shown(min(claim.upper))}: "
    if claim.verdict:
        return f"{about}all within {claim.norm} {shown(claim.bound)} are answered {_label(claim)}"
    below = f" with {UNITS[claim.norm]} < {shown(claim.bound)}" if claim.bound < INFINITY else ""
    met = " or ".join(f"({_words(*each)})" for each in claim.alternatives)
    answer = "no answer is kept" if (t := claim.answered) is None else _answer(file, claim, t)
    return f"{about}none{below} meets {met}; {answer}"


def _words(matrix: list[Vector], rhs: Vector) -> str:
    """Rows ``y_t >= f y_j + g`` of logits that differ in j alone together."""
    kinds: dict[str, list[str]] = {}
    for row, right in zip(matrix, rhs, strict=True):
        ups = " + ".join(f"{shown(v)} y{j}" for j, v in enumerate(row) if v > 0)
        downs = {str(j): shown(-v) for j, v in enumerate(row) if v < 0}
        kind = f"{ups} >= {shown(right)} + {' and '.join(downs.values())} y"
        kinds.setdefault(kind, []).append(" and ".join(downs))
    return ", ".join(f"{kind}[{','.join(labels)}]" for kind, labels in kinds.items())


def _label(claim: Claim) -> int:
    """The label of a verdict, whose alternatives must be ``y_t >= y_label`` for all others t."""
    every = range(claim.net.sizes[-1])
    for d in every:
        rows = ([Decimal((j == t) - (j == d)) for j in every] for t in every if t != d)
        if claim.alternatives == [([row], [ZERO]) for row in rows]:
            return d
    raise ProofError("the conditions of the verdict are not those of all other labels")


def _answer(file: File, claim: Claim, t: int) -> str:
    """What the real network says of the kept answer, exactly."""
    point = file.take("claim.incumbent", claim.net.sizes[0])
    logits, (matrix, rhs) = claim.net.logits(point), claim.alternatives[t]
    missed = max(d - dot(row, logits) for row, d in zip(matrix, rhs, strict=True))
    length = claim.length(plus(point, claim.image, -ONE))
    fits = missed <= 0 and claim.holds(point) and length >= claim.bound
    need(fits, f"the kept answer misses a condition by {shown(missed)}, box or bound")
    return f"the answer kept does, with about {shown(length)}, by an exact forward pass"


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
