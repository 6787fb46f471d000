"""Names that people choose from on the command line, kept apart from the modules behind them.

Those modules load numba and scipy; a help text or a misspelt name must not wait for them.
"""

from __future__ import annotations

BOUND_NAMES = ("thesis", "interval", "linear", "lp")
"""Pre-activation bounds that :func:`reluopt.bounds.compute_bounds` knows, loosest first."""

FORMULATIONS = ("bigm", "thesis")
"""Formulations that :func:`reluopt.formulation.encode` knows."""
