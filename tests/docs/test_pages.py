"""Pages lead where they say: every link and anchor resolves, every page is in the site's table of contents."""

import re

import pytest
import yaml

from harness.api.registry import ROOT

PAGES = sorted([*(ROOT / "docs").glob("*.md"), *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"))])
LINK = re.compile(r'\]\(([^)\s]+)\)|(?:src|href)="([^"]+)"')
CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.MULTILINE | re.DOTALL)


def links(path):
    text = CODE.sub("", path.read_text(encoding="utf-8"))
    return [first or second for first, second in LINK.findall(text)]


def anchors(path):
    """The anchors of a page's headings, as GitHub and mkdocs make them."""
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_link_resolves(path):
    wrong = []
    for link in links(path):
        where, _, anchor = link.partition("#")
        if re.match(r"(https|mailto):", where):
            continue
        target = (path.parent / where).resolve() if where else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            wrong.append(link)
    assert wrong == []


def test_there_are_links_to_look_at():
    assert sum(len(links(path)) for path in PAGES) > 60


def test_the_readme_is_for_newcomers_and_leads_to_every_page():
    readme = ROOT / "README.md"
    assert len(readme.read_text(encoding="utf-8").splitlines()) < 90
    assert {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")} <= set(links(readme))


def test_files_that_texts_of_the_program_name_are_there():
    named = set()
    for room in ("harness", "models", "run_eval.py"):
        for path in [ROOT / room] if room.endswith(".py") else (ROOT / room).rglob("*.py"):
            named |= set(re.findall(r"(?<![\w/])docs/[\w/]+\.\w+", path.read_text(encoding="utf-8")))
    assert len(named) > 5
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_page_is_in_the_table_of_contents_and_every_link_of_the_site_resolves(source):
    settings = yaml.safe_load((ROOT / "docs" / "site" / "mkdocs.yml").read_text(encoding="utf-8"))
    listed = re.findall(r"[\w/]+\.md", str(settings["nav"]))
    pages = {str(path.relative_to(source)) for path in source.rglob("*.md")}
    assert len(pages) > 45
    assert sorted(listed) == sorted(pages)
    for path in source.rglob("*.md"):
        for link in links(path):
            where = link.partition("#")[0]
            if where and not re.match(r"(https|mailto):", where):
                assert (path.parent / where).exists(), f"{path.name}: {link}"


def test_the_reference_has_every_flag_key_call_metric_and_task(source):
    from harness.api.registry import COMMANDS, METRICS
    from harness.commands._parser import parser_of
    from harness.planning.catalog.catalog import Catalog
    from harness.planning.catalog.editor_schemas import MADE
    from harness.planning.catalog.kinds import KINDS
    from harness.specs.model import field_docs

    pages = {path.stem: path.read_text(encoding="utf-8") for path in (source / "reference").glob("*.md")}
    for command in COMMANDS.names():
        section = re.split(rf"\n## (?:{'|'.join(COMMANDS.names())})\n", pages["commands"].split(f"\n## {command}\n")[1])[0]
        flags = [flag for action in parser_of(command).actions() for flag in action.option_strings]
        assert [flag for flag in flags if f"{flag}" not in section] == []
    for kind, model in KINDS.items():
        keys = set(model.model_fields) - set(MADE)
        assert [key for key in keys if f"\n| `{key}` |" not in pages[f"yaml_{kind}"]] == []
        assert set(field_docs(model)) >= keys
    assert [name for name in METRICS.names() if f"\n## {name}\n" not in pages["metrics"]] == []
    catalog = Catalog()
    for name in catalog.names("task"):
        assert f"\n## {name}\n" in pages["tasks"]
        licence = catalog.task(name).spec.licence
        assert not licence or f"| licence | {licence[:10]}" in pages["tasks"]
    assert [name for name in catalog.names("preset") if f"\n## {name}\n" not in pages["backbones"]] == []
    assert "| `quiet` | `bool` | False: say on stderr what the command says;" in pages["python"]
    assert "## evaluate\n\n```python\nevaluate(model: str | Iterable[str] | os.PathLike[str], tasks:" in pages["python"]
