"""What `--model_args`, and the `model_args` of a preset, may say of a model.

    given = parse_key_values("dtype=float32,lora_rank=16", ModelArgs, where="--model_args")
    given.lora_rank                                          # 16
    engine_sizes(given)                                      # {}: those of EngineArgs that are given

On the command line the options of task types (`max_length`, `layer`, ...) may stand among them.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from harness.specs.model import Spec

DTYPES = ("float32", "bfloat16", "float16", "auto")
OTHER_NAMES = {
    **dict.fromkeys(("fp16", "half", "f16", "torch.float16"), "float16"),
    **dict.fromkeys(("bf16", "torch.bfloat16"), "bfloat16"),
    **dict.fromkeys(("fp32", "f32", "float", "full", "torch.float32"), "float32"),
}
"What else dtypes are called."


def _dtype(value: Any) -> Any:
    if isinstance(value, str) and value.lower() not in DTYPES and value.lower() in OTHER_NAMES:
        raise ValueError(f"there are {', '.join(DTYPES)}; here '{OTHER_NAMES[value.lower()]}' is meant")
    return value


def _items(value: Any) -> Any:
    items = [item.strip() for item in value.split("|")] if isinstance(value, str) else value
    if isinstance(items, list) and len(set(map(str, items))) < len(items):
        raise ValueError("a name stands twice in the list")
    return items


Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=1, lt=1 << 31)]
Names = Annotated[tuple[Text, ...], BeforeValidator(_items)]
"`a|b|c`, or in YAML a list."


KEY_VARIABLE = "XLIFT_SERVER_KEY"
"Environment variable of a server's key, where no other is named: a key that is meant for one server goes to no other."


class VllmArgs(Spec):
    """How much of this machine vLLM gets."""

    tensor_parallel_size: Count | None = None
    "Devices that vLLM divides each layer among."
    pipeline_parallel_size: Count | None = None
    "Groups of devices that vLLM divides the layers among."
    data_parallel_size: Count | None = None
    "vLLM engines that divide the requests, each on devices of its own."
    gpu_memory_utilization: float | None = Field(default=None, gt=0, le=1)
    "Share of a device's memory that vLLM takes, above 0 to 1."
    max_num_seqs: Count | None = None
    "Requests that vLLM computes at a time."
    kv_cache_gib: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    "Memory for keys and values in GiB, in place of all that is left of that share (1 on CPUs)."


class ServerArgs(Spec):
    """Where a server is, and how it is treated."""

    base_url: Text | None = None
    "Address of a server with OpenAI's API, mostly http://HOST:PORT/v1; --model is then its name of the model."
    num_concurrent: Count | None = None
    "Requests that are on their way to it at the same time (8)."
    max_retries: Annotated[int, Field(ge=0, le=100)] | None = None
    "Times that a request is tried again which the server could not answer just then (8)."
    timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    "Seconds that an answer may take (600)."
    api_key_variable: Text | None = None
    "Environment variable that holds its key (XLIFT_SERVER_KEY)."


class EngineArgs(VllmArgs, ServerArgs):
    """What answers, and with how much of this machine."""

    engine: Literal["transformers", "vllm", "server"] = "transformers"
    "What answers prompts and makes vectors (heads and training stay with transformers); a server answers prompts only."


class LoraArgs(Spec):
    """What only some adapters know: they name it in ARGUMENTS."""

    bidirectional: bool = False
    "True lets the tokens of a causal model see those after them, for its heads and embeddings."
    quantization: Literal["nf4", "int8"] | None = None
    "Holds the weights in 4 or 8 bits (bitsandbytes): for inference, and as the frozen base of low-rank adapters (QLoRA)."
    lora_rank: int = Field(default=0, ge=0, lt=1 << 31)
    "Trains low-rank adapters (LoRA) of this rank in place of the model's weights; 0 = no."
    lora_alpha: Count | Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    "Their updates are multiplied by alpha / rank; twice the rank if not given."
    lora_dropout: float = Field(default=0.0, ge=0, lt=1)
    "Dropout before them."
    lora_targets: Names = ("all-linear",)
    "Ends of the names of the modules that get one, separated by |; all linear layers if not given."
    lora_variant: Literal["lora", "dora"] = "lora"
    "dora trains the length of each row of a weight apart from its direction."
    lora_chain: Literal["merge", "stack"] | None = None
    "Adapters of earlier phases: `merge`d into the weights, or `stack`ed beside them, which is the rule with `quantization`."


class ModelArgs(EngineArgs, LoraArgs):
    """Where a model lies, how it is loaded, and what its adapter and its engine must know."""

    path: Text | None = None
    "Folder or hub id of the weights, where --model names a preset."
    base: Text | None = None
    "Folder or hub id of the model that an adapter of peft was trained on, where its files name another place."
    revision: Text | None = None
    "Commit on the hub."
    dtype: Annotated[Literal["float32", "bfloat16", "float16", "auto"], BeforeValidator(_dtype)] = "auto"
    "Type of the numbers for inference; auto is bfloat16 where the hardware has it."
    attn_implementation: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa"
    "How attention is computed."
    device_map: Literal["auto", "balanced", "balanced_low_0", "sequential", "cpu"] | None = None
    "Spreads a model over several devices, what does not fit there over main memory and disk."
    cpu_memory_gib: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    "Main memory in GiB for the weights of a model with a device_map; the rest is read from its files for every batch."
    gpu_memory_gib: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    "Memory in GiB of each GPU for them."
    tokenizer: Text | None = None
    "Folder or hub id of the tokenizer."
    adapter: Text | None = None
    "Module of models/."
    model_type: Text | None = None
    "transformers model_type, where config.json names a wrong one."
    tokenizer_class: Text | None = None
    "transformers tokenizer class, where the repository names a wrong one."
    labels: Names = ()
    "Label names in the order of a fine-tuned head, separated by |."
    ignore_labels: Names = ()
    "Labels of a fine-tuned head that the task does not have, separated by |."
    trust_remote_code: bool = False
    "True runs code of the checkpoint."


def engine_sizes(given: EngineArgs) -> dict[str, Any]:
    """How much of the machine an engine is to get, as far as it is said."""
    names = [name for name in EngineArgs.model_fields if name != "engine" and name in given.model_fields_set]
    return {name: getattr(given, name) for name in names if getattr(given, name) is not None}
