"""The application that commands register with; :mod:`reluopt.cli` runs it."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

COMMANDS = (
    *("attack", "universal", "verify", "robust-error", "worst-case", "vnnlib"),
    *("info", "evaluate", "import", "train", "finetune", "ideal", "classify"),
    *("report", "verify-result", "merge", "bench", "profile"),
    *("reproduce", "experiment", "compile"),
)
"""Commands in the order in which the help names them: what a newcomer wants comes first."""


class _InOrder(TyperGroup):
    """Lists commands in the order of :data:`COMMANDS`, whichever module registers first."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names for the help; those that the order does not know come last."""
        names = super().list_commands(ctx)
        order = {name: place for place, name in enumerate(COMMANDS)}
        return sorted(names, key=lambda name: order.get(name, len(order)))


app = typer.Typer(
    name="reluopt",
    cls=_InOrder,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Provably smallest changes that make a trained ReLU network answer what you ask.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def _say_version(asked: bool) -> None:
    """Print the version and end."""
    if asked:
        from reluopt.install import own_version

        print(f"reluopt {own_version()}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_say_version, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    del version  # its callback has answered
