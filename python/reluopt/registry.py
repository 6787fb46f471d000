"""Things that people call by name: engines, formulations, bounding methods, norms.

A help text or a misspelt name reads the names alone; what is behind one is loaded, which may take
numba, scipy and a solver, when it is first asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Generic, TypeVar

from reluopt.errors import InputError, shown

Thing = TypeVar("Thing")


class Registry(Generic[Thing]):
    """Things of one kind by name, in the order in which they are listed.

    Args:
        kind: what they are, as messages say it.
        places: ``module:Class`` under :mod:`reluopt` for each name.
    """

    def __init__(self, kind: str, **places: str) -> None:
        self.kind = kind
        self._makers: dict[str, str | Callable[..., Thing]] = {**places}
        self._made: dict[str, Thing] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """All names."""
        return tuple(self._makers)

    def add(self, name: str, maker: str | Callable[..., Thing]) -> None:
        """One more thing: where its class is, or what makes it."""
        self._makers[name] = maker
        self._made.pop(name, None)

    def refuse_unknown(self, name: str, *others: str) -> None:
        """Raise an InputError unless ``name`` is one of the names or of ``others``."""
        if name not in (*others, *self._makers):
            known = f"one of {', '.join(self._makers)}"
            expected = " or ".join([*others, known])
            raise InputError(f"{self.kind}: expected {expected}, found {shown(repr(name))}")

    def load(self, name: str) -> Any:
        """The class or function behind ``name``, or an InputError when nothing is."""
        self.refuse_unknown(name)
        maker = self._makers[name]
        if not isinstance(maker, str):
            return maker
        module, _, attribute = maker.partition(":")
        return getattr(import_module(f"reluopt.{module}"), attribute)

    def make(self, name: str, *arguments: Any) -> Thing:
        """A new one of what is called ``name``, or an InputError when nothing is."""
        made: Thing = self.load(name)(*arguments)
        return made

    def get(self, name: str) -> Thing:
        """The one that is called ``name``, or an InputError when nothing is."""
        if name not in self._made:
            self._made[name] = self.make(name)
        return self._made[name]

    def resolve(self, given: Any, base: type[Any]) -> Thing:
        """The one that is called ``given``, or ``given`` itself where it is of the class ``base``.

        Raises:
            InputError: it is neither.
        """
        if isinstance(given, str):
            return self.get(given)
        if isinstance(given, base):
            thing: Thing = given
            return thing
        expected = f"one of {', '.join(self._makers)}, or {base.__name__}"
        raise InputError(f"{self.kind}: expected {expected}, found {shown(repr(given))}")
