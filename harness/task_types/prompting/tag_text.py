"""Tags of the words of a sentence as text that a model writes, and back.

    entities_text(["Ada", "in", "Kazan"], ["B-PER", "O", "B-LOC"], nothing="none")    # 'PER: Ada $$ LOC: Kazan'
    read_entities("PER: Ada", ["Ada", "in", "Kazan"], labels=labels, nothing="none")     # tags B-PER O O
    word_tags_text(["Ada", "sees"], ["PROPN", "VERB"])                                # 'Ada_PROPN sees_VERB'
    read_word_tags("Ada_PROPN sees_VERB", ["Ada", "sees"], labels=labels)

Entities are written as mT5 was trained on PAN-X (the task function `wikiann` of its preprocessors).
"""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from typing import NamedTuple

UNPARSED = "unparsed"
"Nothing of the answer could be read: there is no prediction."
PARTLY = "partly_unparsed"
"Some of the answer could not be read, or words were left without a tag."
NOT_IN_CONTEXT = "not_in_context"
"The answer names something that the text does not hold."
OUTSIDE = "O"
SEPARATOR = "$$"
_ENTITY = re.compile(r"\s*([^\s:]+)\s*:\s*(\S.*?)\s*", re.DOTALL)


class Read(NamedTuple):
    """Tags that were read from an answer."""

    tags: list[str] | None
    "One tag a word; None where nothing could be read."
    notes: tuple[str, ...]


def entities_text(tokens: Sequence[str], tags: Sequence[str], *, nothing: str) -> str:
    """Entities in the order of the sentence, `TYPE: words` joined by `$$`; `nothing` where there is none."""
    found: list[tuple[str, list[str]]] = []
    previous = OUTSIDE
    for token, tag in zip(tokens, tags, strict=True):
        prefix, _, kind = tag.partition("-")
        if prefix == "I" and previous == kind:
            found[-1][1].append(token)
        elif kind:
            found.append((kind, [token]))
        previous = kind or OUTSIDE
    return f" {SEPARATOR} ".join(f"{kind}: {' '.join(words)}" for kind, words in found) or nothing


def read_entities(text: str, tokens: Sequence[str], *, labels: Sequence[str], nothing: str) -> Read:
    """BIO tags of the entities named in an answer, each at its first free place in the sentence, whatever the spaces.

    An entity that is no run of whole words of the sentence, first as spelled and then in any case, is left out and noted.
    """
    text = text.strip()
    if text == nothing:
        return Read([OUTSIDE] * len(tokens), ())
    kinds = {label[2:].casefold(): label[2:] for label in labels if label.startswith("B-")}
    tags = [OUTSIDE] * len(tokens)
    notes: dict[str, None] = {}
    num_read = 0
    for item in text.split(SEPARATOR):
        parsed = _ENTITY.fullmatch(item)
        kind = kinds.get(parsed[1].casefold()) if parsed else None
        if parsed is None or kind is None:
            notes[PARTLY] = None
            continue
        num_read += 1
        place = _find_words(parsed[2], tokens, tags)
        if place is None:
            notes[NOT_IN_CONTEXT] = None
            continue
        tags[place.start : place.stop] = [f"B-{kind}", *[f"I-{kind}"] * (len(place) - 1)]
    return Read(tags, tuple(notes)) if num_read else Read(None, (UNPARSED,))


def _find_words(text: str, tokens: Sequence[str], tags: Sequence[str]) -> range | None:
    """The first run of words that have no tag yet and spell the text without its spaces; None if there is none."""
    for spelled in (str, str.casefold):
        wanted = "".join(spelled(text).split())
        words = ["".join(spelled(token).split()) for token in tokens]
        for begin in range(len(words)):
            end, rest = begin, wanted
            while rest and end < len(words) and tags[end] == OUTSIDE and words[end] and rest.startswith(words[end]):
                rest = rest[len(words[end]) :]
                end += 1
            if not rest and end > begin:
                return range(begin, end)
    return None


def word_tags_text(tokens: Sequence[str], tags: Sequence[str]) -> str:
    """Each word with its tag, `word_TAG`, joined by spaces."""
    return " ".join(f"{token}_{tag}" for token, tag in zip(tokens, tags, strict=True))


def read_word_tags(text: str, tokens: Sequence[str], *, labels: Sequence[str]) -> Read:
    """The tags of an answer, laid to the words of the sentence by the longest common subsequence of words.

    Between words that agree, as many words as there are in the sentence are taken one by one, however they are spelled.  Words
    without a tag get `O` or `X`, or the first label of tasks that have neither.
    """
    pairs = _pairs(tuple(labels)).findall(text)
    if not pairs:
        return Read(None, (UNPARSED,)) if tokens else Read([], ())
    written, known = ["".join(word.split()) for word, _ in pairs], ["".join(token.split()) for token in tokens]
    tags: list[str | None] = [None] * len(tokens)
    for kind, begin, end, first, last in SequenceMatcher(None, written, known, autojunk=False).get_opcodes():
        if kind == "equal" or (kind == "replace" and end - begin == last - first):
            tags[first:last] = [tag for _, tag in pairs[begin:end]]
    filler = next((label for label in (OUTSIDE, "X") if label in labels), labels[0])
    leftover = "".join(_pairs(tuple(labels)).sub("", text).split())
    whole = None not in tags and not leftover and len(pairs) == len(tokens)
    return Read([filler if tag is None else tag for tag in tags], () if whole else (PARTLY,))


@lru_cache(maxsize=32)
def _pairs(labels: tuple[str, ...]) -> re.Pattern[str]:
    """Words with their tags; a word may hold spaces (Vietnamese ones do)."""
    longest_first = "|".join(re.escape(label) for label in sorted(labels, key=len, reverse=True))
    return re.compile(rf"\s*(\S.*?)_({longest_first})(?=\s|$)", re.DOTALL)
