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

from reluopt.runs.tables import DASH, markdown_grid
from reluopt.studies import STUDIES, load_study
from reluopt.studies.reproduce import RECORD
from reluopt.studies.words import duration
from speed import fill


def cost_section(data: Path) -> str:
    """The section as Markdown: what was run, where, and how long each study took.

    Raises:
        FileNotFoundError: the reproduction was not recorded.
        KeyError: the record lacks an entry.
    """
    record: Mapping[str, Any] = json.loads((data / RECORD).read_text(encoding="utf-8"))
    known = record["seconds"]
    seconds = {name: float(known[name]) for name in STUDIES if name in known}
    machine = record["machine"]
    lead = (
        f"`{record['command']}` took {duration(sum(seconds.values()))} on {machine['cores']} cores "
        f"({machine['processor']}, Python {machine['python']}), wall-clock time; rows that were "
        "there already count with the seconds of their solves."
    )
    minutes = {name: load_study(name).minutes for name in STUDIES if name not in seconds}
    rows = [
        [f"`{name}`", about, f"{record['rows'][name]:,}", duration(seconds[name])]
        if name in seconds
        else [f"`{name}`", about, DASH, f"about {duration(60.0 * minutes[name])}"]
        for name, about in STUDIES.items()
    ]
    if minutes:
        lead += (
            " *About*: the study was added since, and this is the estimate that `--full` says "
            f"beforehand; together these take {duration(60.0 * sum(minutes.values()))} more."
        )
    header = ["study", "what it is about", "rows", "time"]
    table = markdown_grid(header, rows, [False, False, True, True])
    return f"{fill(lead)}\n\n{table}"
