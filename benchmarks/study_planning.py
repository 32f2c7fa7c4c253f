"""Seconds and memory of planning a study of 100,000 cells, and whether both grow with the cells and no faster.

    python benchmarks/study_planning.py                 # 108,360 cells, and about a tenth of them, in processes of their own

The study has the ladder of `scaling` (14 backbones at real sizes), the miniature world's nine targets in all languages, five
settings and as many seeds as it takes.  Planned is what `study --dry_run` plans: each stage with its key, memory, disk, compute.
"""

import argparse
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STUDY = """study: many_cells
description: A ladder of real sizes over the miniature world, for timing.
methods: {{full: {{recipe: mini}}}}
families:
  XLM-R: {{backbones: [xlm-roberta-base, xlm-roberta-large, xlm-roberta-xl, xlm-roberta-xxl]}}
  mT5: {{backbones: [mt5-small, mt5-base, mt5-large, mt5-xl, mt5-xxl]}}
  Qwen3: {{backbones: [qwen3-0.6b-base, qwen3-1.7b-base, qwen3-4b-base, qwen3-8b-base, qwen3-14b-base]}}
intermediate: [mini/mnli, mini/squad_v2, mini/hellaswag, mini/mnli+mini/qqp]
tasks: [mini_xtreme]
categories: []
seeds: [{seeds}]
verdicts: {{margin: 1.0}}
"""
GIB = 2**30


def planned(num_seeds: int) -> tuple[int, float, float]:
    """Cells, seconds and peak memory in GiB of one planning."""
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder) / "many_cells.yaml"
        study.write_text(STUDY.format(seeds=", ".join(str(seed) for seed in range(1, num_seeds + 1))), encoding="utf-8")
        command = [sys.executable, str(ROOT / "run_eval.py"), "study", str(study), "--dry_run", "--output_path", f"{folder}/runs"]
        began = time.perf_counter()
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        seconds = time.perf_counter() - began
    found = re.search(r"seeds: ([\d,]+) cells", printed)
    assert found is not None
    # The largest of all children so far: the small study is planned first.
    return int(found[1].replace(",", "")), seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / GIB


def main() -> None:
    """Print a line for each size, and what ten times the cells cost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="seeds of the large study; the small one has one (default: 10)")
    args = parser.parse_args()
    rows = [planned(1), planned(args.seeds)]
    for cells, seconds, memory in rows:
        sys.stdout.write(f"{cells:9,} cells: {seconds:6.1f} s, {memory:.2f} GiB\n")
    (few, fast, _), (many, slow, _) = rows
    sys.stdout.write(f"{many / few:.1f} times the cells take {slow / fast:.1f} times as long\n")


if __name__ == "__main__":
    main()
