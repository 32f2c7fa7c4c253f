"""`--gen_kwargs` of lm-evaluation-harness: how answers are written.

    generation("temperature=0,max_gen_toks=64").prompt_args         # 'max_new_tokens=64'

What a run may say of all its tasks becomes --prompt_args; the rest stands in the files of tasks, and the answer says how.
"""

import json

from harness.api.errors import UserError, raise_all
from harness.commands._borrowed_models import Ours, key_values

WHERE = "--gen_kwargs"
LENGTHS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens", "max_length")
STOPS = ("until", "stop", "stop_sequences")
DRAWING = ("do_sample", "temperature", "top_p", "top_k", "min_p", "typical_p")


def generation(value: str | None) -> Ours:
    """--gen_kwargs in our words; raises UserError for what only a task's file can say, with the lines to write there."""
    given = key_values(value or "", where=WHERE)
    lengths = [text for key, text in given.items() if key in LENGTHS]
    drawn = {key: text for key, text in given.items() if key in DRAWING}
    others = [key for key in given if key not in (*LENGTHS, *STOPS, *DRAWING)]
    errors = [_ended(key, given[key]) for key in STOPS if key in given]
    if is_drawn(drawn):
        errors.append(_drawn(drawn))
    if others:
        message = "answers are written greedily, a token at a time: there is no such argument"
        errors.append(UserError(message, where=WHERE, expected=", ".join((*LENGTHS[:2], *DRAWING[:2])), found=", ".join(others)))
    raise_all(errors)
    note = "answers are written greedily, as they always are without --prompt_args sampling=true" if drawn else ""
    return Ours(prompt_args=f"max_new_tokens={lengths[-1]}" if lengths else "", note=note)


def is_drawn(given: dict[str, str]) -> bool:
    """Whether tokens would be drawn at random."""
    if given.get("do_sample", "").lower() in ("false", "0") or not given:
        return False
    try:
        return float(given.get("temperature", "1")) > 0
    except ValueError:
        return True


def _drawn(given: dict[str, str]) -> UserError:
    found = ", ".join(f"{key}: {text.lower() if text in ('True', 'False') else text}" for key, text in given.items())
    return UserError(
        "at random answers are drawn as the file of a task says",
        where=WHERE,
        found=", ".join(f"{key}={text}" for key, text in given.items()),
        todo=f"`generation_kwargs: {{{found}}}` in a file of lm-eval's kind below --include_path, which may `include` the "
        "original, and --prompt_args sampling=true; or leave it out: the likeliest answer is written",
    )


def _ended(key: str, text: str) -> UserError:
    stop = text if text.startswith("[") else json.dumps([text], ensure_ascii=False)
    return UserError(
        "where answers end is said by the file of a task",
        where=WHERE,
        found=f"{key}={text}",
        todo=f"`generation_kwargs: {{until: {stop}}}` (files of lm-eval's kind) or `prompt: {{generate: {{stop: {stop}}}}}` "
        "(ours) in a file below --include_path, which may `include` the original",
    )
