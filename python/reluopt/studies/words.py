"""What studies say: templates beside them, filled with the numbers that they found.

``templates/NAME.md.j2`` holds all words of a study as macros: ``lines`` (what came out, one
paragraph a sentence), ``caption`` (of a printed table) and ``readme`` (its section of the
documents). They see ``facts``, and name an entry that is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, UndefinedError

from reluopt.bench.statistics import Estimate
from reluopt.errors import InputError
from reluopt.runs.methods import method_words
from reluopt.runs.tables import DASH, fixed

MINUTE, HOUR = 60.0, 3600.0

SHORT = 1e-4
"""Seconds below which a time is written with an exponent."""


def render(study: str, macro: str, *arguments: Any, **values: Any) -> str:
    """What a macro of a study's template says.

    Raises:
        InputError: an entry of ``values`` that it tells is missing.
    """
    template = _environment().get_template(f"{study}.md.j2")
    try:
        return str(getattr(template.make_module(values), macro)(*arguments))
    except UndefinedError as error:
        raise InputError(f"results of {study}: cannot tell them, because {error}") from error


def paragraphs(text: str) -> list[str]:
    """What stands between empty lines, each on one line."""
    return [" ".join(part.split()) for part in text.strip().split("\n\n") if part.strip()]


def sentence(study: str, macro: str, *arguments: Any, **values: Any) -> str:
    """:func:`render` on one line."""
    return " ".join(render(study, macro, *arguments, **values).split())


@cache
def _environment() -> Environment:
    """The templates; what they do not know is an error."""
    made = Environment(
        loader=PackageLoader("reluopt.studies"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "form": format,
        "fixed": fixed,
        "share": share_text,
        "excess": excess_text,
        "interval": interval,
        "proofs": lambda unproven: "all proven" if not unproven else f"{unproven:,} not proven",
        "seconds": seconds_text,
        "method": method_words,
    }
    return made


def share_text(share: float | None, places: int = 0) -> str | None:
    """A share as ``12 %``; None for what is missing or not finite."""
    text = None if share is None else fixed(100.0 * share, places)
    return None if text is None else f"{text} %"


def interval(ends: Sequence[float] | None) -> str:
    """Shares as ``10.26`` or ``6.22 to 6.23``, in per cent."""
    texts = dict.fromkeys(f"{100.0 * end:.2f}" for end in ends or ())
    return " to ".join(texts) or DASH


def excess_text(ratio: float | None) -> str | None:
    """A ratio as ``12.3 %`` above 1."""
    return None if ratio is None else share_text(abs(ratio - 1.0), 1)


def seconds_text(facts: Mapping[str, Any] | None) -> str:
    """An estimate (``value``, ``relation``) in a table; the smallest times with an exponent."""
    if facts is None:
        return DASH
    estimate = Estimate(facts["value"], facts["relation"])
    return f"{estimate.value:.2e}" if 0.0 < estimate.value < SHORT else str(estimate)


def count_text(value: float | None) -> str:
    """A number of things for a table, or a dash."""
    return DASH if value is None else f"{value:,.0f}"


def duration(seconds: float) -> str:
    """Seconds, minutes or hours and minutes, as people say it."""
    if seconds < MINUTE:
        return f"{seconds:.0f} s"
    if seconds < HOUR:
        return f"{seconds / MINUTE:.0f} min"
    hours, rest = divmod(round(seconds / MINUTE), 60)
    return f"{hours} h {rest:02d} min"
