"""How long the whole reproduction took, from the record that it published.

``reproduce.json`` in the folder of published results holds ``command``, ``machine`` (as
:func:`~reluopt.runs.store.machine` tells it) and, by study, ``seconds`` and ``rows``; see
:mod:`reluopt.studies.reproduce`, which writes it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reluopt.runs.tables import markdown_grid
from reluopt.studies import STUDIES
from reluopt.studies.reproduce import RECORD
from speed import fill

MINUTE, HOUR = 60.0, 3600.0


def cost_section(data: Path) -> str:
    """The section as Markdown: what was run, where, and how long each study took.

    Raises:
        FileNotFoundError: the reproduction was not recorded.
        KeyError: the record lacks an entry.
    """
    record: Mapping[str, Any] = json.loads((data / RECORD).read_text(encoding="utf-8"))
    # Studies that were added since it was recorded are not among what the command did.
    known = record["seconds"]
    seconds = {name: float(known[name]) for name in STUDIES if name in known}
    machine = record["machine"]
    lead = (
        f"`{record['command']}` took {duration(sum(seconds.values()))} on {machine['cores']} cores "
        f"({machine['processor']}, Python {machine['python']}), wall-clock time; rows that were "
        "there already count with the seconds of their solves."
    )
    rows = [
        [f"`{name}`", STUDIES[name], f"{record['rows'][name]:,}", duration(taken)]
        for name, taken in seconds.items()
    ]
    header = ["study", "what it is about", "rows", "time"]
    table = markdown_grid(header, rows, [False, False, True, True])
    return f"{fill(lead)}\n\n{table}"


def duration(seconds: float) -> str:
    """Seconds, minutes or hours and minutes, as people say it."""
    if seconds < MINUTE:
        return f"{seconds:.0f} s"
    if seconds < HOUR:
        return f"{seconds / MINUTE:.0f} min"
    hours, rest = divmod(round(seconds / MINUTE), 60)
    return f"{hours} h {rest:02d} min"
