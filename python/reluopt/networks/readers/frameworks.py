"""Frameworks that networks come from, and what whoever calls tells beside a model."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from reluopt.errors import EngineUnavailableError, InputError, shown
from reluopt.install import install_command
from reluopt.networks.layers.windows import MAX_LENGTH


def framework(module: str, what: str, extra: str) -> Any:
    """The module of a framework.

    Args:
        module: its name.
        what: what needs it, in words.
        extra: the extra that installs it.

    Raises:
        EngineUnavailableError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise EngineUnavailableError(
            f"{what} need the package {module}, found it not installed: {install_command(extra)}"
        ) from error


def input_shape_told(shape: Sequence[int]) -> tuple[int, ...]:
    """The shape of one input.

    Raises:
        InputError: it is none.
    """
    found = tuple(shape) if isinstance(shape, Sequence) and not isinstance(shape, str) else ()
    if not found or not all(type(side) is int and 0 < side <= MAX_LENGTH for side in found):
        raise InputError(
            f"input_shape: expected lengths of one input such as (1, 28, 28), found "
            f"{shown(repr(shape))}"
        )
    return found
