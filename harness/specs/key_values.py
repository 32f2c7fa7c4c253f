"""`key=value,key=value` of a flag becomes a spec: split once, each value read as the type that its key declares.

    values = parse_key_values("lora_rank=16,revision=1", ModelArgs, where="--model_args")
    values.lora_rank, values.revision, values.model_fields_set      # 16, '1', {'lora_rank', 'revision'}

A value is plain text: what it means is said by its key, and no YAML, date or octal number is seen in it.  It may be put in
quotation marks, between which a comma separates nothing.
"""

import re
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from harness.api.errors import UserError, did_you_mean, raise_all

ModelT = TypeVar("ModelT", bound=BaseModel)
PART = re.compile(r"""\s*(?P<key>[^=,]*)(?P<equals>=?)(?P<value>"[^"]*"(?=\s*(?:,|$))|'[^']*'(?=\s*(?:,|$))|[^,]*)(?:,|$)""")
"One part, with the comma behind it."
LONGEST = 80
"Characters of a value that a message shows."


def parse_key_values(text: str, model: type[ModelT], *, where: str) -> ModelT:
    """The values as a spec, those given in its `model_fields_set`; raises every mistake at once."""
    values: dict[str, Any] = {}
    errors: list[UserError] = []
    for key, equals, value in split_key_values(text):
        if not equals:
            todo = f"write {key}=VALUE" if key in model.model_fields else "write key=value,key=value"
            errors.append(UserError("not key=value", where=where, found=shown(key), todo=todo))
        elif key in values:
            found = f"{shown(values[key])} and {shown(value)}"
            errors.append(
                UserError(f"'{shown(key, quoted=False)}' is said twice", where=where, found=found, todo="leave one out")
            )
        else:
            values[key] = value
    return checked(values, model, where=where, errors=errors)


def merged_key_values(*texts: str, where: str = "--model_args") -> str:
    """Several such texts as one: each key once, of what several say the last."""
    found: dict[str, str] = {}
    for text in texts:
        for key, equals, value in split_key_values(text):
            found[key] = f"{key}{equals}{as_value(value, where=where)}"
    return ",".join(found.values())


def as_value(text: str, *, where: str) -> str:
    """A text as the value of a key: between quotation marks where it needs them; UserError where no kind of them serves."""
    if split_key_values(f"k={text}") == [("k", "=", text)]:
        return text
    for mark in "\"'":
        if split_key_values(f"k={mark}{text}{mark}") == [("k", "=", text)]:
            return f"{mark}{text}{mark}"
    todo = "leave the commas out, or one kind of quotation marks"
    raise UserError("a text with commas and both kinds of quotation marks", where=where, found=shown(text), todo=todo)


def checked(values: Mapping[str, Any], model: type[ModelT], *, where: str, errors: list[UserError] | None = None) -> ModelT:
    """The values as a spec; raises what the model refuses, and the `errors` that were found before, all at once."""
    found = list(errors or ())
    try:
        spec = model.model_validate(dict(values))
    except ValidationError as error:
        raise_all([*found, *{str(e): e for e in (refusal(detail, model, where=where) for detail in error.errors())}.values()])
        raise AssertionError("unreachable") from error
    raise_all(found)
    return spec


def refusal(detail: Any, model: type[BaseModel], *, where: str) -> UserError:
    """One error of pydantic in the words of this project."""
    key = str(detail["loc"][0]) if detail["loc"] else ""
    kind, found = detail["type"], detail.get("input")
    if kind == "extra_forbidden":
        return UserError(f"unknown key '{shown(key, quoted=False)}'", where=where, todo=did_you_mean(key, model.model_fields))
    message = detail["msg"].removeprefix("Value error, ")
    todo = ""
    if kind == "literal_error" and isinstance(found, str):
        todo = did_you_mean(found, re.findall(r"'([^']*)'", detail["ctx"]["expected"]))
    text = f"{key}: {message[:1].lower()}{message[1:]}" if key else message
    return UserError(text, where=where, found=shown(found), todo=todo)


def shown(value: Any, *, quoted: bool = True) -> str:
    """A value as messages show it: not endless, and nothing in it that a terminal would obey."""
    text = repr(value) if quoted or not str(value).isprintable() else str(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def split_key_values(text: str) -> list[tuple[str, str, str]]:
    """(key, `=` or nothing, value) of each part that is not empty; values as plain text."""
    found, place = [], 0
    while place < len(text):
        part = PART.match(text, place)
        assert part is not None  # every text matches, up to the next comma
        place = part.end()
        key, value = part["key"].strip(), part["value"]
        if len(value.strip()) > 1 and value[0] in "\"'" and value[-1] == value[0]:
            value = value[1:-1]
        if key or part["equals"] or value:
            found.append((key or value, part["equals"], value))
    return found
