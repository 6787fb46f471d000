"""Errors that a user can act on.

Every error raised on purpose by reluopt derives from :class:`ReluoptError`. The command line turns
it into one line on stderr and exit code 2; no traceback is shown. Messages name the file, tensor
or option, what was expected, and what was found.
"""

from __future__ import annotations


class ReluoptError(Exception):
    """Base class of every error that reluopt raises on purpose."""


class InputError(ReluoptError, ValueError):
    """An argument, file, tensor or option does not hold what was expected."""


class UnsupportedProblemError(ReluoptError):
    """The chosen engine cannot solve this kind of problem; the message names engines that can."""


class EngineUnavailableError(ReluoptError):
    """The chosen engine is not installed or not licensed; the message says how to get it."""
