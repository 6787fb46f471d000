"""Branch and bound on ReLU phases, with relaxations and certificates of its own.

The way of a solve: :mod:`driver` finds incumbents, computes bounds over the incumbent's ball
(:mod:`ball`, :mod:`ball_rows`), and grows one tree for each alternative, the most promising first.
:mod:`tree` bounds nodes by a relaxation (:mod:`relaxation` says what it expects of one), tightens,
polishes and branches (:mod:`branching`). For L1 the relaxation is a linear program: its shape
(:mod:`lp_program`), how it is built (:mod:`lp_build`), the dual simplex method (:mod:`lp_basis`,
:mod:`lp_simplex`), nodes and strong branching (:mod:`lp_node`), and what the tree sees of it all
(:mod:`lp_relaxation`). :mod:`certificate` turns multipliers into bounds that are theorems. L2 has
trees of its own (``qp_*``).

Where the time goes (L1, one thread): a median instance of ``thesis`` or ``thesis-96`` is decided at
the root; about 40 % of its time finds the incumbent, 20 % bounds the ball, 30 % solves and probes
the root. A hard instance spends 50 to 60 % in strong branching, 10 to 15 % in the nodes' programs
and about 10 % in linear bounds; half of its probes end in a proof that fixes a phase or the node.
"""
