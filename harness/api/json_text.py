r"""JSON text as values, whatever the text says: the one place where the package json is asked for what comes from outside.

    parse_json('{"a": 1}', where="rows.jsonl:3")        # {'a': 1}
    read_json_file(Path("done.json"))                   # the same of a file

A key that comes twice, a number of thousands of digits, nesting without an end and half a character ("\ud800") are UserErrors, as
is what is no JSON.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.api.errors import UserError

_HALF = re.compile(r"\\u[dD][89a-fA-F]")
"What alone can make half a character out of UTF-8 text."


def loads(text: str) -> Any:
    """The value of a text; raises ValueError for whatever is wrong with it."""
    try:
        value = json.loads(text, object_pairs_hook=_object)
    except RecursionError:
        raise ValueError("lists or objects within each other without an end") from None
    half = next(_halves(value), None) if _HALF.search(text) else None
    if half is not None:
        raise ValueError(f"half a character (a lone surrogate) in {ascii(half)[:60]}")
    return value


def parse_json(text: str, *, where: str, expected: str = "") -> Any:
    """The value of a text; raises UserError at `where`, with the line where the text has several."""
    try:
        return loads(text)
    except json.JSONDecodeError as error:
        at = f"{where}:{error.lineno}" if "\n" in text.strip() else where
        raise UserError("not JSON", where=at, expected=expected, found=f"{error.msg}, column {error.colno}") from None
    except ValueError as error:
        raise UserError("JSON that cannot be used", where=where, expected=expected, found=str(error)[:120]) from None


def read_json_file(path: Path, *, kind: type = object) -> Any:
    """The value of a file, of a kind (dict or list) where one is wanted; raises UserError, also where there is no file."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError("cannot be read", where=str(path), found=error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise UserError("not UTF-8 text", where=str(path), found=str(error)) from error
    value = parse_json(text, where=str(path))
    if not isinstance(value, kind):
        raise UserError("not what belongs here", where=str(path), expected=f"a JSON {_NAMES[kind]}", found=text[:60])
    return value


_NAMES: dict[type, str] = {dict: "object", list: "list"}


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        times = Counter(key for key, _ in pairs)
        twice = next(key for key, number in times.items() if number > 1)
        raise ValueError(f"the key '{twice[:60]}' comes twice in one object")
    return found


def _halves(value: Any) -> Iterator[str]:
    """The texts of a value that UTF-8 cannot hold."""
    if isinstance(value, str):
        if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
            yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _halves(key)
            yield from _halves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _halves(inner)
