r"""Thoughts before an answer, on every prompt route: how a model is told to write them, and how the answer is found.

    how = thoughts_of(prompt.text, tokenizer=tokenizer, prompt_args=prompt_args)        # None where it is not to think
    generate = {"max_new_tokens": 32 + prompt_args.room_for_thoughts, "stop": ["\n"], **thinking(how)}
    said = said_of(features, partials)                       # [Said(thoughts='...', answer='Kazan'), ...]
    prediction = with_thoughts(prediction, said[0])

An answer that had not begun when the budget of thoughts was spent is none: no prediction, noted as `cut_in_thought`.  Thoughts of
a model that was not asked for any stay in its answer, as a user of it would read it, and are noted as `thoughts_unasked`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.api.errors import UserError
from harness.api.protocols import Feature, Partial, Prediction
from harness.api.thoughts import MARKS, Said, Thoughts, split_thoughts
from harness.specs.prompt import PromptArgs

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

CUT = "cut_in_thought"
"Note of a prediction: the model was still thinking when its budget was spent, or ended so."
UNASKED = "thoughts_unasked"
"Note of a prediction: the answer begins with thoughts, which were not asked for."


def thoughts_of(text: str, *, tokenizer: PreTrainedTokenizerFast, prompt_args: PromptArgs) -> Thoughts | None:
    """How a model thinks behind a prompt; None where it is not to, UserError where its chat template knows no thoughts."""
    if not prompt_args.thinking:
        return None
    template = str(tokenizer.chat_template or "")
    by_server = prompt_args.chat_template == "server"
    pairs = [pair for pair in MARKS if pair[1] in template or tokenizer.convert_tokens_to_ids(pair[1]) in _added(tokenizer)]
    if not pairs and not by_server:
        raise UserError(
            "this chat template knows no thoughts",
            where=f"--prompt_args thinking, {tokenizer.name_or_path}",
            expected=" or ".join(end for _, end in MARKS) + " in the chat template or among the tokens",
            todo="take a model that thinks (Qwen3, SmolLM3, DeepSeek-R1, ...), or leave thinking out",
        )
    start, end = (pairs or MARKS)[0]
    return Thoughts(start=start, end=end, opened=text.rstrip().endswith(start), budget=prompt_args.thinking_budget)


def room_to_write(own: int, *, prompt_args: PromptArgs, max_length: int) -> int:
    """Tokens to leave for thoughts and an answer, where a task says how long its `own` is; UserError where none are left for the
    prompt beside thoughts.
    """
    answer = prompt_args.answer_length(own)
    room = answer + prompt_args.room_for_thoughts
    if prompt_args.thinking and room >= max_length:
        raise UserError(
            "no room is left for the prompt beside thoughts and answer",
            where="--prompt_args thinking_budget",
            expected=f"less than {max_length - answer} tokens: all of them together are {max_length} at most",
            found=f"{prompt_args.thinking_budget} tokens",
            todo=f"thinking_budget={max(1, (max_length - answer) // 2)}",
        )
    return room


def _added(tokenizer: PreTrainedTokenizerFast) -> set[int]:
    return set(tokenizer.added_tokens_decoder) - {tokenizer.unk_token_id}


def thinking(how: Thoughts | None) -> dict[str, Any]:
    """What `Feature.generate` says of thoughts."""
    return {} if how is None else {"thoughts": how}


def closed(text: str) -> str:
    """A prompt of a model that is not to think: thoughts that its template opens whatever is asked end at once."""
    found = next((end for start, end in MARKS if text.rstrip().endswith(start)), None)
    return text if found is None else f"{text.rstrip()}\n\n{found}\n\n"


def said_of(features: Sequence[Feature], partials: Sequence[Partial]) -> list[Said]:
    """What was written to each feature, taken apart; the partials of likelihoods as they are."""
    return [_said((feature.generate or {}).get("thoughts"), partial) for feature, partial in zip(features, partials, strict=True)]


def _said(how: Thoughts | None, partial: Partial) -> Said:
    return Said(None, partial) if how is None else split_thoughts(partial, how)


def are_unasked(said: Said) -> bool:
    """Whether an answer begins with the mark of thoughts that nobody asked for."""
    text = said.answer if said.thoughts is None else None
    return isinstance(text, str) and text.lstrip().startswith(tuple(start for start, _ in MARKS))


def with_thoughts(prediction: Prediction, said: Said) -> Prediction:
    """A prediction with what was thought before it; none where nothing else was written."""
    if said.answer is None:
        prediction = replace(prediction, prediction=None, notes=(CUT,), answer=None)
    elif are_unasked(said):
        prediction = replace(prediction, notes=(*prediction.notes, UNASKED))
    return prediction if said.thoughts is None else replace(prediction, thoughts=said.thoughts)
