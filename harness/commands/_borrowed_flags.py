"""Flags of lm-evaluation-harness and EuroEval on our command line: each becomes ours, or is answered by what does it here.

    borrowed = translate(["--model", "hf", "--model_args", "pretrained=gpt2", "--tasks", "xnli", "--num_fewshot", "3"])
    borrowed.words        # ['--tasks', 'xnli', '--model', 'gpt2', '--prompt_args', 'num_fewshot=3', '--route', 'prompt']
    borrowed.notes        # what was changed, and what such a flag means here

docs/coming_from.md is the same as a table for readers; a test runs each of its lines.
"""

import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from harness.api.errors import UserError
from harness.commands._borrowed_answers import ANSWERED, refuse
from harness.commands._borrowed_generation import generation
from harness.commands._borrowed_models import Ours, model_of, program_of
from harness.commands._borrowed_words import (
    KEYED,
    LISTED,
    SHORT,
    Pairs,
    as_words,
    joined,
    merged,
    needed,
    pairs_as_said,
    pairs_of,
    said_once,
    two_values,
)
from harness.specs.key_values import as_value


class Borrowed(NamedTuple):
    """A command line in our own flags."""

    words: list[str]
    notes: list[str]


def translate(words: Sequence[str]) -> Borrowed:
    """Our flags for a command line that may hold others'; the same words where it holds none.

    Raises UserError for a flag whose meaning here needs another command or a decision, with what to say instead.
    """
    as_said = pairs_as_said(words)
    pairs = said_once(as_said)
    backend = program_of(pairs)
    listed = next((value for flag, value in pairs if flag == "--tasks" and value in LISTS), None)
    others = any(flag in FLAGS or flag in ANSWERED for flag, _ in pairs)
    if backend is None and listed is None and not others and not _in_another_form(words, as_said):
        return Borrowed(list(words), [])
    if listed is not None:
        raise UserError("lists are a command of their own", where="--tasks", found=listed, todo=LISTS[listed])
    refuse(pairs)
    for flag, value in pairs:
        if flag in (*KEYED, *LISTED):
            needed(flag, value, "key=value,key=value" if flag in KEYED else "one or several, with commas")
    in_words = backend is not None or any(flag in IN_WORDS for flag, _ in pairs) or ("--route", "prompt") in pairs
    flags = {**FLAGS, "--seed": _seed_of_draws} if in_words and not _trains(pairs) else FLAGS
    found = [flags[flag](value) for flag, value in pairs if flag in flags]
    ours = [(flag, value) for flag, value in pairs if flag not in flags]
    if backend is not None:
        found.insert(0, model_of(backend, dict(ours).get("--model_args") or ""))
        ours = [(flag, value) for flag, value in ours if flag not in ("--model", "--model_args")]
    said_now = _together(ours, found, in_words=in_words)
    notes = [note for one in found for note in (one.note, _filled(one.hint, said_now)) if note]
    if backend is not None and (limit := dict(ours).get("--limit") or "").isdecimal():
        notes.append(f"--limit {limit} is a seeded sample of each language here: first:{limit} takes the rows that lm-eval takes")
    if backend is not None and os.path.exists(backend):
        notes.append(f"--model {backend} is the program of lm-evaluation-harness: --model ./{backend} is the folder of that name")
    return Borrowed(said_now, [f"read as: {shlex.join(said_now)}", *dict.fromkeys(notes)])


def _in_another_form(words: Sequence[str], pairs: Pairs) -> bool:
    """Whether flags are short, values are several words or JSON, or flags of arguments are said several times.

    Another flag of ours that is said again counts in place of the first, as everywhere.
    """
    keyed = [(flag, value or "") for flag, value in pairs if flag in KEYED]
    short = any(word.partition("=")[0] in SHORT for word in words)
    spread = any(value and value not in words and f"{flag}={value}" not in words for flag, value in pairs)
    return (
        short
        or spread
        or len({flag for flag, _ in keyed}) < len(keyed)
        or any(value.lstrip().startswith("{") for _, value in keyed)
    )


def _trains(pairs: Pairs) -> bool:
    """Whether prompts are trained on, so that seeds are those of trainings."""
    return any(flag == "--prompt_args" and "sft=true" in (value or "").lower() for flag, value in pairs)


def _together(ours: Pairs, found: Sequence[Ours], *, in_words: bool) -> list[str]:
    """The words of our flags and of what others have become; UserError for two that say different things."""
    for flag, value in (pair for one in found for pair in one.flags):
        said = dict(ours)
        if flag not in said:
            ours = [*ours, (flag, value)]
        elif flag in LISTED and flag != "--model":
            whole = joined(said[flag] or "", value or "")
            ours = [(name, whole if name == flag else old) for name, old in ours]
        elif said[flag] != value:
            raise two_values(flag, said[flag], value)
    for flag in ("--prompt_args", "--model_args"):
        given = [*(getattr(one, flag[2:]) for one in found), *(value or "" for name, value in ours if name == flag)]
        whole = as_words(merged(*given, where=flag), where=flag)
        ours = [(name, value) for name, value in ours if name != flag] + ([(flag, whole)] if whole else [])
    if in_words and "--route" not in dict(ours):
        ours.append(("--route", "prompt"))
    return [word for flag, value in ours for word in ((flag,) if value is None else (flag, value))]


def _filled(hint: str, words: Sequence[str]) -> str:
    """A hint with the task, the folder and the command that shows prompts of this command line."""
    values = {flag: value for flag, value in pairs_of(words) if value}
    task = shlex.quote((values.get("--tasks") or "TASK").split(",")[0])
    kept = ("--model", "--model_args", "--languages", "--include_path", "--data_dir")
    show = ["show", task, *(word for flag in kept if flag in values for word in (flag, shlex.quote(values[flag])))]
    show += ["--prompt_args", shlex.quote(values.get("--prompt_args") or "num_fewshot=0")]
    names = {"{task}": task, "{runs}": shlex.quote(values.get("--output_path") or "runs"), "{show}": " ".join(show)}
    return re.sub("|".join(map(re.escape, names)), lambda place: names[place[0]], hint)


def _batch_size(flag: str) -> Callable[[str | None], Ours]:
    def left_out(value: str | None) -> Ours:
        text = needed(flag, value, "auto or a number")
        if not (text.partition(":")[0] == "auto" or text.isdecimal()):
            todo = "leave it out, or --batch_tokens N"
            raise UserError("no size of batches", where=flag, expected="auto or a number", found=text, todo=todo)
        ours = "batches hold as many tokens as the device takes (--batch_tokens N), and no result depends on them"
        return Ours(note=f"{flag} {text} is left out: {ours}")

    return left_out


def _seeds(value: str | None) -> list[str]:
    """The seeds that --seed names, `None` among them; there are one or four."""
    seeds = [one.strip() for one in needed("--seed", value, "a whole number").split(",")]
    if not all(one.isdecimal() or one == "None" for one in seeds) or len(seeds) not in (1, 4):
        expected = "one, or four of lm-eval's with commas: those of Python, numpy, torch and the solved examples"
        todo = "--seeds 1,2,3 for trainings, --prompt_args seed=3 for the draw of solved examples"
        raise UserError("a seed is a whole number", where="--seed", expected=expected, found=value or "", todo=todo)
    return seeds


def _seed(value: str | None) -> Ours:
    first, *others = _seeds(value)
    more = f" ({', '.join(others)} are left out)" if others else ""
    return Ours(
        flags=() if first == "None" else (("--seeds", first),),
        note=f"--seeds are those of trainings{more}; --prompt_args seed=N draws solved examples",
    )


def _seed_of_draws(value: str | None) -> Ours:
    *others, last = _seeds(value)
    more = f" ({', '.join(others)} are left out: nothing else is drawn)" if others else ""
    return Ours(
        prompt_args="" if last == "None" else f"seed={last}",
        note=f"--prompt_args seed=N draws the solved examples{more}; --seeds are those of trainings",
    )


def _chat_template(value: str | None) -> Ours:
    text = (value or "true").lower()
    if text not in ("true", "false", "0", "1"):
        todo = "leave the name out, or --model_args tokenizer=FOLDER with another chat template"
        message = "the chat template is the tokenizer's own: none is chosen by name"
        raise UserError(message, where="--apply_chat_template", found=value or "", todo=todo)
    return Ours(prompt_args=f"chat_template={'true' if text in ('true', '1') else 'false'}")


def _multiturn(value: str | None) -> Ours:
    if (value or "true").lower() in ("false", "0"):
        todo = "leave it out; or leave --apply_chat_template out, where the examples stand in one text with the question"
        message = "in a chat template solved examples are turns of their own"
        raise UserError(message, where="--fewshot_as_multiturn", found=value or "", todo=todo)
    return Ours(note="solved examples are turns of the chat wherever --prompt_args has chat_template=true")


def _num_fewshot(value: str | None) -> Ours:
    return Ours(prompt_args=f"num_fewshot={needed('--num_fewshot', value, 'a number of solved examples')}")


def _system(value: str | None) -> Ours:
    text = needed("--system_instruction", value, "a text")
    return Ours(prompt_args=f"system={as_value(text, where='--system_instruction')}")


def _renamed(theirs: str, flag: str, expected: str, *, note: str = "") -> Callable[[str | None], Ours]:
    return lambda value: Ours(flags=((flag, needed(theirs, value, expected)),), note=note)


def _switch(theirs: str, ours: Ours) -> Callable[[str | None], Ours]:
    def switched(value: str | None) -> Ours:
        if value is not None:
            raise UserError("this flag takes no value", where=theirs, found=value, todo="leave the value out")
        return ours

    return switched


def _noted(hint: str) -> Callable[[str | None], Ours]:
    return lambda value: Ours(hint=hint)


LISTS = {
    "list": "run_eval.py ls tasks [--include_path DIR]",
    "list_tasks": "run_eval.py ls tasks [--include_path DIR]",
    "list_subtasks": "run_eval.py ls tasks [--include_path DIR]",
    "list_groups": "run_eval.py ls groups [--include_path DIR]",
    "list_tags": "run_eval.py ls groups [--include_path DIR]",
}
"What lm-eval's --tasks lists, and the command that does it here."
IN_WORDS = ("--num_fewshot", "--zero-shot", "--few-shot", "--apply_chat_template", "--system_instruction", "--gen_kwargs")
"Flags that only mean something where a model is asked in words."
_KEPT = "what is done is kept below {runs} (--output_path) and never made again"
_REMOTE = "trust_remote_code=true"
_CODE = "that is code of the checkpoint; code beside task files has --trust_task_code"
FLAGS: Mapping[str, Callable[[str | None], Ours]] = {
    "--num_fewshot": _num_fewshot,
    "--zero-shot": _switch("--zero-shot", Ours(prompt_args="num_fewshot=0")),
    "--apply_chat_template": _chat_template,
    "--fewshot_as_multiturn": _multiturn,
    "--system_instruction": _system,
    "--gen_kwargs": generation,
    "--batch_size": _batch_size("--batch_size"),
    "--batch-size": _batch_size("--batch-size"),
    "--max_batch_size": _batch_size("--max_batch_size"),
    "--seed": _seed,
    "--log_samples": _noted(
        "all answers are written, into {runs}/predict/*/predictions.jsonl: `run_eval.py errors {runs} --task {task}` shows them "
        "beside their rows; `run_eval.py leaderboard {runs} --export lm_eval=results --answers` writes samples_*.jsonl"
    ),
    "--write_out": _noted("`run_eval.py {show}` prints the first prompts, before anything runs"),
    "--show_config": _noted("`run_eval.py show {task}` prints the task, --dry_run what a run would do"),
    "--check_integrity": _noted("`run_eval.py validate {task}` checks a task's file and rows; `--verify` what a run has written"),
    "--predict_only": _noted("answers and scores are stages of their own: what is predicted is never predicted again"),
    "--use_cache": _noted(_KEPT),
    "--cache_requests": _noted(_KEPT),
    "--verbosity": _noted("there are no levels: --quiet leaves the progress bars out"),
    "--trust_remote_code": _switch("--trust_remote_code", Ours(model_args=_REMOTE, note=_CODE)),
    "--confirm_run_unsafe_code": _switch("--confirm_run_unsafe_code", Ours(flags=(("--trust_generated_code", None),))),
    "--dataset": _renamed(
        "--dataset",
        "--tasks",
        "a task or group",
        note="--route prompt asks a language model in words; without it a head is trained on English rows",
    ),
    "--language": _renamed("--language", "--languages", "a language, as de"),
    "--num-iterations": _noted("one seed is one training; --seeds 1,2,3 trains three times, and every score has an interval"),
    "--evaluate-test-split": _noted("test rows are what is scored, and nothing is chosen on them"),
    "--cache-dir": _renamed("--cache-dir", "--output_path", "a folder"),
    "--raise-errors": _noted("exit code 1 says that something failed; everything else is done and kept"),
    "--trust-remote-code": _switch("--trust-remote-code", Ours(model_args=_REMOTE)),
    "--gpu-memory-utilization": lambda value: Ours(
        model_args=f"gpu_memory_utilization={needed('--gpu-memory-utilization', value, 'a share, as 0.8')}"
    ),
    "--no-progress-bar": _switch("--no-progress-bar", Ours(flags=(("--quiet", None),))),
    "--progress-bar": _noted("there are progress bars wherever --quiet is not said"),
    "--verbose": _noted("there are no levels: --quiet leaves the progress bars out"),
    "--save-results": _noted(_KEPT),
}
"Flags of lm-evaluation-harness, and below them EuroEval's."
