"""Published figures and tables again, from their rows."""

import shutil
from pathlib import Path

import pytest

from redraw import redraw_study
from reluopt.studies import STUDIES, load_study
from render import main

PUBLISHED = Path(__file__).parents[2] / "figures"

DRAWN = {
    "times": {"times-l1", "times-l2", "times"},
    "bounds": {"bounds"},
    "targets": {"targets", "targets-matrix"},
    "margins": {"margins"},
    "robustness": {
        "robustness-certified",
        "robustness-digits",
        "robustness-confidence",
        "robustness-overestimate",
    },
    "robust-error": {"robust-error"},
}


@pytest.fixture
def figures(tmp_path):
    shutil.copytree(PUBLISHED / "data", tmp_path / "figures" / "data")
    return tmp_path / "figures"


@pytest.mark.parametrize("name", DRAWN)
def test_a_study_is_drawn_again_from_what_is_published(name, figures):
    data = {path.name: path.read_bytes() for path in (figures / "data").iterdir()}
    files = redraw_study(load_study(name), figures)
    assert {path.stem for path in files} == DRAWN[name]
    assert all(path.exists() for path in files)
    for path in files:
        if path.suffix in (".png", ".pdf"):
            assert path.parent == figures
            assert (PUBLISHED / path.name).exists()
    # Facts and rows are as they were, and tables say what they said.
    assert {path.name: path.read_bytes() for path in (figures / "data").iterdir()} == data


def test_what_was_not_published_is_left_out(tmp_path):
    for name in STUDIES:
        assert redraw_study(load_study(name), tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_the_command_draws_before_it_writes(figures, capsys):
    for path in (figures / "data").iterdir():
        if not path.name.startswith("bounds"):
            path.unlink()
    readme = figures.parent / "README.md"
    (figures.parent / "docs").mkdir()
    names = [*STUDIES, "speed", "cost"]
    sections = [f"<!-- results: {name} -->\n<!-- end results -->\n" for name in names]
    readme.write_text("\n".join(sections))
    (figures.parent / "docs" / "results.md").write_text(sections[0])
    command = ("--readme", readme, "--data", figures / "data", "--redraw")
    assert main([*map(str, command), "--check"]) == 2
    assert "--redraw: expected without --check" in capsys.readouterr().err
    assert main([str(word) for word in command]) == 0
    assert (figures / "bounds.png").exists()
    assert "### Bounds and depth" in readme.read_text()
