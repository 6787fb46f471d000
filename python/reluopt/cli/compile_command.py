"""``reluopt compile``."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from reluopt.cli.app import app
from reluopt.cli.console import errors, progress_bar
from reluopt.errors import InputError
from reluopt.numerics.sets import SETS


@app.command(name="compile")
def compile_kernels(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SET]...", help=f"{', '.join(SETS)} (default: all)."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes (default: one for each core, at most 8).", min=1)
    ] = None,
) -> None:
    """Compile for this machine what otherwise the first solve of each kind compiles.

    l1 and l2 are the own engine's kernels for a norm, the others those of the steps around other
    engines. They are kept beside the package, or in NUMBA_CACHE_DIR.
    """
    for name in names or ():
        if name not in SETS:
            raise InputError(f"SET: expected some of {', '.join(SETS)}, found {name!r}")

    from reluopt.numerics.prepare import prepare

    started = time.monotonic()
    with progress_bar("kernels", 1):
        count = prepare(names or tuple(SETS), workers)
    if count:
        errors.print(f"compiled {count} kernels in {time.monotonic() - started:.0f} s")
    else:
        errors.print("all kernels have been compiled before")
