"""Models of full size where they do not fit in memory: random weights, real rows, the ordinary command, weights read from disk.

    python benchmarks/full_size.py models/full --data_dir <mirror> --tokenizers ~/.cache/xlift-real
    python benchmarks/full_size.py models/cut --data_dir <mirror> --tokenizers ~/.cache/xlift-real --layers 2 --rows 3

Makes an encoder of the shape of XLM-R XXL (10.7B, bf16, 22 GB of disk) and scores Tatoeba by vectors, XNLI and PAN-X by random
heads in five languages through `run_eval.py` with `device_map=auto`; removes it, makes a decoder of 7B and scores XNLI by label
prompts.  Prints a table.  Scores of random weights are chance: what is shown is that they come about, how fast and in how much
memory.  Anonymous memory is what processes have for themselves; mapped pages are those of files (the weights), which the system
may drop and read again.  Both are those of the command and all that it starts, each at its largest.

Stopped, the same command goes on where it was; it removes nothing that it did not make.  On an idle machine of two cores it takes
about half an hour; `--rows` scales that.  With `--keep` the models stay.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pyarrow.parquet as pq

from harness.data.languages import language

ROOT = Path(__file__).resolve().parent.parent
TOKENIZERS = {"encoder": "multilingual-e5-small", "decoder": "gemma-3-270m"}
"Folders below --tokenizers: that of XLM-R, and one that knows the five languages."
HUB = Path("google", "xtreme")
MARK = "made_by_full_size"
"File that says that a folder was made here, and may be removed."
DISK = {"encoder": 22 << 30, "decoder": 15 << 30}
"Bytes of the whole models, at least."
EVERY = 0.25
"Seconds between looks at the memory."
GIB = 1 << 30
ANONYMOUS_LIMIT = 20 * GIB


class Job(NamedTuple):
    """One call of the command."""

    kind: str
    task: str
    rows: int
    flags: tuple[str, ...]


class Memory(NamedTuple):
    """Bytes of a process and all that it started."""

    anonymous: int
    mapped: int


def jobs(args: argparse.Namespace) -> list[Job]:
    """What is asked of each model."""
    heads = [Job("encoder", task, args.rows, ("--no_train",)) for task in ("tatoeba", "xnli", "panx")]
    return [*heads, Job("decoder", "xnli", args.prompt_rows, ("--route", "prompt"))]


def cut_mirror(job: Job, args: argparse.Namespace) -> Path:
    """The mirror; for retrieval, which looks for each sentence among all, a copy with as many rows as are asked for."""
    mirror: Path = args.data_dir
    if job.task != "tatoeba":
        return mirror
    cut: Path = args.folder / f"tatoeba-{job.rows}"
    for lang in args.languages.split(","):
        config = f"tatoeba.{language(lang).iso3}"
        for file in (mirror / HUB / config).glob("*.parquet"):
            target = cut / HUB / config / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pq.read_table(file).slice(0, job.rows), target)
    return cut


def descendants(pid: int) -> Iterator[int]:
    """A process and all that it started and that still runs."""
    yield pid
    try:
        children = [child for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]
    except OSError:
        return
    for child in children:
        yield from descendants(int(child))


def memory(pid: int) -> Memory:
    """What the processes hold now."""
    held = {"RssAnon": 0, "RssFile": 0}
    for one in descendants(pid):
        try:
            lines = Path(f"/proc/{one}/status").read_text(encoding="ascii", errors="replace").splitlines()
        except OSError:  # it has ended
            continue
        for name, _, value in (line.partition(":") for line in lines):
            if name in held:
                held[name] += int(value.split()[0]) * 1024
    return Memory(held["RssAnon"], held["RssFile"])


def run(job: Job, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Score the rows by the ordinary command; what it took."""
    model_args = f"device_map=auto,cpu_memory_gib={args.cpu_memory_gib:g}"
    output = args.folder / f"runs-{job.kind}-{job.task}-{job.rows}"
    command = [
        *(sys.executable, ROOT / "run_eval.py", "--model", folder, "--model_args", model_args, "--tasks", job.task, *job.flags),
        *("--languages", args.languages, "--limit", job.rows, "--batch_tokens", args.batch_tokens),
        *("--data_dir", cut_mirror(job, args), "--output_path", output, "--device", "cpu"),
    ]
    so_far = args.folder / f"{output.name}.so_far.json"  # of earlier calls that were stopped
    spent, *held = json.loads(so_far.read_text(encoding="utf-8")) if so_far.is_file() else (0.0, 0, 0)
    begin, peak = time.monotonic() - spent, Memory(*held)
    log = args.folder / f"{output.name}.log"
    with log.open("ab") as file:
        process = subprocess.Popen([str(part) for part in command], stdout=file, stderr=subprocess.STDOUT)
        try:
            while process.poll() is None:
                peak = Memory(*map(max, peak, memory(process.pid)))
                time.sleep(EVERY)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
            so_far.write_text(json.dumps([time.monotonic() - begin, *peak]) + "\n", encoding="utf-8")
    if process.returncode:
        sys.exit(f"{job.task} of the {job.kind} ended with {process.returncode}: see {log}")
    done = [json.loads(path.read_text(encoding="utf-8")) for path in output.glob("predict/*/done.json")]
    facts = [one.get("facts", one) for one in done]
    return {
        "model": job.kind,
        "task": job.task,
        "rows": sum(one["examples"] for one in facts),
        "tokens": sum(one["tokens"] for one in facts),
        "seconds": time.monotonic() - begin,
        "anonymous": peak.anonymous,
        "mapped": peak.mapped,
    }


def score(kind: str, args: argparse.Namespace) -> None:
    """Make a model where it is still needed, run its jobs that are not done, and remove what was made."""
    waiting = [job for job in jobs(args) if job.kind == kind and not result_file(job, args).is_file()]
    folder = args.folder / kind
    if waiting:
        if folder.is_dir() and not (folder / MARK).is_file():
            sys.exit(f"{folder} is there and was not made by this command: give another folder")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARK).touch()
        missing = DISK[kind] - sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        free = shutil.disk_usage(folder).free
        if args.layers is None and missing > free:
            sys.exit(f"the {kind} wants {missing / GIB:.0f} GiB of disk, and {folder} has {free / GIB:.0f}")
        maker = [sys.executable, Path(__file__).with_name("full_size_models.py"), kind, folder]
        maker += ["--tokenizer", args.tokenizers / TOKENIZERS[kind]]
        maker += ["--layers", args.layers] if args.layers else []
        subprocess.run([str(part) for part in maker], check=True)  # in a process of its own, whose memory goes with it
    for job in waiting:
        found = run(job, folder, args)
        result_file(job, args).write_text(json.dumps(found) + "\n", encoding="utf-8")
        sys.stderr.write(row(found) + "\n")
    if not args.keep and (folder / MARK).is_file():
        shutil.rmtree(folder)


def result_file(job: Job, args: argparse.Namespace) -> Path:
    """Where the figures of a finished job stand."""
    path: Path = args.folder / f"{job.kind}-{job.task}-{job.rows}.json"
    return path


def row(found: dict[str, Any]) -> str:
    """A line of the table."""
    numbers = f"| {found['rows']:,} | {found['tokens']:,} | {found['seconds']:,.0f} | {found['tokens'] / found['seconds']:.1f} "
    sizes = f"| {found['anonymous'] / GIB:.2f} GiB | {found['mapped'] / GIB:.2f} GiB | yes |"
    return f"| {found['model']} | {found['task']} {numbers}{sizes}"


def main() -> None:
    """Make, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where models, runs and figures lie: 25 GB of disk")
    parser.add_argument("--data_dir", type=Path, required=True, help="mirror of hub datasets with Tatoeba, XNLI and PAN-X")
    parser.add_argument("--tokenizers", type=Path, required=True, help="folder with " + " and ".join(TOKENIZERS.values()))
    parser.add_argument("--languages", default="de,fr,ru,tr,vi")
    parser.add_argument("--rows", type=int, default=8, help="of each task and language, for the encoder")
    parser.add_argument("--prompt_rows", type=int, default=20, help="of each language, for the decoder")
    parser.add_argument("--layers", type=int, help="a cut of so many layers, to try it")
    parser.add_argument("--cpu_memory_gib", type=float, default=6, help="main memory for layers; the others stay on the disk")
    parser.add_argument("--batch_tokens", type=int, default=4096, help="padded tokens a batch: weights are read once for each")
    parser.add_argument("--only", choices=sorted(TOKENIZERS))
    parser.add_argument("--keep", action="store_true", help="leave the models on the disk")
    args = parser.parse_args()
    args.folder, args.data_dir, args.tokenizers = (
        path.expanduser().resolve() for path in (args.folder, args.data_dir, args.tokenizers)
    )
    args.folder.mkdir(parents=True, exist_ok=True)
    os.environ["HF_HUB_OFFLINE"] = "1"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the command that runs is ended as well
    kinds = [kind for kind in TOKENIZERS if args.only in (None, kind)]
    for kind in kinds:
        score(kind, args)
    files = [result_file(job, args) for job in jobs(args) if job.kind in kinds]
    found = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    lines = ["| model | task | rows | tokens | seconds | tokens/s | peak anonymous | peak mapped | done |", "|---" * 9 + "|"]
    lines += map(row, found)
    most = max(one["anonymous"] for one in found)
    lines.append(f"{sum(one['tokens'] for one in found):,} tokens in {sum(one['seconds'] for one in found) / 60:.1f} minutes;")
    word = "under" if most < ANONYMOUS_LIMIT else "NOT under"
    lines.append(f"anonymous memory {word} {ANONYMOUS_LIMIT / GIB:.0f} GiB.")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
