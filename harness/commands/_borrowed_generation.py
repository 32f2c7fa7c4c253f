"""`--gen_kwargs` of lm-evaluation-harness: how answers are written.

    generation("temperature=0,max_gen_toks=64").prompt_args         # 'max_new_tokens=64'

What a run may say of all its tasks becomes --prompt_args; the rest stands in the files of tasks, and the answer says how.
"""

import json

from harness.api.errors import UserError, raise_all
from harness.commands._borrowed_models import Ours
from harness.commands._borrowed_words import key_values, needed
from harness.planning.catalog.lm_eval_files.known_keys import TOKEN_LIMITS

WHERE = "--gen_kwargs"
STOPS = ("until", "stop", "stop_sequences")
DRAWING = ("do_sample", "temperature", "top_p", "top_k", "min_p", "typical_p")


def generation(value: str | None) -> Ours:
    """--gen_kwargs in our words; raises UserError for what only a task's file can say, with the lines to write there."""
    given = key_values(needed(WHERE, value, "key=value,key=value, or a JSON object"), where=WHERE)
    lengths = [given[key] for key in TOKEN_LIMITS if key in given]
    drawn = {key: text for key, text in given.items() if key in DRAWING}
    others = [key for key in given if key not in (*TOKEN_LIMITS, *STOPS, *DRAWING, "max_length")]
    errors = [_ended(key, given[key]) for key in STOPS if key in given]
    if "max_length" in given:
        errors.append(_with_the_prompt(given["max_length"]))
    if is_drawn(drawn):
        errors.append(_drawn(drawn))
    if others:
        message = "answers are written greedily, a token at a time: there is no such argument"
        errors.append(
            UserError(message, where=WHERE, expected=", ".join((*TOKEN_LIMITS[:2], *DRAWING[:2])), found=", ".join(others))
        )
    raise_all(errors)
    notes = ["answers are written greedily, as they always are without --prompt_args sampling=true"] if drawn else []
    names = [key for key in TOKEN_LIMITS if key in given]
    if len(names) > 1:
        notes.append(f"of several lengths the first counts, as there: {', '.join(names)}")
    if names and names[0] != TOKEN_LIMITS[0]:
        before = " or ".join(TOKEN_LIMITS[: TOKEN_LIMITS.index(names[0])])
        notes.append(f"the length is that of all tasks; there, {before} in the file of a task counts before {names[0]}")
    return Ours(prompt_args=f"max_new_tokens={lengths[0]}" if lengths else "", note="; ".join(notes))


def is_drawn(given: dict[str, str]) -> bool:
    """Whether tokens would be drawn at random: where that is said, or a temperature; top_p and its like alone draw nothing."""
    said = given.get("do_sample", "").lower().removeprefix("none")
    if said in ("false", "0"):
        return False
    try:
        return float(given.get("temperature", "1" if said else "0")) > 0
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


def _with_the_prompt(text: str) -> UserError:
    return UserError(
        "max_length counts the prompt too, and is no length of answers",
        where=WHERE,
        found=f"max_length={text}",
        todo="max_gen_toks=N for the longest answer (--prompt_args max_new_tokens=N); "
        f"--prompt_args max_length={text} for the longest prompt with its answer",
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
