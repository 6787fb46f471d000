"""What studies say comes from templates that know what they tell."""

from importlib.resources import files

import pytest

from reluopt.errors import InputError
from reluopt.studies import STUDIES
from reluopt.studies.words import (
    count_text,
    duration,
    excess_text,
    interval,
    paragraphs,
    render,
    sentence,
    share_text,
)

DASH = "\N{EN DASH}"


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_has_words_that_are_shipped(name):
    text = (files("reluopt.studies") / "templates" / f"{name}.md.j2").read_text(encoding="utf-8")
    for macro in ("lines()", "caption(table)", "readme()"):
        assert f"{{% macro {macro} %}}" in text
    assert "### " in text
    assert f"    reluopt experiment {name}" in text


def test_an_entry_that_is_missing_is_named():
    with pytest.raises(InputError, match=r"results of labels: cannot tell them, because .*images"):
        render("labels", "lines", facts={})


def test_captions_are_one_line():
    assert sentence("digits", "caption", "digits", facts={}) == (
        "One digit of each class, and what the network answers."
    )


def test_paragraphs_stand_between_empty_lines():
    assert paragraphs("\n one\n  line \n\n\n\nanother\n") == ["one line", "another"]
    assert paragraphs("\n") == []


def test_numbers_become_words():
    assert (share_text(0.123), share_text(0.123, 1)) == ("12 %", "12.3 %")
    assert (excess_text(1.0321), excess_text(0.99)) == ("3.2 %", "1.0 %")
    assert share_text(None) is share_text(float("nan")) is excess_text(None) is None
    assert (count_text(12345.0), count_text(None)) == ("12,345", DASH)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (60.0, "1 min"), (3599.0, "60 min"), (3600.0, "1 h 00 min")],
)
def test_durations_in_words(seconds, text):
    assert duration(seconds) == text


def test_intervals_that_meet_are_one_number():
    assert interval([0.1026, 0.1026]) == "10.26"
    assert interval([0.0622, 0.0623]) == "6.22 to 6.23"
    assert interval(None) == DASH
