"""Greedy generation with a causal language model, whatever its own generation settings say.

    texts = generate(model, features, tokenizer=tokenizer, device=torch.device("cpu"), max_tokens=4096)

Equal requests are answered once, beginnings that requests share are computed once, and prompts are computed in passes of their
own.  Rows that have ended leave the batch when half of it has.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from transformers import GenerationConfig, PreTrainedTokenizerFast

from harness.api.protocols import Feature
from models.inference.language_model import PaddedTokens, SplitModel, chosen_rows, evaluating
from models.inference.prefix_passes import prefill
from models.inference.prefix_tree import batches
from models.inference.requests import GenerationRequest, request_of
from models.inference.thoughts import finished_with_thoughts

SLACK = 8
"Tokens at the end of a text in which a stop text is looked for, beyond one for each of its bytes."


def generate(
    model: nn.Module, features: Sequence[Feature], *, tokenizer: PreTrainedTokenizerFast, device: torch.device, max_tokens: int
) -> list[str]:
    """What the model writes after each feature's tokens, up to a stop text, an end-of-text token or the limit, as text.

    max_tokens bounds a forward pass: padded tokens that are computed; tokens that are kept count a quarter.
    """
    asked = [request_of(feature) for feature in features]
    distinct = list(dict.fromkeys(asked))
    split_model, ends = SplitModel(model, device=device), end_tokens(getattr(model, "generation_config", None), tokenizer)
    # Where prompts are computed in passes of their own, a step computes one token a row: all that counts is what is kept.
    computed = [1 if split_model.keeps_all else len(one.input_ids) for one in distinct]
    sizes = [(size, len(one.input_ids) + one.max_new_tokens) for size, one in zip(computed, distinct)]
    texts: dict[GenerationRequest, str] = {}
    with evaluating(model):
        for batch in batches(sizes, max_tokens=max_tokens) if split_model.can_share else [[n] for n in range(len(distinct))]:
            requests = [distinct[n] for n in batch]
            texts |= zip(
                requests, _run(split_model, requests, tokenizer=tokenizer, ends=ends, max_tokens=max_tokens), strict=True
            )
    return [texts[one] for one in asked]


def end_tokens(config: GenerationConfig | None, tokenizer: PreTrainedTokenizerFast) -> frozenset[int]:
    """The tokens that end a text, as the model's generation settings and the tokenizer have them."""
    stated: Any = config.eos_token_id if config else None
    several = stated if isinstance(stated, list | tuple) else [stated]
    return frozenset(int(token) for token in (*several, tokenizer.eos_token_id) if token is not None)


def _run(
    split_model: SplitModel,
    requests: Sequence[GenerationRequest],
    *,
    tokenizer: PreTrainedTokenizerFast,
    ends: frozenset[int],
    max_tokens: int,
) -> list[str]:
    """Continue the requests of one batch."""
    written: list[list[int]] = [[] for _ in requests]
    texts: list[str | None] = [None] * len(requests)
    hidden_BTH, cache, mask = prefill([one.input_ids for one in requests], split_model, max_tokens=max_tokens)
    running = list(range(len(requests)))  # the request of each row, ended ones included until they leave
    while True:
        tokens = torch.cat([logits.argmax(dim=-1) for logits in split_model.logits(hidden_BTH[:, -1])])
        for number, token in zip(running, tokens.tolist(), strict=True):
            if texts[number] is None:
                texts[number] = finished_text(written[number], token, requests[number], tokenizer=tokenizer, ends=ends)
        left = [row for row, number in enumerate(running) if texts[number] is None]
        if not left:
            return [text or "" for text in texts]
        if len(left) <= len(running) / 2:
            chosen = torch.tensor(left, device=split_model.device)
            running = [running[row] for row in left]
            cache, mask, tokens = chosen_rows(cache, chosen), mask[chosen], tokens[chosen]
        mask = torch.cat([mask, torch.ones_like(tokens)[:, None]], dim=1)
        hidden_BTH, cache = split_model.hidden(PaddedTokens(tokens[:, None], mask, [0] * len(running)), cache=cache, keep=True)


def finished_text(
    written: list[int], token: int, request: GenerationRequest, *, tokenizer: PreTrainedTokenizerFast, ends: frozenset[int]
) -> str | None:
    """Add a token to those written; returns the text if it is finished by that, else None."""
    if request.thoughts is not None:
        return finished_with_thoughts(written, token, request, tokenizer=tokenizer, ends=ends)
    if token not in ends:
        written.append(token)
        tail = max((len(stop.encode()) for stop in request.stop), default=0) + SLACK
        stopped = any(stop in text_of(tokenizer, written[-tail:]) for stop in request.stop)
        if not stopped and len(written) < request.max_new_tokens:
            return None
        text = text_of(tokenizer, written)
        found = [at for stop in request.stop if (at := text.find(stop)) >= 0]
        if found or len(written) >= request.max_new_tokens:
            return text[: min(found, default=len(text))]
        return None
    return text_of(tokenizer, written)


def text_of(tokenizer: PreTrainedTokenizerFast, ids: Sequence[int]) -> str:
    """The text of some tokens."""
    return str(tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))
