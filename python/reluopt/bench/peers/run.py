"""Peers on the instances of a benchmark: what they find, checked, beside the proven minimum."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pandas as pd

from reluopt.answers.check import check_perturbation
from reluopt.answers.solution import Status
from reluopt.bench.peers import PEERS
from reluopt.bench.peers.base import Found, Peer
from reluopt.bench.statistics import AGREEMENT_TOLERANCE
from reluopt.errors import EngineUnavailableError, UnsupportedProblemError
from reluopt.files import write_atomically
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.tasks import Task
from reluopt.runs.row import PeerRow
from reluopt.runs.tables import DASH, markdown_grid

REFUSED, FAILED = "REFUSED", "ERROR"
"""Statuses of a peer that cannot take a problem, and of one that ended with an error."""

FOUND, NOTHING = "FOUND", "NOTHING"
"""Statuses of a peer that proves nothing: with an image, and without one."""


def run_peer(
    name: str,
    network: ReLUNetwork,
    key: str,
    label: int,
    task: Task,
    seconds: float,
    minimum: float | None,
) -> PeerRow:
    """One peer on one instance; nothing that it does or lacks ends the benchmark.

    Args:
        name: of the peer.
        network: which is asked about.
        key: of the image.
        label: the true one.
        task: what is asked.
        seconds: the limit of an exact peer.
        minimum: the proven distance, if there is one.
    """
    peer: Peer = PEERS.get(name)
    started = time.perf_counter()
    status, message, found = "", "", Found(None)
    try:
        peer.check(network, task)
        started = time.perf_counter()
        found = peer.nearest(network, task, seconds)
    except (EngineUnavailableError, UnsupportedProblemError) as error:
        status, message = REFUSED, str(error)
    except Exception as error:  # whatever a library of others raises
        status, message = FAILED, f"{type(error).__name__}: {error}".rstrip(": \n")
    taken = time.perf_counter() - started
    row = PeerRow(
        run=f"{key} {name}",
        image=key,
        label=label,
        peer=name,
        exact=peer.exact,
        norm=str(task.norm),
        status=status or _status(found),
        seconds=taken,
        time_limit=seconds if peer.exact else None,
        minimum=minimum,
        certified=False,
        settings=peer.settings,
        network=network.metadata.name,
        message=message or found.message,
    )
    return row if status else _checked(row, network, task, found)


def _status(found: Found) -> str:
    """How a peer ended, by its own word."""
    if found.done:
        return Status.INFEASIBLE if found.image is None else Status.OPTIMAL
    if found.image is not None:
        return FOUND
    return REFUSED if found.message else NOTHING


def _checked(row: PeerRow, network: ReLUNetwork, task: Task, found: Found) -> PeerRow:
    """The row with what the real network says of the peer's image."""
    norm = task.norm
    bound = norm.distance_of(max(found.bound, 0.0)) if math.isfinite(found.bound) else None
    if found.image is None:
        return row.but(bound=bound)
    image = task.box.clip(found.image)
    best, _ = task.best_alternative(network.forward(image))
    checked = check_perturbation(network, task, task.alternatives[best], image)
    distance = checked.distance
    ratio = None if not row.minimum else distance / row.minimum
    failed = "; ".join(checked.failures)
    return row.but(
        bound=bound,
        distance=distance,
        ratio=ratio,
        predicted=checked.predicted,
        margin=checked.lead,
        certified=checked.certified,
        message=row.message or failed,
    )


def contradictions(rows: Sequence[PeerRow]) -> Iterator[str]:
    """Where a peer's certified image is nearer than the minimum, or its proof says otherwise."""
    for row in rows:
        if row.minimum is None:
            continue
        slack = AGREEMENT_TOLERANCE * max(row.minimum, 1e-6)
        if row.certified and row.distance is not None and row.distance < row.minimum - slack:
            yield f"{row.run}: found {row.distance:.6g}, below the proven {row.minimum:.6g}"
        if row.exact and row.bound is not None and row.bound > row.minimum + slack:
            yield f"{row.run}: claims a bound of {row.bound:.6g}, above {row.minimum:.6g}"


def write_peers(rows: Sequence[PeerRow], folder: Path) -> Path:
    """Rows as ``peers.csv`` in a folder."""
    place = folder / "peers.csv"
    write_atomically(place, PeerRow.header() + b"".join(row.line() for row in rows))
    return place


def peers_table(rows: Sequence[PeerRow]) -> str:
    """The rows as Markdown; of problems that a peer cannot take a note is left."""

    def number(value: float | None, form: str) -> str:
        return DASH if value is None else format(value, form)

    numbers = ["distance", "minimum", "ratio", "bound", "seconds"]
    head = ["image", "norm", "peer", "status", *numbers[:4], "checked", "seconds"]
    lines = [
        [
            *(row.image, row.norm, row.peer, row.status),
            *(number(value, ".5g") for value in (row.distance, row.minimum, row.ratio, row.bound)),
            *("yes" if row.certified else "no", number(row.seconds, ".1f")),
        ]
        for row in rows
        if row.status != REFUSED
    ]
    notes = {f"* {row.peer}: {row.message}": None for row in rows if row.message}
    sides = [name in numbers for name in head]
    return "\n".join([markdown_grid(head, lines, sides), "", *notes])


def minimum_of(table: pd.DataFrame, network: str, image: str) -> float | None:
    """The proven distance of an instance in a benchmark's table, if a method proved one."""
    own = table[(table["network"] == network) & (table["image"] == image)]
    proven = own[own["proven"].astype(bool) & own["certified"].astype(bool)]["distance"]
    return float(proven.min()) if len(proven) else None


def run_peers(
    instances: Sequence[tuple[ReLUNetwork, str, int, Task, float | None]],
    seconds: float,
    tell: Callable[[str], None],
) -> list[PeerRow]:
    """All peers on all instances, one after another."""
    rows = []
    for network, key, label, task, minimum in instances:
        for name in PEERS.names:
            rows.append(run_peer(name, network, key, label, task, seconds, minimum))
            tell(f"{rows[-1].run}: {rows[-1].status}")
    return rows
