"""How to solve: an engine, a formulation, bounds, an attack, limits; and how people write it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reluopt.bounds import BOUNDING_METHODS
from reluopt.engines import ENGINES, choose_engine
from reluopt.engines.options import EngineOptions
from reluopt.errors import InputError
from reluopt.formulation import FORMULATIONS

if TYPE_CHECKING:  # a misspelt name is refused before anything heavy is loaded
    from reluopt.bounds.base import BoundingMethod
    from reluopt.engines.base import Engine
    from reluopt.formulation.base import Formulation
    from reluopt.networks.network import ReLUNetwork
    from reluopt.questions.tasks import Task

AUTO = "auto"
"""The best engine for the task among those that are usable here."""

BALL = "ball"
"""How people ask for bounds over the ball that the incumbent leaves."""


@dataclass(frozen=True, init=False)
class Method:
    """How to solve a problem. Names are taken for what they name.

    Attributes:
        engine: ``auto`` or the name of an engine.
        formulation: how the program is written; None means ``bigm``. Engines that write no
            program (``bnb``) take none, and ``auto`` then chooses another.
        bounds: how pre-activation bounds are computed, or ``ball`` for bounds over the ball that
            the incumbent leaves. None means the formulation's own, else that ball for distances
            and ``linear`` bounds for the rest.
        over_ball: whether bounds are asked for over that ball.
        attack: whether to look for an incumbent first. None means yes, except for formulations
            that are kept as they were published.
        options: limits, gap, threads, seed.

    Raises:
        InputError: no formulation or bounds have one of the names; engines are judged when one is
            asked (:func:`engine_for`).

    Example:
        >>> import reluopt as ro
        >>> method = ro.Method("highs", "bigm", "ball", options=ro.EngineOptions(time_limit=30))
        >>> method.engine, method.over_ball, method.options.time_limit
        ('highs', True, 30)
    """

    engine: str
    formulation: Formulation | None
    bounds: BoundingMethod | None
    over_ball: bool
    attack: bool | None
    options: EngineOptions

    def __init__(
        self,
        engine: str = AUTO,
        formulation: Formulation | str | None = None,
        bounds: BoundingMethod | str | None = None,
        attack: bool | None = None,
        options: EngineOptions | None = None,
        *,
        over_ball: bool = False,
    ) -> None:
        if isinstance(formulation, str):
            formulation = FORMULATIONS.get(formulation)
        if isinstance(bounds, str):
            over_ball = over_ball or bounds == BALL
            bounds = None if bounds == BALL else BOUNDING_METHODS.get(bounds)
        options = EngineOptions() if options is None else options
        values = (engine, formulation, bounds, over_ball, attack, options)
        for name, value in zip(self.__dataclass_fields__, values, strict=True):
            object.__setattr__(self, name, value)

    @classmethod
    def parse(cls, text: str, options: EngineOptions | None = None) -> Method:
        """Read ``engine[:formulation[:bounds]]``, such as ``bnb`` or ``gurobi:thesis:thesis``.

        Raises:
            InputError: an unknown engine, formulation or bounds.
        """
        parts = text.split(":")
        if len(parts) > len(CHOICES):
            raise InputError(f"method: expected engine[:formulation[:bounds]], found {text!r}")
        for part, what in zip(parts, CHOICES, strict=False):
            refuse_unknown(f"method {text!r}: expected {what}", what, part)
        engine, formulation, bounds = (*parts, None, None)[: len(CHOICES)]
        return cls(engine or AUTO, formulation, bounds, options=options)

    @property
    def formulation_name(self) -> str | None:
        """Name of the formulation that is asked for."""
        return None if self.formulation is None else self.formulation.name

    @property
    def bounds_name(self) -> str | None:
        """Name of the bounds that are asked for."""
        if self.bounds is None:
            return BALL if self.over_ball else None
        return f"{self.bounds} over the ball" if self.over_ball else self.bounds.name

    @property
    def program(self) -> Formulation:
        """The formulation for engines that write a program."""
        return FORMULATIONS.get("bigm") if self.formulation is None else self.formulation

    @property
    def wants_program(self) -> bool:
        """Whether something is asked for that only engines with a program can do."""
        return self.formulation is not None or self.bounds is not None or self.attack is False

    @property
    def wants_attack(self) -> bool:
        """Whether an incumbent is looked for before the search."""
        if self.attack is not None:
            return self.attack
        return self.formulation is None or self.formulation.attacks

    def bounding(self, task: Task) -> tuple[BoundingMethod, bool]:
        """What computes bounds for ``task``, and whether over the ball that its incumbent leaves.

        Over a ball with limits on the change, linear bounds would not see the limits.
        """
        own = None if self.formulation is None else self.formulation.bounds
        chosen, over_ball = self.bounds, self.over_ball
        if chosen is None and not over_ball:
            chosen, over_ball = own, own is None
        if chosen is None:
            chosen = BOUNDING_METHODS.get("linear" if task.limits is None else "lp")
        return chosen, over_ball and task.minimises_distance


CHOICES = ("engine", "formulation", "bounds")
"""What a method is made of, as people write it."""


def names_of(what: str) -> tuple[str, ...]:
    """The names that people may write for an engine, a formulation or bounds."""
    names = {
        "engine": (AUTO, *ENGINES.names),
        "formulation": FORMULATIONS.names,
        "bounds": (*BOUNDING_METHODS.names, BALL),
    }
    return names[what]


def refuse_unknown(expected: str, what: str, found: str) -> None:
    """Raise an InputError that begins with ``expected`` unless ``found`` is a name for ``what``."""
    names = names_of(what)
    if found not in names:
        raise InputError(f"{expected} {', '.join(names)}, found {found!r}")


def engine_for(method: Method, task: Task, network: ReLUNetwork) -> Engine:
    """The engine for ``task``.

    Raises:
        InputError: it cannot do what the method asks, or there is none of this name.
        UnsupportedProblemError: it cannot solve ``task``.
        EngineUnavailableError: it is not usable on this machine.
    """
    engine = choose_engine(method.engine, task, network, program=method.wants_program)
    formulation, bounds = method.formulation_name, method.bounds_name
    if engine.self_contained and method.wants_program:
        raise InputError(
            f"engine {engine.name}: expected no formulation, bounds or attack setting, because it "
            f"finds its own, found formulation {formulation}, bounds {bounds}"
        )
    if method.formulation is not None and not engine.writes(method.formulation):
        known = " or ".join(engine.formulations)
        raise InputError(f"engine {engine.name}: expected formulation {known}, found {formulation}")
    return engine
