"""Options that several commands share, spelled and explained once."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, get_type_hints

import typer

from reluopt.engines import ENGINES
from reluopt.errors import InputError
from reluopt.method import CHOICES, names_of, refuse_unknown
from reluopt.questions.norms import NORMS

if TYPE_CHECKING:
    from reluopt.method import Method
    from reluopt.networks.network import ReLUNetwork
    from reluopt.questions.problems import Margin, Norm, Target

NetworkName: TypeAlias = Annotated[
    str, typer.Argument(metavar="NET", help="Bundled name (see `reluopt info`) or weights file.")
]
Images: TypeAlias = Annotated[
    list[str],
    typer.Option(
        help="train: or test: with indices (test:0-9,17), or a .png, .npy or .csv file, of a table "
        "perhaps some rows (rows.csv:0-9)."
    ),
]
DataDir: TypeAlias = Annotated[
    Path | None, typer.Option(help="Folder of idx files instead of the bundled MNIST.")
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
Eps: TypeAlias = Annotated[float, typer.Option(help="Radius of the ball, in units of the inputs.")]
BallNorm: TypeAlias = Annotated[
    str, typer.Option(help="Norm of the ball: linf, l1 or l2 (its length).")
]
TrueLabel: TypeAlias = Annotated[int | None, typer.Option(help="True label of image files.")]
Incumbent: TypeAlias = Annotated[
    bool | None, typer.Option(help="Look for an incumbent first (default: unless thesis).")
]
Proof: TypeAlias = Annotated[
    bool, typer.Option("--proof", help="Keep proofs for verify-result (needs --out, and bnb).")
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


def expanded(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the fields of the dataclasses among its parameters as options of its own.

    What is wrong with an option is said by its name on the command line.
    """
    parameters: list[inspect.Parameter] = []
    groups: dict[str, Any] = {}
    kind = inspect.Parameter.KEYWORD_ONLY
    for parameter in inspect.signature(function, eval_str=True).parameters.values():
        group = parameter.annotation
        if not is_dataclass(group):
            parameters.append(parameter.replace(kind=kind))
            continue
        groups[parameter.name] = group
        hints = get_type_hints(group, include_extras=True)
        parameters += [
            inspect.Parameter(each.name, kind, default=each.default, annotation=hints[each.name])
            for each in fields(group)
        ]

    @functools.wraps(function)
    def command(**values: Any) -> None:
        given = {name for name, value in values.items() if value is not None}
        for name, group in groups.items():
            values[name] = group(**{each.name: values.pop(each.name) for each in fields(group)})
        try:
            function(**values)
        except InputError as error:
            raise InputError(_with_option(str(error), given)) from None

    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


_SAID = re.compile(r"([a-z][a-z_ ]*)(?=: )")
_OPTIONS = {
    "blend": "norm",
    "epsilons": "eps",
    "image": "images",
    "input_box": "box",
    "smoothness": "smooth",
}
"""Options by what the library calls them, where that is something else."""


def _with_option(message: str, given: Collection[str]) -> str:
    """A message that begins with the name of a value, with the option that gave it instead."""
    match = _SAID.match(message)
    name = "" if match is None else match[0].replace(" ", "_")
    name = name if name in given else _OPTIONS.get(name, name)
    if match is None or name not in given:
        return message
    return f"--{name.replace('_', '-')}{message[match.end() :]}"


@dataclass(frozen=True)
class LoadingOptions:
    """What a file does not tell of its network."""

    activation: Annotated[
        str | None,
        typer.Option(help="relu confirms what stands between layers, where a file does not say."),
    ] = None
    input_shape: Annotated[
        str | None, typer.Option(help="Shape of one input, such as 28x28 or 3x32x32 (colours).")
    ] = None
    architecture: Annotated[
        str | None,
        typer.Option(help='How tensors are put together: "conv(8, 1, 4, 4) s2 p1 / fc1568-10".'),
    ] = None
    box: Annotated[
        str | None,
        typer.Option(
            metavar="BOX",
            help="Inputs allowed: LOWER:UPPER, or a .csv or .npy file with both for each input, a "
            "row each (default: what the file tells, or 0:1).",
        ),
    ] = None

    def told(self) -> dict[str, Any]:
        """Arguments of :func:`~reluopt.networks.zoo.open_network`.

        Raises:
            InputError: a shape or box that is none.
        """
        from reluopt.networks.input_box import parse_box

        return {
            "activation": self.activation,
            "input_shape": None if self.input_shape is None else _shape(self.input_shape),
            "architecture": self.architecture,
            "input_box": None if self.box is None else parse_box(self.box),
        }

    def open(self, name: str) -> ReLUNetwork:
        """The network of a bundled name or file.

        Raises:
            InputError: there is none, or an option does not fit it.
        """
        from reluopt.networks.zoo import open_network

        return open_network(name, **self.told())


def _shape(text: str) -> tuple[int, ...]:
    """Read ``3x32x32``."""
    if not re.fullmatch(r"[1-9][0-9]{0,8}(x[1-9][0-9]{0,8}){0,3}", text):
        raise InputError(f"--input-shape: expected such as 28x28 or 3x32x32, found {text!r}")
    return tuple(map(int, text.split("x")))


@dataclass(frozen=True)
class QuestionOptions:
    """What is asked of an image."""

    norm: Annotated[
        str,
        typer.Option(help=f"What is minimised: {', '.join(NORMS.names)} or blend:W (W of L1)."),
    ] = "l1"
    target: Annotated[
        str, typer.Option(help="A label, a shift (+5), runner-up, or any (untargeted).")
    ] = "+5"
    margin: Annotated[
        str,
        typer.Option(
            help="x1.2 (and strictly ahead; x1.2:9 over label 9 alone), +0.1, or bare-x1.2 "
            "(thesis' condition)."
        ),
    ] = "x1.2"

    def parse(self) -> tuple[Target, Norm, Margin]:
        """Target, norm and margin.

        Raises:
            InputError: one of them cannot be read.
        """
        from reluopt.questions.problems import parse_margin, parse_norm, parse_target

        return parse_target(self.target), parse_norm(self.norm), parse_margin(self.margin)


@dataclass(frozen=True)
class SolverOptions:
    """By which method, and with which limits."""

    engine: Annotated[
        str,
        typer.Option(
            help=f"auto (the best for the problem), {', '.join(ENGINES.names)} (bnb: our own)."
        ),
    ] = "auto"
    formulation: Annotated[
        str | None,
        typer.Option(help=f"How ReLUs are written: {', '.join(names_of('formulation'))}."),
    ] = None
    bounds: Annotated[
        str | None,
        typer.Option(
            help=f"Pre-activation bounds: {', '.join(names_of('bounds'))} (thesis: ±1000)."
        ),
    ] = None
    optimizer: Annotated[
        str | None, typer.Option(help="Solver under engine julia: highs, gurobi or scip.")
    ] = None
    time_limit: TimeLimit = 60.0
    gap: Gap = 1e-6
    threads: Threads = 1
    seed: Seed = 0
    verbose: Verbose = False

    def check(self) -> None:
        """Refuse names that nothing has, before anything is loaded.

        Raises:
            InputError: an unknown engine, formulation or bounds.
        """
        for what in CHOICES:
            found = getattr(self, what)
            if found is not None:
                refuse_unknown(f"--{what}: expected one of", what, found)

    def method(self, attack: bool | None = None, proof: bool = False) -> Method:
        """The method that is described; with or without an attack, keeping proofs or not.

        Raises:
            InputError: a limit is none, or ``--optimizer`` is given for another engine than julia.
        """
        from reluopt.engines.options import EngineOptions
        from reluopt.method import Method

        extra: dict[str, Any] = {"proof": True} if proof else {}
        if self.optimizer is not None:
            if self.engine != "julia":
                raise InputError(
                    f"--optimizer: expected with --engine julia only, found {self.engine}"
                )
            extra["optimizer"] = self.optimizer
        limits = EngineOptions(
            self.time_limit, self.gap, self.threads, self.seed, self.verbose, extra
        )
        return Method(self.engine, self.formulation, self.bounds, attack, limits)


@dataclass(frozen=True)
class RunOptions:
    """Which of the images, computed where, and what becomes of the rows."""

    data_dir: DataDir = None
    workers: Workers = None
    scheduler: Scheduler = None
    limit: Annotated[int | None, typer.Option(help="The first so many of the images only.")] = None
    shard: Annotated[
        str | None, typer.Option(metavar="I/N", help="Part I (from 1) of N of the images.")
    ] = None
    retry_failed: Annotated[
        bool,
        typer.Option("--retry-failed", help="Run again what ended in ERROR, CRASHED or KILLED."),
    ] = False
    out: Out = None
    jsonl: JsonLines = False


def check_proof(proof: bool, out: Path | None) -> None:
    """Refuse ``--proof`` without a folder that keeps them."""
    if proof and out is None:
        raise InputError("--proof: expected --out, the folder that keeps them, found none")


def refuse_existing(what: str, path: Path, force: bool) -> None:
    """Refuse to overwrite a file that nobody said might go, and to write where nothing can be."""
    if path.is_dir() or not path.parent.is_dir():
        found = "a folder" if path.is_dir() else "no such folder"
        raise InputError(f"{what} {path}: expected a file in a folder that exists, found {found}")
    if path.exists() and not force:
        raise InputError(f"{what} {path}: expected a new file, found one (--force overwrites it)")


def check_figure_path(path: Path | None) -> None:
    """Refuse a figure path before hours of work, not after them."""
    if path is not None:
        from reluopt.figures import check_figure_path as check  # matplotlib takes its time

        check(path)
