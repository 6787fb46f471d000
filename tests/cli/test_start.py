"""What a help text or a misspelt name waits for: nothing that takes its time to load."""

import json
import subprocess
import sys

import pytest

HEAVY = ("numba", "llvmlite", "scipy", "pandas", "highspy", "matplotlib", "jinja2", "gurobipy")

SCRIPT = """
import json, sys
from reluopt.cli import main
try:
    main(sys.argv[1:])
except SystemExit as ended:
    code = ended.code
print(json.dumps([code, sorted({name.partition(".")[0] for name in sys.modules})]))
"""


def _loaded(*arguments):
    """Exit code, and what is loaded when the command ends."""
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments], check=True, capture_output=True, text=True
    )
    code, modules = json.loads(result.stdout.splitlines()[-1])
    return code, set(modules)


HELP = [(), ("attack",), ("ideal",), ("classify",), ("bench",), ("profile",), ("verify-result",),
        ("info",), ("train",), ("evaluate",), ("report",), ("merge",), ("compile",),
        ("experiment",), ("experiment", "times"), ("reproduce",)]  # fmt: skip


@pytest.mark.parametrize("command", HELP, ids=" ".join)
def test_help_loads_nothing_heavy(command):
    code, modules = _loaded(*command, "--help")
    assert code == 0
    assert not modules & {*HEAVY, "numpy"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("attack", "thesis", "--images", "test:0", "--nonsense"),
        ("attack", "thesis", "--images", "test:0", "--time-limit", "soon"),
        ("attack", "thesis", "--images", "test:0", "--engine", "nonsense"),
        ("attack", "nonsense", "--images", "test:0"),
        ("ideal", "thesis", "--bounds", "nonsense"),
        ("classify", "nonsense", "--images", "test:0"),
        ("experiment", "nonsense"),
        ("compile", "nonsense"),
    ],
    ids=" ".join,
)
def test_bad_input_is_refused_before_anything_heavy_is_loaded(arguments):
    code, modules = _loaded(*arguments)
    assert code == 2
    assert not modules & {*HEAVY, "numpy"}


@pytest.mark.parametrize(
    "arguments", [("--norm", "l7"), ("--target", "nearest"), ("--margin", "big")], ids=" ".join
)
def test_a_misspelt_question_needs_numpy_alone(arguments):
    code, modules = _loaded("attack", "thesis", "--images", "test:0", *arguments)
    assert code == 2
    assert not modules & set(HEAVY)
