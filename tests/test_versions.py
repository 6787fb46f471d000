"""Versions of what computes are on record, without loading what does not."""

import subprocess
import sys

from reluopt.versions import all_versions, versions


def test_versions_of_named_engines():
    assert set(versions("bnb")) == {"python", "reluopt", "bnb"}
    found = all_versions(["bnb", "highs"])
    assert set(found) == {"python", "reluopt", "numpy", "bnb", "highs"}
    assert all(found.values())


def test_auto_names_every_solver_that_it_may_choose_and_loads_none():
    code = (
        "import sys; from reluopt.versions import all_versions; "
        "print(sorted(all_versions(['auto']))); "
        "print([name for name in ('gurobipy', 'pyscipopt') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names, loaded = done.stdout.splitlines()
    for name in ("'gurobipy'", "'highspy'", "'numpy'", "'pyscipopt'", "'python'", "'reluopt'"):
        assert name in names
    assert loaded == "[]"
