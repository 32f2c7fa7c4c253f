"""Bytes that a training pass keeps for its backward pass, by architecture, precision, attention and device.

    kept = layer_bytes(shape, how, tokens=1024, length=128)     # of one layer
    activation_bytes(shape, how, tokens=1024, length=128)       # of all, gradient checkpointing taken into account

Korthikanti et al. (2022, arXiv 2205.05198) count what a layer keeps as s b h (34 + 5 a s / h) bytes, for one layer of GPT in
half precision.  Other architectures, fp32 and autocast keep other tensors.  SAVED lists those of each family: they were counted
in transformers 5.23 with `torch.autograd.graph.saved_tensors_hooks`, and a test counts them again on small models of each family.

A row says how many tensors of a width are kept for each token: H hidden, F feed-forward, Q all heads, K the heads of keys, `h`
one number a head, `k` one a head of keys, `n` one number, T a head's row of attention scores (as long as the sequence), M a
row of the mask.  Behind the bar stand those that stay fp32 under autocast.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

from harness.planning.costs.shapes import ModelShape

Precision = Literal["float32", "bfloat16", "float16"]
BYTES: Mapping[str, int] = {"float32": 4, "bfloat16": 2, "float16": 2}
TERM = re.compile(r"(\d+)([HFQKTMhkn])")


@dataclass(frozen=True, kw_only=True)
class _Saved:
    """What a layer of a family keeps, beside attention scores and then with them."""

    full: str
    "In fp32."
    autocast: str
    "Under autocast to bf16 or fp16."
    scores: tuple[str, str]
    "Where attention makes a table of scores (eager, or sdpa with dropout on a CPU): in fp32, and under autocast."
    scores_sdpa: str = ""
    "On a CPU, sdpa with dropout under autocast, where it differs: keys, queries and values in fp32 as well."
    always_eager: bool = False
    "transformers computes its attention with a table of scores whatever is asked."
    masks: int = 2
    "Of those of width H: masks of dropout, a byte each on a GPU."


_BERT_SCORES = ("3T", "1T | 2T")
SAVED: Mapping[str, _Saved] = {
    "bert": _Saved(full="10H 2F 4n", autocast="10H 2F | 2H 4n", scores=_BERT_SCORES, scores_sdpa="-3H | 3H 3T"),
    "bert-pre": _Saved(full="9H 2F 4n", autocast="9H 2F | 2H 4n", scores=_BERT_SCORES, scores_sdpa="-3H | 3H 3T"),
    "rembert": _Saved(full="8H 2F 4n", autocast="8H 2F | 4n", scores=("1T", "1T | 1T"), always_eager=True),
    "deberta": _Saved(full="11H 2F 4n", autocast="11H 2F | 2H 4n", scores=("3T", "3T"), always_eager=True),
    "modernbert": _Saved(full="10H 4F 4n", autocast="8H 4F | 2H 4n", scores=("1T", "1T | 1T"), masks=1),
    "mt5": _Saved(full="8H 4Q 8F 2n", autocast="7H 4Q 8F | 4H 2n", scores=_BERT_SCORES, scores_sdpa="-3Q | 3Q 3T"),
    "llama": _Saved(full="6H 4Q 4F 2n", autocast="5H 4Q 4F | 4H 2n", scores=("1T", "1T | 1T"), masks=0),
    "qwen3": _Saved(full="6H 2K 6Q 4F 2n 1h 1k", autocast="5H 1K 5Q 4F | 4H 1K 1Q 2n 1h 1k", scores=("1T", "1T | 1T"), masks=0),
    "gemma3": _Saved(full="10H 2K 6Q 4F 4n 1h 1k", autocast="5H 4Q 4F | 8H 2K 2Q 4n 1h 1k", scores=("1T", "1T | 1T"), masks=0),
    "xglm": _Saved(full="10H 2F 4n", autocast="10H 2F | 2H 4n", scores=("4T", "1T | 3T"), always_eager=True),
    "bloom": _Saved(full="8H 2F 4n", autocast="6H 2F | 2H 4n", scores=("1T", "1T | 1T"), always_eager=True, masks=0),
}
PACKED = "1Q"
"""What packing adds: attention's output in the order of the tokens.  Copies of queries, keys and values, which are padded within
each call of attention, take the place of those that are kept anyway; what a layer keeps is within an eighth of what is said."""
OUTSIDE = 4
"Tensors of width H that are kept beside the layers, in fp32: around the embeddings and the last norm."


@dataclass(frozen=True, kw_only=True)
class HowTrained:
    """What decides what is kept."""

    precision: Precision = "float32"
    attention: str = "sdpa"
    checkpointing: bool = False
    on_gpu: bool = False
    whole: bool = True
    "False: low-rank adapters on a frozen base, whose weights are in `precision` themselves."


@cache
def _terms(text: str) -> Mapping[str, int]:
    """Letter -> how many."""
    negative = text.strip().startswith("-")
    return {letter: -int(number) if negative else int(number) for number, letter in TERM.findall(text)}


def _per_token(text: str, shape: ModelShape, *, length: int) -> int:
    """Numbers kept for a token by a side of a row."""
    widths = {
        "H": shape.hidden,
        "F": shape.intermediate,
        "Q": shape.query_width,
        "K": shape.key_width,
        "h": shape.heads,
        "k": shape.kv_heads,
        "n": 1,
        "T": shape.heads * length,
        "M": length,
    }
    return sum(number * widths[letter] for letter, number in _terms(text).items())


def makes_scores(shape: ModelShape, how: HowTrained, *, training: bool = True) -> bool:
    """Whether attention keeps a table of scores: T^2 for each head."""
    with_dropout = training and not how.on_gpu and shape.attention_dropout > 0
    return SAVED[shape.family].always_eager or how.attention == "eager" or with_dropout


def is_packed(shape: ModelShape, how: HowTrained) -> bool:
    """Whether batches are computed without their padding."""
    return shape.packs and how.attention == "sdpa"


def layer_bytes(shape: ModelShape, how: HowTrained, *, tokens: int, length: int) -> int:
    """Bytes that one layer keeps of a pass over so many tokens, of sequences of `length`; without copies of weights."""
    saved, mixed = SAVED[shape.family], how.precision != "float32"
    # A base in half precision keeps what fp32 keeps, in half the bytes; its norms compute in fp32.
    base = saved.full if not (mixed and how.whole) else saved.autocast
    plain, _, raised = base.partition("|")
    parts: list[tuple[str, int]] = [(plain, BYTES[how.precision]), (raised, 4)]
    if mixed and not how.whole:
        parts.append(("2H", 4))
    if makes_scores(shape, how):
        by_sdpa = saved.scores_sdpa and how.attention != "eager" and not how.on_gpu
        text = saved.scores[0] if not mixed else saved.scores_sdpa if by_sdpa else saved.scores[1]
        low, _, high = text.partition("|")
        parts += [(low, BYTES[how.precision]), (high, 4)]
    else:
        parts += [("1M", BYTES[how.precision]), ("1h", 4)]
    if is_packed(shape, how):
        parts.append((PACKED, BYTES[how.precision]))
    per_token = sum(_per_token(text, shape, length=length) * size for text, size in parts)
    if shape.hidden_dropout and how.on_gpu:
        per_token -= saved.masks * shape.hidden * (BYTES[how.precision] - 1)
    found = per_token * tokens
    if shape.relative_positions:
        found += _relative_bytes(shape, how, tokens=tokens, length=length)
    return found


def _relative_bytes(shape: ModelShape, how: HowTrained, *, tokens: int, length: int) -> int:
    """DeBERTa's: for both of its terms scores of each token with each relative position, their keys repeated for each sequence
    and once, the positions' numbers, and the mask as bytes.
    """
    size, relative = BYTES[how.precision], shape.relative_positions
    sequences = max(1, tokens // length)
    scores = 2 * shape.heads * relative * tokens
    keys = 2 * (sequences + 1) * relative * shape.hidden
    return size * (scores + keys) + 2 * 8 * length * length + tokens * length


def copies_of_weights(shape: ModelShape, how: HowTrained) -> int:
    """Bytes of the weights that autocast casts: they are kept until the backward pass has used them."""
    return BYTES[how.precision] * shape.in_matrices if how.whole and how.precision != "float32" else 0


def activation_bytes(shape: ModelShape, how: HowTrained, *, tokens: int, length: int) -> int:
    """Bytes kept at the end of a forward pass; with checkpointing those of one layer while it is computed again.

    A checkpoint is what goes into a layer: one tensor of width H, fp32 where the whole model is trained.
    """
    outside = 4 * OUTSIDE * shape.hidden * tokens
    inner = layer_bytes(shape, how, tokens=tokens, length=length)
    if not how.checkpointing:
        return shape.layers * inner + outside
    size = 4 if how.whole else BYTES[how.precision]
    return shape.layers * size * shape.hidden * tokens + inner + outside
