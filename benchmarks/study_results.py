"""study.json of a large study with made-up scores: seconds, memory and size.

    python benchmarks/study_results.py                          # 14 backbones, 12 settings, 160 cells, 3 seeds, 200 draws
    python benchmarks/study_results.py --draws 1000

One core; the scores are noise around lifts that grow from setting to setting.
"""

import argparse
import json
import os
import resource
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests/support")]

LADDER = {"X": (1e8, 3e8, 1e9, 3e9), "M": (1e8, 3e8, 1e9, 3e9, 1e10), "Q": (2e8, 6e8, 1e9, 4e9, 1e10)}
TASKS, LANGUAGES, SETTINGS = 8, 20, 12


def main() -> None:
    """Make the document once, and its text."""
    from small_studies import small_study, study_spec

    from harness.data.languages import xtreme_languages
    from harness.study.results.document import build_results
    from harness.study.results.text import text
    from harness.study.statistics.looks import LookLog

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=200, help="of the test items")
    draws = parser.parse_args().draws
    arms = {"none": 0.0, **{f"setting{number}": number / 3 for number in range(1, SETTINGS)}}
    langs = ("en", *(lang for lang in xtreme_languages() if lang != "en"))[:LANGUAGES]
    scores = small_study(arms, LADDER, tasks=[f"task{number}" for number in range(TASKS)], langs=langs, num_draws=draws)
    hypotheses = [{"name": f"{arm} persists", "asks": "scale", "settings": arm} for arm in arms if arm != "none"]
    spec = study_spec(scores, hypotheses=hypotheses)
    sys.stdout.write(f"{len(scores.estimates)} scores with {draws} draws: {_memory():.1f} GB\n")
    start = time.perf_counter()
    results = build_results(spec, scores, looks=LookLog(1), look=True)
    sys.stdout.write(f"study.json: {time.perf_counter() - start:.0f} s, {_memory():.1f} GB in all\n")
    start = time.perf_counter()
    lines = text(results.document).count("\n")
    size = len(json.dumps(results.document, indent=1)) / 1e6
    sys.stdout.write(f"{size:.0f} MB; {lines} lines of text: {time.perf_counter() - start:.1f} s\n")


def _memory() -> float:
    """The most memory that was used so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    main()
