"""What kernels are compiled for, read from their annotations.

numba compiles a kernel for the types of its arguments, the number of dimensions of arrays among
them. Annotations name it: ``FloatArray``, ``IntArray`` and ``BoolArray`` have one dimension here,
``FloatMatrix`` and ``IntMatrix`` two, and ``Single`` and ``Byte`` stand for float32 and int8. So
every kernel has exactly one signature, which is known without calling it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from numba.core import types
from numba.core.typing.templates import Signature, signature

_TYPES: Mapping[str, Any] = {
    "None": types.none,
    "bool": types.boolean,
    "int": types.int64,
    "float": types.float64,
    "BoolArray": types.boolean[::1],
    "IntArray": types.int64[::1],
    "FloatArray": types.float64[::1],
    "IntMatrix": types.int64[:, ::1],
    "FloatMatrix": types.float64[:, ::1],
    "SingleArray": types.float32[::1],
    "SingleMatrix": types.float32[:, ::1],
    "ByteMatrix": types.int8[:, ::1],
}


def signature_of(function: Callable[..., Any]) -> Signature:
    """The one signature of a kernel, given the Python function.

    Raises:
        TypeError: an annotation is missing or none that kernels use.
    """
    names = [*function.__code__.co_varnames[: function.__code__.co_argcount], "return"]
    try:
        found = [_type_of(function.__annotations__[name], function) for name in names]
    except KeyError as error:
        place = f"{function.__module__}.{function.__qualname__}"
        raise TypeError(
            f"{place}: expected annotations of a kernel, found none of {error}"
        ) from None
    made: Signature = signature(found[-1], *found[:-1])
    return made


def _type_of(annotation: Any, place: Any) -> Any:
    """The type behind an annotation of ``place``, a function or a named tuple."""
    text = str(getattr(annotation, "__forward_arg__", annotation))
    if text in _TYPES:
        return _TYPES[text]
    parts = re.fullmatch(r"tuple\[(.+)\]", text)
    if parts is not None:
        return types.BaseTuple.from_types([_type_of(p, place) for p in parts[1].split(", ")])
    named = vars(_module_of(place))[text]
    fields = [_type_of(named.__annotations__[name], named) for name in named._fields]
    return types.BaseTuple.from_types(fields, named)


def _module_of(place: Any) -> Any:
    """The module in which ``place`` was defined."""
    import sys

    return sys.modules[place.__module__]
