"""Compilation is announced once, and only when it happens."""

import numba

from reluopt.kernels.jit import on_compilation


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
