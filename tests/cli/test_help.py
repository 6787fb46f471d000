"""What a newcomer types first."""

import re

import pytest

from reluopt import cli
from reluopt.install import own_version


def test_the_version_is_told(run):
    code, out, err = run("--version")
    assert (code, out, err) == (0, f"reluopt {own_version()}\n", "")


@pytest.mark.parametrize("command", [(), ("attack",), ("experiment",), ("experiment", "times")])
def test_help_has_a_short_name_everywhere(run, command):
    code, out, _ = run(*command, "-h")
    assert code == 0
    assert out == run(*command, "--help")[1]
    assert "Usage: reluopt" in out


@pytest.mark.parametrize("command", [(), ("experiment",)])
def test_no_command_gives_the_help_and_no_empty_error(run, command):
    code, out, err = run(*command)
    assert code == cli.USAGE_ERROR
    assert "Commands" in out
    assert "error" not in err


def test_commands_stand_in_the_order_in_which_they_are_needed(run):
    _, out, _ = run("--help")
    shown = re.findall(r"^│ ([a-z-]+) ", out.partition("Commands")[2], re.MULTILINE)
    assert shown == list(cli.COMMANDS)
    assert shown[0] == "attack"


def test_the_largest_change_has_a_name(run):
    code, out, _ = run("attack", "thesis", "--images", "test:8", "--target", "6", "--norm", "linf")
    assert code == 0
    assert "Linf norm, target 6" in out
    assert "6 → 6 (label 5)" in out  # which needs no change
