"""--model_args: what it says of the model, of its engine, and of the options of tasks, each value as its key declares it.

    given = parse_model_args("lora_rank=16,max_length=64")
    given.model.lora_rank, given.options                     # 16, {'max_length': 64}
    adapter_arguments(given.model, adapter="decoder")        # {'lora': {'rank': 16, 'alpha': 32}}

Imports neither torch nor transformers.
"""

import importlib.util
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from pydantic import BaseModel, create_model

from harness.api.errors import UserError, collecting, raise_all
from harness.api.model_files import VOCABULARIES, local_folder
from harness.api.quantization import StoredQuantization
from harness.api.registry import ADAPTERS, TASK_TYPES
from harness.planning.backbone.folder_checks import check_model_type
from harness.planning.backbone.folders import CheckpointParts
from harness.planning.backbone.hub_ids import is_hub_id
from harness.specs.key_values import parse_key_values, shown
from harness.specs.model_args import LoraArgs, ModelArgs

WHERE = "--model_args"
TOKENIZER_CLASS = re.compile(r"[A-Za-z_]\w*Tokenizer(Fast)?", re.ASCII)
FLASH = ("flash_attn", "kernels")
"Packages that bring flash attention: either serves transformers."


class GivenArgs(NamedTuple):
    """What --model_args says."""

    model: ModelArgs
    "Of the model, with what its preset says beforehand."
    options: Mapping[str, Any]
    "Task options."


@cache
def known_args() -> type[ModelArgs]:
    """All keys that --model_args may have: those of ModelArgs, and the options of every task type."""
    options: dict[str, Any] = {}
    for type_ in TASK_TYPES.names():
        model: type[BaseModel] = TASK_TYPES.load(type_).Options
        options |= {name: (field.annotation, field) for name, field in model.model_fields.items() if name not in options}
    return create_model("ModelArgsAndOptions", __base__=ModelArgs, **options)


def parse_model_args(text: str, *, preset: ModelArgs | None = None) -> GivenArgs:
    """The values of --model_args, laid over those of a preset; raises every mistake at once."""
    given = parse_key_values(text, known_args(), where=WHERE)
    said = {name: getattr(given, name) for name in given.model_fields_set}
    options = {name: value for name, value in said.items() if name not in ModelArgs.model_fields}
    own = {name: value for name, value in said.items() if name in ModelArgs.model_fields}
    before = {name: getattr(preset, name) for name in preset.model_fields_set} if preset else {}
    return GivenArgs(ModelArgs.model_construct(_fields_set={*before, *own}, **{**before, **own}), options)


def check_said(given: ModelArgs) -> None:
    """Raise every value that names what is not here: adapters, tokenizers, model types, packages."""
    errors: list[UserError] = []
    if given.adapter is not None:
        with collecting(errors):
            ADAPTERS.check(given.adapter, where=f"{WHERE} adapter")
    if given.tokenizer is not None and not local_folder(given.tokenizer) and not is_hub_id(given.tokenizer):
        expected = "a hub id `org/name` or a folder"
        errors.append(UserError("no such tokenizer", where=f"{WHERE} tokenizer", expected=expected, found=shown(given.tokenizer)))
    if given.model_type is not None and not given.trust_remote_code:
        with collecting(errors):
            check_model_type(given.model_type, where=f"{WHERE} model_type")
    if given.tokenizer_class is not None and not TOKENIZER_CLASS.fullmatch(given.tokenizer_class):
        expected = "a class of transformers, such as XLMRobertaTokenizer"
        where = f"{WHERE} tokenizer_class"
        errors.append(UserError("no class of tokenizers", where=where, expected=expected, found=shown(given.tokenizer_class)))
    said = [key for key in ("cpu_memory_gib", "gpu_memory_gib") if getattr(given, key) is not None]
    if said and given.device_map in (None, "cpu"):
        message = f"{', '.join(said)} say nothing without a device_map that spreads the model"
        errors.append(UserError(message, where=WHERE, todo="add device_map=auto, or leave them out"))
    if given.quantization and importlib.util.find_spec("bitsandbytes") is None:
        where, todo = f"{WHERE} quantization", "pip install xlift[low-bit]"
        errors.append(UserError("quantization needs the package 'bitsandbytes', which is not here", where=where, todo=todo))
    if given.attn_implementation == "flash_attention_2" and not any(map(importlib.util.find_spec, FLASH)):
        where, todo = f"{WHERE} attn_implementation", f"pip install {FLASH[0]}, or attn_implementation=sdpa"
        errors.append(UserError("flash_attention_2 needs a package that is not here", where=where, todo=todo))
    raise_all(errors)


def adapter_arguments(given: ModelArgs, *, adapter: str, stored: StoredQuantization | None = None) -> dict[str, Any]:
    """`ModelSource.extra`: of the model arguments those that only some adapters know; raises every mistake at once."""
    known = ADAPTERS.constant(adapter, "ARGUMENTS")
    said = given.model_fields_set
    errors = [
        UserError(f"adapter '{adapter}' does not know '{key}'", where=WHERE, expected=_knowing(key))
        for key in LoraArgs.model_fields
        if key in said and key not in known
    ]
    without = [key for key in LoraArgs.model_fields if key.startswith("lora_") and key != "lora_rank" and key in said]
    if without and not given.lora_rank:
        errors.append(UserError(f"'{without[0]}' says nothing without lora_rank", where=WHERE, todo="add lora_rank=16"))
    raise_all(errors)
    usual = "stack" if given.quantization or stored else "merge"
    extra: dict[str, Any] = {key: list(getattr(given, key)) for key in ("labels", "ignore_labels") if key in said}
    extra |= {key: getattr(given, key) for key in ("model_type", "tokenizer_class") if key in said}
    if given.quantization:
        extra["quantization"] = given.quantization
    if given.bidirectional:
        extra["bidirectional"] = True
    if given.lora_rank:
        extra["lora"] = {"rank": given.lora_rank, "alpha": given.lora_alpha or 2 * given.lora_rank}
        extra["lora"] |= {"dropout": given.lora_dropout} if given.lora_dropout else {}
        extra["lora"] |= {"targets": sorted(given.lora_targets)} if given.lora_targets != ("all-linear",) else {}
        extra["lora"] |= {"variant": given.lora_variant} if given.lora_variant != "lora" else {}
        extra["lora"] |= {"chain": given.lora_chain} if given.lora_chain not in (None, usual) else {}
    return extra


def settled(said: ModelArgs, held: CheckpointParts | None) -> ModelArgs:
    """--model_args with what a checkpoint or an adapter of peft says of itself; UserError where they contradict each other."""
    peft = held.peft if held else None
    if said.base is not None and peft is None:
        raise UserError("'base' says nothing without an adapter of peft", where=f"{WHERE} base", todo="leave it out")
    before = held.quantization if held else None
    if before and said.quantization not in (None, before):
        raise UserError(
            "adapters answer beside the weights that they were trained on",
            where=f"{WHERE} quantization",
            expected=f"quantization={before}, as the checkpoint's base.json says",
            found=str(said.quantization),
        )
    found = {"quantization": before} if before else {}
    if peft and said.tokenizer is None and any(file.is_file() for name in VOCABULARIES for file in peft.folder.glob(name)):
        found["tokenizer"] = str(peft.folder)  # with the words that it was trained with
    return said.model_copy(update=found) if found else said


def _knowing(key: str) -> str:
    """What knows a key."""
    if key == "bidirectional":
        return "a causal language model"
    return "the adapter " + " or ".join(name for name in ADAPTERS.names() if key in ADAPTERS.constant(name, "ARGUMENTS"))
