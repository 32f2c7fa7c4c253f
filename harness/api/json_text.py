r"""JSON text as values, whatever the text says: the one place where the package json is asked for what comes from outside.

    parse_json('{"a": 1}', where="rows.jsonl:3")        # {'a': 1}
    read_json_file(Path("done.json"))                   # the same of a file

A key that comes twice, a number of thousands of digits, nesting without an end and half a character ("\ud800") are UserErrors, as
is what is no JSON.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.api.errors import UserError

_HALF = re.compile(r"\\u[dD][89a-fA-F]")
"What alone can make half a character out of UTF-8 text."


def parse_json(text: str, *, where: str, expected: str = "") -> Any:
    """The value of a text; raises UserError at `where`, with the line where the text has several."""

    def wrong(message: str, found: str, line: int = 1) -> UserError:
        at = f"{where}:{line}" if "\n" in text.strip() else where
        return UserError(message, where=at, expected=expected, found=found)

    try:
        value = json.loads(text, object_pairs_hook=_object)
    except _TwiceError as error:
        raise UserError(f"the key '{error}' comes twice", where=where, todo="leave one of them out") from None
    except json.JSONDecodeError as error:
        raise wrong("not JSON", f"{error.msg}, column {error.colno}", error.lineno) from None
    except RecursionError:
        raise wrong("JSON that is nested too deep", "lists or objects within each other without an end") from None
    except ValueError as error:
        raise wrong("a number in JSON that is too long", str(error)[:80]) from None
    half = next(_halves(value), None) if _HALF.search(text) else None
    if half is not None:
        raise UserError(
            "half a character (a lone surrogate)", where=where, found=ascii(half)[:80], todo="write the whole character"
        )
    return value


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


_NAMES = {dict: "object", list: "list"}


class _TwiceError(Exception):
    """A key that an object has twice."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _TwiceError(next(key for key in keys if keys.count(key) > 1))
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
