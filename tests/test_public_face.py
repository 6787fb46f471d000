"""``import reluopt`` gives what people use, and loads nothing that they do not use."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import reluopt


def _typed_names():
    """Names that type checkers see."""
    tree = ast.parse(Path(reluopt.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    return {alias.asname or alias.name for node in block.body for alias in node.names}


def test_type_checkers_see_the_names_that_are_there():
    assert _typed_names() == set(reluopt.__all__)
    assert set(reluopt.__all__) <= set(dir(reluopt))


@pytest.mark.parametrize("name", reluopt.__all__)
def test_every_name_can_be_loaded(name):
    assert callable(getattr(reluopt, name))


def test_a_name_that_is_not_there_is_told_as_python_does():
    with pytest.raises(AttributeError, match="module 'reluopt' has no attribute 'sovle'"):
        _ = reluopt.sovle


def test_the_version_is_told():
    assert reluopt.__version__ == reluopt.own_version()


def test_importing_the_package_loads_no_other_module():
    code = "import sys, reluopt; print([m for m in sys.modules if m.startswith('reluopt.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
