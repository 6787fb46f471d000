"""What is prepared before a solve leaves nothing to compile, and no more to load, to its clock."""

import subprocess
import sys

import pytest

SCRIPT = """
import gc, sys
from numba.core.dispatcher import Dispatcher
from reluopt.engines import get_engine
from reluopt.engines.options import EngineOptions
from reluopt.runs.attack import AttackJob, AttackSettings
from reluopt.runs.instances import load_instances
from reluopt.preparation import prepare_solve
from reluopt.questions.problems import RelativeMargin, parse_norm, parse_target
from reluopt.method import Method
from reluopt.networks.zoo import load_bundled

def loaded():
    kernels = [k for k in gc.get_objects() if isinstance(k, Dispatcher)]
    return {(k.py_func.__name__, str(types)) for k in kernels for types in k.signatures}

engine, norm, target, *images = sys.argv[1:]
network = load_bundled("thesis")
method = Method(engine, options=EngineOptions(60.0))
settings = AttackSettings(parse_target(target), parse_norm(norm), RelativeMargin(0.2), method)
instances = load_instances(network, images)
task = settings.problem(instances[0]).task(network)
prepare_solve(get_engine(engine), method, task)
warm = loaded()
nodes = 0
for instance in instances:
    row = AttackJob(network, settings).run(instance).row
    assert row.status == "OPTIMAL", row
    nodes += row.nodes
print(nodes, len(warm))
print(*sorted(name for name, _ in loaded() - warm))
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ("bnb", "l1", "+5", "test:100", "test:138"),
        ("bnb", "l2", "+5", "test:100", "test:126"),
        ("bnb", "l1", "any", "test:100"),
        ("bnb", "l2", "any", "test:100"),
        ("bnb", "blend:0.5", "+5", "test:100"),
        ("highs", "l1", "+5", "test:110"),
        ("highs", "linf", "+5", "test:110"),
    ],
    ids=" ".join,
)
def test_a_solve_finds_all_kernels_loaded(arguments):
    """In a fresh process, which has to compile every kernel or load it from the cache."""
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments], check=True, capture_output=True, text=True
    )
    solved, late = result.stdout.splitlines()
    nodes, warm = map(int, solved.split())
    assert nodes > 0
    assert warm > 5
    assert late == ""
