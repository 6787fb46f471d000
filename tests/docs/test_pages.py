"""The code on the pages runs and says what stands below it, and commands are there."""

import re
import shlex
from pathlib import Path

import pytest
import typer

import pages
from reluopt.cli.app import app

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```(?:\n\n```text\n(.*?)^```)?", re.M | re.S)
COMMAND = re.compile(r"^ {4}(reluopt [a-z](?:[^\n]*\\\n)*[^\n]*)", re.M)
INLINE = re.compile(r"`(reluopt [a-z][^`]* --images [^`]*)`")
NUMBER = r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?"


def _expanded(path):
    """A page with the sections of the README that it includes."""
    return "".join(text for text, _ in pages.parts(path.read_text(), path.parent, ROOT))


def _blocks(kind):
    return [
        pytest.param(path, id=path.relative_to(ROOT).as_posix())
        for path in DOCUMENTS[1:]
        if any(found[1] == kind for found in BLOCK.finditer(_expanded(path)))
    ]


@pytest.mark.parametrize("path", _blocks("python"))
def test_python_on_a_page_says_what_stands_below_it(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    space = {}
    for found in BLOCK.finditer(_expanded(path)):
        if found[1] == "python":
            exec(compile(found[2], path.name, "exec"), space)
            said = capsys.readouterr().out
            if found[3] is not None:
                assert re.sub(NUMBER, "#", said).split() == re.sub(NUMBER, "#", found[3]).split()
                assert [*map(float, re.findall(NUMBER, said))] == pytest.approx(
                    [*map(float, re.findall(NUMBER, found[3]))], rel=1e-4
                )


@pytest.mark.parametrize("path", _blocks("sh"))
def test_commands_on_a_page_say_what_stands_below_them(path, tmp_path, monkeypatch, run):
    monkeypatch.chdir(tmp_path)
    for found in BLOCK.finditer(_expanded(path)):
        if found[1] == "sh" and found[3] is not None:
            code, said, _ = run(*shlex.split(found[2])[1:])
            assert code == 0
            assert re.sub(NUMBER, "#", said).split() == re.sub(NUMBER, "#", found[3]).split()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_commands_and_their_options_are_there(path, run):
    run("--version")  # commands register where one is run
    known = typer.main.get_command(app).commands
    text = re.sub(r"^```(?:sh|bash)\n(.*?)^```", _indented, path.read_text(), flags=re.M | re.S)
    for command in (*COMMAND.findall(text), *INLINE.findall(text)):
        line = re.sub(r"\s#.*| >.*|[\[\]]", "", command.replace("\\\n", " "), flags=re.M)
        _, name, *words = shlex.split(line)
        assert name in known, command
        given = {w.partition("=")[0] for w in words if w.startswith("-")}
        assert given <= _options(known[name]), command
        if "..." not in line and "--help" not in given:
            for needed in known[name].params:
                asked = needed.required and needed.param_type_name == "option"
                assert not asked or given & {*needed.opts}, f"{needed.opts}: {command}"


def _indented(block):
    return re.sub(r"^", "    ", block[1], flags=re.M)


def _options(command):
    """Of a command, or of any of a group."""
    each = [command, *getattr(command, "commands", {}).values()]
    given = [parameter for one in each for parameter in one.params]
    return {name for one in given for name in (*one.opts, *one.secondary_opts)}


def test_numbers_of_the_comparison_stand_where_it_says():
    text = (ROOT / "docs" / "comparison.md").read_text()
    known = "".join(path.read_text() for path in DOCUMENTS if path.name != "comparison.md")
    rows = re.findall(r"^\|.*\]\((?:speed|engine|results|../README)\.md.*$", text, re.M)
    assert len(rows) >= 7
    for row in rows:
        for number in re.findall(r"(?<![\w#-])\d[\d.,]*\d", re.sub(r"\]\([^)]*\)", "", row)):
            assert number in known, f"{number}: {row}"
