"""What a task needs is compiled before its clock runs: in processes, once, and nothing else."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest

from reluopt.errors import InputError
from reluopt.numerics import prepare
from reluopt.numerics.jit import load, place_of, with_called
from reluopt.numerics.sets import COSTS, SETS
from reluopt.numerics.signatures import signature_of

TINY = ("numerics.rounding:gamma", "numerics.maxima:_select_multiplier", "numerics.passes:forward")

SCRIPT = f"""
import sys
from reluopt.numerics import prepare
prepare._COMMAND = sys.argv[1] or prepare._COMMAND
prepare.SETS = {{"tiny": {TINY}}}
reports = []
with prepare.on_compilation(reports.append):
    count = prepare.prepare(["tiny"], 2)
print(count, len(reports), *sorted((r.done, r.total, r.workers) for r in reports)[-1:])
from reluopt.numerics.rounding import gamma
assert gamma(8.0) > 0.0 and len(gamma.signatures) == 1
"""


def _prepared(cache, command=""):
    """What a fresh process with this cache prints."""
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, command],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "NUMBA_CACHE_DIR": str(cache)},
    )
    return result.stdout.split(maxsplit=2)


def test_processes_compile_once_and_report(tmp_path):
    """The two that Python calls, and what those call by symbol; the second process finds them."""
    wanted = {place_of(k) for place in TINY for k in with_called(prepare._find(place))}
    assert len(wanted) == 5  # add_columns and add_scaled_rows are behind forward
    count, reports, last = _prepared(tmp_path)
    assert int(count) == len(wanted)
    assert int(reports) == len(wanted) + 1
    assert last.strip() == "(5, 5, 2)"
    assert _prepared(tmp_path) == ["0", "0"]


def test_a_process_that_dies_leaves_its_kernels_to_this_one(tmp_path):
    _, reports, _ = _prepared(tmp_path, "import sys; sys.stdin.readline(); sys.exit(1)")
    assert int(reports) == 1
    assert _prepared(tmp_path) == ["0", "0"]


@pytest.mark.parametrize("name", SETS)
def test_sets_name_kernels_with_signatures(name):
    for place in SETS[name]:
        for kernel in with_called(prepare._find(place)):
            assert signature_of(kernel.py_func).args


def test_costs_are_those_of_kernels():
    known = {place_of(k) for names in SETS.values() for p in names
             for k in with_called(prepare._find(p))}  # fmt: skip
    assert set(COSTS) <= known


def test_unknown_sets_and_no_workers_are_refused():
    with pytest.raises(InputError, match="expected some of attacks"):
        prepare.prepare(["l3"])
    prepare._ready.discard("l1")
    with pytest.raises(InputError, match="workers: expected at least 1"):
        prepare.prepare(["l1"], 0)


def test_prepared_sets_cost_nothing():
    prepare.prepare(["bounds"])
    assert all(load(prepare._find(place)) for place in SETS["bounds"])
    started = time.perf_counter()
    for _ in range(1000):
        prepare.prepare(["bounds"])
    assert time.perf_counter() - started < 0.5
    assert np.isfinite(prepare._find("numerics.rounding:gamma")(8.0))
