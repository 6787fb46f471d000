"""Proofs of kind ``proof``: trees over a ball of L1 or L2 that bound the distance."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

from reluopt_check.bounds import leaves, pairs
from reluopt_check.exact import ZERO, shown
from reluopt_check.files import File, InputError, ProofError
from reluopt_check.l1 import L1
from reluopt_check.l2 import L2
from reluopt_check.model import Claim, Domain, Network

EMPTY = 0
NORMS: dict[str, type[L1] | type[L2]] = {"l1": L1, "l2": L2}


def check(file: File, net: Network, claim: Claim) -> None:
    """Refuse a proof that does not show its claim."""
    if file.field("norm", str, among=NORMS) != claim.norm:
        raise ProofError(f"norm: the claim is about {claim.norm}, the proof is not")
    if file.field("trees", int) != len(claim.alternatives):
        raise ProofError("trees: expected one for each alternative")
    given = file.field("radius", float, int)
    if not 0 <= given < float("inf") or "fold_radius" in file.fields:
        raise InputError(f"radius: expected a number >= 0, and no folded network, found {given}")
    domain = Domain(claim.center, claim.ends(), claim.norm, Fraction(given))
    edge = domain.radius**2 if claim.norm == "l2" else domain.radius
    if edge < claim.length([max(-a, b) for a, b in zip(*claim.ends(), strict=True)]):
        _enough(claim, edge, "outside of the ball")
    norm, old = NORMS[claim.norm](net, domain, claim), None
    for new in pairs(file, "claim.ball", net.hidden):
        if not norm.grows(old, new):
            return
        old = new
    if old is None:
        raise InputError("tensor 'claim.ball': expected bounds, found none")
    for t in range(len(claim.alternatives)):
        kinds = file.take(f"tree.{t}.kinds", None).values
        cut = {name: _cut(file, f"tree.{t}.{name}", len(kinds)) for name in norm.parts}
        for where, leaf, bounds in leaves(file, t, net, domain, old, [*range(net.hidden)]):
            if leaf >= len(kinds) or kinds[leaf] == EMPTY:
                raise ProofError(f"{where}: nothing shows that it is empty")
            try:
                parts = {name: cut[name][leaf] for name in norm.parts}
                value = norm.value(t, kinds[leaf], parts, bounds)
            except ProofError as error:
                raise ProofError(f"{where}: {error}") from None
            if value is not None:
                _enough(claim, value, where)


def _enough(claim: Claim, value: Fraction, where: str) -> None:
    """Refuse a lower bound on the objective that does not reach what is claimed."""
    bound = claim.bound
    if bound is not None and claim.verdict:
        good = value > (bound * bound if claim.norm == "l2" else bound)
    else:
        good = bound is not None and max(value, ZERO) >= bound
    if not good:
        wanted = "that no input is left" if bound is None else shown(bound)
        raise ProofError(f"{where}: shows {shown(value)}, claimed is {wanted}")


def _cut(file: File, name: str, count: int) -> list[Any]:
    """Each leaf's share of a long vector."""
    ends, values = (0, *file.take(f"{name}.ends", count).values), file.take(name, None).values
    if list(ends) != sorted(ends) or ends[-1] != len(values):
        raise InputError(f"tensor '{name}.ends': expected rising ends up to {len(values)}")
    return [values[a:b] for a, b in pairwise(ends)]
