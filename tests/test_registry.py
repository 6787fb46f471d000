"""Registries: names at once, things when they are asked for."""

import pytest

from reluopt.errors import InputError
from reluopt.registry import Registry


def test_things_are_loaded_once_and_on_demand():
    registry = Registry("colour", box="questions.input_sets:Box", never="no.such:Thing")
    assert registry.names == ("box", "never")
    registry.add("list", list)
    assert registry.get("list") is registry.get("list")
    assert registry.make("list", "ab") == ["a", "b"]
    with pytest.raises(InputError, match="colour: expected one of box, never, list, found 'red'"):
        registry.get("red")
    with pytest.raises(InputError, match="expected any or one of box"):
        registry.refuse_unknown("red", "any")
    registry.refuse_unknown("any", "any")


def test_a_thing_stands_for_itself():
    registry = Registry("colour", list=list)
    own = [1]
    assert registry.resolve(own, list) is own
    assert registry.resolve("list", list) is registry.get("list")
    for given, found in (("red", "list, found 'red'"), (3, "list, or list, found 3")):
        with pytest.raises(InputError, match=f"colour: expected one of {found}"):
            registry.resolve(given, list)
