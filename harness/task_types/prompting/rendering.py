"""A prompt as one text: instruction, solved examples and question, as they are or in the tokenizer's chat template.

prompt = render_prompt(question, shots, prompt_args=prompt_args, shot_delimiter=" ", tokenizer=tokenizer)
prompt.text, prompt.delimiter, prompt.special     # special: the tokenizer adds its own first tokens

Chat templates that write today's date get a fixed date; those that let the model think aloud are set not to, unless a run asks
for it; those that leave out what they are given are refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

from harness.api.errors import UserError
from harness.data.templates.chat import ChatRefused, chat_template
from harness.specs.prompt import PromptArgs
from harness.task_types.prompting.thinking import closed

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

DAY = date(2024, 7, 26)
"The date of every prompt: the one that Llama 3's template writes when it is given none."

_TODAY = re.compile(r"""strftime_now\(\s*(["'])(.*?)\1\s*\)""")
"The call by which templates ask for today's date."

_WORD = re.compile(r"\w+")


class Turn(NamedTuple):
    """A question with its answer, in words."""

    instruction: str
    context: str
    delimiter: str
    answer: str
    "Empty for the question that the model is to answer."


class RenderedPrompt(NamedTuple):
    """A prompt up to the place where the answer begins."""

    text: str
    delimiter: str
    "What comes between the prompt and an answer; a chat template has written its own."
    special: bool
    "Whether the tokenizer is to put its own first tokens before the text; a chat template has written them."
    turns: tuple[Mapping[str, str], ...] = ()
    "The messages, where there is a chat template."


def render_prompt(
    question: Turn,
    shots: Sequence[Turn],
    *,
    prompt_args: PromptArgs,
    shot_delimiter: str,
    tokenizer: PreTrainedTokenizerFast | None,
) -> RenderedPrompt:
    """Put a question behind its solved examples; raises UserError where the tokenizer has no fitting chat template."""
    if not prompt_args.chat_template:
        opening = [text for text in (prompt_args.system, question.instruction) if text]
        shown = [shot.context + shot.delimiter + shot.answer for shot in shots]
        return RenderedPrompt(shot_delimiter.join([*opening, *shown, question.context]), question.delimiter, special=True)
    turns = [{"role": "system", "content": prompt_args.system}] if prompt_args.system else []
    for number, turn in enumerate((*shots, question)):
        opening = [question.instruction] if question.instruction and number == 0 else []
        turns.append({"role": "user", "content": shot_delimiter.join([*opening, turn.context])})
        turns.append({"role": "assistant", "content": turn.answer})
    turns.pop()
    assert tokenizer is not None, "a chat template is the tokenizer's"
    text = chat_text(tokenizer, turns, prompt_args=prompt_args)
    return RenderedPrompt(text, "", special=False, turns=tuple(turns))


def chat_text(tokenizer: PreTrainedTokenizerFast, turns: Sequence[Mapping[str, str]], *, prompt_args: PromptArgs) -> str:
    """The text behind which a model answers a conversation.

    Where a server has the template it is what the tokenizer's own gives, or the bare messages: their lengths count, no more.
    """
    if prompt_args.chat_template == "server" and not tokenizer.chat_template:
        return "\n\n".join(turn["content"] for turn in turns)
    return render_chat(tokenizer, turns, answer=True, thinking=prompt_args.thinking)


def target_text(prompt: RenderedPrompt, answer: str, *, tokenizer: PreTrainedTokenizerFast) -> str:
    """What a model is trained to write after a prompt: the answer, and in a chat the end of its turn.

    Where the template renders a finished conversation differently from one that goes on, the end-of-text token ends it.
    """
    if not prompt.turns:
        return prompt.delimiter + answer
    whole = render_chat(tokenizer, [*prompt.turns, {"role": "assistant", "content": answer}], answer=False)
    if whole.startswith(prompt.text + answer):
        return whole[len(prompt.text) :].rstrip()
    return answer + (tokenizer.eos_token or "")


def render_chat(
    tokenizer: PreTrainedTokenizerFast, turns: Sequence[Mapping[str, str]], *, answer: bool, thinking: bool = False
) -> str:
    """The text of a conversation in the tokenizer's template, the same on every day; `answer` opens the model's turn.

    `thinking` lets it begin with thoughts; where it does not, a template that opens some has them closed.
    """
    if not tokenizer.chat_template:
        raise UserError(
            "this tokenizer has no chat template",
            where=str(tokenizer.name_or_path),
            expected="`chat_template` in tokenizer_config.json, or chat_template.jinja",
            todo="take a model made for conversation, or leave the chat template off",
        )
    source = _TODAY.sub(lambda found: repr(DAY.strftime(found[2])), str(tokenizer.get_chat_template()))
    write = chat_template(source, special_tokens=tokenizer.special_tokens_map, where=str(tokenizer.name_or_path))

    def render(contents: Sequence[str]) -> str:
        messages = [{**turn, "content": content} for turn, content in zip(turns, contents, strict=True)]
        return write(messages, add_generation_prompt=answer, date_string=DAY.strftime("%d %b %Y"), enable_thinking=thinking)

    contents = [turn["content"] for turn in turns]
    try:
        text = render(contents)
        # Told apart by their names: that "yes" stands somewhere does not say that the answer "yes" does.
        names = [f"message{number}of{len(turns)}" if content.strip() else content for number, content in enumerate(contents)]
        named = render(names)
    except ChatRefused as error:
        todo = "leave the system message out" if turns[0]["role"] == "system" else ""
        raise UserError(
            "the chat template refuses this conversation", where=str(tokenizer.name_or_path), found=str(error), todo=todo
        ) from error
    for turn, name in zip(turns, names, strict=True):
        if name not in named or not _holds(text, turn["content"]):
            raise UserError(
                f"the chat template leaves out what the {turn['role']} says",
                where=str(tokenizer.name_or_path),
                expected=f"a text with {turn['content']!r:.80}",
                found=f"{text!r:.120}",
                todo="mend the template, leave the chat template off, or take a model whose template is whole",
            )
    return closed(text) if answer and not thinking else text


def _holds(text: str, content: str) -> bool:
    """Whether the words of a message stand in a text in their order; white space and how marks are written may differ."""
    at = 0
    for word in _WORD.findall(content):
        at = text.find(word, at)
        if at < 0:
            return False
        at += len(word)
    return True
