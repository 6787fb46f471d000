"""CITATION.cff holds what version 1.2.0 of its format asks for, and this version of reluopt."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
KNOWN = {
    *("cff-version", "message", "title", "authors", "type", "version", "license", "keywords"),
    *("abstract", "references", "date-released", "doi", "url", "repository-code"),
}


def _citation():
    return yaml.safe_load((ROOT / "CITATION.cff").read_text())


def test_the_citation_is_of_this_version():
    citation = _citation()
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    assert citation["title"].startswith(PROJECT["name"])
    bibtex = (ROOT / "docs" / "cite.md").read_text()
    assert f"version = {{{PROJECT['version']}}}" in bibtex


def test_the_citation_has_what_the_format_asks_for():
    citation = _citation()
    assert set(citation) <= KNOWN
    assert isinstance(citation["message"], str)
    for each in [citation, *citation["references"]]:
        assert each["title"]
        assert len(each["authors"]) > 0
        assert all("name" in author or "family-names" in author for author in each["authors"])
    for each in citation["references"]:
        assert re.fullmatch(r"10\.\d{4,9}/\S+", each["doi"])
