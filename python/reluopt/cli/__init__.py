"""The command line: a thin shell over the public functions.

Errors that reluopt raises on purpose become one line on stderr and exit code 2; Ctrl-C ends with
exit code 130. Results go to stdout, everything else to stderr.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, NoReturn

import typer

from reluopt.cli.app import COMMANDS as COMMANDS
from reluopt.cli.app import app
from reluopt.errors import MAX_MESSAGE, AssumptionWarning, NoteWarning, ReluoptError, shown

USAGE_ERROR = 2
INTERRUPTED = 130

# typer carries its own copy of click or uses click's; both call the base class the same.
_UsageError: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    try:
        with _assumptions_in_one_line():
            code = _run(arguments)
    except _UsageError as error:
        message = _as_ours(error, sys.argv[1:] if arguments is None else arguments)
        if not message:  # no command was given, and the help stands there already
            sys.exit(USAGE_ERROR)
        context = getattr(error, "ctx", None)
        if context is not None and message.startswith("No such command"):
            message += f" Expected {', '.join(context.command.list_commands(context))}."
        _fail(message)
    except ReluoptError as error:
        _fail(str(error))
    except (KeyboardInterrupt, typer.Abort):
        print("interrupted", file=sys.stderr)
        code = INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:
        place = "" if error.filename is None else f"{error.filename}: "
        _fail(f"{place}{error.strerror or error} (finished results are kept)")
    if code == INTERRUPTED and arguments is None:
        # Everything is on disk by now. Solvers' own threads may still be winding down, and tearing
        # Python and their libraries apart under them would end in an abort.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


def _as_ours(error: Any, arguments: Sequence[str]) -> str:
    """What a usage error says; of a value that does not fit, what was expected and found."""
    message: str = error.format_message()
    _, told, expected = message.partition(": Input should be ")
    names = getattr(getattr(error, "param", None), "opts", [])
    pairs = [*pairwise(arguments), *(each.split("=", 1) for each in arguments if "=" in each)]
    given = [value for name, value in pairs if name in names]
    if not (told and given):
        return message
    return f"{names[0]}: expected {expected.partition(', unable')[0]}, found {shown(given[-1])!r}"


@contextmanager
def _assumptions_in_one_line() -> Iterator[None]:
    """Assumptions and notes go to stderr, once in a command however often they are made."""
    told: set[str] = set()

    def tell(message: Warning | str, *rest: Any, **more: Any) -> None:
        if isinstance(message, AssumptionWarning):
            confirms = f"--{message.option} {message.value} confirms"
            line = f"assumed: {message.assumed}; {confirms}"
        elif isinstance(message, NoteWarning):
            line = f"note: {message}"
        else:
            show(message, *rest, **more)
            return
        if line not in told:
            told.add(line)
            print(line, file=sys.stderr)

    with warnings.catch_warnings():
        for kind in (AssumptionWarning, NoteWarning):
            warnings.simplefilter("always", kind)
        show, warnings.showwarning = warnings.showwarning, tell
        yield


def _run(arguments: Sequence[str] | None) -> Any:
    """Import the commands, which takes a moment that Ctrl-C may fall into, and run one."""
    from reluopt.cli import (  # noqa: F401  (they register)
        bench_commands,
        classify_command,
        compile_command,
        finetune_command,
        folder_commands,
        import_command,
        network_commands,
        solve_commands,
        study_commands,
        universal_command,
        verify_commands,
        vnnlib_command,
        worst_case_command,
    )

    return typer.main.get_command(app).main(
        None if arguments is None else list(arguments),
        prog_name="reluopt",
        standalone_mode=False,
    )


def _fail(message: str) -> NoReturn:
    """One line on stderr, and the exit code of bad input."""
    print(f"error: {shown(' '.join(message.split()), MAX_MESSAGE)}", file=sys.stderr)
    sys.exit(USAGE_ERROR)


if __name__ == "__main__":
    main()
