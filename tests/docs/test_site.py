"""The built site needs no other host, and its search works where pages are read as files."""

import os
import re
import shutil
import subprocess

import pytest

from harness.api.registry import ROOT

PYTHON = ROOT / ".venv-docs" / "bin" / "python"
pytestmark = pytest.mark.skipif(not PYTHON.is_file(), reason="mkdocs is not here: make docs")


@pytest.fixture(scope="module")
def site(source, tmp_path_factory):
    """The built site, without a single warning."""
    folder = tmp_path_factory.mktemp("built")
    settings = (ROOT / "docs" / "site" / "mkdocs.yml").read_text(encoding="utf-8")
    settings = settings.replace("../../build/docs", str(source)).replace("../../build/site", str(folder / "site"))
    (folder / "mkdocs.yml").write_text(settings, encoding="utf-8")
    command = [PYTHON, "-m", "mkdocs", "build", "--strict", "--config-file", folder / "mkdocs.yml"]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return folder / "site"


def test_pages_load_nothing_from_other_hosts(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 45
    for page in pages:
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r'<(?:script|img|link)[^>]+(?:src|href)="([^"]+)"', text)
        assert len(loaded) > 3
        assert [name for name in loaded if re.match(r"(https?:)?//", name)] == [], page
        if page.name != "404.html":  # whose links begin at the root of a server
            here = [name for name in loaded if not name.startswith("data:")]
            assert [name for name in here if not (page.parent / name.partition("?")[0]).exists()] == [], page


@pytest.mark.browser
def test_the_search_works_in_files(site):
    playwright = pytest.importorskip("playwright.sync_api")
    path = os.environ.get("XLIFT_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not path:
        pytest.skip("chromium is not here")
    asked = []
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: asked.append(f"error: {error}"))
        page.goto((site / "index.html").as_uri())
        page.keyboard.press("/")
        page.keyboard.type("lora_chain", delay=20)
        page.wait_for_selector(".md-search-result__item")
        found = [item.inner_text() for item in page.query_selector_all(".md-search-result__item")]
        browser.close()
    assert found[0].startswith("Adapters and weights in few bits")
    assert len(asked) > 5
    assert [url for url in asked if not url.startswith(("file:", "data:", "about:"))] == []
