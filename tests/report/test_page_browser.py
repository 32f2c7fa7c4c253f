"""The page in a real browser: a silent console, filters, sorting, keyboard and colours that work, no serious fault by axe-core.

make test-browser                      # installs what the test needs besides chromium
XLIFT_CHROMIUM=/path/to/chromium pytest -m browser tests/report/test_page_browser.py
"""

import json
import os
import shutil

import pytest
from made_up_boards import made_up_board, made_up_study

from harness.report.page.examples import ShownExamples
from harness.report.page.page import page, write_page

pytestmark = pytest.mark.browser
TASKS = {"xnli": ["en", "de", "sw", "th"], "panx": ["en", "de", "ja"]}
SERIOUS = ("serious", "critical")
WIDTHS = {"desk": (1400, 900), "phone": (390, 844)}


def lacking(reason):
    if os.environ.get("XLIFT_REQUIRE_BROWSER"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def browser():
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        lacking("the package playwright is not here (make test-browser installs it)")
    path = os.environ.get("XLIFT_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not path:
        lacking("chromium is not here (Debian: apt-get install chromium), and $XLIFT_CHROMIUM names none")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A page with everything: a study, two models, lifts, seeds, a missing score, curves, examples."""
    folder = tmp_path_factory.mktemp("run")
    study = made_up_study(backbones={"small": 1e7, "middle": 1e8, "large": 1e9}, settings=["mnli", "squad"], targets=TASKS)
    (folder / "study.json").write_text(json.dumps(study), encoding="utf-8")
    board = made_up_board(models=["small", "large"], settings=["none", "mnli", "squad"], tasks=TASKS, seeds=(1, 2))
    own = {"model": "large", "intermediate": "mnli", "task": "panx", "lang": "th", "seed": 1, "recipe": "quick"}
    board["missing"] = [{**own, "route": "head", "limit": None, "reason": "the files are not here"}]
    for name in [name for name in board["stages"] if name.startswith("train/")]:
        (folder / name).mkdir(parents=True)
        lines = [{"step": n, "loss": 2 - n / 100} for n in range(1, 101)] + [{"step": 100, "english_score": 81.0}]
        (folder / name / "log.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    shown = ShownExamples()
    item = {
        "id": "7",
        "texts": {"text": "</script><b>bold</b>"},
        "prompts": ["Is it </script><i>so</i>?"],
        "gold": "yes",
        "prediction": "no",
        "right": False,
        "notes": ["cut"],
    }
    shown.entries.append({"items": [item]})
    shown.numbers = {row["stages"]["predict"]: 0 for row in board["rows"]}
    path = folder / "report.html"
    write_page(page(board, [folder], examples=shown), path)
    return path


@pytest.fixture
def opened(browser, report):
    """Opens the page in a width and a colour scheme; what the console said, and what was asked of a network, must be nothing."""
    said, contexts = [], []

    def open_(width="desk", scheme="light"):
        w, h = WIDTHS[width]
        context = browser.new_context(viewport={"width": w, "height": h}, color_scheme=scheme, reduced_motion="reduce")
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("request", lambda request: said.append(request.url) if not request.url.startswith("file:") else None)
        tab.goto(report.as_uri())
        return tab

    yield open_
    for context in contexts:
        context.close()
    assert said == []


def draw_all(tab):
    """Bring every chart into view, and wait until it is drawn."""
    figures = tab.locator("figure.chart")
    for number in range(figures.count()):
        figures.nth(number).scroll_into_view_if_needed()
        tab.wait_for_function("n => document.querySelectorAll('figure.chart')[n].dataset.drawn", arg=number)
    return figures.count()


def choose(tab, name, value):
    tab.locator(f"#filters select[name={name}]").select_option(value)


def heat_texts(tab):
    return tab.locator("#heat tbody th").all_inner_texts()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_fault_is_found_and_nothing_is_wider_than_the_screen(opened, width, scheme):
    try:
        from axe_playwright_python.sync_playwright import Axe
    except ImportError:
        lacking("the package axe-playwright-python is not here (make test-browser installs it)")
    tab = opened(width, scheme)
    assert draw_all(tab) == 7
    assert tab.evaluate("document.documentElement.scrollWidth") == WIDTHS[width][0]
    tab.locator("details").evaluate_all("all => all.forEach(one => { one.open = true })")
    assert _serious(Axe().run(tab)) == []
    tab.locator("#heat td[data-key]").first.click()
    assert _serious(Axe().run(tab)) == []


def _serious(found):
    return [
        (fault["id"], fault["nodes"][0]["html"][:200]) for fault in found.response["violations"] if fault["impact"] in SERIOUS
    ]


def test_axe_finds_a_fault_that_is_there(opened):
    from axe_playwright_python.sync_playwright import Axe

    tab = opened()
    tab.evaluate(
        "document.body.insertAdjacentHTML('beforeend', '<p style=\"color:#ddd;background:#fff\">faint</p><select></select>')"
    )
    assert {fault for fault, _ in _serious(Axe().run(tab))} == {"color-contrast", "select-name"}


def test_filters_choose_languages_tasks_models_and_settings(opened):
    tab = opened()
    assert heat_texts(tab) == ["English (en)", "German (de)", "Swahili (sw)", "Thai (th)", "Japanese (ja)"]
    choose(tab, "family", "Indo-European")
    assert heat_texts(tab) == ["English (en)", "German (de)"]
    choose(tab, "family", "")
    choose(tab, "script", "Thai")
    assert heat_texts(tab) == ["Thai (th)"]
    choose(tab, "script", "")
    choose(tab, "task", "panx")
    choose(tab, "model", "large")
    choose(tab, "setting", "mnli")
    assert heat_texts(tab) == ["English (en)", "German (de)", "Thai (th)", "Japanese (ja)"]
    assert tab.locator("#heat td.missing").count() == 1
    assert tab.locator("#cells-count").inner_text() == "3 cells, 1 missing score"
    tab.locator("#filters input").fill("jap")
    tab.wait_for_function("document.querySelectorAll('#heat tbody tr').length === 1")
    assert heat_texts(tab) == ["Japanese (ja)"]
    tab.locator("#filters input").fill("nothing of the sort")
    tab.wait_for_function("document.querySelectorAll('#heat tbody tr').length === 0")
    assert "No cell passes these filters." in tab.locator("#heat").inner_text()


def test_the_heat_map_is_sorted_by_any_column(opened):
    tab = opened()
    choose(tab, "measure", "lift")
    button = tab.locator("#heat button[data-sort='mean']")
    button.click()
    numbers = [float(text) for text in tab.locator("#heat tbody td:last-child").all_inner_texts()]
    assert len(numbers) == 5
    assert numbers == sorted(numbers, reverse=True)
    tab.locator("#heat button[data-sort='mean']").click()
    numbers = [float(text) for text in tab.locator("#heat tbody td:last-child").all_inner_texts()]
    assert numbers == sorted(numbers)
    assert tab.locator("#heat th[aria-sort=ascending]").count() == 1
    tab.locator("#heat button[data-sort='name']").click()
    assert heat_texts(tab)[0] == "English (en)"
    assert heat_texts(tab)[-1] == "Thai (th)"


def test_a_cell_opens_its_provenance_by_mouse_and_by_keyboard(opened):
    tab = opened()
    first = tab.locator("#heat tbody td").first
    first.focus()
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("Enter")
    dialog = tab.locator("dialog[open]")
    assert dialog.locator("h2").inner_text() == "xnli, German (de), Indo-European, Latn: small + mnli"
    text = dialog.inner_text()
    for words in ("Mean of 2 training seeds (1, 2)", "Lift", "Seed 1:", "Seed 2:"):
        assert words in text
    dialog.locator("summary").first.click()
    text = dialog.inner_text()
    for words in (
        "3, scored as wrong",
        "7 examples (210 tokens not seen)",
        "no label in the answer: 2",
        "of 500 items",
        "gold",
        "✗",
    ):
        assert words in text
    assert "</script><b>bold</b>" in text
    assert dialog.locator("b").count() == 0
    tab.keyboard.press("Escape")
    assert tab.locator("dialog[open]").count() == 0
    key = tab.locator("#heat tbody tr").nth(1).locator("td").nth(1).get_attribute("data-key")
    assert tab.evaluate("document.activeElement.dataset.key") == key
    choose(tab, "task", "panx")
    tab.locator("#heat td.missing").click()
    assert "the files are not here" in tab.locator("dialog[open]").inner_text()


def test_the_list_is_sorted_and_opens_cells(opened):
    tab = opened()
    tab.locator("#list > summary").click()
    tab.locator("#cell-list button[data-column='4']").click()
    scores = [float(text.split()[0]) for text in tab.locator("#cell-list tbody td:nth-child(5)").all_inner_texts()]
    assert len(scores) == 42
    assert scores == sorted(scores, reverse=True)
    tab.locator("#cell-list tbody button").first.press("Enter")
    assert f"Score {scores[0]:.1f}" in tab.locator("dialog[open]").inner_text()


def test_the_board_is_searched_and_sorted(opened):
    tab = opened()
    rows = tab.locator("#scores-table tbody tr:visible")
    assert rows.count() == 6
    search = tab.locator("input[data-searches=scores-table]")
    search.fill("large squad")
    assert rows.count() == 1
    search.fill("panx")
    assert rows.count() == 6
    assert tab.locator("#scores-table thead th:visible").all_inner_texts()[-1] == "panx"
    assert tab.locator("#scores-table thead th:visible").count() == 4
    search.fill("")
    tab.locator("#scores-table thead button", has_text="xnli").click()
    scores = [float(text.split()[0]) for text in tab.locator("#scores-table tbody td:nth-child(4)").all_inner_texts()]
    assert scores == sorted(scores, reverse=True)


def test_the_button_switches_colours_and_the_choice_is_kept(opened):
    tab = opened("desk", "light")
    back = "getComputedStyle(document.body).backgroundColor"
    light, first = tab.evaluate(back), tab.locator("#heat td[data-key]").first.evaluate("one => one.style.background")
    draw_all(tab)
    tab.locator("#theme").click()
    dark = tab.evaluate(back)
    assert dark != light
    assert tab.locator("#heat td[data-key]").first.evaluate("one => one.style.background") != first
    tab.wait_for_function("document.querySelector('figure.chart svg').outerHTML.includes('#56B4E9')")
    tab.reload()
    assert tab.evaluate(back) == dark
    assert opened("desk", "dark").evaluate(back) == dark


def test_selects_of_a_chart_choose_its_rows_and_the_numbers_follow(opened):
    tab = opened()
    draw_all(tab)
    figure = tab.locator("figure[data-chart='study-made_up-lifts']")
    figure.locator("summary").click()
    rows = "document.querySelectorAll('figure[data-chart=study-made_up-lifts] tbody tr').length"
    tab.wait_for_function(f"{rows} === {2 * (3 + 2)}")
    figure.locator("select[data-field=setting]").select_option("mnli")
    tab.wait_for_function(f"{rows} === 5")
    assert figure.locator("svg").count() == 1
