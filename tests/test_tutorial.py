"""The notebooks and the README's example run, and what they say is true."""

import re
import runpy
from pathlib import Path

import pytest

import make_notebook
from notebook_files import ran, read
from reluopt.answers.solution import Status

ROOT = Path(__file__).parents[1]
SCRIPT, ASSIGNMENT = ROOT / "docs" / "tutorial.py", ROOT / "docs" / "assignment.py"
NUMBER = r"-?\d+\.\d+"
LIMITED = re.compile(r"within 10 s.*\n")
"""Lines of a notebook that depend on what a solver finds in time."""


def test_the_tutorial_runs_from_top_to_bottom(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    left = runpy.run_path(str(SCRIPT), run_name="__main__")
    drawn = {path.name for path in (tmp_path / "tutorial-figures").iterdir()}
    assert {"digits.png", "nearest-l1.png", "nearest-l2.png", "budget.png"} <= drawn
    assert left["own"].sizes == (784, 16, 10)
    assert left["exact"].status is Status.OPTIMAL
    said = capsys.readouterr().out
    for exercise in ("largest violation", "distance", "margin 100 %", "smallest eps", "highs"):
        assert exercise in said


def test_every_code_cell_asserts_something_or_prepares():
    cells = re.split(r"^# %%.*$", SCRIPT.read_text(), flags=re.MULTILINE)
    code = [cell for cell in cells if re.search(r"^[^#\s]", cell, re.MULTILINE)]
    assert sum("assert " in cell for cell in code) >= len(code) - 1
    exercises = re.findall(r"^# ## Exercise (\d+):", SCRIPT.read_text(), re.MULTILINE)
    assert exercises == [str(number) for number in range(1, 9)]


def test_the_notebooks_are_the_scripts():
    assert make_notebook.main(["--check"]) == 0, "run: python docs/make_notebook.py"
    for script in (SCRIPT, ASSIGNMENT):
        written = make_notebook.without_outputs(read(script.with_suffix(".ipynb")))
        assert written == make_notebook.notebook(script.read_text())


def test_a_notebook_that_says_something_else_is_found(tmp_path, monkeypatch):
    for path in (SCRIPT, ASSIGNMENT):
        for each in (path, path.with_suffix(".ipynb")):
            (tmp_path / each.name).write_bytes(each.read_bytes())
    monkeypatch.setattr(make_notebook, "FOLDER", tmp_path)
    assert make_notebook.main(["--check"]) == 0
    with (tmp_path / ASSIGNMENT.name).open("a") as script:
        script.write("\n# %%\nprint(1)\n")
    assert make_notebook.main(["--check"]) == 1


@pytest.mark.parametrize(
    ("script", "title"),
    [(SCRIPT, "Smallest adversarial images"), (ASSIGNMENT, "An assignment about")],
)
def test_the_notebooks_code_compiles_and_its_text_is_no_comment(script, title):
    cells = make_notebook.notebook(script.read_text()).cells
    texts = [cell.source for cell in cells if cell.cell_type == "markdown"]
    assert texts[0].startswith(f"# {title}")
    assert not any(re.search(rf"^# (?!{title})", text, re.MULTILINE) for text in texts)
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    for source in code:
        compile(source, "cell", "exec")
    assert "".join(code).replace("\n", "") == re.sub(
        r"^# %% \[markdown\]\n(#.*\n)*|^# %%$|\n", "", script.read_text(), flags=re.MULTILINE
    )
    assert len({cell.id for cell in cells}) == len(cells)


def test_the_assignment_puts_out_what_its_notebook_holds():
    kept = ASSIGNMENT.with_suffix(".ipynb")
    assert kept.stat().st_size < 1e6
    before = _outputs(read(kept))
    after = _outputs(ran(make_notebook.notebook(ASSIGNMENT.read_text())))
    assert [kinds for kinds, _ in after] == [kinds for kinds, _ in before]
    assert sum(kinds.count("display_data") for kinds, _ in before) >= 7
    for (_, said), (_, written) in zip(after, before, strict=True):
        assert re.sub(NUMBER, "#", said).split() == re.sub(NUMBER, "#", written).split()
        assert [*map(float, re.findall(NUMBER, said))] == pytest.approx(
            [*map(float, re.findall(NUMBER, written))], rel=1e-3, abs=1e-3
        )


def _outputs(notebook):
    """Of each cell the kinds of its outputs, and what it printed that depends on no time."""
    cells = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    return [
        (
            [each.output_type for each in outputs],
            LIMITED.sub("", "".join(each.get("text", "") for each in outputs)),
        )
        for outputs in cells
    ]


def test_a_script_of_two_cells():
    made = make_notebook.notebook("# %% [markdown]\n# A\n#\n# b\n\n# %%\nx = 1\n")
    assert [cell.source for cell in made.cells] == ["A\n\nb", "x = 1"]


def test_the_readmes_python_runs_and_says_what_stands_below_it(capsys):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.findall(r"^```python\n(.*?)^```\n\n((?:    [^\n]*\n)+)", readme, re.M | re.S)
    assert len(found) == readme.count("```python") == 1
    for block, shown in found:
        space = {}
        exec(compile(block, "README.md", "exec"), space)
        said = capsys.readouterr().out
        assert re.sub(NUMBER, "#", said).split() == re.sub(NUMBER, "#", shown).split()
        assert [*map(float, re.findall(NUMBER, said))] == pytest.approx(
            [*map(float, re.findall(NUMBER, shown))], rel=1e-4
        )
        assert all(each.certified for each in (*space["nearest"], space["verdict"], space["worst"]))
