"""What a server is asked, and how its answers are read: likelihoods of given texts, texts that it writes.

    post = scoring([5, 6, 7], served)                     # /completions that repeats its prompt, with log-probabilities
    row = score_of(answer, ids=[5, 6, 7], context=1)      # sum of log-probabilities, ids, 1.0 if each is the likeliest
    post = writing(feature, served)                       # /completions, or /chat/completions for messages
    text = text_of(answer, feature.generate)

Prompts are sent as token ids, so that a server reads what every engine reads, and the place where a continuation begins is a
number of ids.  An answer that has not one log-probability for each id is refused: nothing is guessed.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.api.errors import UserError
from harness.api.protocols import Feature
from harness.api.thoughts import Thoughts, marked
from models.server.client import Post

MOST_STOPS = 4
"Stop texts that OpenAI's API takes; a text is cut at all of them here."
AS_ID = re.compile(r"token_id:(\d+)")
COMPLETIONS, CHAT = "/completions", "/chat/completions"


@dataclass(frozen=True, kw_only=True)
class ServedAs:
    """What a server says of a model (`/models`)."""

    name: str
    owner: str = ""
    "`vllm` where that serves it."
    root: str = ""
    "What it was loaded from."
    positions: int | None = None

    @property
    def extra(self) -> dict[str, Any]:
        """What only vLLM understands: tokens by their ids, since several may have the same text."""
        return {"return_tokens_as_token_ids": True} if self.owner == "vllm" else {}

    @property
    def greedy(self) -> dict[str, Any]:
        """The likeliest token at each place, whatever else the model's own generation settings say to some servers."""
        return {"temperature": 0, "seed": 0, **({"repetition_penalty": 1.0} if self.owner in ("vllm", "sglang") else {})}


def scoring(ids: Sequence[int], served: ServedAs) -> Post:
    """A request for the log-probabilities of a prompt: it is repeated, and one more token written, as some servers want."""
    body = {"model": served.name, "prompt": list(ids), "max_tokens": 1, "temperature": 0, "seed": 0, "echo": True, "logprobs": 1}
    return Post(COMPLETIONS, body | served.extra)


def score_of(answer: Any, *, ids: Sequence[int], context: int) -> tuple[float, int, float]:
    """Of the ids behind the first `context`: sum of log-probabilities, their number, 1.0 if each is the likeliest.

    Raises UserError where the answer lacks log-probabilities of the prompt, or is of another number of tokens.
    """
    choice = _choice(answer)
    given = choice.get("logprobs")
    logprobs: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
    values, top = logprobs.get("token_logprobs"), logprobs.get("top_logprobs")
    if not isinstance(values, list) or not isinstance(top, list) or len(values) != len(top):
        raise _wrong(
            "the server gives no log-probabilities of a prompt",
            expected="choices[0].logprobs with token_logprobs and top_logprobs (/completions with echo and logprobs)",
            found=", ".join(sorted(logprobs)) or f"logprobs: {given!r:.60}",
            todo="serve the model with vLLM, or ask tasks whose answers are written (generation, span_qa)",
        )
    read = _usage(answer)
    if (read is not None and read != len(ids)) or not len(ids) <= len(values) <= len(ids) + 1:
        raise _wrong(
            "the server scores another number of tokens than it was sent",
            expected=f"{len(ids)} tokens, and one that is written",
            found=f"{len(values)} log-probabilities" + ("" if read is None else f", a prompt of {read} tokens"),
            todo="its prompt may be cut, or begun with a token of its own: check how it was started, and --model_args tokenizer",
        )
    _check_ids(logprobs.get("tokens"), ids)
    rows = list(zip(values, top, strict=True))[context : len(ids)]
    if not all(
        _is_number(value) and isinstance(row, Mapping) and row and all(map(_is_number, row.values())) for value, row in rows
    ):
        raise _wrong("the server leaves out log-probabilities of a prompt", expected="a number for each token but the first")
    likeliest = all(value >= max(row.values()) for value, row in rows)
    return sum(value for value, _ in rows), len(rows), float(likeliest)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _check_ids(tokens: Any, ids: Sequence[int]) -> None:
    """Where a server names tokens by their ids: they are those that it was sent."""
    named = [AS_ID.fullmatch(str(token)) for token in tokens or ()]
    if named and all(named):
        found = [int(one[1]) for one in named if one][: len(ids)]
        if found != list(ids):
            raise _wrong(
                "the server scores other tokens than it was sent", expected=f"{list(ids)[:8]} ...", found=f"{found[:8]} ..."
            )


def writing(feature: Feature, served: ServedAs, *, keeps_special: bool = False) -> Post:
    """A request for what follows a feature, greedily; `keeps_special`: special tokens are wanted in the text (vLLM)."""
    assert feature.generate is not None
    asked = feature.generate
    thinks = asked.get("thoughts")
    body: dict[str, Any] = {"model": served.name, "max_tokens": asked["max_new_tokens"], **served.greedy}
    # A stop text may stand in a thought: it counts behind it, where the text is cut here.
    stop = [] if thinks else list(asked.get("stop", ()))
    body |= {"stop": stop if served.owner == "vllm" else stop[:MOST_STOPS]} if stop else {}
    if "messages" not in asked:
        body |= {"skip_special_tokens": False} if keeps_special and served.owner == "vllm" else {}
        return Post(COMPLETIONS, body | {"prompt": list(feature.input_ids)})
    if thinks or served.owner == "vllm":
        body |= {"chat_template_kwargs": {"enable_thinking": bool(thinks)}}
    return Post(CHAT, body | {"messages": list(asked["messages"])})


def text_of(answer: Any, asked: Mapping[str, Any]) -> str:
    """What was written, thoughts between their marks, the answer behind them."""
    choice = _choice(answer)
    message = choice.get("message")
    said: Mapping[str, Any] = message if isinstance(message, Mapping) else choice
    text = said.get("content" if said is message else "text")
    thoughts = said.get("reasoning_content") or said.get("reasoning")
    if not isinstance(text, str) and not (text is None and isinstance(thoughts, str)):
        raise _wrong(
            "the server's answer has no text", expected="choices[0].text or choices[0].message.content", found=f"{choice!r:.200}"
        )
    stops: Sequence[str] = asked.get("stop", ())
    how: Thoughts | None = asked.get("thoughts")
    if how is None:
        return _cut(text or "", stops)
    if isinstance(thoughts, str):  # taken apart by the server already
        is_cut = not text and choice.get("finish_reason") == "length"
        text = how.start + thoughts + ("" if is_cut else how.end) + (text or "")
    return marked(text or "", how, stops=stops)


def echo(ids: Sequence[int], served: ServedAs) -> Post:
    """A request to repeat a prompt as a text."""
    return Post(COMPLETIONS, {"model": served.name, "prompt": list(ids), "max_tokens": 1, "temperature": 0, "echo": True})


def echoed(answer: Any) -> str:
    """The text of an answer to `echo`."""
    text = _choice(answer).get("text")
    if not isinstance(text, str):
        raise _wrong("the server's answer has no text", expected="choices[0].text", found=f"{answer!r:.200}")
    return text


def _cut(text: str, stops: Sequence[str]) -> str:
    return text[: min((at for stop in stops if (at := text.find(stop)) >= 0), default=len(text))]


def _choice(answer: Any) -> Mapping[str, Any]:
    """The first choice of an answer."""
    choices = answer.get("choices") if isinstance(answer, Mapping) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], Mapping):
        raise _wrong("the server's answer has no choices", expected="choices[0]", found=f"{answer!r:.200}")
    first: Mapping[str, Any] = choices[0]
    return first


def _usage(answer: Mapping[str, Any]) -> int | None:
    """Tokens of the prompt, as the server has counted them."""
    usage = answer.get("usage")
    count = usage.get("prompt_tokens") if isinstance(usage, Mapping) else None
    return count if isinstance(count, int) else None


def _wrong(message: str, *, expected: str = "", found: str = "", todo: str = "") -> UserError:
    return UserError(message, where="--model_args base_url", expected=expected, found=found, todo=todo)
