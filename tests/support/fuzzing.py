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

ROOT = Path(__file__).resolve().parent.parent.parent
CODES = (0, 1, 2)
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"What a terminal obeys; \\t and \\n are printed as they are."

TEXTS = (
    "", " ", "\t", "\n", "\r\n", "\x00", "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\x7f", "\x9b2J", "\u202egnp.exe",
    "\ud800", "a\udfffb", "\ufeff", "\ufffe", "é" * 200, "x" * 300, "x" * 5000, "中" * 100, "../..", "/", "//", "/etc/passwd",
    "~", "~root", "~nobody/x", "a/../b", "a\\b", "C:\\x", "-", "--help", "*", "**", "[", "[a-", "?", "{", "}", "{}", "{lang}",
    "{lang", "{{", "%s", "%", "$HOME", "`id`", "NaN", "nan", "inf", "-inf", "1e999", "1e-999", "0x1F", "1_000", "9" * 400,
    "9" * 5000, "-1", "0", "1.5", "٣", "²", "true", "no", "null", "none", "test[:2]", "test[:-999999]", "test+train",
    "train[50%:]", "test[::2]", "a,b", "a=b", "a::b", "@de", "lm_eval/x", "con", "I" * 64, "ß", "İ", "a b", "\u2028",
    "\u0000a", "😀", "e\u0301" * 30, "__class__", "\\d+(", "(a+)+$", "(?P<x>",
)  # fmt: skip
"Texts that names, values and rows may hold."

YAML_VALUES = (
    "!!int x", "!!int 1e3", "!!float x", "!!float '1_'", "!!bool maybe", "!!null x", "!!timestamp x",
    "!!timestamp 2020-13-45", "!!binary '%%%'", "!!binary aGVsbG8=", "!!binary é", "!!set {a, b}", "!!set [a]",
    "!!omap [a: 1]", "!!omap {a: 1}", "!!pairs [a: 1]", "!!str [a]", "!!str {a: 1}", "!!seq {a: 1}", "!!seq x", "!!map [a]",
    "!!map x", "!!int [1]", "!!float {a: 1}", "!!merge x", "!!value x", "!!python/object/apply:os.system ['true']",
    "!!python/name:os.system", "!!python/tuple [1, 2]", "!!python/none x", "!unknown x", "!<tag:example.org,2000:x> y",
    "!function x", "!function utils.f", "!function [a]", "! x", "!!int ''", "!!float ''", "!!bool ''", "!!int 0x",
    "!!int '-'", "!!float '-.inf_'", "!!int 1:99:3", "!!timestamp ''", "2020-01-31", "2020-13-45", "2020-02-30",
    "2001-12-14t21:59:43.10-05:00", "2020-01-01 99:99:99", "0000-00-00", "12:30:45", "190:20:30", ".nan", ".inf", "-.inf",
    "1e400", "-1e400", "1.0e-400", "0", "-1", "-0.0", "1" + "0" * 400, "9" * 5000, "-" + "9" * 5000, "0x" + "f" * 5000,
    "0b" + "1" * 20000, "0o7777777777777777777777", "1_0", "1.5", "0.1", "null", "~", "true", "no", "[]", "{}", "[[]]",
    "[null]", "[{}]", "{a: {}}", "{null: 1}", "{1: 2}", "{1.5: x}", "{true: x}", "{[a]: b}", "{{a: b}: c}", "? [a, b]",
    "{.nan: x, .nan: y}", "{2020-01-01: x}", "[1, a, null, [2]]", "[a, a]", "{a: 1, a: 2}", "{<<: {a: 1}}", "{<<: [a, 2]}",
    "{<<: x}", "{<<: *nowhere}", "*nowhere", "&a [*a]", "&a {b: *a}", "&a [&a x, *a]", "&x y", "[&q x, *q, *q]",
    "[" * 60 + "]" * 60, "[" * 3000 + "]" * 3000, "{a: " * 1500 + "1" + "}" * 1500, "- - - - x", "|\n  text", ">-\n  text",
    "'unfinished", '"\\ud800"', '"a\\udfffb"', '"\\0"', '"\\e[31mred"', '"\\x9b"', '"\\u202e"', '"\\U0010ffff"',
    '"\\U00110000"', '"\\q"', "@x", "`x`", "%x", "x: y: z", ", ,", "[,]", "{,}", "- x", "? x", "#", "'#'", "---", "...",
    "\ttab", "\x07", "\ud800",
)  # fmt: skip
"What may stand in a YAML file in place of a value."


def yaml_bomb(levels: int = 9, width: int = 9) -> str:
    """An alias bomb: a small text of width**levels values."""
    lines = ["&b0 [" + ", ".join(["x"] * width) + "]"]
    lines += [f"&b{n} [" + ", ".join([f"*b{n - 1}"] * width) + "]" for n in range(1, levels)]
    return "[" + ", ".join(lines) + "]"


def double_quoted(text: str) -> str:
    """A text as YAML writes it between double quotes, whatever it holds: also what UTF-8 cannot."""
    escaped = "".join(c if " " <= c <= "~" and c not in '"\\' else f"\\U{ord(c):08x}" for c in text)
    return f'"{escaped}"'


def yaml_value(rng: random.Random) -> str:
    """A hostile value as YAML text."""
    drawn = rng.random()
    if drawn < 0.55:
        return rng.choice(YAML_VALUES)
    return double_quoted(rng.choice(TEXTS)) if drawn < 0.97 else yaml_bomb()


def mangled(data: bytes, rng: random.Random) -> bytes:
    """Bytes of a file after an accident: cut, torn, doubled, in another encoding, with what no text holds."""
    at, end = sorted((rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)))
    lines = data.split(b"\n")
    line = rng.randrange(len(lines))
    pick = rng.randrange(12)
    if pick == 0:
        return data[:at]
    if pick == 1:
        return data[:at] + data[end:] if end - at < 200 else data[:at] + data[at + 20 :]
    if pick == 2:
        return b"\n".join([*lines[:line], lines[line], *lines[line:]])
    if pick == 3:
        return b"\n".join([*lines[:line], *lines[line + 1 :]])
    if pick == 4:
        return (
            data[:at]
            + rng.choice((b"\x00", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\x1b[2J", b"\t", b"\r", b"\x85", b"\xe2\x80\xa8"))
            + data[at:]
        )
    if pick == 5:
        return rng.choice((b"\xef\xbb\xbf", b"\xff\xfe", b"\xef\xbb\xbf\xef\xbb\xbf", b"\x1f\x8b", b"PK\x03\x04", b"PAR1")) + data
    if pick == 6:
        return data.decode("utf-8", "replace").encode(
            rng.choice(("utf-16", "utf-16-le", "utf-32", "latin-1", "utf-7")), "replace"
        )
    if pick == 7:
        return data.replace(b"\n", rng.choice((b"\r", b"\r\n", b"\n\n", b" ")))
    if pick == 8:
        return bytes(rng.randrange(256) for _ in range(rng.randrange(200)))
    if pick == 9:
        return b""
    if pick == 10:
        return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
    return b"\n".join([*lines[:line], b"\t" + lines[line], *lines[line + 1 :]])


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


def alone() -> None:
    """Keep a campaign from the network and from the user's caches."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="fuzz-cache-")
