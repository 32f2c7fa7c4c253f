"""The words of a command line as flags with their values, whoever's flags they are.

    pairs_of(["-t", "xnli", "pawsx", "-f", "3"])       # [('--tasks', 'xnli,pawsx'), ('--num_fewshot', '3')]

A flag of arguments that is said several times becomes one, as does a list: nothing that was said is lost.
"""

import json
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from harness.api.errors import UserError
from harness.api.json_text import parse_json
from harness.specs.key_values import as_value, shown, split_key_values

Pairs: TypeAlias = list[tuple[str, str | None]]
"Flags with their values."
KEYED = ("--model_args", "--prompt_args", "--gen_kwargs")
"Flags whose values are arguments with names."
SPREAD = ("--tasks", "--model_args", "--gen_kwargs")
"Flags whose values may be several words."
LISTED = ("--tasks", "--languages", "--model")
"Flags of ours that take several values with commas, where others say the flag again."
SHORT = {
    **{"-m": "--model", "-M": "--model", "-t": "--tasks", "-a": "--model_args", "-f": "--num_fewshot", "-b": "--batch_size"},
    **{"-o": "--output_path", "-L": "--limit", "-s": "--log_samples", "-w": "--write_out", "-c": "--use_cache"},
    **{"-x": "--predict_only", "-v": "--verbosity", "-E": "--samples", "-C": "--config", "-l": "--language"},
}
"Short flags of lm-eval, and EuroEval's for languages."
SECRET_KEYS = ("token", "hub_token", "auth_token", "use_auth_token", "api_key")
"Arguments whose values no message shows."


def pairs_of(words: Sequence[str]) -> Pairs:
    """Flags with their values; None for those that have none, and for flags whose value is optional and left out."""
    return said_once(pairs_as_said(words))


def pairs_as_said(words: Sequence[str]) -> Pairs:
    """The same, with flags that are said several times as often as they are."""
    pairs: Pairs = []
    for word in words:
        flag, equals, value = word.partition("=")
        if word.startswith("--") or flag in SHORT:
            pairs.append((SHORT.get(flag, flag), value if equals else None))
            continue
        last, said = pairs[-1] if pairs else ("", "")
        if pairs and said is None:
            pairs[-1] = (last, word)
        elif last in SPREAD and last in KEYED and (word.startswith("{") or str(said).startswith("{")):
            pairs.append((last, word))
        elif last in SPREAD:
            pairs[-1] = (last, f"{said},{word}")
        else:
            pairs.append((word, None))
    return pairs


def said_once(pairs: Pairs) -> Pairs:
    """Arguments and lists that several flags of one name say, as one flag where the first of them stands."""
    for flag in (*KEYED, *LISTED):
        values = [value for name, value in pairs if name == flag]
        if len(values) < 2 or None in values:
            continue
        texts = [value for value in values if value is not None]
        whole = json.dumps(merged(*texts, where=flag), ensure_ascii=False) if flag in KEYED else joined(*texts)
        first = next(place for place, (name, _) in enumerate(pairs) if name == flag)
        rest = [pair for pair in pairs[first:] if pair[0] != flag]
        pairs = [*pairs[:first], (flag, whole), *rest]
    return pairs


def joined(*texts: str) -> str:
    """Lists with commas as one, each of its members once."""
    return ",".join(dict.fromkeys(one for text in texts for one in text.split(",") if one))


def key_values(text: str, *, where: str) -> dict[str, str]:
    """What flags of arguments say: `k=v,k=v`, or a JSON object, of which null says nothing."""
    if text.lstrip().startswith("{"):
        found = parse_json(text, where=where, expected="key=value,key=value, or a JSON object")
        return {key: as_text(value) for key, value in found.items() if value is not None}
    parts = split_key_values(text)
    if alone := [key for key, equals, _ in parts if not equals]:
        raise UserError("not key=value", where=where, found=shown(alone[0]), todo="write key=value,key=value")
    return merged_pairs([(key, value) for key, _, value in parts], where=where)


def as_text(value: object) -> str:
    """A value of JSON as `key=value` has it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def merged(*texts: str, where: str) -> dict[str, str]:
    """What several such texts say together."""
    return merged_pairs([pair for text in texts for pair in key_values(text, where=where).items()], where=where)


def merged_pairs(said: Sequence[tuple[str, str]], *, where: str) -> dict[str, str]:
    """Arguments by name; UserError for one with two values, and for a secret, which is not shown."""
    found: dict[str, str] = {}
    for key, value in said:
        if key in SECRET_KEYS:
            todo = "in the environment variable HF_TOKEN (the hub's) or XLIFT_SERVER_KEY (a server's)"
            raise UserError("a key stands on no command line", where=f"{where} {key}", todo=todo)
        if found.setdefault(key, value) != value:
            raise two_values(where, f"{key}={found[key]}", f"{key}={value}")
    return found


def two_values(flag: str, one: str | None, other: str | None) -> UserError:
    """The error for what was said twice, and differently."""
    found = " and ".join("nothing" if text is None else text for text in (one, other))
    return UserError("two values, of which only one can count", where=flag, found=found, todo="leave one of them out")


def as_words(given: Mapping[str, str], *, where: str) -> str:
    """Arguments as `k=v,k=v`."""
    return ",".join(f"{key}={as_value(value, where=where)}" for key, value in given.items())


def needed(flag: str, value: str | None, expected: str) -> str:
    """The value of a flag; UserError where it has none."""
    if value is None:
        raise UserError("a value is missing", where=flag, expected=expected)
    return value
