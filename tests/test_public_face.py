"""``import reluopt`` gives what people use, and loads nothing that they do not use."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import reluopt
import reluopt.figures


@pytest.mark.parametrize("package", [reluopt, reluopt.figures])
def test_names_are_those_of_the_stub(package):
    stub = Path(package.__file__).with_suffix(".pyi").read_text()
    assert package.__all__ == re.findall(r"^from \S+ import (\w+) as \1$", stub, re.M)
    assert set(package.__all__) <= set(dir(package))
    assert len(package.__all__) > 30


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
    assert done.stdout.strip() == "['reluopt.lazy']"
