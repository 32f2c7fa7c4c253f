"""Flags of lm-evaluation-harness and EuroEval on our command line: each becomes ours, or is answered by what does it here.

    borrowed = translate(["--model", "hf", "--model_args", "pretrained=gpt2", "--tasks", "xnli", "--num_fewshot", "3"])
    borrowed.words        # ['--tasks', 'xnli', '--model', 'gpt2', '--prompt_args', 'num_fewshot=3', '--route', 'prompt']
    borrowed.notes        # what was changed, and what such a flag means here

docs/coming_from.md is the same as a table for readers; a test runs each of its lines.
"""

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from harness.api.errors import UserError
from harness.specs.key_values import merged_key_values, split_key_values


class Ours(NamedTuple):
    """What a flag of another harness becomes."""

    flags: tuple[tuple[str, str | None], ...] = ()
    "Flags of ours with their values."
    prompt_args: str = ""
    model_args: str = ""
    note: str = ""
    "What its user must know; '' where the new flags say it all."


class Borrowed(NamedTuple):
    """A command line in our own flags."""

    words: list[str]
    notes: list[str]


def translate(words: Sequence[str]) -> Borrowed:
    """Our flags for a command line that may hold others'; the same words where it holds none.

    Raises UserError for a flag whose meaning here needs another command or a decision, with what to say instead.
    """
    pairs = _pairs(words)
    backend = next((value for flag, value in pairs if flag == "--model" and value in BACKENDS), None)
    if backend is None and not any(flag in FLAGS for flag, _ in pairs) and ("--tasks", "list") not in pairs:
        return Borrowed(list(words), [])
    if ("--tasks", "list") in pairs:
        raise UserError("lists are a command of their own", where="--tasks", todo="run_eval.py ls tasks [--include_path DIR]")
    found = [FLAGS[flag](value) for flag, value in pairs if flag in FLAGS]
    ours = [(flag, value) for flag, value in pairs if flag not in FLAGS]
    if backend is not None:
        found.append(_backend(backend, ",".join(value or "" for flag, value in ours if flag == "--model_args")))
        ours = [(flag, value) for flag, value in ours if flag not in ("--model", "--model_args")]
    for one in found:
        ours += [pair for pair in one.flags if pair[0] not in dict(ours)]
    for flag in ("--prompt_args", "--model_args"):
        said = merged_key_values(
            *(getattr(one, flag[2:]) for one in found), *(value or "" for name, value in ours if name == flag)
        )
        ours = [(name, value) for name, value in ours if name != flag] + ([(flag, said)] if said else [])
    if (backend or any(one.prompt_args for one in found)) and "--route" not in dict(ours):
        ours.append(("--route", "prompt"))
    said_now = [word for flag, value in ours for word in ((flag,) if value is None else (flag, value))]
    return Borrowed(said_now, [f"read as: {shlex.join(said_now)}", *(one.note for one in found if one.note)])


def _pairs(words: Sequence[str]) -> list[tuple[str, str | None]]:
    """Flags with their values; None for those that have none, and for flags whose value is optional and left out."""
    pairs: list[tuple[str, str | None]] = []
    for word in words:
        if word.startswith("--") or word in SHORT:
            flag, equals, value = word.partition("=")
            pairs.append((SHORT.get(flag, flag), value if equals else None))
        elif pairs and pairs[-1][1] is None:
            pairs[-1] = (pairs[-1][0], word)
        else:
            pairs.append((word, None))
    return pairs


def _backend(name: str, model_args: str) -> Ours:
    """`--model hf --model_args pretrained=X,dtype=...` names the model among its arguments."""
    given = {key: value for key, _, value in split_key_values(model_args)}
    if name in SERVERS:
        return _server(given, chat="chat" in name)
    model = given.pop("pretrained", None)
    if model is None:
        raise UserError(
            f"--model {name} names a program, no model",
            where="--model",
            todo="--model FOLDER_OR_HUB_ID, or --model_args pretrained=...",
        )
    if name == "vllm":
        given["engine"] = "vllm"
    if "peft" in given:  # a folder of adapters is the model itself here
        model, given["base"] = given.pop("peft"), model
    given = {MODEL_ARGS.get(key, key): value for key, value in given.items()}
    if given.pop("parallelize", "").lower() == "true":
        given["device_map"] = "auto"
    if given.pop("load_in_4bit", "").lower() == "true":
        given["quantization"] = "nf4"
    if given.pop("load_in_8bit", "").lower() == "true":
        given["quantization"] = "int8"
    thinking = given.pop("enable_thinking", "").lower()
    prompt_args = f"thinking={'on' if thinking == 'true' else 'off'}" if thinking else ""
    return _named(model, given, prompt_args=prompt_args)


def _named(model: str, given: dict[str, str], *, prompt_args: str = "") -> Ours:
    """A model with its arguments, without those that say nothing here."""
    dropped = {key: given.pop(key) for key in NOT_NEEDED if key in given}
    notes = [f"--model_args {key}={value} is left out: {NOT_NEEDED[key]}" for key, value in dropped.items()]
    text = ",".join(f"{key}={value}" if "," not in value else f'{key}="{value}"' for key, value in given.items())
    return Ours(flags=(("--model", model),), model_args=text, prompt_args=prompt_args, note="; ".join(notes))


def _server(given: dict[str, str], *, chat: bool) -> Ours:
    """`--model local-completions --model_args model=X,base_url=http://.../v1/completions`."""
    model, address = given.pop("model", None) or given.pop("pretrained", None), given.pop("base_url", "")
    if model is None or not address:
        missing = "model=NAME" if model is None else "base_url=http://HOST:PORT/v1/completions"
        raise UserError("a server, but which?", where="--model_args", todo=f"add {missing}")
    own = {"engine": "server", "base_url": address.removesuffix("/completions").removesuffix("/chat"), **given}
    return _named(model, own, prompt_args="chat_template=server" if chat else "")


def _batch_size(value: str | None) -> Ours:
    ours = "batches hold as many padded tokens as the device takes (--batch_tokens N), and no result depends on them"
    return Ours(note=f"--batch_size {value or 'auto'} is left out: {ours}")


def _seed(value: str | None) -> Ours:
    first, *others = (value or "").split(",")
    if not first.isdecimal():
        raise UserError("a seed is a whole number", where="--seed", found=str(value), todo="--seeds 1,2,3 for trainings")
    more = f" ({', '.join(others)} are left out)" if others else ""
    return Ours(
        flags=(("--seeds", first),), note=f"--seeds are those of trainings{more}; --prompt_args seed=N draws solved examples"
    )


def _switch(key: str) -> Callable[[str | None], Ours]:
    """A flag that may have a value; what it names is the tokenizer's own business here."""
    return lambda value: Ours(prompt_args=f"{key}={'false' if (value or '').lower() in ('false', '0') else 'true'}")


def _quoted(key: str) -> Callable[[str | None], Ours]:
    return lambda value: Ours(prompt_args=f'{key}="{value or ""}"')


def _renamed(flag: str) -> Callable[[str | None], Ours]:
    return lambda value: Ours(flags=((flag, value),))


def _noted(note: str) -> Callable[[str | None], Ours]:
    return lambda value: Ours(note=note)


def _answered(flag: str, message: str, todo: str) -> Callable[[str | None], Ours]:
    """A flag that a note cannot do justice to."""

    def refuse(value: str | None) -> Ours:
        raise UserError(message, where=flag, found=value or "", todo=todo)

    return refuse


SERVERS = ("local-completions", "local-chat-completions", "openai-completions", "openai-chat-completions")
BACKENDS = ("hf", "hf-auto", "vllm", "huggingface", *SERVERS)
"Names of lm-eval's programs, which stand where we have the model."
MODEL_ARGS = {"max_model_len": "max_length", "torch_dtype": "dtype"}
"What lm-eval calls arguments of ours."
NOT_NEEDED = {
    "add_bos_token": "the tokenizer decides, as when the model was trained",
    "backend": "the adapter is found by the configuration",
    "batch_size": "see --batch_tokens",
    "max_batch_size": "see --batch_tokens",
    "use_fast_tokenizer": "there is no other",
    "logits_cache": "answers to the same prompt are computed once in any case",
    "swap_space": "vLLM has it no more",
    "tokenizer_backend": "tokenizers are those of transformers",
    "tokenized_requests": "prompts are sent as ids of tokens",
}
SHORT = {
    "-m": "--model",
    "-t": "--tasks",
    "-a": "--model_args",
    "-f": "--num_fewshot",
    "-b": "--batch_size",
    "-o": "--output_path",
} | {"-L": "--limit", "-s": "--log_samples", "-w": "--write_out", "-c": "--use_cache"}
"Short flags of lm-eval."
FLAGS: Mapping[str, Callable[[str | None], Ours]] = {
    "--num_fewshot": lambda value: Ours(prompt_args=f"num_fewshot={value}"),
    "--few-shot": _answered("--few-shot", "how many examples?", "--route prompt --prompt_args num_fewshot=5"),
    "--zero-shot": lambda value: Ours(prompt_args="num_fewshot=0"),
    "--apply_chat_template": _switch("chat_template"),
    "--fewshot_as_multiturn": _noted("solved examples are turns of the chat wherever --prompt_args has chat_template=true"),
    "--system_instruction": _quoted("system"),
    "--gen_kwargs": _answered(
        "--gen_kwargs",
        "how a task's answers are generated stands in its file",
        "`prompt: generate:` of a copy of its YAML below --include_path (see docs/coming_from.md)",
    ),
    "--batch_size": _batch_size,
    "--batch-size": _batch_size,
    "--max_batch_size": _batch_size,
    "--seed": _seed,
    "--log_samples": _noted(
        "all answers are written: predict/*/predictions.jsonl below --output_path; `run_eval.py errors RUNS --task T` shows them"
    ),
    "--write_out": _noted("`run_eval.py show TASK --model MODEL` prints the first prompts, before anything runs"),
    "--show_config": _noted("`run_eval.py show TASK` prints the task, `plan ...` what becomes of it"),
    "--check_integrity": _renamed("--verify"),
    "--predict_only": _noted("answers and scores are stages of their own: what is predicted is never predicted again"),
    "--use_cache": _noted("what is done is kept below --output_path and never made again"),
    "--cache_requests": _noted("what is done is kept below --output_path and never made again"),
    "--verbosity": _noted("there are no levels: --quiet leaves the progress bars out"),
    "--trust_remote_code": lambda value: Ours(model_args="trust_remote_code=true"),
    "--confirm_run_unsafe_code": _renamed("--trust_generated_code"),
    "--dataset": _renamed("--tasks"),
    "--language": _renamed("--languages"),
    "--num-iterations": _noted("one seed is one training; --seeds 1,2,3 trains three times, and every score has an interval"),
    "--evaluate-test-split": _noted("test rows are what is scored, and nothing is chosen on them"),
    "--cache-dir": _renamed("--output_path"),
    "--raise-errors": _noted("exit code 1 says that something failed; everything else is done and kept"),
}
"Flags of lm-evaluation-harness, and below them EuroEval's."
