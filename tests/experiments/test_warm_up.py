"""Warming up leaves nothing to compile to the first instance."""

import subprocess
import sys

import pytest

SCRIPT = """
import gc, sys
from numba.core.dispatcher import Dispatcher
from reluopt.engines.base import EngineOptions
from reluopt.experiments.attack import AttackSettings, solve_instance, warm_up
from reluopt.experiments.instances import load_instances
from reluopt.problems import Norm, RelativeMargin, parse_target
from reluopt.solve import Method
from reluopt.zoo import load_bundled

def loaded():
    kernels = [k for k in gc.get_objects() if isinstance(k, Dispatcher)]
    return {(k.py_func.__name__, str(types)) for k in kernels for types in k.signatures}

network = load_bundled("thesis")
method = Method("bnb", options=EngineOptions(1e-3))  # far less than loading the kernels takes
settings = AttackSettings(parse_target("+5"), Norm(sys.argv[1]), RelativeMargin(0.2), method)
warm_up(settings)
warm = loaded()
method = Method("bnb", options=EngineOptions(60.0))
settings = AttackSettings(parse_target("+5"), Norm(sys.argv[1]), RelativeMargin(0.2), method)
row, _ = solve_instance(network, load_instances(network, ["test:100"])[0], settings)
print(row["status"], row["nodes"], len(warm))
print(*sorted(name for name, _ in loaded() - warm))
"""


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_the_first_instance_compiles_nothing(norm):
    """In a fresh process, which has to compile every kernel or load it from the cache."""
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, norm], check=True, capture_output=True, text=True
    )
    solved, late = result.stdout.splitlines()
    status, nodes, warm = solved.split()
    assert status == "OPTIMAL"
    assert int(nodes) > 1  # it branched
    assert int(warm) > 5
    assert late == ""
