"""A notebook is run, kept, and shown with what it says and draws."""

import json

import pytest

import gallery

PRINTS, DRAWS, RETURNS = (
    'print("six")',
    "from IPython.display import Image, display\nimport base64\n"
    'display(Image(base64.b64decode("iVBORw0KGgo=")))',
    "1 + 1",
)


def _notebook(path, *code):
    cells = [{"cell_type": "markdown", "id": "a", "metadata": {}, "source": "# Title\n\nWords."}]
    cells += [
        {
            "cell_type": "code",
            "id": f"b{number}",
            "metadata": {},
            "source": each,
            "outputs": [],
            "execution_count": None,
        }
        for number, each in enumerate(code)
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    content = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4}
    path.write_text(json.dumps({**content, "nbformat_minor": 5}))
    return path


@pytest.fixture
def place(tmp_path):
    return _notebook(tmp_path / "toy.ipynb", PRINTS, DRAWS, RETURNS), tmp_path / "kept"


def test_a_notebook_that_ran_is_shown_with_its_outputs(place):
    path, kept = place
    gallery.run(path, kept)
    text, pictures = gallery.page(path, kept)
    assert text.startswith("# Title\n\n[The notebook](gallery/toy.ipynb)\n\nWords.")
    assert f"```python\n{PRINTS}\n```\n\n```text\nsix\n```" in text
    assert "```text\n2\n```" in text
    assert pictures == {"toy-2-0.png": b"\x89PNG\r\n\x1a\n"}
    assert "(gallery/toy-2-0.png)" in text
    assert gallery.NOT_RUN not in text
    assert path.read_text().count('"outputs": []') == 3, "the notebook itself stays as it is"


def test_outputs_that_a_notebook_holds_are_shown_without_running_it(place, monkeypatch):
    path, kept = place
    gallery.run(path, kept).rename(path)
    monkeypatch.setattr(gallery, "FOLDER", path.parent)
    monkeypatch.setattr(gallery, "run", None)
    assert gallery.main(["--again"]) == 0
    text, pictures = gallery.page(path, kept)
    assert "```text\nsix\n```" in text
    assert len(pictures) == 1
    assert gallery.NOT_RUN not in text


def test_outputs_of_other_cells_are_not_shown(place):
    path, kept = place
    gallery.run(path, kept)
    _notebook(path, 'print("seven")')
    text, pictures = gallery.page(path, kept)
    assert gallery.NOT_RUN in text
    assert "seven" in text
    assert ("six" in text, pictures) == (False, {})


def test_a_cell_that_fails_stops_the_build(tmp_path):
    from nbclient.exceptions import CellExecutionError

    with pytest.raises(CellExecutionError, match="nothing here"):
        gallery.run(_notebook(tmp_path / "bad.ipynb", 'raise ValueError("nothing here")'), tmp_path)
