r"""Texts that nothing can hold: half a character, which a template can write ("\ud800") and neither a file nor a tokenizer takes.

check_texts({"text": "...", "tokens": ["...", "..."]})
"""

from collections.abc import Mapping
from typing import Any

from harness.api.errors import UserError


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
