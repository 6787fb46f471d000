"""Errors and warnings that a user can act on.

Every error raised on purpose by reluopt derives from :class:`ReluoptError`. The command line turns
it into one line on stderr and exit code 2; no traceback is shown. Messages name the file, tensor
or option, what was expected, and what was found. Names and values that come from files may hold
anything: :func:`shown` makes them fit to be read.
"""

from __future__ import annotations

#: Longest message of an error; a longer one loses its middle.
MAX_MESSAGE = 2_000

#: Longest name or value of a file that a message repeats.
MAX_SHOWN = 80


def shown(value: object, longest: int = MAX_SHOWN) -> str:
    r"""A name or value of a file as a message repeats it: printable, on one line, not too long.

    Characters that cannot be printed (line breaks, terminal codes, marks that change the direction
    of writing, halves of characters) become escapes such as ``\n``; what is too long loses its
    middle.

    Args:
        value: a text, or anything with one (a number, a list).
        longest: most characters of the result.
    """
    text = value if isinstance(value, str) else str(value)
    if len(text) > longest:  # before escaping, which takes time for each character
        text = _shortened(text, longest)
    return _shortened("".join(map(_printable, text)), longest)


def _shortened(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    head = (longest - 3) * 2 // 3
    return f"{text[:head]}...{text[len(text) - (longest - 3 - head) :]}"


def _printable(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode("ascii")


class ReluoptError(Exception):
    """Base class of every error that reluopt raises on purpose; its message is one line.

    Example:
        >>> import reluopt as ro
        >>> try:
        ...     ro.load_network("thesis", activation="tanh")
        ... except ro.ReluoptError as error:
        ...     print(error)
        activation: expected 'relu' (nothing else can be answered for), found 'tanh'
    """

    def __init__(self, *arguments: object) -> None:
        super().__init__(
            *(
                shown(" ".join(entry.splitlines()), MAX_MESSAGE)
                if isinstance(entry, str)
                else entry
                for entry in arguments
            )
        )


class InputError(ReluoptError, ValueError):
    """An argument, file, tensor or option does not hold what was expected.

    Example:
        >>> import reluopt as ro
        >>> ro.load_images("exam")
        Traceback (most recent call last):
        ...
        reluopt.errors.InputError: images: expected split train or test, found 'exam'
    """


class UnsupportedProblemError(ReluoptError):
    """The chosen engine cannot solve this kind of problem; the message names engines that can.

    Example:
        >>> import reluopt as ro
        >>> seven = ro.load_images("test").image(0)
        >>> try:
        ...     ro.nearest("thesis", seven, norm="l2", engine="highs")
        ... except ro.UnsupportedProblemError as error:
        ...     print(str(error).partition(";")[0])
        engine highs: cannot solve L2 problems
    """


class EngineUnavailableError(ReluoptError):
    """The chosen engine is not installed or not licensed; the message says how to get it.

    Example:
        >>> import reluopt as ro
        >>> seven = ro.load_images("test").image(0)
        >>> try:
        ...     found = ro.verify("thesis", seven, eps=0.01, engine="gurobi")
        ... except ro.EngineUnavailableError as missing:
        ...     print(missing)  # how to get it
    """


class AssumptionWarning(UserWarning):
    """Something was assumed that a file does not say; an argument confirms it.

    Attributes:
        assumed: what, of which file, in words.
        option: name of the argument (of the command line as well) that confirms it.
        value: what to give it.
    """

    def __init__(self, assumed: str, option: str, value: str) -> None:
        super().__init__(shown(assumed, MAX_MESSAGE), option, value)
        self.assumed, self.option, self.value = self.args

    def __str__(self) -> str:
        return f"assumed: {self.assumed}; {self.option}={self.value!r} confirms"


class NoteWarning(UserWarning):
    """What a reader left out or made different, which changes no answer."""
