"""Texts through a tokenizer many at a time, on all threads that the stage computes with (see runtime/threads.py).

    ids = ids_of(tokenizer, ["a text", "another"])    # the same as tokenizer(texts, add_special_tokens=False)["input_ids"]

The own call of a tokenizer makes seven lists of each text where one is wanted.  One that does more than its Rust backend (with
an encoding of its own) is called as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.api.later_tokenizer import at_hand

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

AT_A_TIME = 8192
"Texts of one call: what it returns lies in memory several times over until their ids are taken."


def ids_of(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of each text, without special tokens."""
    found: list[list[int]] = []
    for begin in range(0, len(texts), AT_A_TIME):
        found += _ids(tokenizer, list(texts[begin : begin + AT_A_TIME]))
    return found


def _ids(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> list[list[int]]:
    from transformers import PreTrainedTokenizerFast as Plain

    tokenizer = at_hand(tokenizer)
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    own: Any = type(tokenizer)
    if backend is None or own._encode_plus is not Plain._encode_plus or own.__call__ is not Plain.__call__:
        ids: list[list[int]] = tokenizer(texts, add_special_tokens=False, return_attention_mask=False, verbose=False)["input_ids"]
        return ids
    # What an earlier call asked of the backend stays set there.
    if backend.truncation is not None:
        backend.no_truncation()
    if backend.padding is not None:
        backend.no_padding()
    if backend.encode_special_tokens != tokenizer.split_special_tokens:
        backend.encode_special_tokens = tokenizer.split_special_tokens
    return [encoding.ids for encoding in backend.encode_batch_fast(texts, add_special_tokens=False)]
