r"""Texts that nothing can hold: half a character, which a template can write ("\ud800") and neither a file nor a tokenizer takes.

check_texts({"text": "...", "tokens": ["...", "..."]})
are_whole([["...", "..."], [["...", "..."]]])                # the same of many rows, by column, without saying what is wrong
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.api.errors import UserError


def are_whole(columns: Iterable[Sequence[Any]]) -> bool:
    """Whether no text among the values of some columns is one of those that nothing can hold."""
    try:
        for values in columns:
            texts = [value for value in values if type(value) is str]
            "".join(texts).encode()  # half a character stays one, whatever stands beside it
            if len(texts) < len(values):
                check_texts([value for value in values if type(value) is not str and value is not None])
    except (UnicodeEncodeError, UserError):
        return False
    return True


def check_texts(value: Any, name: str = "") -> None:
    """Look at all texts of the fields of a row; raises UserError with the field's name."""
    if isinstance(value, str):
        try:
            value.isascii() or value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise UserError(
                f"field '{name}' holds half a character (a lone surrogate)",
                found=ascii(value[max(0, error.start - 20) : error.end]),
                todo="write the whole character, or none",
            ) from None
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            check_texts(inner, name or str(key))
    elif isinstance(value, list | tuple):
        if all(isinstance(item, str) for item in value):
            check_texts("".join(value), name)
        else:
            for item in value:
                check_texts(item, name)
