"""Generation with a causal language model, whatever its own generation settings say: greedy, or drawn with a request's seed.

    texts = generate(model, features, tokenizer=tokenizer, device=torch.device("cpu"), max_tokens=4096)

Equal requests are answered once, beginnings that requests share are computed once, and prompts are computed in passes of their
own.  Which rows a pass has is up to PackedTexts on a CPU, else to PaddedTexts.
"""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch import nn
from transformers import GenerationConfig, PreTrainedTokenizerFast

from harness.api.errors import UserError
from harness.api.protocols import Feature
from harness.api.randomness import generator
from models.inference.language_model import SplitModel, evaluating, likeliest
from models.inference.packed_texts import PackedTexts
from models.inference.padded_texts import PaddedTexts
from models.inference.requests import GenerationRequest, SamplingRequest, request_of
from models.inference.thoughts import finished_with_thoughts

UNDEFINED = -1
"In place of a token: the largest logit was no number."
SLACK = 8
"Tokens at the end of a text in which a stop text is looked for, beyond one for each of its bytes."


def generate(
    model: nn.Module, features: Sequence[Feature], *, tokenizer: PreTrainedTokenizerFast, device: torch.device, max_tokens: int
) -> list[str]:
    """What the model writes after each feature's tokens, up to a stop text, an end-of-text token or the limit, as text.

    max_tokens bounds a forward pass: tokens that are computed, with padding where there is some, and a quarter of what is kept.
    """
    asked = [request_of(feature) for feature in features]
    requests = list(dict.fromkeys(asked))
    split_model, ends = SplitModel(model, device=device), end_tokens(getattr(model, "generation_config", None), tokenizer)
    on_cpu = device.type == "cpu"
    kind = PackedTexts if on_cpu and split_model.packs and split_model.keeps_all else PaddedTexts
    texts = kind(
        [one.input_ids for one in requests],
        split_model,
        most_new=[one.max_new_tokens for one in requests],
        max_tokens=max_tokens,
    )
    with evaluating(model):
        written = _written(texts, requests, split_model, tokenizer=tokenizer, ends=ends)
    text_of_request = dict(zip(requests, written, strict=True))
    return [text_of_request[one] for one in asked]


def end_tokens(config: GenerationConfig | None, tokenizer: PreTrainedTokenizerFast) -> frozenset[int]:
    """The tokens that end a text, as the model's generation settings and the tokenizer have them."""
    stated: Any = config.eos_token_id if config else None
    several = stated if isinstance(stated, list | tuple) else [stated]
    return frozenset(int(token) for token in (*several, tokenizer.eos_token_id) if token is not None)


def _written(
    texts: PaddedTexts | PackedTexts,
    requests: Sequence[GenerationRequest],
    split_model: SplitModel,
    *,
    tokenizer: PreTrainedTokenizerFast,
    ends: frozenset[int],
) -> list[str]:
    """What becomes of all requests."""
    found: list[str | None] = [None] * len(requests)
    tokens_of: list[list[int]] = [[] for _ in requests]
    while texts.begin():
        running = [*zip(texts.numbers, texts.guesses, strict=True)]
        draws = [
            _draw_of(requests[number], len(tokens_of[number]) + ahead) if found[number] is None else None
            for number, guesses in running
            for ahead in range(1 + len(guesses))
        ]
        tokens = iter(_next_tokens(split_model.logits(texts.hidden_NH), draws).tolist())
        added = []
        for number, guesses in running:
            own = [*islice(tokens, 1 + len(guesses))]
            # What a row that has ended would write must be of no consequence: how long it stays hangs on its neighbours.
            if found[number] is not None:
                added.append([max(own[0], 0)])  # UNDEFINED is no id
                continue
            came = []
            for token, guess in zip(own, [*guesses, None], strict=True):
                if token == UNDEFINED:
                    todo = "use --model_args dtype=bfloat16 or dtype=float32"
                    raise UserError("the model gives infinite or undefined logits", todo=todo)
                came.append(token)
                found[number] = finished_text(tokens_of[number], token, requests[number], tokenizer=tokenizer, ends=ends)
                if found[number] is not None or token != guess:
                    break
            added.append(came)
        texts.write(added, [found[number] is None for number, _ in running])
    return [text or "" for text in found]


class _Draw(NamedTuple):
    """How the next token of one row is drawn."""

    how: SamplingRequest
    place: float
    "Between 0 and 1: where in the probabilities, the largest first, the token stands."


def _draw_of(request: GenerationRequest, step: int) -> _Draw | None:
    """The draw of a request's next token; it hangs on the request's seed and the place alone, not on the batch."""
    how = request.sampling
    return _Draw(how, float(generator("token", step, seed=how.seed).random())) if how else None


def _next_tokens(logits: Iterable[torch.Tensor], draws: Sequence[_Draw | None]) -> torch.Tensor:
    """The next token of each row [B], of logits [b, V] that come in parts; UNDEFINED where the largest is no number."""
    found: list[torch.Tensor] = []
    done = 0
    for logits_BV in logits:
        best = likeliest(logits_BV)
        largest = logits_BV.gather(-1, best.unsqueeze(-1)).squeeze(-1)
        for row, draw in enumerate(draws[done : done + len(logits_BV)]):
            if draw is not None:
                best[row] = _drawn_token(logits_BV[row], draw)
        done += len(logits_BV)
        found.append(best.where(torch.isfinite(largest), UNDEFINED))
    return torch.cat(found)


def _drawn_token(logits_V: torch.Tensor, draw: _Draw) -> int:
    """One token: of the top_k likeliest, and of those of the fewest that have top_p of the probability."""
    values, tokens = logits_V.double().div(draw.how.temperature).sort(descending=True, stable=True)
    if draw.how.top_k:
        values, tokens = values[: draw.how.top_k], tokens[: draw.how.top_k]
    sums = values.softmax(dim=-1).cumsum(dim=-1)
    number = int((sums < draw.how.top_p).sum()) + 1
    sums = sums[:number]
    place = int((sums <= draw.place * float(sums[-1])).sum())
    return int(tokens[min(place, len(sums) - 1)])


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
