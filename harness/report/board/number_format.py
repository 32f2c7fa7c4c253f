"""Formats numbers and marks of the printed board.

bracketed({"value": 71.0, "low": 66.5, "high": 75.5})               # '71.0 [66.5, 75.5]'
bracketed({"value": 3.2, "low": -3.5, "high": 9.7}, sign="+")       # '+3.2 [-3.5, +9.7]'

Intervals are printed by both their ends wherever they are printed: those of the bootstrap are lopsided near 0 and 100, and the
two signs of a lift's say whether it is one.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.api.protocols import Json
from harness.data.languages import in_order

NOTHING = "–"
NONE = "none"
SAME, PARTIAL, INCOMPLETE, UNREAD, STAND_IN, GUESSING = "†", "‡", "*", "°", "¶", "§"
UNREAD_SHARE = 0.1
"Share of unknown tokens, or of empty inputs, above which a score is marked."
_MANY = 12
"A longer list of names is shortened."


def marks(entry: Mapping[str, Json]) -> str:
    """The marks of a mean: same task, sample, incomplete, of languages that the tokenizer does not know, of another metric."""
    used = {
        SAME: entry.get("same_task"),
        PARTIAL: entry["partial"],
        INCOMPLETE: not entry.get("complete", True),
        UNREAD: any(unread(numbers) for numbers in (entry.get("languages") or {}).values()),
        STAND_IN: entry.get("stands_in_for"),
    }
    return "".join(mark for mark, is_used in used.items() if is_used)


def unread(numbers: Mapping[str, Json]) -> str:
    """What of a language did not reach the model, where it is more than a little, e.g. '43 % unknown tokens'."""
    tokens = numbers.get("tokens")
    if not tokens:
        return ""
    shares = {
        "unknown tokens": tokens["unknown"] / max(1, tokens["tokens"]),
        "empty inputs": tokens["empty_inputs"] / max(1, tokens["inputs"]),
    }
    return ", ".join(f"{share * 100:.0f} % {what}" for what, share in shares.items() if share > UNREAD_SHARE)


def bracketed(interval: Mapping[str, float], *, sign: str = "") -> str:
    """A number with both ends of its interval in brackets; differences with sign="+"."""
    return f"{signed(interval['value'], sign)} [{signed(interval['low'], sign)}, {signed(interval['high'], sign)}]"


def signed(value: float, sign: str = "+") -> str:
    """One decimal, never a negative zero."""
    return f"{round(value, 1) + 0.0:{sign}.1f}"


def size(model: Mapping[str, Json] | None) -> str:
    """Total parameters and those without embeddings, e.g. '278M (85M)'."""
    if not model or not model["parameters"]:
        return NOTHING
    inner = f" ({_short(model['non_embedding_parameters'])})" if model["non_embedding_parameters"] else ""
    return _short(model["parameters"]) + inner


def _short(count: int) -> str:
    unit, name = (1e9, "B") if count >= 1e9 else (1e6, "M") if count >= 1e6 else (1e3, "K")
    number = count / unit
    return f"{number:.0f}{name}" if number >= 100 or name == "K" else f"{number:.3g}{name}"


def listed(names: Sequence[str]) -> str:
    """Names with commas; a long list is shortened."""
    return ", ".join(names) if len(names) <= _MANY else f"{', '.join(names[:_MANY])} and {len(names) - _MANY} more"


def language_list(texts: Iterable[str]) -> str:
    """All of some languages in the order of every list of them; what is said of one follows its code ('de (seed 1)')."""
    by_code: dict[str, list[str]] = {}
    for text in dict.fromkeys(texts):
        by_code.setdefault(text.partition(" ")[0], []).append(text)
    return ", ".join(text for code in in_order(by_code) for text in by_code[code])


def arm_text(entry: Mapping[str, Json]) -> str:
    """A line of the board in words."""
    more = [str(entry["recipe"])] if entry.get("recipe") else []
    asked = str(entry.get("prompt") or entry.get("route") or "")
    more += [asked] if asked.startswith("prompt") else []
    return f"{entry['model']} + {entry['intermediate']}" + (f" ({', '.join(more)})" if more else "")


def collected(pairs: Iterable[tuple[Any, str]]) -> dict[Any, list[str]]:
    """Heading -> the distinct texts under it, in order of appearance."""
    found: dict[Any, dict[str, None]] = {}
    for heading, text in pairs:
        found.setdefault(heading, {})[text] = None
    return {heading: list(texts) for heading, texts in found.items()}
