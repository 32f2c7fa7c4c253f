"""What the fuzzers share: cases made of a seed, hostile values, and what a command made of each case.

    def make(rng, folder): ...                              # writes files into the folder, gives a FuzzCase
    verdicts = run_case(make, seed=1, number=7)             # case 7 of seed 1, the same on every machine
    tally = campaign(make, seed=1, count=1000)              # tally.bad: tracebacks, hangs, escapes in what is printed

A command may do its work or refuse it: exit codes 0, 1 and 2.  Anything else is a fault: an exception that leaves `main`, the
word Traceback, more than `seconds`, a control character that reaches the terminal.
"""

import contextlib
import io
import os
import random
import re
import shutil
import signal
import tempfile
import time
import traceback
import warnings
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import run_eval
from harness.planning.catalog import catalog
from harness.specs.loader import Document

ROOT = Path(__file__).resolve().parent.parent.parent
CODES = (0, 1, 2)
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"What a terminal obeys; \\t and \\n are printed as they are."


class FuzzCase(NamedTuple):
    """Files in a folder, and the commands that read them."""

    what: str
    "What was done to what."
    commands: tuple[tuple[str, ...], ...]
    "Words of the command line, as `run_eval.main` takes them."


class Verdict(NamedTuple):
    """What came of a command."""

    kind: str
    "ok, traceback, hang or escape."
    command: tuple[str, ...]
    signature: str = ""
    "Of a fault: what and where, the same for all of a kind."
    detail: str = ""
    code: int | None = None
    "Exit code."


class Hang(BaseException):
    """A command takes too long; no `except Exception` catches it."""


def _stop(signum, frame):
    raise Hang


@contextlib.contextmanager
def time_limit(seconds: float):
    """Raise Hang in the main thread after so many seconds."""
    before = signal.signal(signal.SIGALRM, _stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def run_command(command: tuple[str, ...], *, seconds: float = 20) -> Verdict:
    """Run a command in this process as a terminal of UTF-8 would see it."""
    out, err = io.BytesIO(), io.BytesIO()
    stdout = io.TextIOWrapper(out, encoding="utf-8", errors="strict", write_through=True)
    stderr = io.TextIOWrapper(err, encoding="utf-8", errors="backslashreplace", write_through=True)
    try:
        with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with time_limit(seconds):
                code = run_eval.main(list(command))
    except Hang:  # where it was says little: it may be anywhere in a loop
        return Verdict("hang", command, f"more than {seconds:g} s")
    except SystemExit as ending:
        code = ending.code
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)
        text = "".join(traceback.format_exception(error))[-3000:]
        return Verdict("traceback", command, f"{type(error).__name__} in {_frame(where)}", text)
    said = (out.getvalue() + err.getvalue()).decode("utf-8", "replace")
    if "Traceback (most recent call last)" in said or code not in CODES:
        return Verdict("traceback", command, f"exit code {code}", said[-3000:], code)
    if CONTROL.search(said):
        at = CONTROL.search(said).start()
        return Verdict(
            "escape", command, f"a control character is printed by {command[0]}", repr(said[max(0, at - 200) : at + 50]), code
        )
    return Verdict("ok", command, code=code)


def _frame(frames) -> str:
    """The innermost frame of this project, and the innermost of all."""
    own = [f for f in frames if f.filename.startswith(str(ROOT)) and "/.venv" not in f.filename and "/tests/" not in f.filename]
    named = [f"{Path(f.filename).name}:{f.name}" for f in (own[-1:] or frames[:1])]
    last = f"{Path(frames[-1].filename).name}:{frames[-1].name}" if frames else ""
    return named[0] if named and named[0] == last else f"{named[0] if named else ''} ({last})"


def run_case(make, *, seed: int, number: int, seconds: float = 20) -> tuple[str, list[Verdict]]:
    """Make a case and run its commands; what it is, and what came of each."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    try:
        case = make(random.Random(f"{seed} {number}"), folder)
        verdicts: list[Verdict] = []
        for command in case.commands:
            verdicts.append(run_command(command, seconds=seconds))
            if verdicts[-1].kind == "hang":
                break  # the other commands read the same files
        return case.what, verdicts
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Tally:
    """What came of many cases."""

    cases: int = 0
    commands: int = 0
    codes: Counter = field(default_factory=Counter)
    faulty: Counter = field(default_factory=Counter)
    "Kind -> cases with a fault of it."
    bad: dict = field(default_factory=lambda: defaultdict(list))
    "Signature -> (number of the case, what it is, verdict)."
    seconds: float = 0.0

    def report(self, *, examples: int = 2, detail: bool = False) -> str:
        """The figures, then each signature with some of its cases."""
        rates = ", ".join(
            f"{kind} {self.faulty[kind]} ({1000 * self.faulty[kind] / max(self.cases, 1):.1f} per 1,000)"
            for kind in ("traceback", "hang", "escape")
        )
        lines = [f"{self.cases} cases, {self.commands} commands, {self.seconds:.0f} s, exit codes {dict(self.codes)}: {rates}"]
        for signature, found in sorted(self.bad.items(), key=lambda item: -len(item[1])):
            lines.append(f"{len(found):6}  {signature}")
            for number, what, verdict in found[:examples]:
                lines.append(f"        case {number}: {what}: {' '.join(verdict.command)[:200]!r}")
                lines += (
                    ["          " + line for line in verdict.detail.splitlines()]
                    if detail
                    else [f"          {verdict.detail.strip()[-200:]!r}"]
                )
        return "\n".join(lines)


def campaign(make, *, seed: int, count: int, first: int = 0, seconds: float = 20, say=None) -> Tally:
    """Run many cases; `say` hears of each new fault and of progress."""
    tally, began = Tally(), time.monotonic()
    for number in range(first, first + count):
        what, verdicts = run_case(make, seed=seed, number=number, seconds=seconds)
        tally.cases += 1
        tally.commands += len(verdicts)
        tally.seconds = time.monotonic() - began
        tally.codes.update(verdict.code for verdict in verdicts)
        for kind in {verdict.kind for verdict in verdicts} - {"ok"}:
            tally.faulty[kind] += 1
        for verdict in verdicts:
            if verdict.kind != "ok":
                if say and verdict.signature not in tally.bad:
                    say(f"case {number}: {what}: {verdict.signature}")
                tally.bad[verdict.signature].append((number, what, verdict))
        if say and tally.cases % 500 == 0:
            say(tally.report(examples=0).splitlines()[0])
    return tally


def read_shipped_files_once() -> None:
    """Parse each shipped YAML file in the first command that meets it only: most of a command's time is theirs.

    What is read is not changed by those who read it, which this very campaign would show.
    """
    read = catalog.read_document
    shipped = tuple(f"{ROOT / folder}{os.sep}" for folder in ("tasks", "models"))
    known: dict[Path, Document] = {}

    def read_once(path: Path, **options):
        if not str(path).startswith(shipped):
            return read(path, **options)
        if path not in known:
            known[path] = read(path, **options)
        return known[path]

    catalog.read_document = read_once


def alone() -> None:
    """Keep a campaign from the network and from the user's caches."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="fuzz-cache-")
