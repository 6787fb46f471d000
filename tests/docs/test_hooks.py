"""What the hooks of the site make of Markdown and docstrings."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from mkdocs.exceptions import PluginError

import formulas
import pages
import roles

PAGE = SimpleNamespace(file=SimpleNamespace(src_uri="a.md"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (":func:`nearest`", "[`nearest`][reluopt.nearest]"),
        (":class:`~.ask.How`", "`How`"),
        (":mod:`reluopt.networks.writers`", "`reluopt.networks.writers`"),
        (":math:`n_0`", "$n_0$"),
        ("here::\n\n    import reluopt", "here:\n\n    import reluopt"),
        ("A.\n\nExample:\n    >>> 1", "A.\n\nExamples:\n    >>> 1"),
    ],
)
def test_docstrings_become_markdown(text, expected):
    assert roles.markdown(text) == expected


def test_formulas_become_mathml():
    text = formulas.on_page_content(
        r'<p><span class="arithmatex">\(a \le b\)</span></p>', page=PAGE
    )
    assert text.startswith("<p><math")
    assert "arithmatex" not in text


def test_sections_are_included_up_to_the_next_of_their_rank(tmp_path):
    readme = "# A\n\n## One?\n\ntext\n\n    # no heading\n\n### Part\n\nmore\n\n## Two\n"
    (tmp_path / "README.md").write_text(readme)
    (tmp_path / "docs").mkdir()
    text = "before\n\n[One?](../README.md#one) <!-- include -->\n\nafter\n"
    found = list(pages.parts(text, tmp_path / "docs", tmp_path))
    assert [part for part, _ in found] == [
        "before\n\n",
        "## One?\n\ntext\n\n    # no heading\n\n### Part\n\nmore",
        "\n\nafter\n",
    ]
    assert found[1][1] == Path(tmp_path)


def test_a_section_that_is_not_there_stops_the_build(tmp_path):
    (tmp_path / "README.md").write_text("# A\n")
    text = "[B](README.md#b) <!-- include -->\n"
    with pytest.raises(PluginError, match="expected a heading for #b"):
        list(pages.parts(text, tmp_path, tmp_path))


@pytest.mark.parametrize(
    ("pixels", "expected"), [(1050, '{ width="50%" }'), (2100, ""), (3000, "")]
)
def test_narrow_figures_stay_narrow(tmp_path, pixels, expected):
    header = b"\x89PNG\r\n\x1a\n" + (13).to_bytes(4, "big") + b"IHDR" + pixels.to_bytes(4, "big")
    (tmp_path / "a.png").write_bytes(header)
    assert pages._width(tmp_path / "a.png") == expected
