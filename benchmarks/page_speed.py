"""Size of the page of 5,040 made-up cells and a study of nine backbones, and how long it takes to make, to open and to filter.

    python benchmarks/page_speed.py                     # needs chromium and the extra `browser` (make test-browser installs it)
    python benchmarks/page_speed.py --output big.html   # and keeps the page

Times are the median of some tries in headless Chromium, by performance.now(), the layout of the new table included.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]
TRIES = 7
CHOICES = [("model", ""), ("model", "large"), ("setting", "mnli"), ("setting", ""), ("family", "Indo-European"), ("family", "")]
CHOICES += [("script", "Latn"), ("script", ""), ("task", "task05"), ("task", ""), ("measure", "lift"), ("measure", "score")]
FILTER = """([name, value]) => {
  const select = document.querySelector(`#filters select[name=${name}]`);
  const start = performance.now();
  select.value = value;
  select.dispatchEvent(new Event("change"));
  document.getElementById("heat").getBoundingClientRect();
  return [performance.now() - start, document.querySelectorAll("#heat td").length];
}"""
SORT = """() => {
  const start = performance.now();
  document.querySelector("#heat button[data-sort=mean]").click();
  document.getElementById("heat").getBoundingClientRect();
  return performance.now() - start;
}"""
OPENED = "performance.getEntriesByType('navigation')[0].loadEventEnd"


def made_page(folder: Path) -> str:
    """The page of the made-up board and study."""
    from made_up_boards import made_up_board, made_up_study

    from harness.data.languages import xtreme_languages
    from harness.report.page.page import page

    tasks = {f"task{number:02d}": list(xtreme_languages()) for number in range(21)}
    settings = ["mnli", "squad"]
    study = made_up_study(backbones={f"m{n}": 10 ** (7 + n / 3) for n in range(9)}, settings=settings, targets=tasks)
    (folder / "study.json").write_text(json.dumps(study), encoding="utf-8")
    return page(made_up_board(models=["small", "large"], settings=["none", *settings], tasks=tasks), [folder])


def measure(path: Path) -> None:
    """Open and filter the page some times, and print the medians."""
    from playwright.sync_api import sync_playwright

    chromium = os.environ.get("XLIFT_CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        opened, filtered, sorted_ = [], {choice: [] for choice in CHOICES}, []
        for _ in range(TRIES):
            tab = browser.new_page(viewport={"width": 1400, "height": 900})
            tab.goto(path.as_uri())
            opened.append(tab.evaluate(OPENED))
            for choice in CHOICES:
                filtered[choice].append(tab.evaluate(FILTER, list(choice)))
            sorted_.append(tab.evaluate(SORT))
            tab.close()
        browser.close()
    sys.stdout.write(f"open: {statistics.median(opened):.0f} ms\n")
    for (name, value), found in filtered.items():
        took = statistics.median(time for time, _ in found)
        sys.stdout.write(f"{name} = {value or 'all':14} {took:4.0f} ms, {found[0][1]:5,} cells\n")
    sys.stdout.write(f"sort by mean: {statistics.median(sorted_):.0f} ms\n")


def main() -> None:
    """Make the page, print its size, and measure it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="keep the page there")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        text = made_page(Path(folder))
        sys.stdout.write(f"made in {time.perf_counter() - start:.1f} s: {len(text.encode()) / 1e6:.1f} MB\n")
        path = args.output.absolute() if args.output else Path(folder) / "page.html"
        path.write_text(text, encoding="utf-8")
        measure(path)


if __name__ == "__main__":
    main()
