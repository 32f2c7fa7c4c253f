"""What the metrics of generated text share: a text against its references, and the language both are in.

    found = references({"lang": "en", "texts": ["a cat"]}, lang="de")     # References(lang='en', texts=('a cat',))
    generated("a cat"), generated(None)                                  # 'a cat', None

Gold is a list of texts in the language of the cell, or a mapping that names another language: of translations into English the
cell is that of the language translated from.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from harness.api.errors import UserError


class References(NamedTuple):
    """The texts that would have been right."""

    lang: str
    texts: tuple[str, ...]


def references(gold: Any, *, lang: str) -> References:
    """Read the gold of an example: a text, a list of texts, or {"lang", "texts"}; raises UserError for all else, and for none."""
    own = gold.get("lang", lang) if isinstance(gold, Mapping) else lang
    texts = gold.get("texts") if isinstance(gold, Mapping) else gold
    texts = (texts,) if isinstance(texts, str) else texts
    if not isinstance(texts, Sequence) or not texts or not all(isinstance(text, str) for text in texts):
        raise UserError("no reference texts", expected="a text, or a list of one or more texts", found=f"{gold!r:.80}")
    return References(own, tuple(texts))


def generated(prediction: Any) -> str | None:
    """The text of a prediction, None where there is none; raises UserError for what is no text."""
    if prediction is not None and not isinstance(prediction, str):
        raise UserError("this prediction is no text", expected="a text", found=f"{prediction!r:.80}")
    return prediction
