"""CoNLL-U treebanks as XTREME made its part-of-speech data of them: fused surface forms, one tag each.

The words under a multiword range (`1-2 du`: de le) are one token with the range's surface form and the tag of its head word.
The rules are those of XTREME's third_party/ud-conversion-tools (conllu_to_conll.py with --replace_subtokens_with_fused_forms) and
of udpos_preprocess in its utils_preprocess.py, at commit 838c13b.

    read({"rows": path}, lang="mr", options={})    # {"tokens", "tags", "sent_id", "text"}
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.api.errors import UserError
from harness.data.readers._conllu import Line, Sentence, sentences
from harness.data.readers._text import parse_options, role_files
from harness.specs.model import Spec

ROLES = ("rows",)
PRECEDENCE: Mapping[str, str] = {
    "": "VERB NOUN PROPN PRON ADJ NUM ADV INTJ AUX ADP DET PART CCONJ SCONJ X PUNCT",
    "es": "VERB AUX PRON ADP DET",
    "fr": "VERB AUX PRON NOUN ADJ ADV ADP DET PART SCONJ CONJ",
    "it": "VERB AUX ADV PRON ADP DET INTJ",
}
"Among words equally near the root, the tag that stands first here makes the head; '' for the languages without a list."
_ZERO_WIDTH_NON_JOINER = "\u200c"
_NUMBER = re.compile(r"[0-9]{1,9}")
_MASKED = "_"
"The form of a word whose text the treebank may not give."


class Options(Spec):
    """There are none."""


def read(files: Mapping[str, Path], *, lang: str, options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a row per sentence that XTREME keeps; raises UserError with file:line."""
    (path,) = role_files("ud_fused", files, ROLES)
    parse_options("ud_fused", Options, options)
    precedence = PRECEDENCE.get(lang, PRECEDENCE[""]).split()
    for number, sentence in enumerate(sentences(path), start=1):
        words = _fused(sentence, precedence, where=f"{path}, sentence {sentence.sent_id or number}")
        forms = [form.strip() for form, _ in words]
        num_masked = forms.count(_MASKED)
        if not words or (num_masked and num_masked >= len(forms) - 1):
            continue  # treebanks without their texts; one word that is left says nothing of a sentence
        yield {
            "tokens": [form.replace(_ZERO_WIDTH_NON_JOINER, "").replace(" ", "") for form in forms],
            "tags": [tag.strip() for _, tag in words],
            "sent_id": sentence.sent_id,
            "text": sentence.text,
        }


def _fused(sentence: Sentence, precedence: Sequence[str], *, where: str) -> list[tuple[str, str]]:
    """(form, universal tag) of each token; empty nodes are no tokens.  Raises UserError for a range without words."""
    words = {line.first: line for line in sentence.lines if not line.mark}
    tokens = {number: (line.values[1], line.values[3]) for number, line in words.items()}
    above = {number: _heads(line) for number, line in words.items()}
    fused: set[int] = set()
    for span in (line for line in sentence.lines if line.mark == "-"):
        inside = [number for number in words if span.first <= number <= span.last]
        if not inside or fused.intersection(inside):
            what = f"range {span.first}-{span.last} {span.values[1]}"
            raise UserError("a range without words of its own", where=where, found=what[:80])
        fused.update(inside)
        head = _head_of_span(inside, above, {number: words[number].values[3] for number in inside}, precedence)
        for number in inside:
            del tokens[number]
        tokens[head] = (span.values[1], words[head].values[3])
    return [tokens[number] for number in sorted(tokens)]


def _heads(word: Line) -> set[int]:
    """Numbers of a word's heads, 0 for the root: the tool draws basic and enhanced dependencies into one graph."""
    enhanced = (part.partition(":")[0] for part in word.values[8].split("|"))
    return {int(head) for head in (word.values[6], *enhanced) if _NUMBER.fullmatch(head)}


def _head_of_span(
    inside: Sequence[int], above: Mapping[int, set[int]], tags: Mapping[int, str], precedence: Sequence[str]
) -> int:
    """The word of a span with the fewest ancestors; among several of them the one whose tag has precedence, then the first.

    A tag that the list lacks comes last: XTREME's tool stops there, which happens in no file that XTREME has.
    """
    depths = {number: len(_ancestors(number, above)) for number in inside}
    nearest = [number for number in inside if depths[number] == min(depths.values())]
    ranks = {tag: rank for rank, tag in enumerate(precedence)}
    return min(nearest, key=lambda number: ranks.get(tags[number], len(ranks)))


def _ancestors(number: int, above: Mapping[int, set[int]]) -> set[int]:
    """All nodes from which a path leads to the word, itself left out; the graph may have circles."""
    found: set[int] = set()
    waiting = [number]
    while waiting:
        new = above.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found - {number}
