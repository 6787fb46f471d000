"""Kernels call each other by symbol, and are not interrupted half-way through compilation."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from typing import NamedTuple

import numba
import numpy as np
import pytest
from numba.core import event

from reluopt.engines.branch_and_bound.l1 import certificate
from reluopt.numerics.arrays import FloatArray
from reluopt.numerics.jit import (
    _contained,
    apart,
    interrupts_wait,
    kernel,
    load,
    place_of,
    with_called,
)


@apart
@kernel
def _summed(values: FloatArray, start: float) -> tuple[float, int]:
    """A kernel that others call by symbol; returns a tuple, as some do."""
    total = start
    for i in range(values.size):
        total += values[i]
    return total, values.size


@kernel
def _mean(values: FloatArray) -> float:
    total, count = _summed(values, 0)  # an int literal, which becomes a float
    return total / count


@kernel
def _middle(values: FloatArray) -> float:
    return _mean(values) + 1.0


@apart
@kernel
def _wrong(values: FloatArray) -> int:
    """Annotated as what it does not return."""
    return values[0] * 0.5


@kernel
def _calls_wrong(values: FloatArray) -> float:
    return _wrong(values) + 1.0


def test_kernels_call_each_other_by_symbol():
    values = np.array([1.0, 2.0, 6.0])
    assert _middle(values) == 4.0
    assert _mean(values) == 3.0
    assert _summed(values, 1.0) == (10.0, 3)  # from Python as well
    assert _contained(_middle) == [_middle, _mean]


def test_kernels_know_what_they_call_by_symbol():
    assert with_called(_middle) == [_middle, _summed]
    assert with_called(_summed) == [_summed]
    assert place_of(_summed).endswith(":_summed")


def test_an_annotation_that_is_wrong_is_told():
    with pytest.raises(TypeError, match=r"_wrong\S*: expected to return int64, .* found float64"):
        _calls_wrong(np.ones(1))


def test_what_is_not_in_the_cache_is_not_loaded():
    @numba.njit
    def double(x):
        return 2 * x

    double.py_func.__annotations__ = {"x": "float", "return": "float"}
    assert not load(double)
    assert double.signatures == []
    double(1.0)
    assert load(double)


CALLEE = """
from __future__ import annotations
from reluopt.numerics.jit import apart, kernel, search_kernel

SHARE = {share}

{decorators}
def callee(x: float{parameter}) -> float:
    return SHARE * x + {constant}
"""

CALLER = """
from __future__ import annotations
from numba.core import event
from callee import callee
from reluopt.numerics.jit import kernel

@kernel
def caller(x: float) -> float:
    return callee(x{argument})

with event.install_recorder("numba:compile") as recorded:
    print(caller(1.0), sum(each.is_start for _, each in recorded.buffer))
"""


@pytest.mark.parametrize("decorators", ["@kernel", "@apart\n@search_kernel"])
def test_changes_of_what_a_kernel_calls_are_noticed(tmp_path, decorators):
    """Numba itself goes on with the old machine code of a callee in another module."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)

    def result(share, constant, parameter="", argument=""):
        text = CALLEE.format(
            decorators=decorators, share=share, constant=constant, parameter=parameter
        )
        (tmp_path / "callee.py").write_text(text)
        (tmp_path / "caller.py").write_text(CALLER.format(argument=argument))
        command = [sys.executable, str(tmp_path / "caller.py")]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        value, compiled = done.stdout.split()
        return float(value), int(compiled) > 0

    assert result(0.5, 1.0) == (1.5, True)
    assert result(0.5, 1.0) == (1.5, False)
    assert result(0.5, 3.0) == (3.5, True)  # the callee's code
    assert result(2.5, 3.0) == (5.5, True)  # a value that it uses
    assert result(2.5, 3.0, ", y: float", ", 0.0") == (5.5, True)  # its arguments


class _InterruptOnce(event.Listener):
    """Sends SIGINT from within numba's compiler."""

    def __init__(self, times=1):
        self.left = times

    def on_start(self, happened):
        while self.left:
            self.left -= 1
            signal.raise_signal(signal.SIGINT)

    def on_end(self, happened):
        pass


def test_an_interrupt_waits_until_numba_is_whole_again():
    @numba.njit
    def double(x):
        return 2 * x

    handler = signal.getsignal(signal.SIGINT)
    with (
        pytest.raises(KeyboardInterrupt),
        event.install_listener("numba:compile", _InterruptOnce()),
    ):
        double(2)
    assert len(double.signatures) == 1  # compiled before the interrupt came through
    assert signal.getsignal(signal.SIGINT) is handler
    assert double(3) == 6


def test_a_second_interrupt_does_not_wait():
    @numba.njit
    def double(x):
        return 2 * x

    handler = signal.getsignal(signal.SIGINT)
    with (
        pytest.raises(KeyboardInterrupt),
        event.install_listener("numba:compile", _InterruptOnce(2)),
    ):
        double(2)
    assert len(double.signatures) == 0
    assert signal.getsignal(signal.SIGINT) is handler


class Pair(NamedTuple):
    first: np.ndarray
    second: float


@numba.njit(nogil=True)
def slow_pair(steps):
    total = 0.0
    for i in range(steps):
        total += np.sin(float(i))
    return Pair(np.ones(2), total)


def test_an_interrupt_during_a_kernel_that_returns_a_named_tuple():
    """Without the guard numba crashes the process here."""
    slow_pair(1)
    started = time.perf_counter()
    slow_pair(1_000_000)
    steps = int(1e6 * 0.4 / (time.perf_counter() - started))
    alarm = threading.Timer(0.1, signal.raise_signal, (signal.SIGINT,))
    seen = []

    @interrupts_wait()
    def work():
        alarm.start()
        seen.append(slow_pair(steps))
        alarm.join()

    with pytest.raises(KeyboardInterrupt):
        work()
    assert len(seen) == 1  # the kernel's result arrived whole
    assert seen[0].first.tolist() == [1.0, 1.0]


def test_nested_holds_let_the_interrupt_through_at_the_end():
    steps = []

    @interrupts_wait()
    def inner():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        steps.append("inner")

    @interrupts_wait()
    def outer():
        inner()
        steps.append("outer")

    with pytest.raises(KeyboardInterrupt):
        outer()
    assert steps == ["inner", "outer"]


def test_other_threads_have_nothing_to_hold():
    handlers = []

    def work():
        with interrupts_wait():
            handlers.append(signal.getsignal(signal.SIGINT))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert handlers == [before]


def test_kernels_without_linear_algebra_load_no_scipy():
    """numba would import scipy.linalg to see whether it is there: a fifth of a second."""
    code = (
        "import sys; from reluopt.numerics.prepare import prepare; prepare(['l1']); "
        "from numba.np import arraymath; print('scipy.linalg' in sys.modules, arraymath._HAVE_BLAS)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_a_cache_that_names_types_of_another_version_is_made_anew(tmp_path):
    """numba reads the whole index before it looks at the stamp of the source."""
    (tmp_path / "shapes.py").write_text(
        "from __future__ import annotations\n"
        "from typing import NamedTuple\n"
        "from reluopt.numerics.jit import kernel\n"
        "class Old(NamedTuple):\n"
        "    value: float\n"
        "@kernel\n"
        "def value(pair: Old) -> float:\n"
        "    return pair.value\n"
    )
    call = "import shapes; print(shapes.value(shapes.{}(3.5)))"
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    for name in ("Old", "New"):
        source = tmp_path / "shapes.py"
        source.write_text(source.read_text().replace("Old", name))
        done = subprocess.run(
            [sys.executable, "-c", call.format(name)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.stdout.strip() == "3.5", done.stderr


def test_a_part_belongs_to_the_code_of_its_kernel():
    safe_bound, part = certificate.safe_bound.dispatcher, certificate._condition_terms
    assert part in _contained(safe_bound)  # so that a changed part does not find old machine code
    assert not part.signatures
