"""Licence, changes and citation say the same as the code."""

import configparser
import re

import yaml

from harness import __version__
from harness.api.registry import ROOT
from harness.runtime.stages import VERSIONS


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_licence_is_the_one_that_the_package_names():
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    assert settings["metadata"]["license"] == yaml.safe_load(text("CITATION.cff"))["license"] == "Apache-2.0"
    assert "Apache License\n                           Version 2.0, January 2004" in text("LICENSE")
    assert "END OF TERMS AND CONDITIONS" in text("LICENSE")


def test_citation_and_changes_are_of_this_version():
    citation = yaml.safe_load(text("CITATION.cff"))
    assert citation["version"] == __version__
    assert citation["authors"] == [{"name": "The xlift developers"}]
    newest = re.search(r"^## (\S+?),", text("CHANGELOG.md"), re.MULTILINE)
    assert newest
    assert newest[1] == __version__


def test_changes_say_whether_scores_move_and_which_versions_stages_have():
    changes = text("CHANGELOG.md")
    rows = [line for line in changes.splitlines() if line.startswith("| ") and not line.startswith("| change")]
    assert len(rows) > 10
    assert [row for row in rows if "move" not in row.split(" | ")[-1]] == []
    assert ", ".join(f"`{verb} {version}`" for verb, version in VERSIONS.items()) in changes


def test_the_makefile_lists_what_contributing_names():
    targets = set(re.findall(r"^([a-z-]+):.*  ## ", text("Makefile"), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", text("CONTRIBUTING.md") + text("README.md"), re.MULTILINE))
    assert len(named) > 3
    assert named <= targets
