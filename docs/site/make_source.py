"""Makes the source of the site: the pages of docs/ with links that hold there, and a reference that is made of the code.

    python docs/site/make_source.py build/docs         # then: mkdocs build --strict -f docs/site/mkdocs.yml   (`make docs`)

Nothing of it is kept: a page of the reference is as new as the code that it was made of.
"""

import re
import shutil
import sys
from pathlib import Path
from urllib.parse import quote

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT), str(HERE)]

import reference  # noqa: E402

DOCS = ROOT / "docs"
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changes.md",
    "benchmarks/README.md": "benchmarks.md",
}
"Files elsewhere that are pages of the site."
PLAIN = ("LICENSE", "CITATION.cff")
"Files that are shown as they are."
ASSETS = ("wide.css", "iframe-worker.js")
LINK = re.compile(r'(\]\(|src="|href=")([^)#"\s]+)(#[^)"\s]*)?(\)|")')


def make(target: Path) -> list[Path]:
    """Write all pages below a folder, which is emptied before; returns them."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    sources = {path: path.name for path in sorted(DOCS.glob("*.md"))} | {ROOT / name: to for name, to in PAGES.items()}
    for path, name in sources.items():
        (target / name).write_text(_moved(path.read_text(encoding="utf-8"), path, sources), encoding="utf-8")
    for name in PLAIN:
        text = (ROOT / name).read_text(encoding="utf-8")
        (target / f"{name.partition('.')[0].lower()}.md").write_text(f"# {name}\n\n```\n{text}```\n", encoding="utf-8")
    for path in sorted(DOCS.glob("*.ipynb")):
        (target / f"{path.stem}_notebook.md").write_text(reference.notebook_page(path), encoding="utf-8")
        shutil.copy(path, target / path.name)
    shutil.copytree(DOCS / "pictures", target / "pictures")
    for name in ASSETS:
        shutil.copy(HERE / name, target)
    for name, text in reference.pages().items():
        page = target / "reference" / name
        page.parent.mkdir(exist_ok=True)
        page.write_text(text, encoding="utf-8")
    return sorted(target.rglob("*.md"))


def _moved(text: str, source: Path, sources: dict[Path, str]) -> str:
    """A page whose links lead to the pages of the site; what is no page there is named as a file."""

    def link(match: re.Match[str]) -> str:
        begin, where, anchor, end = match[1], match[2], match[3] or "", match[4]
        if re.match(r"[a-z]+:", where):
            return match[0]
        path = (source.parent / where).resolve()
        if path in sources:
            return f"{begin}{sources[path]}{anchor}{end}"
        if path.suffix == ".ipynb":
            return f"{begin}{path.stem}_notebook.md{end}"
        if path.name in PLAIN:
            return f"{begin}{path.name.partition('.')[0].lower()}.md{end}"
        if path.is_relative_to(DOCS / "pictures"):
            return f"{begin}{quote(str(path.relative_to(DOCS)))}{end}"
        raise SystemExit(f"{source.relative_to(ROOT)}: {where} is no page of the site and no picture")

    parts = re.split(r"(^```.*?^```|`[^`\n]+`)", text, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if part.startswith("`") else LINK.sub(link, part) for part in parts)


if __name__ == "__main__":
    made = make(Path(sys.argv[1]))
    sys.stdout.write(f"{len(made)} pages in {sys.argv[1]}\n")
