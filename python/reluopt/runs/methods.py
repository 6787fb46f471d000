"""Methods in words, from the names that people write (:meth:`reluopt.method.Method.parse`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

ENGINES = {
    "bnb": "our engine",
    "highs": "HiGHS",
    "gurobi": "Gurobi",
    "scip": "SCIP",
    "julia": "JuMP",
    "auto": "best engine at hand",
}
"""Engines by the name of their option."""

_THESIS = "thesis"
_BOUNDS = {_THESIS: "±1000", "lp": "LP bounds"}
_PROGRAMS = {"bigm": "", _THESIS: "thesis' program"}


def method_words(method: str) -> str:
    """A method in words.

    ``gurobi:thesis:thesis`` is ``Gurobi, thesis' model``, ``highs:bigm:ball`` is ``HiGHS, ball
    bounds``; the big-M program and what an engine chooses on its own are not named.
    """
    engine, formulation, bounds = [*method.split(":"), "", ""][:3]
    words = [ENGINES.get(engine, engine)]
    if formulation == bounds == _THESIS:
        words.append("thesis' model")
    else:
        words.append(_PROGRAMS.get(formulation, formulation))
        words.append(_BOUNDS.get(bounds, f"{bounds} bounds" if bounds else ""))
    return ", ".join(word for word in words if word)


def method_titles(methods: Sequence[str]) -> dict[str, str]:
    """:func:`method_words` of each; those that would be called the same keep their options."""
    words = {method: method_words(method) for method in methods}
    counts = Counter(words.values())
    return {method: method if counts[word] > 1 else word for method, word in words.items()}
