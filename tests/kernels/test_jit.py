"""Compilation is announced once, only when it happens, and is not interrupted half-way."""

import signal
import threading
import time
from typing import NamedTuple

import numba
import numpy as np
import pytest
from numba.core import event

from reluopt.kernels.jit import interrupts_wait, on_compilation


def test_compilation_is_announced_once():
    calls = []
    with on_compilation(lambda: calls.append(1)):

        @numba.njit
        def double(x):
            return 2 * x

        assert double(2) == 4
        assert double(2.5) == 5.0
    assert calls == [1]


def test_nothing_to_compile_announces_nothing():
    @numba.njit
    def double(x):
        return 2 * x

    double(1)
    calls = []
    with on_compilation(lambda: calls.append(1)):
        assert double(3) == 6
    assert calls == []


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
