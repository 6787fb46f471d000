"""Branch and bound on ReLU phases, with relaxations and certificates of its own.

The way of a solve: :mod:`driver` finds incumbents, computes bounds over the incumbent's ball
(:mod:`ball`), and grows one tree for each alternative, the most promising first. What it grows is
the norm's: a package of the norm's name implements :class:`~.norm_search.NormSearch`, with a
relaxation whose bounds are theorems (``certificate``) and a tree that tightens, polishes and
branches nodes. Blends of L1 and L2 are lifted to L2 (:mod:`blend`).

Boxes are searched another way (:mod:`dual`): verdicts, worst cases and distances in Linf; so are
L1 trees that grow large (:mod:`.dual.within_ball`). Verdicts over balls of L1 and L2
(:mod:`within`) and worst cases over them (:mod:`largest`) are searches for the nearest input.
Networks whose first units see a patch of the input each have trees of their own, in L1 and over
boxes (:mod:`envelopes`).

Trees tell a listener what they do (:mod:`events`). Searches that keep what they proved listen
(:mod:`plan`), prove the leaves once more (:mod:`proof_search`), and store them (:mod:`proof_file`);
:mod:`proof` defines and replays proofs. ``reluopt profile`` shows where the time goes, step by step
(:func:`search.timed`); docs/engine.md has the figures, what limits the engine, and what did not
help.
"""

from importlib import import_module

NORMS = ("l1", "l2")
"""Norms that are searched, each by the package of its name: ``norm.SEARCH`` in it is how, and
``KERNELS`` and ``COSTS`` are what that calls (:mod:`reluopt.numerics.sets`)."""

_PACKAGES = {norm: import_module(f"{__name__}.{norm}") for norm in NORMS}

KERNELS: dict[str, tuple[str, ...]] = {norm: each.KERNELS for norm, each in _PACKAGES.items()}
KERNELS |= import_module(f"{__name__}.dual").KERNELS
"""See :mod:`reluopt.numerics.sets`."""

COSTS: dict[str, float] = {}
"""See :mod:`reluopt.numerics.sets`."""

for _package in _PACKAGES.values():
    COSTS |= _package.COSTS
