"""Two sides of one piece of work, in turns: the ratio of each pair, their median, and whether it reaches the goal of its row.

    row = Row(name="chunk_f1", part="chunk F1 of 1,000,000 tokens", peer="seqeval 1.2.2", goal=20.0)
    against(row, "seqeval", python=peer_python(), agree=same_scores, args=args)

Each side is a process of its own (side.py) that has done its imports and read its input before the first turn.  The order of a
pair changes from one to the next, and a first turn of each side does not count.  A ratio above 1 says how many times faster xlift
is.  A machine that others use slows both turns of a pair alike: that is why ratios are taken pair by pair.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
"Of those that decide how fast matrix products are, the ones that the table names where the processor has them."


@dataclass(kw_only=True)
class Row:
    """One row of the table: what was compared, and what was found."""

    name: str
    part: str
    peer: str
    goal: float
    "The ratio to reach."
    ratio: float = 0.0
    "The median of the pairs."
    ratios: list[float] = field(default_factory=list)
    processor_ratio: float = 0.0
    "The same of processor seconds, of which others on the machine take none."
    ours: float = 0.0
    "Seconds of a turn, the median."
    theirs: float = 0.0
    agreement: str = ""
    "How it was seen that the results are the same."
    machine: str = ""
    command: str = ""
    threads: int = 1
    note: str = ""

    @property
    def reached(self) -> bool:
        """Whether the goal is."""
        return self.ratio >= self.goal


class Side:
    """A process that does the work when it is told to."""

    def __init__(
        self, name: str, command: Sequence[str], *, threads: int = 1, environment: Mapping[str, str] | None = None
    ) -> None:
        """Start it; raises SystemExit with its last words if it ends before it is ready."""
        self.name = name
        self._errors = (Path(os.environ.get("TMPDIR", "/tmp")) / f"xlift-bench-{os.getpid()}-{name}.log").open("w+")
        self.process = subprocess.Popen(
            [*command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True,
            env={**environment_of(threads), **(environment or {})}, cwd=ROOT,
        )  # fmt: skip
        self.ready = self._answer()

    def turn(self) -> dict[str, Any]:
        """Let it work once: `seconds`, `processor` and `result`."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self._errors.seek(0)
            raise SystemExit(f"{self.name} ended:\n{self._errors.read()[-3000:]}")
        found: dict[str, Any] = json.loads(line)
        return found

    def __enter__(self) -> "Side":
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()
        self._errors.close()
        Path(self._errors.name).unlink(missing_ok=True)


def own_side(side: str, *words: str, python: str = sys.executable) -> list[str]:
    """The command that runs this very script as one of its sides."""
    return [python, str(Path(sys.argv[0]).resolve()), "--side", side, *words]


def environment_of(threads: int) -> dict[str, str]:
    """The environment of a process that takes so many threads and no hub."""
    return {**os.environ, **thread_variables(threads), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


def thread_variables(threads: int) -> dict[str, str]:
    """What tells libraries how many threads to take."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")
    return dict.fromkeys(names, str(threads))


def against(row: Row, peer: str, *words: str, python: str, agree: Callable[[Any, Any], str], args: argparse.Namespace) -> None:
    """Measure this very script as xlift's side and as that of a peer, both given the words, as its flags (`arguments`) say."""
    row.threads = args.threads
    with (
        Side("xlift", own_side("xlift", *words), threads=args.threads) as ours,
        Side(peer, own_side(peer, *words, python=python), threads=args.threads) as theirs,
    ):
        finish(measure(row, ours, theirs, pairs=args.pairs, agree=agree, minutes=args.minutes), args.record)


def measure(row: Row, ours: Side, theirs: Side, *, pairs: int, agree: Callable[[Any, Any], str], minutes: float = 15.0) -> Row:
    """Run the pairs, as many as fit into the minutes (at least one); `agree` says how the results agree, or raises SystemExit."""
    begin = time.monotonic()
    taken: dict[str, list[float]] = {"ours": [], "theirs": []}
    loads: list[float] = []
    processor: list[float] = []
    first = ours.turn(), theirs.turn()  # what is done once only (compiling, first pages of memory) is no part of the work
    row.agreement = agree(first[0]["result"], first[1]["result"])
    say(f"{row.name}: {row.agreement}")
    longest = 2 * sum(one["seconds"] for one in first)
    for number in range(pairs):
        if number and time.monotonic() - begin + longest > minutes * 60:
            break
        found: dict[str, float] = {}
        used: dict[str, float] = {}
        turns = [("ours", ours), ("theirs", theirs)]
        for name, side in turns if number % 2 == 0 else turns[::-1]:
            turn = side.turn()
            found[name], used[name] = turn["seconds"], turn["processor"]
            taken[name].append(found[name])
        loads.append(os.getloadavg()[0])
        row.ratios.append(found["theirs"] / found["ours"])
        processor.append(used["theirs"] / max(used["ours"], 1e-9))
        say(
            f"pair {number + 1}: {ours.name} {found['ours']:.4g} s, {theirs.name} {found['theirs']:.4g} s, "
            f"ratio {row.ratios[-1]:.2f} (processor {processor[-1]:.2f}), load {loads[-1]:.1f}"
        )
    row.ratio, row.processor_ratio = statistics.median(row.ratios), statistics.median(processor)
    row.ours, row.theirs = (statistics.median(taken[name]) for name in ("ours", "theirs"))
    row.machine = machine_words(loads)
    return row


def machine_words(loads: Sequence[float]) -> str:
    """Processors, instruction set and load: all that a ratio depends on and no more."""
    has = _flags()
    words = [name for name in INSTRUCTIONS if name in has]
    return f"{os.cpu_count()} cores, {' '.join(words)}; load {min(loads):.1f} to {max(loads):.1f}"


def _flags() -> set[str]:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return {flag for line in lines if line.startswith("flags") for flag in line.split()}


def finish(row: Row, record: Path | None) -> None:
    """Print the ratio beside its goal, and write the row down for the table."""
    spread = f"{min(row.ratios):.2f} to {max(row.ratios):.2f}, {len(row.ratios)} pairs; processor {row.processor_ratio:.2f}"
    verdict = "reached" if row.reached else "NOT reached"
    say(f"{row.name}: {row.ratio:.2f} times {row.peer} ({spread}); goal {row.goal:g}: {verdict}; {row.machine}")
    row.command = row.command or " ".join(["python", str(Path(sys.argv[0]).resolve().relative_to(ROOT)), *_without_paths()])
    if record:
        known = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
        record.write_text(json.dumps({**known, row.name: asdict(row)}, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _without_paths() -> list[str]:
    """The words of the command line but for where to write the row; folders of this machine by their names."""
    words = sys.argv[1:]
    at = words.index("--record") if "--record" in words else len(words)
    return [Path(word).name if word.startswith("/") else word for word in (*words[:at], *words[at + 2 :])]


def arguments(description: str | None, *, pairs: int = 5, threads: int = 1) -> argparse.ArgumentParser:
    """The flags that all rows have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=pairs, help="alternating pairs (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=15.0, help="no pair begins that would end later (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=threads, help="of each side (default: %(default)s)")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--record", type=Path, help="file that gets the row, for the table (see bench.py)")
    return parser


def peer_python(name: str = ".venv-bench") -> str:
    """The interpreter of an environment of peers; SystemExit with what makes it where it is not there."""
    stated = os.environ.get("XLIFT_BENCH_PYTHON" if name == ".venv-bench" else "XLIFT_LM_EVAL_PYTHON")
    python = Path(stated or ROOT / name / "bin/python").expanduser()
    if not python.is_file():
        raise SystemExit(f"{python} is not here: `make {'bench-peers' if name == '.venv-bench' else 'lm-eval'}` makes it")
    return str(python)


def say(text: str) -> None:
    """Print a line now."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
