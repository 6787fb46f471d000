"""The command line: a thin shell over the public functions.

Errors that reluopt raises on purpose become one line on stderr and exit code 2; Ctrl-C ends with
exit code 130. Results go to stdout, everything else to stderr.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import typer

from reluopt.errors import ReluoptError

USAGE_ERROR = 2
INTERRUPTED = 130

app = typer.Typer(
    name="reluopt",
    help="Provably smallest changes that make a trained ReLU network answer what you ask.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    from reluopt.cli import (  # noqa: F401  (they register)
        experiment_commands,
        network_commands,
        report_commands,
        solve_commands,
    )

    # typer carries its own copy of click or uses click's; both call the base class the same.
    usage_error: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")
    command = typer.main.get_command(app)
    try:
        code = command.main(
            None if arguments is None else list(arguments),
            prog_name="reluopt",
            standalone_mode=False,
        )
    except usage_error as error:
        print(f"error: {error.format_message()}", file=sys.stderr)
        sys.exit(USAGE_ERROR)
    except ReluoptError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(USAGE_ERROR)
    except (KeyboardInterrupt, typer.Abort):
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
