"""From a row of a task of lm-evaluation-harness to the requests to the model, the same texts as lm-eval makes.

    asked = requests(renderer, row, shots=[...], chat=None, system="", inputs=0)
    asked[0].context, asked[0].continuation        # '' and ' Premise, richtig? Ja, Hypothesis'; continuation None: generate

Where lm-eval puts white space between two pieces, it puts it only if neither piece has some there.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from harness.api.errors import UserError
from harness.specs.lm_eval import Function
from harness.task_types.lm_eval_harness.templates import Row, RowRenderer

Chat = Callable[[Sequence[Mapping[str, str]], bool], str]
"Puts messages into a chat template; the flag says whether the model's turn is opened, or its last message goes on."


class Request(NamedTuple):
    """One question to the model: a context to continue, or a continuation to be scored behind it."""

    context: str
    continuation: str | None
    "None where the model is to write."


class Piece(NamedTuple):
    """A message, and what follows it in plain text."""

    role: str
    text: str
    after: str = ""


def joined(first: str | None, second: str | None, between: str) -> str:
    """Two texts with something between them where neither has white space there; one of them alone where the other is empty."""
    if not first or not second:
        return first or second or ""
    return first + second if first[-1].isspace() or second[0].isspace() else first + between + second


def requests(
    renderer: RowRenderer, row: Row, *, shots: Sequence[Row], chat: Chat | None, system: str, inputs: int
) -> list[Request]:
    """The requests of a row behind its solved examples; `inputs` are the choices of a task whose choices are the questions.

    Raises UserError for a row that gives no text.
    """
    config = renderer.config
    if config.output_type == "loglikelihood_rolling":  # the text itself, whatever else the file says
        return [Request("", _text(renderer.target(row), "doc_to_target"))]
    prefix = renderer.prefix(row)
    opening = joined(system, renderer.field(row, config.description), config.fewshot_delimiter)
    before = [Piece("system", opening)] if opening else []
    for shot in shots:
        before += _solved(renderer, shot, inputs=inputs)
    if inputs:
        contexts = [
            _prompt_text([*before, *_turn(text, prefix=prefix, delimiter="")], chat, prefix) for text in renderer.choices(row)
        ]
    else:
        question = renderer.text(row)
        contexts = [_prompt_text([*before, *_turn(question, prefix=prefix, delimiter=config.target_delimiter)], chat, prefix)]
    return _asked(renderer, row, contexts, chat=chat, inputs=inputs)


def _asked(renderer: RowRenderer, row: Row, contexts: Sequence[str], *, chat: Chat | None, inputs: int) -> list[Request]:
    """The requests behind some contexts, as the task's output type has them."""
    if not contexts:
        raise UserError("a row without choices", expected="at least one choice from doc_to_choice")
    config, context = renderer.config, contexts[0]
    if isinstance(config.construct_requests, Function):
        made = renderer.code.function(config.construct_requests)(row, context)
        return [_of_instance(one) for one in (made if isinstance(made, list) else [made])]
    if config.output_type == "generate_until":
        return [Request(context, None)]
    if config.output_type == "loglikelihood":
        return [Request(context, _text(renderer.target(row), "doc_to_target"))]
    delimiter = config.target_delimiter
    if chat and not (config.gen_prefix and not config.gen_prefix[-1].isspace()):
        delimiter = ""
    if inputs:
        target = renderer.target(row)
        found = [Request(one, f"{delimiter}{target}") for one in contexts]
    else:
        found = [Request(context, f"{delimiter}{choice}") for choice in renderer.choices(row)]
    if not found:
        raise UserError("a row without choices", expected="at least one choice from doc_to_choice")
    if any(scored.metric == "acc_mutual_info" for scored in config.metrics):
        found += [Request("", f"{delimiter}{choice}") for choice in renderer.choices(row)]
    return found


def _of_instance(instance: Any) -> Request:
    """A request that the class of a task makes; raises UserError for one of another kind."""
    kind, arguments = instance.request_type, instance.arguments
    if kind not in ("generate_until", "loglikelihood"):
        raise UserError(f"a request of the kind '{kind}'", expected="generate_until or loglikelihood")
    context, rest = arguments
    return Request(context, None if kind == "generate_until" else _text(rest, "a request"))


def _solved(renderer: RowRenderer, shot: Row, *, inputs: int) -> list[Piece]:
    """The messages of a solved example."""
    turns = renderer.config.shots
    question, answer = renderer.text(shot, turns), renderer.target(shot, turns)
    choices = renderer.choices(shot, turns) if turns.doc_to_choice is not None else None
    if inputs and choices is not None:
        question, choices = choices[question], None
    if choices and isinstance(answer, int):
        answer = choices[answer]
    elif isinstance(answer, list):
        answer = answer[0] if answer else None
    prefix = renderer.field(shot, turns.gen_prefix)
    solved = answer is not None and answer != ""
    asked = _turn(question, prefix=prefix, delimiter=turns.target_delimiter, solved=solved)
    if not solved:
        return asked
    text = joined(prefix, _text(answer, "doc_to_target of a solved example"), " ")
    return [asked[0], Piece("assistant", text, turns.fewshot_delimiter)]


def _turn(question: Any, *, prefix: str | None, delimiter: str, solved: bool = False) -> list[Piece]:
    """A question, with what its answer begins with."""
    text = _text(question, "doc_to_text")
    apart = bool(text and prefix and not (text[-1].isspace() or prefix[0].isspace()))
    asked = Piece("user", text, delimiter if (solved and not prefix) or apart else "")
    return [asked, Piece("assistant", prefix)] if prefix and not solved else [asked]


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise UserError(f"{what} gives no text", found=f"{type(value).__name__} {value!r:.80}")
    return value


def _prompt_text(pieces: Sequence[Piece], chat: Chat | None, prefix: str | None) -> str:
    """The pieces in plain text, or in a chat template with examples as earlier turns."""
    if chat is None:
        return "".join(piece.text + piece.after for piece in pieces)
    return chat([{"role": piece.role, "content": piece.text} for piece in pieces], not prefix)


def gold_text(renderer: RowRenderer, row: Row) -> str:
    """The right answer as a text: what an oracle writes."""
    target = renderer.target(row)
    if renderer.config.doc_to_choice is not None and isinstance(target, int):
        target = renderer.choices(row)[target]
    while isinstance(target, list | tuple):
        target = target[0] if target else ""
    return str(target)
