"""All rows of the table of ratios, one command each, and the table itself in benchmarks/README.md.

    make bench MODEL=FOLDER LM=FOLDER HUB=../shared/hub XTREME=FOLDER      # all rows: an hour or two
    python benchmarks/bench.py --rows spans,mining --encoder FOLDER       # these alone; the others stay as they are
    python benchmarks/bench.py --table                       # writes the table again from benchmarks/results.json

FOLDERs are a small encoder (multilingual-e5-small), a small causal language model (SmolLM2-135M) and a checkout of
google-research/xtreme.  A row whose peer or input
is not here is left as it was, and the reason is printed.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.pairs import ROOT, say

RESULTS, TABLE = ROOT / "benchmarks/results.json", ROOT / "benchmarks/README.md"
BEGIN, END = "<!-- table -->", "<!-- end -->"


@dataclass(frozen=True, kw_only=True)
class Command:
    """How rows are measured."""

    script: str
    rows: tuple[str, ...]
    "Names of the rows that it gives."
    words: tuple[str, ...] = ()
    "With ENCODER, LM, HUB and XTREME in place of folders."


WIDE = ("--tasks", "xnli,panx", "--languages", "all")
WHOLE = ("--tasks", "xnli,panx", "--languages", "af,bn,hi,jv,ka,kk,ml,mr,ms,my,sw,ta,te,tl,yo", "--rows", "0")
"""All rows of 17 test sets in 15 languages.  With a limit reading shows: it takes some of the rows of a cell, and all of them are
read and checked."""
COMMANDS = {
    "chunks": Command(script="chunk_speed.py", rows=("entity_f1", "chunk_f1")),
    "bootstrap": Command(script="bootstrap_speed.py", rows=("bootstrap_accuracy", "bootstrap_fractions")),
    "spans": Command(script="span_speed.py", rows=("spans",), words=("--model", "ENCODER", "--hub", "HUB")),
    "mining": Command(script="mining_speed.py", rows=("mining",)),
    "vectors": Command(script="vectors_speed.py", rows=("vectors",), words=("--model", "ENCODER", "--hub", "HUB")),
    "prediction": Command(
        script="predict_speed.py",
        rows=("predict_bare",),
        words=("--model", "ENCODER", "--data_dir", "HUB", *WHOLE, "--rounds", "5", "--beside", "bare"),
    ),
    "trainer": Command(
        script="predict_speed.py",
        rows=("predict_by_batch",),
        words=("--model", "ENCODER", "--data_dir", "HUB", *WHOLE, "--rounds", "5", "--beside", "by_batch"),
    ),
    "maximum": Command(
        script="predict_speed.py",
        rows=("predict_to_maximum",),
        words=("--model", "ENCODER", "--data_dir", "HUB", *WIDE, "--rows", "100", "--rounds", "5", "--beside", "to_maximum"),
    ),
    "data": Command(script="data_side.py", rows=("data_side",), words=("--tokenizer", "ENCODER", "--data_dir", "HUB")),
    "start": Command(script="start_speed.py", rows=("start", "start_bare"), words=("--model", "LM", "--hub", "HUB")),
    "fine_tuning": Command(
        script="finetune_speed.py",
        rows=("finetune_default", "finetune_by_length", "finetune_bare"),
        words=("--model", "ENCODER", "--data_dir", "HUB", "--task", "panx", "--steps", "150"),
    ),
    "likelihood": Command(
        script="lm_eval_speed.py",
        rows=("lm_eval_choices", "lm_eval_letters", "lm_eval_xnli", "lm_eval_generation"),
        words=("--model", "LM", "--hub", "HUB", "--rounds", "5"),
    ),
    "submission": Command(script="submission_speed.py", rows=("submission",), words=("--xtreme", "XTREME")),
    "validation": Command(script="validate_speed.py", rows=("validate_library",)),
}
ORDER = [name for command in COMMANDS.values() for name in command.rows]


def measure(name: str, folders: dict[str, str | None]) -> str | None:
    """Run a command; what keeps it from running, or None."""
    command = COMMANDS[name]
    lacking = [word for word in command.words if word in folders and not folders[word]]
    if lacking:
        return f"{' and '.join(lacking)} not given"
    words = [folders.get(word) or word for word in command.words]
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / command.script), *words, "--record", str(RESULTS)], check=False, cwd=ROOT
    )
    return None if done.returncode == 0 else f"ended with code {done.returncode}"


def table(rows: dict[str, Any]) -> str:
    """The rows that were measured, in their order, as Markdown."""
    head = ["what", "beside", "goal", "ratio (of pairs)", "processor", "seconds: xlift, peer", "results agree", "machine"]
    lines = [head, ["---"] * len(head)]
    for row in (rows[name] for name in ORDER if name in rows):
        spread = f"{row['ratio']:.2f} ({min(row['ratios']):.2f} to {max(row['ratios']):.2f}, {len(row['ratios'])})"
        verdict = spread if row["ratio"] >= row["goal"] else f"{spread}, **short**"
        part = row["part"] + (f"; {row['note']}" if row["note"] else "")
        processor = f"{row['processor_ratio']:.2f}" if row["processor_ratio"] else ""
        seconds = f"{row['ours']:.3g}, {row['theirs']:.3g}"
        machine = f"{row['threads']} thread{'s' * (row['threads'] > 1)} of {row['machine']}"
        lines.append([part, row["peer"], f"{row['goal']:g}", verdict, processor, seconds, row["agreement"], machine])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write_table() -> None:
    """Put the table between its marks."""
    rows = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    text = TABLE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    missing = [name for name in ORDER if name not in rows]
    said = f"\n\nNot measured: {', '.join(missing)}." if missing else ""
    TABLE.write_text(f"{before}{BEGIN}\n{table(rows)}{said}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


def main() -> int:
    """Measure what is asked for and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default=",".join(COMMANDS), help="of " + ", ".join(COMMANDS))
    parser.add_argument("--encoder", help="folder of a small multilingual encoder with both of its tokenizers")
    parser.add_argument("--lm", help="folder of a small causal language model")
    parser.add_argument("--hub", default=str(ROOT.parent / "shared/hub"), help="mirror of hub datasets")
    parser.add_argument("--xtreme", help="a checkout of google-research/xtreme")
    parser.add_argument("--table", action="store_true", help="measure nothing")
    args = parser.parse_args()
    lost = {}
    if not args.table:
        for name in args.rows.split(","):
            say(f"\n== {name}")
            folders = {"ENCODER": args.encoder, "LM": args.lm, "HUB": args.hub, "XTREME": args.xtreme}
            lost |= {name: why} if (why := measure(name, folders)) else {}
    write_table()
    for name, why in lost.items():
        say(f"{name}: not measured: {why}")
    return int(bool(lost))


if __name__ == "__main__":
    raise SystemExit(main())
