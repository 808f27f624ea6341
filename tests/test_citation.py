"""The file that says how the project is cited, CITATION.cff."""

from __future__ import annotations

import tomllib
from pathlib import Path

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]


def test_the_citation_is_of_this_version_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = YAML(typ="safe").load((ROOT / "CITATION.cff").read_text())
    about = {"cff-version": "1.2.0", "title": project["name"], "version": project["version"]}
    assert citation.items() >= (about | {"license": project["license"]}).items()
    # What the format asks for besides.
    assert citation["message"]
    assert [set(author) for author in citation["authors"]] == [{"name"}]
