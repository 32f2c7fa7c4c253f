"""Flags of lm-evaluation-harness and EuroEval on our command line: each becomes ours, or is answered by what does it here.

    borrowed = translate(["--model", "hf", "--model_args", "pretrained=gpt2", "--tasks", "xnli", "--num_fewshot", "3"])
    borrowed.words        # ['--tasks', 'xnli', '--model', 'gpt2', '--prompt_args', 'num_fewshot=3', '--route', 'prompt']
    borrowed.notes        # what was changed, and what such a flag means here

docs/coming_from.md is the same as a table for readers; a test runs each of its lines.
"""

import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from harness.api.errors import UserError
from harness.commands._borrowed_answers import ANSWERED, refuse
from harness.commands._borrowed_generation import generation
from harness.commands._borrowed_models import BACKENDS, ELSEWHERE, Ours, model_of
from harness.specs.key_values import as_value, merged_key_values, split_key_values

Pairs: TypeAlias = list[tuple[str, str | None]]
"Flags with their values."


class Borrowed(NamedTuple):
    """A command line in our own flags."""

    words: list[str]
    notes: list[str]


def translate(words: Sequence[str]) -> Borrowed:
    """Our flags for a command line that may hold others'; the same words where it holds none.

    Raises UserError for a flag whose meaning here needs another command or a decision, with what to say instead.
    """
    pairs = _pairs(words)
    backend = _backend(pairs)
    listed = next((value for flag, value in pairs if flag == "--tasks" and value in LISTS), None)
    spread = any(value and value not in words and f"{flag}={value}" not in words for flag, value in pairs)
    spread = spread or any(word in SHORT for word in words)
    if backend is None and listed is None and not spread and not any(flag in FLAGS or flag in ANSWERED for flag, _ in pairs):
        return Borrowed(list(words), [])
    if listed is not None:
        raise UserError("lists are a command of their own", where="--tasks", found=listed, todo=LISTS[listed])
    refuse(pairs)
    in_words = backend is not None or any(flag in IN_WORDS for flag, _ in pairs) or ("--route", "prompt") in pairs
    flags = {**FLAGS, "--seed": _seed_of_draws} if in_words and not _trains(pairs) else FLAGS
    found = [flags[flag](value) for flag, value in pairs if flag in flags]
    ours = [(flag, value) for flag, value in pairs if flag not in flags]
    if backend is not None:
        found.insert(0, model_of(backend, ",".join(value or "" for flag, value in ours if flag == "--model_args")))
        ours = [(flag, value) for flag, value in ours if flag not in ("--model", "--model_args")]
    said_now = _together(ours, found, in_words=in_words)
    notes = [f"read as: {shlex.join(said_now)}", *dict.fromkeys(one.note for one in found if one.note)]
    if backend is not None and (limit := dict(ours).get("--limit") or "").isdecimal():
        notes.append(f"--limit {limit} is a seeded sample of each language here: first:{limit} takes the rows that lm-eval takes")
    return Borrowed(said_now, [_filled(note, said_now) for note in notes])


def _backend(pairs: Pairs) -> str | None:
    """The program of lm-eval's that a command line asks, or None; hf is meant where only its arguments name the model."""
    name = dict(pairs).get("--model")
    if name is None:
        given = [key for flag, value in pairs if flag == "--model_args" for key, *_ in split_key_values(value or "")]
        return "hf" if "pretrained" in given else None
    return name if name in (*BACKENDS, "dummy", *ELSEWHERE) and not os.path.exists(name) else None


def _trains(pairs: Pairs) -> bool:
    """Whether prompts are trained on, so that seeds are those of trainings."""
    return any(flag == "--prompt_args" and "sft=true" in (value or "").lower() for flag, value in pairs)


def _together(ours: Pairs, found: Sequence[Ours], *, in_words: bool) -> list[str]:
    """The words of our flags and of what others have become."""
    own = {flag for flag, _ in ours}
    for flag, value in (pair for one in found for pair in one.flags if pair[0] not in own):
        said = dict(ours).get(flag)
        if said is None or value is None:
            ours = [*ours, (flag, value)]
        elif flag in LISTED:
            ours = [(flag, f"{said},{value}") if name == flag else (name, old) for name, old in ours]
    for flag in ("--prompt_args", "--model_args"):
        given = [*(getattr(one, flag[2:]) for one in found), *(value or "" for name, value in ours if name == flag)]
        merged = merged_key_values(*given, where=flag)
        ours = [(name, value) for name, value in ours if name != flag] + ([(flag, merged)] if merged else [])
    if in_words and "--route" not in dict(ours):
        ours.append(("--route", "prompt"))
    return [word for flag, value in ours for word in ((flag,) if value is None else (flag, value))]


def _filled(note: str, words: Sequence[str]) -> str:
    """A note with the task, the folder and the command that shows prompts of this command line."""
    values = {flag: value for flag, value in _pairs(words) if value}
    task = shlex.quote((values.get("--tasks") or "TASK").split(",")[0])
    kept = ("--model", "--model_args", "--languages", "--include_path", "--data_dir")
    show = ["show", task, *(word for flag in kept if flag in values for word in (flag, shlex.quote(values[flag])))]
    show += ["--prompt_args", shlex.quote(values.get("--prompt_args") or "num_fewshot=0")]
    runs = shlex.quote(values.get("--output_path") or "runs")
    for name, text in (("{task}", task), ("{runs}", runs), ("{show}", " ".join(show))):
        note = note.replace(name, text)
    return note


def _pairs(words: Sequence[str]) -> Pairs:
    """Flags with their values; None for those that have none, and for flags whose value is optional and left out."""
    pairs: Pairs = []
    for word in words:
        if word.startswith("--") or word in SHORT:
            flag, equals, value = word.partition("=")
            pairs.append((SHORT.get(flag, flag), value if equals else None))
        elif pairs and pairs[-1][1] is None:
            pairs[-1] = (pairs[-1][0], word)
        elif pairs and pairs[-1][0] in SPREAD:
            pairs[-1] = (pairs[-1][0], f"{pairs[-1][1]},{word}")
        else:
            pairs.append((word, None))
    return pairs


def _batch_size(value: str | None) -> Ours:
    text = value or "auto"
    if not (text.partition(":")[0] == "auto" or text.isdecimal()):
        todo = "leave it out, or --batch_tokens N"
        raise UserError("no size of batches", where="--batch_size", expected="auto or a number", found=text, todo=todo)
    ours = "batches hold as many padded tokens as the device takes (--batch_tokens N), and no result depends on them"
    return Ours(note=f"--batch_size {text} is left out: {ours}")


def _seeds(value: str | None) -> list[str]:
    """The seeds that --seed names, `None` among them; there are one or four."""
    seeds = [one.strip() for one in (value or "").split(",")]
    if not all(one.isdecimal() or one == "None" for one in seeds) or len(seeds) not in (1, 4):
        expected = "one, or four of lm-eval's with commas: those of Python, numpy, torch and the solved examples"
        todo = "--seeds 1,2,3 for trainings, --prompt_args seed=3 for the draw of solved examples"
        raise UserError("a seed is a whole number", where="--seed", expected=expected, found=str(value), todo=todo)
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


def _needed(flag: str, value: str | None, expected: str) -> str:
    if value is None:
        raise UserError("a value is missing", where=flag, expected=expected)
    return value


def _num_fewshot(value: str | None) -> Ours:
    return Ours(prompt_args=f"num_fewshot={_needed('--num_fewshot', value, 'a number of solved examples')}")


def _system(value: str | None) -> Ours:
    text = _needed("--system_instruction", value, "a text")
    return Ours(prompt_args=f"system={as_value(text, where='--system_instruction')}")


def _renamed(flag: str) -> Callable[[str | None], Ours]:
    return lambda value: Ours(flags=((flag, value),))


def _noted(note: str) -> Callable[[str | None], Ours]:
    return lambda value: Ours(note=note)


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
SPREAD = ("--tasks", "--model_args", "--gen_kwargs")
"Flags whose values may be several words."
LISTED = ("--tasks", "--languages")
"Flags of ours that take several values with commas, where others say the flag again."
SHORT = {
    **{"-m": "--model", "-M": "--model", "-t": "--tasks", "-a": "--model_args", "-f": "--num_fewshot", "-b": "--batch_size"},
    **{"-o": "--output_path", "-L": "--limit", "-s": "--log_samples", "-w": "--write_out", "-c": "--use_cache"},
    **{"-x": "--predict_only", "-v": "--verbosity", "-E": "--samples", "-C": "--config", "-l": "--language"},
}
"Short flags of lm-eval, and EuroEval's for languages."
_KEPT = "what is done is kept below {runs} (--output_path) and never made again"
FLAGS: Mapping[str, Callable[[str | None], Ours]] = {
    "--num_fewshot": _num_fewshot,
    "--zero-shot": lambda value: Ours(prompt_args="num_fewshot=0"),
    "--apply_chat_template": _chat_template,
    "--fewshot_as_multiturn": _multiturn,
    "--system_instruction": _system,
    "--gen_kwargs": generation,
    "--batch_size": _batch_size,
    "--batch-size": _batch_size,
    "--max_batch_size": _batch_size,
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
    "--trust_remote_code": lambda value: Ours(
        model_args="trust_remote_code=true", note="that is code of the checkpoint; code beside task files has --trust_task_code"
    ),
    "--confirm_run_unsafe_code": _renamed("--trust_generated_code"),
    "--dataset": lambda value: Ours(
        flags=(("--tasks", value),),
        note="--route prompt asks a language model in words; without it a head is trained on English rows",
    ),
    "--language": _renamed("--languages"),
    "--num-iterations": _noted("one seed is one training; --seeds 1,2,3 trains three times, and every score has an interval"),
    "--evaluate-test-split": _noted("test rows are what is scored, and nothing is chosen on them"),
    "--cache-dir": _renamed("--output_path"),
    "--raise-errors": _noted("exit code 1 says that something failed; everything else is done and kept"),
    "--trust-remote-code": lambda value: Ours(model_args="trust_remote_code=true"),
    "--gpu-memory-utilization": lambda value: Ours(model_args=f"gpu_memory_utilization={value}"),
    "--no-progress-bar": lambda value: Ours(flags=(("--quiet", None),)),
    "--progress-bar": _noted("there are progress bars wherever --quiet is not said"),
    "--verbose": _noted("there are no levels: --quiet leaves the progress bars out"),
    "--save-results": _noted(_KEPT),
}
"Flags of lm-evaluation-harness, and below them EuroEval's."
