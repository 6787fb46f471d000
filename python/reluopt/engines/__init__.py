"""The engines, one file each; :func:`get_engine` finds one by name.

Engines are imported on first use, so that none costs start-up time and none has to be installed.
"""

from __future__ import annotations

from importlib import import_module

from reluopt.engines.base import Engine, EngineTask
from reluopt.errors import InputError, UnsupportedProblemError

_PLACES = {
    "highs": ("reluopt.engines.highs", "HighsEngine"),
    "gurobi": ("reluopt.engines.gurobi", "GurobiEngine"),
    "scip": ("reluopt.engines.scip", "ScipEngine"),
}

_PREFERENCE = ("highs", "scip", "gurobi")
"""Order in which ``auto`` tries engines."""


def engine_names() -> tuple[str, ...]:
    """Names of all engines, usable here or not."""
    return tuple(_PLACES)


def get_engine(name: str) -> Engine:
    """The engine called ``name``.

    Raises:
        InputError: there is no engine of this name.
    """
    if name not in _PLACES:
        raise InputError(f"engine: expected auto or one of {', '.join(_PLACES)}, found {name!r}")
    module, attribute = _PLACES[name]
    engine: Engine = getattr(import_module(module), attribute)()
    return engine


def engines_for(task: EngineTask) -> tuple[str, ...]:
    """Names of the usable engines that can solve ``task``, best first."""
    found = []
    for name in _PREFERENCE:
        engine = get_engine(name)
        if engine.state().usable and engine.supports(task):
            found.append(name)
    return tuple(found)


def choose_engine(name: str, task: EngineTask) -> Engine:
    """The engine called ``name``, or for ``auto`` the best usable one.

    Raises:
        InputError: there is no engine of this name.
        UnsupportedProblemError: it cannot solve ``task``; the message names engines that can.
    """
    if name == "auto":
        able = engines_for(task)
        if not able:
            raise UnsupportedProblemError("engine auto: no usable engine can solve this problem")
        return get_engine(able[0])
    engine = get_engine(name)
    if not engine.supports(task):
        able = engines_for(task)
        norm = getattr(task, "norm", "logit")
        raise UnsupportedProblemError(
            f"engine {name}: cannot solve {norm} problems; engines that can: "
            f"{', '.join(able) or 'none is usable here'}"
        )
    return engine
