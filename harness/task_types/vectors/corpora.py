"""Pairs of sentence collections, some of whose sentences translate each other: read from rows, and compared with each other.

ids, texts = sentences({"sources": ["Das ist neu."]}, "sources", "de")      # ('de-000000001',), ('Das ist neu.',)
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.api.errors import UserError


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """Two collections of sentences."""

    id: str
    lang: str
    sources: tuple[str, ...]
    source_ids: tuple[str, ...]
    targets: tuple[str, ...]
    target_ids: tuple[str, ...]
    gold: tuple[str, ...]
    "Each pair as `id TAB id`."
    calibrates: bool = False
    "True for a development corpus: it chooses the threshold and is not predicted."
    notes: tuple[str, ...] = ()
    "Why there is no development corpus."


def sentences(row: Mapping[str, Any], name: str, lang: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Ids and texts of a collection."""
    found = row.get(name)
    items: Sequence[Any] = found if isinstance(found, list | tuple) else ()
    if not items:
        raise UserError(f"field '{name}' holds no sentences", expected="a list of texts", found=f"{type(found).__name__}")
    pairs = [item if isinstance(item, list | tuple) else (f"{lang}-{n:09d}", item) for n, item in enumerate(items, start=1)]
    for number, pair in enumerate(pairs, start=1):
        if len(pair) != 2 or not all(isinstance(value, str) for value in pair) or "\t" in pair[0]:
            found = f"{items[number - 1]!r:.60}"
            raise UserError(f"sentence {number} of '{name}' does not fit", expected="a text, or an id and a text", found=found)
    ids = tuple(pair[0] for pair in pairs)
    twice = [id_ for id_, count in Counter(ids).items() if count > 1] if len(set(ids)) < len(ids) else []
    if twice:
        raise UserError(f"two sentences of '{name}' with the id '{twice[0]}'", expected="ids that are unique")
    return ids, tuple(pair[1] for pair in pairs)


def gold_pairs(row: Mapping[str, Any], source_ids: Sequence[str], target_ids: Sequence[str]) -> tuple[str, ...]:
    """The gold pairs as lines, each once, in their order."""
    pairs = row.get("gold")
    if not isinstance(pairs, list | tuple):
        raise UserError("field 'gold' does not fit", expected="a list of pairs", found=type(pairs).__name__)
    known = [frozenset(source_ids), frozenset(target_ids)]
    lines = []
    for pair in pairs:
        ends = list(pair) if isinstance(pair, list | tuple) and len(pair) == 2 else []
        for side, ids in enumerate((source_ids, target_ids)):
            if ends and isinstance(ends[side], int) and 1 <= ends[side] <= len(ids):
                ends[side] = ids[ends[side] - 1]
        if not ends or ends[0] not in known[0] or ends[1] not in known[1]:
            expected = f"two ids, or numbers from 1 to {len(source_ids)} and from 1 to {len(target_ids)}"
            raise UserError("a gold pair does not fit the sentences", expected=expected, found=f"{pair!r:.60}")
        lines.append("\t".join(ends))
    return tuple(dict.fromkeys(lines))


def same_corpus(dev: Example, test: Example) -> bool:
    """Whether a corpus is the other one under another name: the same texts, or more than half of the gold pairs."""
    if len(_gold_texts(dev) & _gold_texts(test)) * 2 > len(test.gold):
        return True
    return set(dev.sources) == set(test.sources) and set(dev.targets) == set(test.targets)


def _gold_texts(example: Example) -> set[tuple[str, str]]:
    sources = dict(zip(example.source_ids, example.sources))
    targets = dict(zip(example.target_ids, example.targets))
    pairs = [line.split("\t") for line in example.gold]
    return {(sources[source].strip(), targets[target].strip()) for source, target in pairs}


def distinct(texts: Sequence[str]) -> list[str]:
    """The texts, each once, in the order in which they come first: what is embedded and mined."""
    return list(dict.fromkeys(texts))


def gold_numbers(example: Example, end: int) -> list[int | None]:
    """For each distinct text of a side the number of its first gold pair."""
    pairs: dict[str, int] = {}
    for number, line in enumerate(example.gold):
        pairs.setdefault(line.split("\t")[end], number)
    found: dict[str, int | None] = {}
    ids, texts = ((example.source_ids, example.sources), (example.target_ids, example.targets))[end]
    for id_, text in zip(ids, texts):
        if found.get(text) is None:
            found[text] = pairs.get(id_)
    return list(found.values())
