"""Proofs: bounds over the domain, and a tree for each alternative whose leaves are bounded."""

from __future__ import annotations

from fractions import Fraction
from math import inf

from reluopt_check.bounds import Bounds, Stage
from reluopt_check.box import Box
from reluopt_check.files import File, InputError, need, within
from reluopt_check.l1 import L1
from reluopt_check.l2 import L2
from reluopt_check.model import Claim, Domain, Network

LEAF = -1
NORMS: dict[str, type[Stage]] = {"l1": L1, "l2": L2, "linf": Box}


def check(file: File, net: Network, claim: Claim) -> None:
    """Refuse a proof that does not show its claim."""
    radius = file.field("radius", float, int, type(None))
    need(0 <= (radius or 0) < inf, f"radius: expected a number >= 0, found {radius}", InputError)
    domain = claim.domain(net, None if radius is None else Fraction(radius))
    old, stages = Bounds(domain, [-inf] * net.hidden, [inf] * net.hidden), list[Stage]()
    for s, new in enumerate(_bounds(file, "claim.bounds", domain)):
        with within(f"bounds {s}"):
            stages.append(NORMS[claim.norm](file, claim, s, new))
            if not stages[s].confirmed(old):
                return
        old = new
    fits = {*claim.stages} <= {*range(len(stages))}
    need(fits, f"stages: expected up to {len(stages)}, found others", InputError)
    for t, start in enumerate(claim.stages):
        with within(f"alternative {t}"):
            _tree(file, t, stages[start])


def _tree(file: File, t: int, root: Stage) -> None:
    """Refuse a tree whose leaves do not cover the inputs of the root, or hold counterexamples."""
    splits = file.take(f"tree.{t}.splits", None, whole=True)
    marks, kept = (0,) * len(splits), iter(list[Bounds]())
    if f"tree.{t}.refined" in file.tensors:
        marks = file.take(f"tree.{t}.refined", len(splits), whole=True)
        kept = iter(_bounds(file, f"claim.{t}.nodes", root.domain))
    names, leaf, shows, stack = root.names, 0, root.leaves(t), [(root.bounds, True)]
    for node, (name, mark) in enumerate(zip(splits, marks, strict=True)):
        with within(f"node {node}"):
            need(stack, "the tree has ended before")
            bounds, alive = stack.pop()
            if mark:
                old, bounds = bounds, next(kept, bounds)
                alive = alive and bounds.confirm(old, range(root.net.depth))
            if name == LEAF:
                if alive:
                    root.claim.check(*shows(leaf, bounds))
                leaf += 1
                continue
            need(0 <= name < len(names) and len(stack) < len(names), f"a split of neuron {name}")
            for active in (True, False):
                below, h = bounds.child(names[name], active), names[name]
                stack.append((below, alive and below.low[h] <= below.high[h]))
    need(not stack, f"{len(stack)} leaves are missing")


def _bounds(file: File, name: str, domain: Domain) -> list[Bounds]:
    """Kept bounds."""
    pairs = file.take(name, None, 2, domain.net.hidden)
    return [Bounds(domain, *([*map(Fraction, side)] for side in pair)) for pair in pairs]
