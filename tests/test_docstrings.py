"""Examples in docstrings do what they say."""

import doctest
import inspect
from importlib import import_module
from pathlib import Path

import pytest

import reluopt

PACKAGE = Path(reluopt.__file__).parent
WITH_EXAMPLES = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_do_what_they_say(name):
    found = doctest.testmod(import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.attempted > 0
    assert found.failed == 0


@pytest.mark.parametrize("name", reluopt.__all__)
def test_what_is_public_has_an_example(name):
    assert ">>> " in inspect.getdoc(getattr(reluopt, name))
