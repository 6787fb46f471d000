"""Methods by name: ``engine[:formulation[:bounds]]`` in, a method or its words out.

Light on imports: a help text or a misspelt name must not wait for numba and scipy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from reluopt.choices import BOUND_NAMES, FORMULATIONS
from reluopt.engines import engine_names
from reluopt.errors import InputError

if TYPE_CHECKING:
    from reluopt.engines.base import EngineOptions
    from reluopt.pipeline import Method

CHOICES = {
    "engine": ("auto", *engine_names()),
    "formulation": (*FORMULATIONS, "indicator"),
    "bounds": (*BOUND_NAMES, "ball"),
}
"""What each part of a method may be; which of them an engine can do is known by the pipeline."""

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


def check_part(part: str, found: str | None, place: str) -> None:
    """Refuse a name that no engine, formulation or bounds have, before anything is loaded.

    Args:
        part: which of :data:`CHOICES`.
        found: the name; None leaves it to the engine.
        place: begins the message.

    Raises:
        InputError: there is no such name.
    """
    if found is not None and found not in CHOICES[part]:
        raise InputError(f"{place} {', '.join(CHOICES[part])}, found {found!r}")


def parse_method(text: str, options: EngineOptions) -> Method:
    """Read ``engine[:formulation[:bounds]]``, such as ``bnb`` or ``gurobi:thesis:thesis``.

    Raises:
        InputError: an unknown engine, formulation or bounds.
    """
    from reluopt.pipeline import Method

    names = text.split(":")
    if len(names) > len(CHOICES):
        raise InputError(f"method: expected engine[:formulation[:bounds]], found {text!r}")
    for part, found in zip(CHOICES, names, strict=False):
        check_part(part, found, f"method {text!r}: expected {part}")
    engine, formulation, bounds = [*names, None, None][:3]
    return Method(str(engine), formulation, bounds, options=options)


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
