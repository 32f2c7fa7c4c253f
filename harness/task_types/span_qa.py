"""A span of the context answers the question (XQuAD, MLQA, TyDiQA, SQuAD).

    features = span_qa.encode(examples, task=task, tokenizer=tokenizer, options=span_qa.Options(), train=False)
    # question, then a window of the context; long contexts give several features

Windows, candidates and limits are those of run_squad, which XTREME uses.  Answers are cut out of the context by character
offsets and never put together from tokens: run_squad's way back through whitespace words returns whole clauses in languages
without spaces (Chinese, Thai).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from harness.api.errors import UserError
from harness.api.protocols import Batch, Feature, HeadSpec, Output, Prediction
from harness.specs.model import Spec
from harness.specs.task import TaskSpec
from harness.task_types._row_fields import by_example, example_id, list_field, num_truncated, text_field
from harness.task_types.tokens.sequences import room, special_frame, token_ids
from harness.task_types.tokens.windows import SpanCandidates, best_pair, reachable_answer, tokenize_contexts, top, windows

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

HUB_TASK = "question-answering"
ROUTES = ("head", "prompt")
NEEDS = ("forward_head",)
FIXED_OPTIONS = ("allow_empty",)
FIELDS = {
    "question": "the question",
    "context": "the text that holds the answer, with its whitespace as the answer offsets count it",
    "answer_texts": "accepted answers, a list; empty if the context holds none",
    "answer_starts": "first character of each answer in the context, a list",
    "id?": "identifier of the row",
}
SAMPLES = (
    {"id": "start", "question": "Who?", "context": "Ada wrote it.", "answer_texts": ["Ada"], "answer_starts": [0]},
    {"question": "", "context": "the end is here", "answer_texts": ["here", "end"], "answer_starts": [11, 4]},
    {
        "question": "\u0645\u0646\u061f",
        "context": "  \u0643\u062a\u0628\u062a \u0644\u064a\u0644\u0649 \U0001f469\u200d\U0001f467 \u0627\u0644\u0622\u0646",
        "answer_texts": ["\u0644\u064a\u0644\u0649"],
        "answer_starts": [7],
    },
    {"question": "where? " * 90, "context": "far away " * 600 + "home", "answer_texts": ["home"], "answer_starts": [5400]},
    {"question": "moved?", "context": "one two one", "answer_texts": ["one"], "answer_starts": [7]},
)


class Options(Spec):
    """Options of span_qa."""

    max_length: int = Field(default=384, ge=1)
    "Longest input in tokens: question, window of the context and special tokens."
    doc_stride: int = Field(default=128, ge=1)
    "Tokens from the start of one window to the start of the next."
    max_query_length: int = Field(default=64, ge=1)
    "Longest question in tokens; the rest is cut away."
    max_answer_length: int = Field(default=30, ge=1)
    "Longest answer in tokens of the model's tokenizer."
    n_best: int = Field(default=20, ge=1)
    "Start and end positions of a window that are combined to candidates."
    allow_empty: bool = False
    """The question may have no answer (SQuAD 2.0): rows without one train the first token, and predictions are
    `{"text", "null_odds"}`, for the metric squad_v2.  XQuAD, MLQA and TyDiQA leave it off, whatever was trained on before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """A question about a context."""

    id: str
    lang: str
    question: str
    context: str
    answer_starts: tuple[int, ...]
    "Parallel to gold; empty if the context holds no answer."
    gold: list[str] | None
    "Accepted answers; [''] if the context holds none."


def head(task: TaskSpec, options: Options) -> HeadSpec:
    """A span head: start and end logits."""
    return HeadSpec(kind="span", num_outputs=2)


def allows_no_answer(options: Options) -> bool:
    """Whether questions may have no answer in their context."""
    return options.allow_empty


def build(row: Mapping[str, Any], *, task: TaskSpec, lang: str, row_id: str) -> Example | None:
    """Make an Example; raises UserError for values that do not fit."""
    gold, starts = None, ()
    if row.get("answer_texts") is not None:
        gold = list_field(row, "answer_texts", str)
        starts = tuple(list_field(row, "answer_starts", int))
        if len(gold) != len(starts):
            raise UserError(
                "answer_texts and answer_starts differ in number",
                expected=f"{len(gold)} offsets, as many as texts",
                found=f"{len(starts)} offsets",
            )
    return Example(
        id=example_id(row, row_id),
        lang=lang,
        question=text_field(row, "question"),
        context=text_field(row, "context"),
        answer_starts=starts,
        gold=[""] if gold == [] else gold,
    )


def encode(
    examples: Sequence[Example], *, task: TaskSpec, tokenizer: PreTrainedTokenizerFast, options: Options, train: bool
) -> list[Feature]:
    """One feature per window; rows whose answer is not in the context give no feature if `train`.

    info: `at` = position of the window's first context token, `starts`, `ends` = characters of its context tokens, `scored` =
    range of those that may start an answer, `notes` = remarks on the example.
    """
    frame = special_frame(tokenizer, pair=True)
    left = room(options.max_length, frame, needed=2)
    # Half of the room at most: with XTREME's lengths this never binds, with tiny ones the context must not vanish.
    longest_question = min(options.max_query_length, left // 2)
    questions = token_ids(tokenizer, [example.question for example in examples])
    contexts = tokenize_contexts(tokenizer, [example.context for example in examples])
    features: list[Feature] = []
    for index, (example, question, context) in enumerate(zip(examples, questions, contexts)):
        asked = question[:longest_question]
        gold = reachable_answer(context, example, limit=options.max_answer_length)
        known = gold.span is not None or (options.allow_empty and example.gold == [""])
        if train and not known:
            continue
        for part, window in enumerate(windows(len(context.ids), room=left - len(asked), step=options.doc_stride)):
            tokens = slice(window.begin, window.end)
            sequence = frame.put(asked, context.ids[tokens])
            labels = None
            if known:
                labels = (0, 0)  # no answer in this window: both logits point at the first token, as in run_squad
                if gold.span is not None and window.begin <= gold.span[0] and gold.span[1] < window.end:
                    shift = sequence.second_at - window.begin
                    labels = (gold.span[0] + shift, gold.span[1] + shift)
            info = {
                "at": sequence.second_at,
                "starts": context.starts[tokens].tolist(),
                "ends": context.ends[tokens].tolist(),
                "scored": [window.scored_begin - window.begin, window.scored_end - window.begin],
                "notes": list(gold.notes),
            }
            features.append(
                Feature(
                    example=index,
                    part=part,
                    input_ids=sequence.input_ids,
                    type_ids=sequence.type_ids,
                    labels=labels,
                    info=info,
                    num_truncated=len(question) - len(asked) if part == 0 else 0,
                )
            )
    return features


def loss(outputs: torch.Tensor, batch: Batch, options: Options) -> torch.Tensor:
    """Mean of the cross-entropies of start and end over the positions of logits [B, T, 2], summed over the windows."""
    import torch
    from torch.nn.functional import cross_entropy

    assert batch.labels is not None
    # Padding is no position that could be meant: without the mask its logits would take part in the softmax.
    logits = outputs.float().masked_fill(batch.attention_mask.unsqueeze(-1) == 0, torch.finfo(torch.float32).min)
    start, end = (cross_entropy(logits[..., side], batch.labels[:, side], reduction="sum") for side in (0, 1))
    return (start + end) / 2


def num_targets(features: Sequence[Feature]) -> int:
    """Windows with a label."""
    return sum(feature.labels is not None for feature in features)


def reduce(feature: Feature, output: Output, *, task: TaskSpec, options: Options) -> list[Any]:
    """[score, start character, end character, score of no answer] of the window's best span; the first three None without one.

    As run_squad: all pairs of the n_best start and n_best end positions, and of these the best that lies in the context, starts
    at a token with its maximal context and is short enough.  Where none of them does, all positions are tried: there is always
    an answer if the context has a token.
    """
    start_logits, end_logits = np.asarray(output, dtype=np.float64).T
    info = feature.info
    among = SpanCandidates(
        at=info["at"],
        starts=np.array(info["starts"], dtype=np.int64),
        ends=np.array(info["ends"], dtype=np.int64),
        scored=tuple(info["scored"]),
        max_length=options.max_answer_length,
    )
    firsts, lasts = top(start_logits, options.n_best), top(end_logits, options.n_best)
    best = best_pair(start_logits, end_logits, firsts=firsts, lasts=lasts, among=among)
    if best is None:
        everywhere = np.arange(len(start_logits))
        best = best_pair(start_logits, end_logits, firsts=everywhere, lasts=everywhere, among=among)
    return [*(best or (None, None, None)), float(start_logits[0] + end_logits[0])]


def decode(
    examples: Sequence[Example], features: Sequence[Feature], partials: Sequence[list[Any]], *, task: TaskSpec, options: Options
) -> list[Prediction]:
    """The best span over all windows as text of the context, the earliest window among equals.

    None (missing) where the context has no token at all.  With allow_empty a mapping of this `text`, or '' without a token, and
    `null_odds`, as in run_squad: the lowest score of no answer among the windows minus the score of the span.
    """
    predictions = []
    for example, parts in zip(examples, by_example(features, partials, len(examples))):
        spans = [part.partial for part in parts if part.partial[0] is not None]
        best = max(spans, key=lambda span: span[0], default=None)  # the first of the largest
        text = None if best is None else example.context[best[1] : best[2]].strip()
        odds = 0.0 if best is None else min(part.partial[3] for part in parts) - best[0]
        predictions.append(
            Prediction(
                id=example.id,
                lang=example.lang,
                prediction={"text": text or "", "null_odds": odds} if options.allow_empty else text,
                gold=example.gold,
                num_truncated=num_truncated(parts),
                notes=tuple(parts[0].feature.info["notes"]),
            )
        )
    return predictions


def oracle(feature: Feature, example: Example, *, task: TaskSpec, options: Options) -> Output:
    """Logits [T, 2] with 1 at the label's start and end."""
    length = max(len(feature.input_ids), feature.info["at"] + len(feature.info["starts"]), 1)
    output = np.zeros((length, 2), dtype=np.float32)
    if isinstance(feature.labels, tuple):
        start, end = feature.labels
        output[start, 0] = output[end, 1] = 1
    return output


def texts(example: Example) -> tuple[str, ...]:
    """Question and context."""
    return (example.question, example.context)
