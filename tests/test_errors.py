import pickle

import pytest

from reluopt.errors import (
    MAX_MESSAGE,
    MAX_SHOWN,
    AssumptionWarning,
    InputError,
    ReluoptError,
    shown,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("fc1.weight", "fc1.weight"),
        ("Gewölbe π", "Gewölbe π"),
        ("a\nb\tc\x1b[2J\x00", r"a\nb\tc\x1b[2J\x00"),
        ("\u202eevil\ud800", r"\u202eevil\ud800"),
        ((3, 4), "(3, 4)"),
        (None, "None"),
    ],
)
def test_names_are_shown_as_they_are_or_escaped(value, text):
    assert shown(value) == text


@pytest.mark.parametrize("letter", ["x", "\n", "\u202e"])
@pytest.mark.parametrize("count", [MAX_SHOWN - 1, MAX_SHOWN, MAX_SHOWN + 1, 1_000_000])
def test_long_names_lose_their_middle(letter, count):
    text = shown("begin" + letter * count + "end")
    assert len(text) <= MAX_SHOWN
    assert text.isprintable()
    assert text.startswith("begin")
    assert text.endswith("end")
    assert "..." in text


def test_messages_are_one_printable_line_of_bounded_length():
    error = InputError("file\nwith \x1b[2J codes " + "y" * 10_000 + " and an end")
    assert str(error).startswith("file with \\x1b[2J codes yyy")
    assert str(error).endswith("yyy and an end")
    assert len(str(error)) == MAX_MESSAGE
    assert str(ReluoptError()) == ""
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_assumptions_survive_processes():
    warning = AssumptionWarning("ReLU between the layers of x", "activation", "relu")
    again = pickle.loads(pickle.dumps(warning))
    assert str(again) == str(warning)
    assert (again.assumed, again.option, again.value) == warning.args
