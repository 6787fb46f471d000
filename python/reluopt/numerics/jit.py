"""The decorators of every compiled kernel.

Kernels are compiled for the one signature that their annotations name (:mod:`.signatures`): by
:mod:`.prepare` before they are needed, or on their first call, and cached on disk next to their
module (or in ``NUMBA_CACHE_DIR``). They release the global interpreter lock, divide as numpy does,
and keep IEEE semantics: no reassociation, no contraction across statements, no flushing of NaN.

numba puts every kernel, optimised once more, into the machine code of every kernel that calls it.
For large kernels with several callers that is most of the compilation: these are kept
:func:`apart`,
Ctrl-C waits while a kernel is being compiled or loaded from the cache (milliseconds each; seconds
where it is compiled): numba is left in pieces when it is interrupted there, and the next call of a
kernel in the same process, as in a notebook, fails or crashes. A second Ctrl-C does not wait.
See :func:`interrupts_wait` for long kernels that return named tuples.
"""

from __future__ import annotations

import dis
import hashlib
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from types import FrameType
from typing import Any, TypeVar, cast

import llvmlite.binding as llvm
import numba
from numba.core import cgutils, event
from numba.core.caching import FunctionCache
from numba.core.dispatcher import Dispatcher
from numba.core.imputils import lower_builtin
from numba.core.types import Any as AnyType
from numba.core.types import Function, VarArg
from numba.core.typing.templates import builtin_registry, make_concrete_template
from numba.np import linalg

from reluopt.numerics.signatures import signature_of

_Function = TypeVar("_Function", bound=Callable[..., Any])


class _Interrupts:
    """Holds SIGINT back in the main thread, nested as often as one likes.

    Attributes:
        compiling: how many of the nested holds are numba's compiler lock.
    """

    def __init__(self) -> None:
        self.compiling = 0
        self._depth = 0
        self._handler: Callable[[int, FrameType | None], Any] | None = None
        self._waiting = False

    def hold(self) -> None:
        """From now on an interrupt waits."""
        self._depth += 1
        handler = signal.getsignal(signal.SIGINT)
        if self._depth == 1 and callable(handler):
            self._handler, self._waiting = handler, False
            signal.signal(signal.SIGINT, self._note)

    def release(self) -> None:
        """Interrupts come through again, and the one that waited does now."""
        self._depth -= 1
        if self._depth > 0 or self._handler is None:
            return
        handler, self._handler = self._handler, None
        signal.signal(signal.SIGINT, handler)
        if self._waiting:
            handler(signal.SIGINT, None)

    def _note(self, number: int, frame: FrameType | None) -> None:
        """The handler meanwhile."""
        if self._waiting and self.compiling == self._depth and self._handler is not None:
            self._handler(number, frame)
        self._waiting = True


_interrupts = _Interrupts()


def _in_main_thread() -> bool:
    """Whether this thread gets the signals."""
    return threading.current_thread() is threading.main_thread()


class _CompilerLock(event.Listener):
    """Holds interrupts back while numba compiles or loads."""

    def on_start(self, happened: Any) -> None:
        del happened
        if _in_main_thread():
            _interrupts.compiling += 1
            _interrupts.hold()

    def on_end(self, happened: Any) -> None:
        del happened
        if _in_main_thread():
            _interrupts.compiling -= 1
            _interrupts.release()


def _load_arrays_without_blas() -> None:
    """Import numba's array functions, and leave scipy for the kernels that call its BLAS.

    numba would import ``scipy.linalg`` here, a fifth of a second, only to know that it is there,
    which reluopt's own requirements say. Kernels that need it still look when they are compiled.
    """
    look = linalg.ensure_blas
    linalg.ensure_blas = lambda: None
    try:
        import_module("numba.np.arraymath")
    finally:
        linalg.ensure_blas = look


_load_arrays_without_blas()
_register = cast("Callable[[str, event.Listener], None]", event.register)
_register("numba:compiler_lock", _CompilerLock())


@contextmanager
def interrupts_wait() -> Iterator[None]:
    """Ctrl-C waits for the end of the block; for kernels that run long and return named tuples.

    numba makes a named tuple by running Python code, does not look whether that succeeded, and so
    crashes when the interrupt came in while the kernel ran.
    """
    if not _in_main_thread():
        yield
        return
    _interrupts.hold()
    try:
        yield
    finally:
        _interrupts.release()


_OPTIONS: dict[str, Any] = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",
    "no_cfunc_wrapper": True,  # nobody calls kernels from C
}


def kernel(function: _Function) -> _Function:
    """Compile with IEEE semantics; safe for code whose results are part of a proof."""
    return _dispatcher(function)


def search_kernel(function: _Function) -> _Function:
    """Compile with reassociation allowed: only for searches whose result needs no accuracy.

    Used where any result is *valid* and a good one is merely tight, such as the multiplier of a
    weak duality bound, which a strict kernel evaluates afterwards.
    """
    return _dispatcher(function, fastmath={"reassoc", "contract", "nsz"})


def part(function: _Function) -> _Function:
    """A part of the one kernel that calls it: it becomes that kernel's code before compilation.

    So a long kernel can be read in parts and compiles as if it were one; it computes as its caller
    does. Not for what several kernels call.
    """
    return cast("_Function", numba.njit(inline="always")(function))


def _dispatcher(function: _Function, **options: Any) -> _Function:
    """Numba's handle of a kernel, which loads what the kernel calls by symbol before itself."""
    made: Any = numba.njit(**_OPTIONS, **options)(function)
    made._cache = _Cache(made)
    compile_alone = made.compile

    def compile_or_load(types: Any) -> Any:
        for callee in _called(made):
            callee.provide()
        return compile_alone(types)

    made.compile = compile_or_load
    return cast("_Function", made)


class _Apart:
    """A kernel that other kernels call by its symbol; see :func:`apart`.

    Attributes:
        only_compiling: of the class: this process runs no kernel, so symbols may stand for nothing.
    """

    only_compiling = False

    def __init__(self, dispatcher: Any) -> None:
        self.dispatcher = dispatcher
        self.py_func = dispatcher.py_func
        self.signature = signature_of(self.py_func)
        # No machine code must call a kernel that takes other arguments by now.
        digest = hashlib.sha256(str(self.signature).encode()).hexdigest()[:8]
        self.symbol = f"{self.py_func.__module__}.{self.py_func.__qualname__}.{digest}"
        self.__doc__ = self.py_func.__doc__
        self._provided = False
        template = make_concrete_template(self.symbol, self, [self.signature])
        builtin_registry.register_global(self, Function(template))
        lower_builtin(self, VarArg(AnyType))(self._lower_call)

    def __call__(self, *arguments: Any) -> Any:
        return self.dispatcher(*arguments)

    def provide(self) -> None:
        """Compile or load the kernel, and tell LLVM where its symbol is."""
        if self._provided:
            return
        if _Apart.only_compiling:
            llvm.add_symbol(self.symbol, 1)
            self._provided = True
            return
        self.dispatcher.compile(self.signature.args)
        made = self.dispatcher.overloads[self.signature.args]
        if made.signature.return_type != self.signature.return_type:
            raise TypeError(
                f"{self.symbol}: expected to return {self.signature.return_type}, as annotated, "
                f"found {made.signature.return_type}"
            )
        address = made.library.get_pointer_to_function(made.fndesc.llvm_func_name)
        llvm.add_symbol(self.symbol, address)
        self._provided = True

    def _lower_call(self, context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        """Emit a call by symbol, in numba's own calling convention."""
        convention = context.call_conv
        kind = convention.get_function_type(signature.return_type, signature.args)
        callee = cgutils.get_or_insert_function(builder.module, kind, self.symbol)
        status, result = convention.call_function(
            builder, callee, signature.return_type, signature.args, arguments
        )
        with cgutils.if_unlikely(builder, status.is_error):
            convention.return_status_propagate(builder, status)
        return result


def apart(function: _Function) -> _Function:
    """Leave a kernel out of the machine code of the kernels that call it.

    Otherwise numba puts every kernel, optimised once more, into every kernel that calls it. Worth
    it for large kernels with several callers; a call costs as much as a few dozen multiplications.
    """
    return cast("_Function", _Apart(function))


class _Cache(FunctionCache):
    """Numba's cache looks at a kernel's own source alone; this one heeds what it calls, too."""

    def __init__(self, dispatcher: Any) -> None:
        super().__init__(dispatcher.py_func)
        self._dispatcher = dispatcher

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Machine code of an earlier process, if there is any.

        An index that names types of another version of reluopt is emptied: numba reads all of it
        before it looks at the stamp.
        """
        try:
            return super().load_overload(sig, target_context)
        except (AttributeError, ImportError):
            self._index_key(sig, target_context.codegen())  # where an error of ours comes out again
            self.flush()
            return None

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        """What an entry must agree on to be used."""
        return (*super()._index_key(sig, codegen), _digest(self._dispatcher))


def _digest(dispatcher: Any) -> str:
    """SHA-256 (hex) of all that becomes part of a kernel's machine code, and of what it calls."""
    found = hashlib.sha256()
    for each in _contained(dispatcher):
        code, doc = each.py_func.__code__, each.py_func.__doc__
        values = [
            (name, value._fields if hasattr(value, "_fields") else value)
            for name, value in sorted(_globals_of(each.py_func).items())
            if isinstance(value, bool | int | float | tuple) or hasattr(value, "_fields")
        ]
        constants = [value for value in code.co_consts if value != doc]
        called = sorted(k.symbol for k in _kernels_in(each.py_func) if isinstance(k, _Apart))
        fast = sorted(each.targetoptions.get("fastmath", ()))
        found.update(repr((code.co_code, constants, values, called, fast)).encode())
    return found.hexdigest()


def _contained(dispatcher: Any) -> list[Any]:
    """The kernels whose machine code becomes part of that of ``dispatcher``, itself first."""
    found, waiting = [dispatcher], [dispatcher]
    while waiting:
        for each in _kernels_in(waiting.pop().py_func):
            if isinstance(each, Dispatcher) and each not in found:
                found.append(each)
                waiting.append(each)
    return found


@cache
def _globals_of(function: Callable[..., Any]) -> dict[str, Any]:
    """What the global names in a function stand for; its attributes may have the same names."""
    steps = dis.get_instructions(function)
    names = sorted({step.argval for step in steps if step.opname == "LOAD_GLOBAL"})
    return {name: function.__globals__.get(name) for name in names}


def _kernels_in(function: Callable[..., Any]) -> list[Any]:
    """The kernels that a function calls."""
    found = _globals_of(function).values()
    return [each for each in found if isinstance(_dispatcher_of(each), Dispatcher)]


def _called(dispatcher: Any) -> list[_Apart]:
    """The kernels that ``dispatcher`` calls by symbol, in whatever depth, each once."""
    found: dict[int, _Apart] = {}
    seen, waiting = {id(dispatcher)}, [dispatcher]
    while waiting:
        for each in _kernels_in(waiting.pop().py_func):
            if isinstance(each, _Apart):
                found[id(each)] = each
            callee = _dispatcher_of(each)
            if id(callee) not in seen:
                seen.add(id(callee))
                waiting.append(callee)
    return list(found.values())


def with_called(function: Any) -> list[Any]:
    """A kernel, and all that it calls by symbol."""
    return [function, *_called(_dispatcher_of(function))]


def place_of(function: Any) -> str:
    """``module:name`` of a kernel, the module within reluopt."""
    known = _dispatcher_of(function).py_func
    return f"{known.__module__.removeprefix('reluopt.')}:{known.__name__}"


class _AbsentError(Exception):
    """The cache does not hold a kernel."""


class _Refusal(event.Listener):
    """Stops numba before it compiles."""

    def on_start(self, happened: Any) -> None:
        raise _AbsentError

    def on_end(self, happened: Any) -> None:
        del happened


def load(function: Callable[..., Any]) -> bool:
    """Load a kernel from the cache, unless it is loaded; False if it would have to be compiled."""
    with event.install_listener("numba:compile", _Refusal()):
        try:
            make(function)
        except _AbsentError:
            return False
    return True


def compile_only(function: Callable[..., Any]) -> None:
    """Compile a kernel into the cache, in a process that will not run any."""
    _Apart.only_compiling = True
    make(function)


def _dispatcher_of(function: Any) -> Any:
    """Numba's handle of a kernel."""
    return function.dispatcher if isinstance(function, _Apart) else function


def make(function: Any) -> None:
    """Load or compile a kernel for its one signature."""
    dispatcher = _dispatcher_of(function)
    dispatcher.compile(signature_of(dispatcher.py_func).args)
