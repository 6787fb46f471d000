"""Proofs: bounds over the domain, and a tree for each alternative whose leaves are bounded."""

from reluopt_check.bounds import Bounds
from reluopt_check.exact import INFINITY
from reluopt_check.files import File, InputError, need, within
from reluopt_check.l2 import L2
from reluopt_check.model import Claim
from reluopt_check.stages import EMPTY, L1, OBJECTIVE, Box

LEAF = -1
NORMS: dict[str, type[L1 | L2 | Box]] = {"l1": L1, "l2": L2, "linf": Box}


def check(file: File, claim: Claim) -> None:
    """Refuse a proof that does not show its claim."""
    hidden, stages = claim.net.hidden, list[L1 | L2 | Box]()
    old = Bounds(claim, [-INFINITY] * hidden, [INFINITY] * hidden)
    for s, new in enumerate(_bounds(file, "claim.bounds", claim)):
        with within(f"bounds {s}"):
            stages.append(NORMS[claim.norm](file, s, new, old))
        old = new
    count, places = len(claim.alternatives), range(len(stages))
    fits = len(claim.stages) == count and all(type(s) is int and s in places for s in claim.stages)
    need(fits, f"stages: expected one for each of {count} alternatives, in {places}", InputError)
    for t, start in enumerate(claim.stages):
        with within(f"alternative {t}"):
            _tree(file, t, stages[start])


def _tree(file: File, t: int, root: L1 | L2 | Box) -> None:
    """Refuse a tree whose leaves do not cover the inputs of the root, or hold counterexamples."""
    splits, refined = file.take(f"tree.{t}.splits", None, kind=int), f"tree.{t}.refined"
    marked = refined in file.tensors
    marks = file.take(refined, len(splits), kind=int) if marked else [0] * len(splits)
    kept = iter(_bounds(file, f"claim.{t}.nodes", root.claim) if marked else ())
    names, leaves, stack = root.names, iter(root.leaves(t)), [(root.bounds, True)]
    for node, (name, mark) in enumerate(zip(splits, marks, strict=True)):
        with within(f"node {node}"):
            need(stack, "the tree has ended before")
            bounds, alive = stack.pop()
            if mark:
                old, bounds = bounds, next(kept, bounds)
                alive = alive and bounds.confirm(old, root.ways)
            if name == LEAF:
                kind, *numbers = next(leaves, (0,))
                if alive:
                    need(kind in (OBJECTIVE, EMPTY), "nothing shows that it is empty")
                    root.claim.check(kind == OBJECTIVE, root.value(t, bounds, kind, *numbers))
                continue
            need(0 <= name < len(names) and len(stack) < len(names), f"a split of neuron {name}")
            for active in (True, False):
                below, h = bounds.child(names[name], active), names[name]
                stack.append((below, alive and below.low[h] <= below.high[h]))
    need(not stack, f"{len(stack)} leaves are missing")


def _bounds(file: File, name: str, claim: Claim) -> list[Bounds]:
    """Kept bounds."""
    return [Bounds(claim, *pair) for pair in file.take(name, None, 2, claim.net.hidden)]
