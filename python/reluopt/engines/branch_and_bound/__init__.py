"""Branch and bound on ReLU phases, with relaxations and certificates of its own.

The way of a solve: :mod:`driver` finds incumbents, computes bounds over the incumbent's ball
(:mod:`ball`, :mod:`ball_rows`), and grows one tree for each alternative, the most promising first.
:mod:`tree` bounds nodes by a relaxation (:mod:`relaxation` says what it expects of one), tightens,
polishes and branches (:mod:`branching`). For L1 the relaxation is a linear program: its shape
(:mod:`lp_program`), how it is built (:mod:`lp_build`), the dual simplex method (:mod:`lp_basis`,
:mod:`lp_simplex`), nodes and strong branching (:mod:`lp_node`), and what the tree sees of it all
(:mod:`lp_relaxation`). :mod:`certificate` turns multipliers into bounds that are theorems. L2 has
trees of its own (``qp_*``), and blends of L1 and L2 are lifted to it (:mod:`blend`).

Searches can keep what they proved: :mod:`proof` defines and replays it, :mod:`proof_search` makes
it, :mod:`proof_file` stores it. ``reluopt profile`` shows where the time goes, step by step
(:func:`search.timed`); docs/engine.md has the figures, what limits the engine, and what did not
help.
"""
