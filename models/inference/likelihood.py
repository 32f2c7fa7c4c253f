"""Log-likelihoods of continuations under a causal language model, with no token computed twice.

    outputs = loglikelihood(model, features, device=torch.device("cpu"), max_tokens=4096)      # one fp64 [N, 3] a feature
    texts = generate(model, features, tokenizer=tokenizer, device=device, max_tokens=4096)

Beginnings that several sequences share (a context with its continuations, a context that stands in several examples, the same
words at the beginning of continuations) are computed once and kept for what follows.  The continuations of one token that
follow the same context are all read from one position.  Only positions that are read go through the language model head.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from harness.api.errors import UserError
from harness.api.placing import placed
from harness.api.protocols import Feature, Output, PendingOutputs
from models.inference.generation import generate
from models.inference.language_model import SplitModel, evaluating, likeliest
from models.inference.packed_passes import in_full_passes, packed_passes
from models.inference.prefix_passes import passes
from models.inference.prefix_tree import Node, Place, PrefixTree, build_tree, by_node
from models.loading.pretrained import when_computed

__all__ = ["begin_loglikelihood", "generate", "loglikelihood"]


class Computed(NamedTuple):
    """Hidden states that are read."""

    places: list[Place]
    hidden_NH: Tensor


class TokenReads(NamedTuple):
    """The tokens whose probabilities are wanted, by the place where each is predicted."""

    at: dict[Place, list[int]]
    "Numbers of the tokens that are predicted at a place."
    tokens: list[int]
    "Token id of each number: feature by feature, continuation by continuation."


def loglikelihood(model: nn.Module, features: Sequence[Feature], *, device: torch.device, max_tokens: int) -> list[Output]:
    """Sum of log-probabilities, number of tokens and 1.0 if each is the likeliest, for each continuation [N, 3] of each feature.

    max_tokens bounds a forward pass: tokens that are computed; where rows are padded, also padding and a quarter of what is kept.
    Raises UserError where the model's numbers overflow.
    """
    return begin_loglikelihood(model, features, device=device, max_tokens=max_tokens).now()


def begin_loglikelihood(
    model: nn.Module, features: Sequence[Feature], *, device: torch.device, max_tokens: int
) -> PendingOutputs:
    """The same, of which a GPU may still be computing all passes; what overflowed is told to whoever takes it."""
    pairs = [(tuple(feature.input_ids), ids) for feature in features for ids in feature.continuations or ()]
    inputs = [(*context, *ids[:-1]) for context, ids in pairs if ids]
    split_model = SplitModel(model, device=device)
    tree = build_tree(inputs) if split_model.can_share else _apart(inputs)
    if split_model.packs:
        tree = in_full_passes(tree, split_model, max_tokens=max_tokens)
    reads = _reads(tree, pairs)
    numbers: list[int] = []
    logprobs, hits = [torch.zeros(0, device=device)], [torch.zeros(0, dtype=torch.bool, device=device)]
    with evaluating(model):
        for places, hidden_NH in _places(tree, split_model, reads, max_tokens=max_tokens):
            own = [number for place in places for number in reads.at[place]]
            rows = [row for row, place in enumerate(places) for _ in reads.at[place]]
            found = _probabilities(split_model, hidden_NH, rows=rows, tokens=[reads.tokens[number] for number in own])
            numbers += own
            logprobs.append(found[0])
            hits.append(found[1])
    # One copy of all, behind all passes: whoever looks at those of a pass waits for it, and the GPU for the next one.
    logprobs_R, hits_R = (torch.cat(several).to("cpu", non_blocking=True) for several in (logprobs, hits))

    def take() -> list[Output]:
        order = np.argsort(np.array(numbers, dtype=np.int64))  # each is there once
        return _gathered(features, logprobs_R.numpy()[order].astype(np.float64), hits_R.numpy()[order])

    return when_computed(take, device=device)


def _apart(inputs: Sequence[tuple[int, ...]]) -> PrefixTree:
    """A tree in which only equal sequences are shared: for models that keep a recurrent state instead of tokens."""
    numbers = {sequence: number for number, sequence in enumerate(dict.fromkeys(inputs))}
    return PrefixTree([Node(sequence, None) for sequence in numbers], [numbers[sequence] for sequence in inputs])


def _reads(tree: PrefixTree, pairs: Sequence[tuple[tuple[int, ...], list[int]]]) -> TokenReads:
    """Where the tokens of all continuations are predicted: each at the place of the token before it."""
    at: dict[Place, list[int]] = {}
    tokens: list[int] = []
    for number, (context, ids) in enumerate((context, ids) for context, ids in pairs if ids):
        begin = len(context) - 1
        for place, token in zip(tree.places_of(number, begin, begin + len(ids)), ids, strict=True):
            at.setdefault(place, []).append(len(tokens))
            tokens.append(token)
    return TokenReads(at, tokens)


def _gathered(features: Sequence[Feature], logprobs: np.ndarray, hits: np.ndarray) -> list[Output]:
    """The numbers of each feature's continuations; UserError where some overflowed."""
    if not np.isfinite(logprobs).all():
        raise UserError(
            "the model gives infinite or undefined likelihoods", todo="use --model_args dtype=bfloat16 or dtype=float32"
        )
    outputs, at = [], 0
    for feature in features:
        rows = []
        for ids in feature.continuations or ():
            own = slice(at, at + len(ids))
            rows.append((logprobs[own].sum(), len(ids), float(hits[own].all())))
            at = own.stop
        outputs.append(np.array(rows, dtype=np.float64).reshape(-1, 3))
    return outputs


def _places(tree: PrefixTree, split_model: SplitModel, reads: TokenReads, *, max_tokens: int) -> Iterator[Computed]:
    """Compute the tree batch by batch, and give the places that are read with their hidden states."""
    if split_model.packs:
        for packed in packed_passes(tree, split_model, max_tokens=max_tokens, wanted=reads.at):
            if packed.places:
                yield Computed(packed.places, packed.wanted_hidden())
        return
    wanted = by_node(reads.at)
    for one in passes(tree, split_model, max_tokens=max_tokens):
        places = [place for node in one.nodes for place in wanted.get(node, ())]
        if not places:
            continue
        at = [(row, one.first[row] + place.position) for row, node in enumerate(one.nodes) for place in wanted.get(node, ())]
        index = placed(np.array(at, dtype=np.int64).reshape(-1, 2), one.hidden_BTH.device)
        yield Computed(places, one.hidden_BTH[index[:, 0], index[:, 1]])


def _probabilities(
    split_model: SplitModel, hidden_NH: Tensor, *, rows: Sequence[int], tokens: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """The log-probability of each token at its row of the hidden states (fp32), and whether it is the likeliest one there.

    rows are in order.  Nothing of the size of the vocabulary outlives its piece.
    """
    row_R, token_R = np.array(rows, dtype=np.int64), np.array(tokens, dtype=np.int64)
    found: list[tuple[Any, Any]] = []
    begin = 0
    for logits_nV, logprobs_nV in split_model.log_probabilities(hidden_NH):
        own = slice(bisect_left(rows, begin), bisect_left(rows, begin + len(logits_nV)))
        at, token = row_R[own] - begin, token_R[own]
        if logits_nV.device.type == "cpu":  # pieces are small, and torch takes four times as long to look up a few numbers
            found.append((logprobs_nV.numpy()[at, token], likeliest(logits_nV).numpy()[at] == token))
        else:
            places, tokens_r = placed(at, logits_nV.device), placed(token, logits_nV.device)
            found.append((logprobs_nV[places, tokens_r], likeliest(logits_nV)[places] == tokens_r))
        begin += len(logits_nV)
    logprobs_R, hits_R = (torch.cat([torch.as_tensor(one) for one in several]) for several in zip(*found, strict=True))
    return logprobs_R, hits_R
