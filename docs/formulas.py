"""A hook of MkDocs: formulas become MathML when the site is built, so that they need no script."""

from __future__ import annotations

import html
import re

from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError
from mkdocs.structure.pages import Page

_FORMULA = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">\\[(\[](?P<tex>.*?)\\[)\]]</(?P=tag)>', re.DOTALL
)


def on_page_content(text: str, *, page: Page, **_: object) -> str:
    """Put MathML in place of TeX.

    Raises:
        PluginError: a formula cannot be read.
    """

    def drawn(found: re.Match[str]) -> str:
        tex, block = html.unescape(found["tex"]).strip(), found["tag"] == "div"
        try:
            formula: str = convert(tex, display="block" if block else "inline")
        except Exception as error:  # of many kinds
            raise PluginError(f"{page.file.src_uri}: expected a formula, found {tex!r}") from error
        return f'<div class="formula">{formula}</div>' if block else formula

    return _FORMULA.sub(drawn, text)
