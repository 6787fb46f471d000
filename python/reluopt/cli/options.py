"""Options that several commands share, spelled and explained once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from reluopt.engines import engine_names
from reluopt.errors import InputError
from reluopt.method import CHOICES, Method, refuse_unknown

if TYPE_CHECKING:
    from reluopt.engines.base import EngineOptions

NetworkName: TypeAlias = Annotated[
    str, typer.Argument(metavar="NET", help="Bundled name (see `reluopt info`) or weights file.")
]
Activation: TypeAlias = Annotated[
    str | None,
    typer.Option(help="relu confirms what stands between layers, where a file does not say."),
]
Images: TypeAlias = Annotated[
    list[str],
    typer.Option(help="train: or test: with indices (test:0-9,17), or a .png or .npy file."),
]
DataDir: TypeAlias = Annotated[
    Path | None, typer.Option(help="Folder of idx files instead of the bundled MNIST.")
]
EngineName: TypeAlias = Annotated[
    str,
    typer.Option(
        "--engine",
        help=f"auto (the best for the problem), {', '.join(engine_names())} (bnb: our own).",
    ),
]
Formulation: TypeAlias = Annotated[
    str | None, typer.Option(help="bigm, thesis (as published), or indicator (julia only).")
]
Bounds: TypeAlias = Annotated[
    str | None,
    typer.Option(help="Pre-activation bounds: thesis (±1000), interval, linear, lp or ball."),
]
Smoothness: TypeAlias = Annotated[
    float | None,
    typer.Option(
        help="Most by which changes of neighbouring pixels may differ, such as 0.1 (default: any)."
    ),
]
TimeLimit: TypeAlias = Annotated[float, typer.Option(help="Seconds for one problem.")]
Gap: TypeAlias = Annotated[float, typer.Option(help="Relative gap that counts as optimal.")]
Threads: TypeAlias = Annotated[int, typer.Option(help="Solver threads.")]
Seed: TypeAlias = Annotated[int, typer.Option(help="Random seed.")]
Verbose: TypeAlias = Annotated[bool, typer.Option(help="Show the solver's own log.")]
Figure: TypeAlias = Annotated[
    Path | None, typer.Option(help="Draw the answers (.png also writes the .pdf beside it).")
]
Out: TypeAlias = Annotated[
    Path | None, typer.Option(help="Folder for results; the same command resumes there.")
]
KeepProof: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--proof", help="Keep proofs for verify-result (needs --out, and bnb for L1 or L2)."
    ),
]
JsonLines: TypeAlias = Annotated[
    bool, typer.Option("--jsonl", help="One JSON object an image on stdout, logs on stderr.")
]
Workers: TypeAlias = Annotated[
    int | None,
    typer.Option(help="Local worker processes (default: solve in this one). Threads are for each."),
]
Scheduler: TypeAlias = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Compute on this Dask cluster.")
]
Limit: TypeAlias = Annotated[int | None, typer.Option(help="The first so many of the images only.")]
RetryFailed: TypeAlias = Annotated[
    bool, typer.Option("--retry-failed", help="Run again what ended in ERROR, CRASHED or KILLED.")
]
ShardName: TypeAlias = Annotated[
    str | None, typer.Option("--shard", metavar="I/N", help="Part I (from 1) of N of the images.")
]


Optimizer: TypeAlias = Annotated[
    str | None, typer.Option(help="Solver under engine julia: highs, gurobi or scip.")
]
NormName: TypeAlias = Annotated[
    str, typer.Option("--norm", help="What is minimised: l1, l2, linf or blend:W (W of L1).")
]


def check_method(engine: str, formulation: str | None, bounds: str | None) -> None:
    """Refuse names that nothing has, before anything is loaded.

    Raises:
        InputError: an unknown engine, formulation or bounds.
    """
    for what, found in zip(CHOICES, (engine, formulation, bounds), strict=True):
        if found is not None:
            refuse_unknown(f"--{what}: expected one of", what, found)


def method(
    engine: str,
    formulation: str | None,
    bounds: str | None,
    options: EngineOptions,
    attack: bool | None = None,
) -> Method:
    """The method that the shared options describe.

    Raises:
        InputError: an unknown engine, formulation or bounds.
    """
    check_method(engine, formulation, bounds)
    return Method(engine, formulation, bounds, attack, options)


def extra_settings(
    engine: str, optimizer: str | None, proof: bool = False, out: Path | None = None
) -> dict[str, Any]:
    """Settings of one engine only.

    Raises:
        InputError: they were given for another engine, or a proof has no place to be kept.
    """
    if proof and out is None:
        raise InputError("--proof: expected --out, the folder that keeps them, found none")
    kept: dict[str, Any] = {"proof": True} if proof else {}
    if optimizer is None:
        return kept
    if engine != "julia":
        raise InputError(f"--optimizer: expected with --engine julia only, found {engine}")
    return {**kept, "optimizer": optimizer}


def check_figure_path(path: Path | None) -> None:
    """Refuse a figure path before hours of work, not after them."""
    if path is not None:
        from reluopt.figures import check_figure_path as check  # matplotlib takes its time

        check(path)
