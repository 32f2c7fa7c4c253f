"""Which test rows of a language --limit takes: `20` a seeded sample of so many, `10%` of that share, `first:20` the first ones.

    limit = read_limit("first:10%", where="--limit")      # 20 stays a number: 20; everything else a text: 'first:10%', '10%'
    num_taken(limit, of=72), takes_first(limit)           # 8, True: a share is rounded up, as in lm-evaluation-harness

The form that is read is the form that stages, request files and boards hold.
"""

import math
import re
from typing import TypeAlias

from harness.api.errors import UserError

Limit: TypeAlias = int | str
"A number of rows, or the text of another kind of limit."
FIRST = "first:"
_FORM = re.compile(r"(?P<first>first:)?(?P<number>\d{1,15}(\.\d{1,6})?)(?P<share>%?)", re.ASCII)
EXPECTED = "20 or 10% (a seeded sample), first:20 or first:10% (the first rows)"


def read_limit(text: str, *, where: str) -> Limit:
    """The limit that a text says; raises UserError for any other."""
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise UserError("no such limit", where=where, expected=EXPECTED, found=text)
    first, number, share = found["first"] or "", found["number"], found["share"]
    if not share and "." in number:
        percent = f"{100 * float(number):.4f}".rstrip("0").rstrip(".")
        todo = f"--limit {first or FIRST}{percent}%" if 0 < float(number) < 1 else ""
        raise UserError("a number of rows is whole", where=where, expected=EXPECTED, found=text, todo=todo)
    if float(number) == 0 or (share and float(number) > 100):
        least = "more than 0% and at most 100%" if share else "at least 1"
        raise UserError(f"the limit must be {least}", where=where, found=text)
    plain = f"{float(number):.6f}".rstrip("0").rstrip(".") if "." in number else str(int(number))
    return f"{first}{plain}{share}" if first or share else int(plain)


def takes_first(limit: Limit) -> bool:
    """Whether the first rows are taken, not a sample."""
    return isinstance(limit, str) and limit.startswith(FIRST)


def num_taken(limit: Limit, *, of: int) -> int:
    """How many of so many rows a limit takes."""
    if isinstance(limit, int):
        return min(limit, of)
    number = limit.removeprefix(FIRST)
    if not number.endswith("%"):
        return min(int(number), of)
    whole, _, decimals = number[:-1].partition(".")
    return min(of, math.ceil(of * int(whole + decimals) / (100 * 10 ** len(decimals))))


def limit_words(limit: Limit) -> str:
    """A limit as boards say it."""
    text = str(limit).removeprefix(FIRST)
    if takes_first(limit):
        return f"the first {text} test rows of a language" if text[-1] != "%" else f"the first {text} of a language's test rows"
    if text[-1] == "%":
        return f"a seeded sample of {text} of a language's test rows"
    return f"a seeded sample of at most {text} test rows a language"


def limit_order(limit: Limit | None) -> tuple[float, str]:
    """What limits are sorted by: none first, then by their numbers."""
    if limit is None:
        return 0.0, ""
    return float(str(limit).removeprefix(FIRST).rstrip("%")), str(limit)
