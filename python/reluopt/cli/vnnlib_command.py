"""``reluopt vnnlib``."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated

import typer

from reluopt.cli import options
from reluopt.cli.app import app
from reluopt.errors import NoteWarning


@app.command()
@options.expanded
def vnnlib(
    network_name: options.NetworkName,
    specification: Annotated[
        Path, typer.Argument(metavar="SPEC", help="A VNN-LIB file (1.0 or 2.0), plain or .gz.")
    ],
    solver: options.SolverOptions,
    loading: options.LoadingOptions,
    out: Annotated[
        Path | None,
        typer.Option(help="File for the verdict and the counterexample (default: stdout)."),
    ] = None,
) -> None:
    """Decide a VNN-LIB specification: sat, unsat, unknown or timeout.

    `sat` comes with a counterexample in the format of the competition, which satisfies the
    specification as its checker computes.
    """
    solver.check()
    from reluopt.deadline import Deadline

    method = solver.method()
    deadline = Deadline.after(solver.time_limit)

    from reluopt.files import write_atomically
    from reluopt.specifications.decide import decide
    from reluopt.specifications.vnnlib import read_specification
    from reluopt.specifications.witness import replay_of

    asked = read_specification(specification)
    network = loading.open(network_name)
    decision = decide(asked, network, replay_of(network, Path(network_name)), method, deadline)
    found = decision.witness
    text = f"{decision.verdict}\n"
    if found is not None:
        text += asked.answer(found.inputs, found.outputs) + "\n"
    elif decision.missed:
        note = (
            "an input satisfies the specification in float64, but not in the arithmetic of the "
            "network's file, which counts"
        )
        warnings.warn(NoteWarning(note), stacklevel=1)
    if out is not None:
        write_atomically(out, text.encode())
    print(decision.verdict if out is not None else text.rstrip("\n"))
