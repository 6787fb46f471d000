"""The site builds without a warning, its links lead somewhere, and all it needs is its own."""

import os
import posixpath
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import reluopt

ROOT = Path(__file__).parents[2]
LOADED = {"img": "src", "script": "src", "link": "href", "iframe": "src", "source": "src"}
"""What a browser loads by itself. A link's `rel` may make it one of those that it does not."""


class _Page(HTMLParser):
    """Links, anchors and loaded files of a page."""

    def __init__(self, text):
        super().__init__()
        self.links, self.anchors, self.loaded = [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        if found.get(LOADED.get(tag)) and found.get("rel") not in ("canonical", "prev", "next"):
            self.loaded.append(found[LOADED[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site by what `make docs` calls."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return folder


@pytest.fixture(scope="module")
def pages(site):
    paths = sorted(site.rglob("*.html"))
    return {path.relative_to(site).as_posix(): _Page(path.read_text()) for path in paths}


def test_links_and_anchors_are_there(site, pages):
    count = 0
    for name, page in pages.items():
        for link in [*page.links, *page.loaded]:
            parts = urlsplit(link)
            if parts.scheme or name == "404.html":  # whose links begin at the root
                continue
            path = posixpath.normpath(posixpath.join(posixpath.dirname(name), unquote(parts.path)))
            place = path if parts.path else name
            assert (site / place).is_file(), f"{name}: {link}"
            if parts.fragment and place in pages:
                assert unquote(parts.fragment) in pages[place].anchors, f"{name}: {link}"
            count += 1
    assert count > 1000


def test_nothing_is_loaded_from_elsewhere(site, pages):
    for name, page in pages.items():
        assert [each for each in page.loaded if urlsplit(each).netloc] == [], name
        assert "arithmatex" not in (site / name).read_text(), f"{name}: a formula for a script"
    for path in site.rglob("*.css"):
        assert re.findall(r"(?:@import|url\()\s*['\"]?(?:https?:)?//", path.read_text()) == []


@pytest.mark.parametrize("name", reluopt.__all__)
def test_every_public_name_has_an_entry(pages, name):
    entries = [page for page, found in pages.items() if f"reluopt.{name}" in found.anchors]
    assert len(entries) == 1
    assert entries[0].startswith("reference/")


def test_docstrings_leave_no_marks_of_another_language(site):
    for path in (site / "reference").glob("*.html"):
        text = re.sub(r"<pre.*?</pre>", "", path.read_text(), flags=re.S)
        assert re.findall(r":(?:func|class|meth|attr|mod|data|math):", text) == [], path.name


def test_every_notebook_is_a_page(pages):
    for path in (ROOT / "docs").glob("*.ipynb"):
        assert f"gallery/{path.stem}.html" in pages
        assert any(link.endswith(f"gallery/{path.stem}.html") for link in pages["index.html"].links)


def test_formulas_need_no_script(site):
    assert (site / "concepts.html").read_text().count("<math") >= 8
