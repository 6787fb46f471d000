"""Threads share open nodes, and answers do not depend on them."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from reluopt import EngineOptions, Method, load_images, load_network, solve
from reluopt.engines.branch_and_bound.dual import programs
from reluopt.engines.branch_and_bound.threads import each, limited_threads, thread_count
from reluopt.questions.problems import AnyTarget, MinimalPerturbation, Norm, RelativeMargin


def test_parts_run_on_as_many_threads_as_were_asked_for():
    met = threading.Barrier(3, timeout=60.0)

    def square(part):
        met.wait()  # only three at once get past
        return part * part

    with limited_threads(3):
        assert thread_count() == 3
        assert each(square, [1, 2, 3]) == [1, 4, 9]
    assert thread_count() == 1


def test_without_threads_parts_run_where_they_are():
    found = each(lambda part: (part, threading.current_thread()), [1, 2])
    assert found == [(1, threading.current_thread()), (2, threading.current_thread())]
    with limited_threads(2):
        assert each(lambda part: threading.current_thread(), [1]) == [threading.current_thread()]


def test_parts_of_parts_stay_where_they_are():
    """More threads than there are would wait for each other."""

    def several(part):
        assert thread_count() == 1
        return each(lambda _: threading.current_thread(), [1, 2])

    with limited_threads(2):
        for first, second in each(several, [1, 2, 3]):
            assert first is second
        assert thread_count() == 2


def test_errors_come_out():
    def fail(part):
        raise ValueError(f"part {part}")

    with limited_threads(2), pytest.raises(ValueError, match="part 1"):
        each(fail, [1, 2])


def test_products_of_kernels_keep_to_one_thread_from_the_first_solve_on():
    """Their library is loaded by the first kernel that calls it, or before threads are limited."""
    code = (
        "import reluopt as ro, reluopt.engines.branch_and_bound.l2.tree as tree\n"
        "from threadpoolctl import threadpool_info\n"
        "seen, process = [], tree.L2Tree._process\n"
        "def noted(self, *given):\n"
        "    seen.extend(each['num_threads'] for each in threadpool_info())\n"
        "    return process(self, *given)\n"
        "tree.L2Tree._process = noted\n"
        "ro.nearest('thesis', ro.load_images('test').image(0), 'l2')\n"
        "print(sorted(set(seen)))\n"
    )
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "2"}
    environment.pop("OMP_NUM_THREADS", None)
    given = {"capture_output": True, "text": True, "check": True, "timeout": 300}
    found = subprocess.run([sys.executable, "-c", code], env=environment, **given)
    assert found.stdout.split("\n")[0] == "[1]"


@pytest.mark.parametrize("norm", [Norm.L1, Norm.L2, Norm.LINF])
def test_answers_do_not_depend_on_threads(norm, monkeypatch):
    if norm is Norm.LINF:  # dual trees alone: those of programs depend on the number of threads
        monkeypatch.setattr(programs, "MOST_UNDECIDED", -1)
    images, network = load_images("test"), load_network("mlp-100")
    asked = MinimalPerturbation(
        images.image(113), images.label(113), AnyTarget(), norm, RelativeMargin(0.0)
    )

    def answered(threads):
        return solve(network, asked, Method("bnb", options=EngineOptions(60.0, threads=threads)))

    one, two, again = answered(1), answered(2), answered(2)
    assert one.status == two.status == again.status
    assert two.nodes == again.nodes
    np.testing.assert_array_equal(two.image, again.image)
    assert two.bound == again.bound
    assert two.objective == pytest.approx(one.objective, rel=2e-6)
    if norm is Norm.LINF:
        assert one.nodes == two.nodes
