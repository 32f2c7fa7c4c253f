"""`--model hf --model_args pretrained=X,...` of lm-evaluation-harness, where --model names a program, in our words.

    ours = model_of("vllm", "pretrained=gpt2,max_model_len=512")
    ours.flags, ours.model_args           # (('--model', 'gpt2'),), 'engine=vllm,max_length=512'

Raises UserError for programs that there are not, with what does it here.
"""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from harness.api.errors import UserError
from harness.commands._borrowed_words import Pairs, as_words, key_values, needed


class Ours(NamedTuple):
    """What a flag of another harness becomes."""

    flags: tuple[tuple[str, str | None], ...] = ()
    "Flags of ours with their values."
    prompt_args: str = ""
    model_args: str = ""
    note: str = ""
    "What its user must know, as it stands; '' where the new flags say it all."
    hint: str = ""
    "The same of a text in which {task}, {runs} and {show} are filled in: no words of the user stand in it."


def program_of(pairs: Pairs) -> str | None:
    """The program of lm-eval's that a command line asks, or None; hf is meant where only its arguments name the model.

    A folder of that name is the model where it holds one and no other is named.
    """
    said = dict(pairs)
    given = key_values(said.get("--model_args") or "", where="--model_args") if _may_name_a_model(said) else {}
    if "--model" not in said:
        return "hf" if "pretrained" in given else None
    name = said["--model"]
    if name is None:
        expected = "a model: a preset, a folder or a hub id; or a program of lm-evaluation-harness"
        return None if "pretrained" not in given else needed("--model", name, expected)
    programs = {*BACKENDS, "dummy", *ELSEWHERE}
    if name not in programs and programs & {one for one in name.split(",") if not _holds_a_model(one)}:
        todo = "one program with --model_args pretrained=MODEL; or models alone"
        raise UserError("a program of lm-evaluation-harness stands alone", where="--model", found=name, todo=todo)
    is_folder = _holds_a_model(name) and not {"pretrained", "model"} & {*given}
    return name if name in programs and not is_folder else None


def _holds_a_model(name: str) -> bool:
    """Whether it is a folder with a model in it."""
    return os.path.isfile(os.path.join(name, "config.json"))


def _may_name_a_model(said: Mapping[str, str | None]) -> bool:
    """Whether --model_args are of lm-eval's kind perhaps, and not for a model of ours."""
    return said.get("--model") in (None, *BACKENDS, *ELSEWHERE)


def model_of(name: str, model_args: str) -> Ours:
    """What a program of lm-eval's and its arguments become."""
    if name == "dummy":
        left_out = "; it takes no --model_args" if model_args else ""
        return Ours(flags=(("--model", "random"),), note=f"--model dummy is a fake with random answers: `random` here{left_out}")
    if name in ELSEWHERE:
        raise UserError(
            f"--model {name} names a program of lm-evaluation-harness that is not asked here",
            where="--model",
            expected="a model: a preset, a folder or a hub id; or hf, vllm, local-completions, local-chat-completions",
            todo="--model hf --model_args pretrained=MODEL; what has a server of OpenAI's kind is asked by "
            "--model MODEL --model_args engine=server,base_url=http://HOST:PORT/v1",
        )
    given = key_values(model_args, where="--model_args")
    if "max_gen_toks" in given:
        raise _default_length(given["max_gen_toks"])
    if name in SERVERS:
        return _server(given, chat="chat" in name)
    model = given.pop("pretrained", None)
    if not model:
        raise UserError(
            f"--model {name} names a program, no model",
            where="--model",
            todo=f"--model {f'./{name}' if os.path.isdir(name) else 'FOLDER_OR_HUB_ID'}, or --model_args pretrained=...",
        )
    if name == "vllm":
        given["engine"] = "vllm"
    for key in ("peft", "lora_local_path"):
        if key in given:  # a folder of adapters is the model itself here
            model, given["base"] = given.pop(key), model
    return _named(model, _in_our_words(given), given=given)


def _default_length(tokens: str) -> UserError:
    """The error for a length that lm-eval takes where the file of a task says none, while ours is for all tasks."""
    return UserError(
        "there it is the length of answers of tasks whose files say none; no such default is set here",
        where="--model_args max_gen_toks",
        found=tokens,
        todo=f"--prompt_args max_new_tokens={tokens} for all tasks; or `generation_kwargs: {{max_gen_toks: {tokens}}}` in the "
        "file of such a task below --include_path; or leave it out: each task's own length counts, or lm-eval's 256",
    )


def _in_our_words(given: dict[str, str]) -> dict[str, str]:
    """Arguments of lm-eval's as ours; taken out of `given` is what is no argument of a model here."""
    ours = {MODEL_ARGS.get(key, key): value for key, value in given.items() if key not in (*SWITCHES, *NOT_ARGUMENTS)}
    for key, own in SWITCHES.items():
        if _is_true(given.pop(key, "")):
            ours |= own
    return ours


def _is_true(value: str) -> bool:
    return value.lower() in ("true", "1")


def _named(model: str, own: dict[str, str], *, given: Mapping[str, str], prompt_args: str = "") -> Ours:
    """A model with its arguments, without those that say nothing here."""
    dropped = {key: own.pop(key) for key in NOT_NEEDED if key in own}
    notes = [f"--model_args {key}={value} is left out: {NOT_NEEDED[key]}" for key, value in dropped.items()]
    asked = [prompt_args] if prompt_args else []
    if given.get("enable_thinking"):
        asked.append(f"thinking={'on' if _is_true(given['enable_thinking']) else 'off'}")
    device = given.get("device")
    return Ours(
        flags=(("--model", model), *((("--device", device),) if device else ())),
        model_args=as_words(own, where="--model_args"),
        prompt_args=",".join(asked),
        note="; ".join(notes),
    )


def _server(given: dict[str, str], *, chat: bool) -> Ours:
    """`--model local-completions --model_args model=X,base_url=http://.../v1/completions`."""
    model, address = given.pop("model", None) or given.pop("pretrained", None), given.pop("base_url", "")
    if model is None or not address:
        missing = "model=NAME" if model is None else "base_url=http://HOST:PORT/v1/completions"
        raise UserError("a server, but which?", where="--model_args", todo=f"add {missing}")
    base_url = address.removesuffix("/completions").removesuffix("/chat")
    own: dict[str, Any] = {"engine": "server", "base_url": base_url, **_in_our_words(given)}
    return _named(model, own, given=given, prompt_args="chat_template=server" if chat else "")


SERVERS = ("local-completions", "local-chat-completions", "openai-completions", "openai-chat-completions")
"Programs that ask a server of OpenAI's kind."
BACKENDS = ("hf", "hf-auto", "vllm", "huggingface", *SERVERS)
"Names of lm-eval's programs, which stand where we have the model."
ELSEWHERE = (
    *("hf-multimodal", "hf-audiolm-qwen", "hf-mistral3", "vllm-vlm", "steered", "mamba_ssm", "megatron_lm", "nemo_lm"),
    *("sglang", "sglang-generate", "trtllm", "gguf", "ggml", "textsynth", "litellm", "litellm-chat", "watsonx_llm"),
    *("anthropic-completions", "anthropic-chat", "anthropic-chat-completions", "azure-openai-chat-completions"),
    *("neuronx", "openvino", "ipex", "habana", "onnxruntime", "onnxruntime-genai", "winml"),
)
"Those that there are not here."
MODEL_ARGS = {"max_model_len": "max_length", "torch_dtype": "dtype"}
"What lm-eval calls arguments of ours."
SWITCHES: Mapping[str, Mapping[str, str]] = {
    "parallelize": {"device_map": "auto"},
    "load_in_4bit": {"quantization": "nf4"},
    "load_in_8bit": {"quantization": "int8"},
}
"What is on or off there, and what it becomes where it is on."
NOT_ARGUMENTS = ("enable_thinking", "device")
"What other flags say here."
NOT_NEEDED = {
    "add_bos_token": "the tokenizer decides, as when the model was trained",
    "backend": "the adapter is found by the configuration",
    "batch_size": "see --batch_tokens",
    "max_batch_size": "see --batch_tokens",
    "use_fast_tokenizer": "there is no other",
    "logits_cache": "answers to the same prompt are computed once in any case",
    "swap_space": "vLLM has it no more",
    "think_end_token": "the marks of thoughts are those of the chat template",
    "tokenizer_backend": "tokenizers are those of transformers",
    "tokenized_requests": "prompts are sent as ids of tokens",
}
"Arguments that say nothing here, and why."
