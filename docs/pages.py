"""A hook of MkDocs: files of the whole repository as one site.

Pages are written so that they read well in the repository: links are relative files, wherever
these lie. On the site

* ``CHANGELOG.md`` and others outside of ``docs/`` are pages (:data:`MOUNTED`);
* a line ``[words](../README.md#heading) <!-- include -->`` becomes that section of the README,
  which has one source so, and links to it lead to the page that holds it;
* every ``docs/*.ipynb`` is a page of the gallery (:mod:`gallery`);
* what else is linked (figures, rows) is copied; narrow figures stay narrow.

A link that leads nowhere stops the build.
"""

from __future__ import annotations

import itertools
import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pymdownx.slugs import slugify

import gallery

MOUNTED = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "julia/README.md": "julia.md",
}
"""Pages of the site by where they lie in the repository."""

README, HOME = "README.md", "index.md"

ABSENT = re.compile(r"LICENSE|docs/[^/]+\.py|(julia|python|tests)/.*")
"""What is linked for readers of the repository, as folders are; the site has the words alone."""

WHOLE = 2100
"""Pixels of a figure that is as wide as the text; letters of all are as many pixels high."""

GALLERY = "Gallery"
"""The entry of the navigation that notebooks are added to."""

_INCLUDE = re.compile(r"^\[[^\]]+\]\((?P<target>[^)]+)\) <!-- include -->$", re.MULTILINE)
_LINK = re.compile(r"(?P<text>!?\[(?:[^\[\]]|\[[^\]]*\])*\])\((?P<target>[^)\s]+)\)")
_FENCE = re.compile(r"^(```.*?^```|(?: {4}[^\n]*\n)+)", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^(?P<level>#+) (?P<words>[^\n]+)$", re.MULTILINE)

_slug = slugify(case="lower")
_origins: dict[str, str] = {}
"""Places in the repository of pages that lie elsewhere on the site."""
_included: dict[str, str] = {}
"""Page of each heading of the README that is included."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Notebooks stand in the navigation."""
    for entry in config.nav or []:
        for title, pages in entry.items():
            if title == GALLERY:
                pages += [gallery.uri(path) for path in _notebooks(config)]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what lies outside of the folder of documents, or has to be made."""
    root = _root(config)
    _origins.clear()
    _included.clear()
    for place, uri in MOUNTED.items():
        files.append(File.generated(config, uri, abs_src_path=str(root / place)))
        _origins[uri] = place
    for path in _notebooks(config):
        text, pictures = gallery.page(path)
        uri = gallery.uri(path)
        _origins[uri] = f"docs/{path.name}"
        folder = posixpath.dirname(uri)
        files.append(File.generated(config, uri, content=text))
        files.append(File.generated(config, f"{folder}/{path.name}", abs_src_path=str(path)))
        for name, data in pictures.items():
            files.append(File.generated(config, f"{folder}/{name}", content=data))
    for file in files.documentation_pages():
        for section, lies in parts(file.content_string, root / _folder(file), root):
            if lies != root / _folder(file):
                slugs = (_slug(found["words"], "-") for found in _HEADING.finditer(section))
                _included.update((slug, file.src_uri) for slug in slugs)
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Sections that are included, and links as the site has them."""
    root = _root(config)
    return "".join(
        _relinked(text, folder.relative_to(root).as_posix(), page, config, files)
        for text, folder in parts(markdown, root / _folder(page.file), root)
    )


def parts(markdown: str, folder: Path, root: Path) -> Iterator[tuple[str, Path]]:
    """The texts that a page is made of, each with the folder that its links are relative to.

    Args:
        markdown: the page.
        folder: where it lies.
        root: of the repository.
    """
    end = 0
    for found in _INCLUDE.finditer(markdown):
        name, _, slug = found["target"].partition("#")
        place = Path(os.path.normpath(folder / name))
        yield markdown[end : found.start()], folder
        yield _section(place.read_text("utf-8"), slug), place.parent
        end = found.end()
    yield markdown[end:], folder


def _section(text: str, slug: str) -> str:
    """A heading and what stands below it, to the next of its rank."""
    blank = _FENCE.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    headings = list(_HEADING.finditer(blank))
    for place, found in enumerate(headings):
        if _slug(found["words"], "-") == slug:
            rank = len(found["level"])
            later = (each.start() for each in headings[place + 1 :] if len(each["level"]) <= rank)
            return text[found.start() : next(later, len(text))].rstrip()
    raise PluginError(f"sections that are included: expected a heading for #{slug}, found none")


def _relinked(text: str, origin: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links as they are on the site; code is left alone."""
    root = _root(config)

    def link(found: re.Match[str]) -> str:
        path, hash_, slug = found["target"].partition("#")
        if not path or re.match(r"\w+:", path):
            return found[0]
        place = posixpath.normpath(posixpath.join(origin, path))
        uri = _uri(place, slug, config, files)
        if uri is None:
            return found["text"][1:-1]
        here = os.path.relpath(uri, posixpath.dirname(page.file.src_uri) or ".")
        shown = _width(root / place) if found["text"].startswith("!") else ""
        return f"{found['text']}({Path(here).as_posix()}{hash_}{slug}){shown}"

    ends = [0, *(end for found in _FENCE.finditer(text) for end in found.span()), len(text)]
    pieces = [text[start:end] for start, end in itertools.pairwise(ends)]
    return "".join(
        piece if number % 2 else _LINK.sub(link, piece) for number, piece in enumerate(pieces)
    )


def _width(path: Path) -> str:
    """What keeps the letters of a narrow figure as large as those of others."""
    if not path.is_file():  # made for the site
        return ""
    with path.open("rb") as file:
        width = int.from_bytes(file.read(20)[16:], "big")  # of a PNG file, whose header says it
    share = width / WHOLE
    return f'{{ width="{share:.0%}" }}' if path.suffix == ".png" and share < 1.0 else ""


def _uri(place: str, slug: str, config: MkDocsConfig, files: Files) -> str | None:
    """Where a file of the repository is on the site; None where it is not, and need not be."""
    if place == README:
        if not slug:
            return HOME
        if slug in _included:
            return _included[slug]
        raise PluginError(f"README.md#{slug}: expected a page that includes it, found none")
    if posixpath.dirname(place) == "docs" and place.endswith(".ipynb"):
        return gallery.uri(Path(place))
    if place in MOUNTED:
        return MOUNTED[place]
    path = _root(config) / place
    if ABSENT.fullmatch(place) or path.is_dir():
        return None
    if place.startswith("docs/"):
        return place.removeprefix("docs/")
    if not path.is_file():
        raise PluginError(f"{place}: expected a file that can be on the site, found none")
    if files.get_file_from_path(place) is None:
        files.append(File.generated(config, place, abs_src_path=str(path)))
    return place


def _folder(file: File) -> str:
    """The folder of a page in the repository."""
    return posixpath.dirname(_origins.get(file.src_uri, f"docs/{file.src_uri}"))


def _notebooks(config: MkDocsConfig) -> list[Path]:
    return sorted(Path(config.docs_dir).glob("*.ipynb"))


def _root(config: MkDocsConfig) -> Path:
    return Path(config.docs_dir).parent
