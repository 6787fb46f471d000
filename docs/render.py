"""Write what README.md and docs/results.md tell of results: ``python docs/render.py [OPTION...]``.

Both documents hold markers, each on a line of its own::

    <!-- results: speed -->
    (rendered; do not edit)
    <!-- end results -->

What stands between them is a pure function of the files in ``figures/data`` (and, for accuracies
and sizes, of the bundled networks). A marker names one of:

* a study of :mod:`reluopt.studies`: what its template ``readme`` says;
* ``brief NAME...``: for each study named, its heading and first paragraph, with a link to the rest;
* ``picture NAME``: the first picture of a study, with its caption;
* ``speed``: :func:`speed.speed_section`;
* ``cost``: :func:`cost.cost_section`.

Links in rendered texts are relative to the folder of the README, and are rewritten for documents
that lie elsewhere. With ``--check`` nothing is written, and the exit code is 1 when a document is
not what its results say; ``--redraw`` first draws the published figures again from their rows.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cost import cost_section
from redraw import redraw_published
from reluopt.errors import InputError, ReluoptError
from reluopt.files import write_atomically
from reluopt.studies import STUDIES, load_study
from reluopt.studies.base import facts_path
from speed import fill, speed_section

DETAILS = Path("docs") / "results.md"
"""Where all results stand, relative to the folder of the README; that keeps a digest."""

BRIEF, PICTURE = "brief", "picture"

DIFFERENT, REFUSED = 1, 2
"""Exit codes: a document is not what its results say, and something is missing or wrong."""

_SECTIONS: dict[str, Callable[[Path], str]] = {"speed": speed_section, "cost": cost_section}

_START = re.compile(r"<!-- results: (?P<name>[^\n]*?) -->")
_END = "<!-- end results -->"
_LINK = re.compile(r"(?P<before>\]\()(?P<target>[^)\s:#][^)\s:]*)(?=\))")
_KEPT = re.compile(r"#|\||!\[|[-*+] |\d+\. |<|>|```| {4}|\n")
"""How blocks begin that are no paragraphs: headings, tables, pictures, lists, code."""

_SENTENCE_ENDS = ("?", "!", ".")

_HEADING = re.compile(r"^### (?P<text>.+)$", re.MULTILINE)


class AbsentResults(InputError):  # noqa: N818  (an InputError, named for what is wrong)
    """Results that a section is rendered from were not published."""


@dataclass(frozen=True)
class Document:
    """A document as it is and as it should be.

    Attributes:
        path: the file.
        old: its text.
        new: its text with all sections rendered.
        sections: names of its sections, in order.
        differing: those whose text is not what their results say.
    """

    path: Path
    old: str
    new: str
    sections: tuple[str, ...]
    differing: tuple[str, ...]


@dataclass
class Renderer:
    """Renders sections.

    Args:
        data: folder of published results, usually ``figures/data``.
        skip_absent: leave out what was not published, and note it in ``absent``, instead of
            raising.
    """

    data: Path
    skip_absent: bool = False
    absent: list[str] = field(default_factory=list)

    def section(self, name: str) -> str | None:
        """The Markdown of a section; None when its results are absent and may be.

        Raises:
            InputError: there is no such section.
            AbsentResults: its results were not published.
        """
        kind, *names = name.split() or [name]
        try:
            if kind == BRIEF and names:
                briefs = [self._brief(study) for study in names]
                return "\n".join(brief for brief in briefs if brief)
            if kind == PICTURE and len(names) == 1:
                return _picture(self._study(names[0]))
            if kind in _SECTIONS and not names:
                return _render(kind, _SECTIONS[kind], self.data)
            return self._study(name)
        except AbsentResults as error:
            self._skip(error)
            return None

    def _study(self, name: str) -> str:
        """What a study says."""
        if name not in STUDIES:
            known = [*_SECTIONS, *STUDIES, f"{BRIEF} NAME...", f"{PICTURE} NAME"]
            raise InputError(f"results: expected one of {', '.join(known)}, found {name!r}")
        if not facts_path(self.data, name).exists():
            raise AbsentResults(
                f"results of {name}: expected {facts_path(self.data, name)}, found no such file "
                f"(reluopt experiment {name} --full --figures {self.data.parent})"
            )
        return reflow(_render(name, load_study(name).readme, self.data))

    def _brief(self, name: str) -> str | None:
        """Heading and first paragraph of a study as an item of a list."""
        try:
            heading, lead = _lead(name, self._study(name))
        except AbsentResults as error:
            self._skip(error)
            return None
        link = f"[more]({DETAILS.as_posix()}#{_anchor(heading)})"
        title = heading if heading.endswith(_SENTENCE_ENDS) else f"{heading}."
        return fill(f"* **{title}** {lead} {link}", "  ")

    def _skip(self, error: AbsentResults) -> None:
        """Note what is absent, or raise."""
        if not self.skip_absent:
            raise error
        if str(error) not in self.absent:
            self.absent.append(str(error))


def render_documents(readme: Path, renderer: Renderer) -> list[Document]:
    """README and details with all sections rendered.

    Args:
        readme: the README; the details lie at :data:`DETAILS` beside it.
        renderer: where results come from.

    Raises:
        InputError: a file or a marker is missing, or a marker is unknown.
        AbsentResults: see :meth:`Renderer.section`.
    """
    root = readme.parent
    documents = [_render_document(path, root, renderer) for path in (readme, root / DETAILS)]
    present = {name for document in documents for name in document.sections}
    missing = next((name for name in [*STUDIES, *_SECTIONS] if name not in present), None)
    if missing is not None:
        raise InputError(
            f"{readme}: expected a marker <!-- results: {missing} --> there or in "
            f"{root / DETAILS}, found none"
        )
    return documents


def write_documents(documents: Sequence[Document]) -> list[Path]:
    """Write the documents that change; returns their paths."""
    changed = [document for document in documents if document.new != document.old]
    for document in changed:
        write_atomically(document.path, document.new.encode())
    return [document.path for document in changed]


def reflow(text: str) -> str:
    """Markdown with its paragraphs in lines of one width; everything else as it is."""
    blocks = text.strip().split("\n\n")
    return "\n\n".join(
        block if _KEPT.match(block) else fill(" ".join(block.split())) for block in blocks
    )


def _render_document(path: Path, root: Path, renderer: Renderer) -> Document:
    """One document, rendered section by section."""
    try:
        old = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: expected a document with results, found no such file") from None
    parts: list[str] = []
    names: list[str] = []
    differing: list[str] = []
    place = 0
    while (start := _START.search(old, place)) is not None:
        name, end = start["name"], old.find(_END, start.end())
        following = _START.search(old, start.end())
        if end < 0 or (following is not None and following.start() < end):
            raise InputError(f"{path}: expected '{_END}' after '{start[0]}', found none")
        text = renderer.section(name)
        inside = old[start.end() : end]
        if text is not None:
            inside = f"\n\n{_relink(text.strip(), root, path.parent)}\n\n" if text.strip() else "\n"
        if inside != old[start.end() : end]:
            differing.append(name)
        names.append(name)
        parts += [old[place : start.end()], inside]
        place = end
    if not names:
        raise InputError(f"{path}: expected markers <!-- results: NAME -->, found none")
    new = "".join([*parts, old[place:]])
    return Document(path, old, new, tuple(names), tuple(differing))


def _render(name: str, render: Callable[[Path], str], data: Path) -> str:
    """Render one section; what its files lack becomes one line."""
    try:
        return render(data)
    except FileNotFoundError as error:
        raise AbsentResults(
            f"results of {name}: expected {error.filename}, found no such file"
        ) from None
    except (KeyError, StopIteration) as error:
        raise InputError(
            f"results of {name}: expected {error} in its files in {data}, found nothing of it"
        ) from error


def _lead(name: str, text: str) -> tuple[str, str]:
    """Heading and first paragraph of a study's text."""
    heading, _, rest = text.strip().partition("\n\n")
    found = _HEADING.fullmatch(heading)
    if found is None or not rest:
        raise InputError(f"results of {name}: expected '### Heading' and text, found {heading!r}")
    return found["text"].strip(), " ".join(rest.partition("\n\n")[0].split())


def _picture(text: str) -> str:
    """The first picture of a study's text, with the caption that follows it."""
    paragraphs = text.strip().split("\n\n")
    for place, paragraph in enumerate(paragraphs):
        if paragraph.startswith("!["):
            caption = "".join(paragraphs[place + 1 : place + 2])
            is_caption = (
                caption.startswith("*") and caption.endswith("*") and caption[1] not in "* "
            )
            return f"{paragraph}\n\n{caption}" if is_caption else paragraph
    raise InputError(f"results: expected a picture, found none in {paragraphs[0]!r}")


def _anchor(heading: str) -> str:
    """How GitHub names a heading in links."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _relink(text: str, root: Path, folder: Path) -> str:
    """Links relative to ``root``, written for a document in ``folder``."""
    return _LINK.sub(
        lambda m: m["before"] + Path(os.path.relpath(root / m["target"], folder)).as_posix(), text
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(description="Results in README.md and docs/results.md.")
    parser.add_argument("--readme", type=Path, default=Path("README.md"))
    parser.add_argument("--data", type=Path, default=Path("figures/data"))
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--redraw", action="store_true")
    options = parser.parse_args(arguments)
    try:
        return _run(options.readme, options.data, check=options.check, redraw=options.redraw)
    except ReluoptError as error:
        _say(f"error: {error}")
        return REFUSED


def _run(readme: Path, data: Path, *, check: bool, redraw: bool) -> int:
    """Draw, then compare or write."""
    if redraw and check:
        raise InputError("--redraw: expected without --check, which writes nothing, found both")
    if redraw:
        for path in redraw_published(data.parent):
            _say(f"drew {path}")
    renderer = Renderer(data, skip_absent=not check)
    documents = render_documents(readme, renderer)
    if check:
        different = [(d.path, name) for d in documents for name in d.differing]
        for path, name in different:
            _say(f"{path}: results: {name}: not what {data} says (make docs writes it)")
        return DIFFERENT if different else 0
    for message in renderer.absent:
        _say(f"skipped: {message}")
    for path in write_documents(documents):
        _say(f"wrote {path}")
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
