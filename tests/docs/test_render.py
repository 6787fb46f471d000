"""The documents say what the published files say, and nothing else."""

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

import cost
import render
from reluopt.errors import InputError
from reluopt.runs.tables import DASH
from reluopt.studies.base import facts_path, read_facts
from render import AbsentResults, Renderer, main, render_documents, write_documents

ROOT = Path(__file__).parents[2]
DATA = ROOT / "figures" / "data"
DOCUMENTS = [
    path.relative_to(ROOT).as_posix() for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
]
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")


def test_the_committed_documents_say_what_the_committed_results_say():
    documents = render_documents(ROOT / "README.md", Renderer(DATA))
    for document in documents:
        assert document.differing == (), "run: make docs"
        assert document.new == document.old


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name):
    document = ROOT / name
    for path, anchor in LINK.findall(document.read_text()):
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), f"{name}: {path}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
            assert anchor in [render._anchor(heading) for heading in headings], f"{name}: {anchor}"


def _study(name):
    def say(data):
        value = read_facts(data, name)["value"]
        return (
            f"### About {name}: 0 to 100 %\n\nThe value is {value},\nmeasured.\n\n"
            f"![a picture](figures/{name}.png)\n\n*Caption {value}.*\n\n"
            f"[rows](figures/data/{name}.csv)"
        )

    return SimpleNamespace(readme=say)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A small project with two studies of its own."""
    for module in (render, cost):
        monkeypatch.setattr(module, "STUDIES", {"one": "the first", "two": "the second"})
    monkeypatch.setattr(render, "load_study", _study)
    monkeypatch.setattr(render, "_SECTIONS", {"cost": cost.cost_section})
    data = tmp_path / "figures" / "data"
    data.mkdir(parents=True)
    for name, value in (("one", 1111), ("two", 2222)):
        facts_path(data, name).write_text(json.dumps({"value": value}))
    record = {
        "command": "reluopt reproduce --full",
        "machine": {"processor": "Some CPU", "cores": 2, "python": "3.11.7"},
        "seconds": {"one": 59.0, "two": 7260.0},
        "rows": {"one": 10, "two": 20000},
    }
    (data / "reproduce.json").write_text(json.dumps(record))
    _write(tmp_path, ["brief one two", "picture two"], ["one", "two", "cost"])
    return tmp_path


def _write(root, names, details):
    for path, sections in ((root / "README.md", names), (root / "docs" / "results.md", details)):
        path.parent.mkdir(exist_ok=True)
        blocks = [f"<!-- results: {name} -->\n<!-- end results -->\n" for name in sections]
        path.write_text("\n".join(["Before.\n", *blocks, "After.\n"]))


def _run(project, *options):
    data = project / "figures" / "data"
    return main(["--readme", str(project / "README.md"), "--data", str(data), *options])


def _texts(project):
    return [(project / name).read_text() for name in ("README.md", "docs/results.md")]


def test_documents_are_written_once_and_agree(project, capsys):
    assert _run(project, "--check") == 1
    assert _run(project) == 0
    assert _run(project, "--check") == 0
    before = _texts(project)
    capsys.readouterr()
    assert _run(project) == 0
    assert "wrote" not in capsys.readouterr().err
    assert _texts(project) == before
    main_text, details = before
    assert main_text.startswith("Before.")
    assert details.endswith("After.\n")
    assert (
        "* **About one: 0 to 100 %.** The value is 1111, measured.\n"
        "  [more](docs/results.md#about-one-0-to-100-)\n* **About two"
    ) in main_text
    assert "![a picture](figures/two.png)\n\n*Caption 2222.*\n\n<!-- end" in main_text
    assert "[rows](../figures/data/one.csv)" in details
    assert "took 2 h 02 min on 2 cores" in details
    assert "| `two` | the second | 20,000 | 2 h 01 min |" in details


def test_a_heading_that_asks_gets_no_full_stop(project, monkeypatch):
    def ask(data):
        return "### Which of them?\n\nThis one.\n"

    monkeypatch.setattr(render, "load_study", lambda name: SimpleNamespace(readme=ask))
    brief = render.Renderer(project / "figures" / "data").section("brief one")
    assert brief == "* **Which of them?** This one. [more](docs/results.md#which-of-them)"


def test_one_changed_number_is_found(project, capsys):
    _run(project)
    facts_path(project / "figures" / "data", "two").write_text(json.dumps({"value": 2323}))
    capsys.readouterr()
    assert _run(project, "--check") == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 3
    for name in ("README.md: results: brief one two", "README.md: results: picture two",
                 "results.md: results: two"):  # fmt: skip
        assert name in said
    before = _texts(project)
    assert _run(project) == 0
    assert _texts(project) == [text.replace("2222", "2323") for text in before]


def test_one_changed_number_of_a_real_benchmark_is_found(tmp_path):
    for name in ("README.md", "docs/results.md", "figures/data"):
        target = tmp_path / name
        target.parent.mkdir(exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, target)
    rows = tmp_path / "figures" / "data" / "bench-l1.csv"
    text = rows.read_text()
    line = next(line for line in text.splitlines() if line.startswith("thesis test:101 gurobi"))
    rows.write_text(text.replace(line, line.replace(",35.67", ",95.67")))
    renderer = Renderer(tmp_path / "figures" / "data", skip_absent=True)
    documents = render_documents(tmp_path / "README.md", renderer)
    assert "speed" in documents[0].differing
    assert "3.4 s, 96 s" in documents[0].new


def test_an_edit_by_hand_is_found(project):
    _run(project)
    path = project / "docs" / "results.md"
    path.write_text(path.read_text().replace("The value is 1111", "The value is 1110"))
    assert _run(project, "--check") == 1


def test_absent_results_are_left_as_they_are_or_refused(project, capsys):
    _run(project)
    before = _texts(project)
    facts_path(project / "figures" / "data", "one").unlink()
    (project / "figures" / "data" / "reproduce.json").unlink()
    capsys.readouterr()
    assert _run(project, "--check") == 2
    assert "expected" in (said := capsys.readouterr().err)
    assert "one.json, found no such file (reluopt experiment one --full" in said
    assert said.count("\n") == 1
    assert _run(project) == 0
    said = capsys.readouterr().err
    assert said.count("skipped: results of one") == 1
    assert "skipped: results of cost" in said
    now = _texts(project)
    assert now[1] == before[1]
    assert "About one" not in now[0]
    assert "About two" in now[0]


def test_facts_that_lack_an_entry_are_refused(project):
    data = project / "figures" / "data"
    facts_path(data, "one").write_text("{}")
    with pytest.raises(InputError, match="results of one: expected 'value' in its files"):
        Renderer(data).section("one")
    with pytest.raises(AbsentResults, match="results of two"):
        Renderer(data / "elsewhere").section("two")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing", "expected markers <!-- results: NAME -->, found none"),
        ("<!-- results: one -->\n", "expected '<!-- end results -->' after '<!-- results: one"),
        (
            "<!-- results: one -->\n<!-- results: two -->\n<!-- end results -->\n",
            "after '<!-- results: one -->', found none",
        ),
        ("<!-- results: three -->\n<!-- end results -->\n", "brief NAME..., .* found 'three'"),
        ("<!-- results: one two -->\n<!-- end results -->\n", "found 'one two'"),
        ("<!-- results: brief three -->\n<!-- end results -->\n", "found 'three'"),
        ("<!-- results:  -->\n<!-- end results -->\n", "found ''"),
    ],
)
def test_markers_that_cannot_be_meant_are_refused(project, text, message):
    (project / "README.md").write_text(text)
    before = _texts(project)
    with pytest.raises(InputError, match=message):
        render_documents(project / "README.md", Renderer(project / "figures" / "data"))
    assert _run(project) == 2
    assert _texts(project) == before


def test_a_section_that_stands_nowhere_is_missed(project):
    _write(project, ["brief one two"], ["one", "two"])
    with pytest.raises(InputError, match=r"marker <!-- results: cost --> there or in .*results.md"):
        render_documents(project / "README.md", Renderer(project / "figures" / "data"))


def test_a_missing_document_is_named(project, capsys):
    (project / "docs" / "results.md").unlink()
    assert _run(project) == 2
    assert "results.md: expected a document with results" in capsys.readouterr().err


def test_only_paragraphs_are_reflowed():
    kept = ["### Heading", "| a | b |\n| --- | --- |", "![alt\ntext](x.png)", "* one\n* two",
            "    code \\\n      more"]  # fmt: skip
    text = "\n\n".join([*kept, "*A caption\nin two lines.*", "word " * 30])
    blocks = render.reflow(text).split("\n\n")
    assert blocks[:5] == kept
    assert blocks[5] == "*A caption in two lines.*"
    assert [len(line.split()) for line in blocks[6].splitlines()] == [20, 10]


def test_nothing_is_written_where_nothing_changes(project):
    _run(project)
    documents = render_documents(project / "README.md", Renderer(project / "figures" / "data"))
    assert write_documents(documents) == []


def test_what_the_record_lacks_is_estimated(project, monkeypatch):
    data = project / "figures" / "data"
    monkeypatch.setattr(cost, "load_study", lambda _name: SimpleNamespace(minutes=70.0))
    assert "*About*" not in cost.cost_section(data)
    record = json.loads((data / "reproduce.json").read_text())
    del record["seconds"]["two"]
    (data / "reproduce.json").write_text(json.dumps(record))
    text = cost.cost_section(data)
    assert "| `one` | the first | 10 | 59 s |" in text
    assert f"| `two` | the second | {DASH} | about 1 h 10 min |" in text
    assert "took 59 s" in text
    assert "*About*: the study was added since" in text
