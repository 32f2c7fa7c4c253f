"""Settles --model and --model_args: a preset, a hub id or a local folder, with what stages must know of it.

    backbone = resolve("xlm-roberta-base", "dtype=float32", catalog=catalog, use_own_head=False)
    backbone.arguments      # hashed into stage keys: adapter, fingerprint, dtype, ...
    backbone.knobs          # where it lies on this machine

Imports neither torch nor transformers.
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from harness.api.errors import UserError, did_you_mean, raise_all
from harness.api.registry import ADAPTERS, TASK_TYPES
from harness.data.file_hashes import files_fingerprint
from harness.data.pretraining_coverage import covered
from harness.planning.backbone.model_args import (
    ADAPTER_ARGS,
    LISTS,
    adapter_arguments,
    adapter_for,
    checkpoint_parts,
    commit_in_cache,
    config_of,
    needed_config,
)
from harness.planning.backbone.sizes import read_sizes
from harness.planning.catalog.catalog import Catalog, Entry
from harness.runtime.arguments import ModelArguments
from harness.runtime.engines import ENGINE_ARGS, Engine, parse_engine_args
from harness.runtime.knobs import Knobs
from harness.specs.preset import PresetSpec

MODEL_ARGS = {
    "path": "folder or hub id of the weights, where --model names a preset",
    "revision": "commit on the hub",
    "dtype": "float32 | bfloat16 | float16 | auto (bfloat16 where the hardware has it), for inference",
    "attn_implementation": "sdpa | eager | flash_attention_2",
    "device_map": "auto, to spread a model over several devices",
    "tokenizer": "folder or hub id of the tokenizer",
    "adapter": "module of models/",
    "model_type": "transformers model_type, where config.json names a wrong one",
    "tokenizer_class": "transformers tokenizer class, where the repository names a wrong one",
    "labels": "label names in the order of a fine-tuned head, separated by |",
    "ignore_labels": "labels of a fine-tuned head that the task does not have, separated by |",
    "trust_remote_code": "true runs code of the checkpoint",
    **ADAPTER_ARGS,
    **ENGINE_ARGS,
}
FAKE_CAPABILITIES = ("forward_head", "embed", "loglikelihood", "generate")
TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "*.model",
    "*.tiktoken",
)
"Files that say how a text becomes ids."
WEIGHTS = ("*.safetensors", "*.bin", "config.json", "heads.json", "adapter_config.json", "decoder.json", "base.json", *TOKENIZER)
"Files that say what a model computes."
CHAT_FORMAT = ("chat_template*", "generation_config.json", "special_tokens_map.json", "tokenizer_config.json")
"What says how a conversation is written and where an answer ends."
HEAD_CLASSES = ("ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering", "ForMultipleChoice")


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """A model as the plan sees it."""

    name: str
    "What the board calls it."
    adapter: str
    preset: Entry[PresetSpec] | None
    arguments: ModelArguments
    "Part of every stage's arguments."
    knobs: Knobs
    chat_format: str = ""
    "Fingerprint of the chat template and the tokens that end an answer; empty for models of the hub, whose commit says it."
    engine: Engine = field(default_factory=Engine)
    "What answers its prompts and makes its vectors."
    options: Mapping[str, Any] = field(default_factory=dict)
    "Task options among --model_args."
    facts: Mapping[str, Any] = field(default_factory=dict)
    "Path, sizes, licence and pitfalls for the board."

    @property
    def is_fake(self) -> bool:
        """Whether made-up answers stand in the model's place."""
        return self.adapter == "fake"

    @property
    def sees_both_ways(self) -> bool:
        """Whether its tokens attend to those after them as well."""
        causal = not self.is_fake and bool(ADAPTERS.constant(self.adapter, "CAUSAL"))
        return not causal or bool(self.arguments.extra.get("bidirectional"))

    def capabilities(self) -> tuple[str, ...]:
        """What its adapter offers."""
        return FAKE_CAPABILITIES if self.is_fake else tuple(ADAPTERS.constant(self.adapter, "CAPABILITIES"))


def parse_model_args(text: str) -> dict[str, Any]:
    """`key=value,key=value` with YAML values; raises UserError for unknown keys, all at once."""
    known = {*MODEL_ARGS, *(name for t in TASK_TYPES.names() for name in TASK_TYPES.load(t).Options.model_fields)}
    values: dict[str, Any] = {}
    errors: list[UserError] = []
    for part in filter(None, text.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            errors.append(UserError(f"'{part}' is not key=value", where="--model_args"))
        elif key not in known:
            errors.append(UserError(f"unknown key '{key}'", where="--model_args", todo=did_you_mean(key, known)))
        else:
            values[key] = value if key in ("prefix", *LISTS) else yaml.safe_load(value)
    raise_all(errors)
    return values


def resolve(model: str, model_args: str, *, catalog: Catalog, use_own_head: bool) -> Backbone:
    """The backbone that --model names; `use_own_head` asks for the fine-tuned head of the checkpoint (--no_train)."""
    given = parse_model_args(model_args)
    preset = _preset_of(model, catalog)
    values = {**(preset.spec.model_args if preset else {}), **given}
    engine = parse_engine_args(values)
    if preset and preset.spec.adapter == "fake":
        return _fake(preset, values)
    name = preset.spec.preset if preset else Path(model).name if Path(model).is_dir() else model
    path = values.get("path") or (model if _is_folder(model) else preset.spec.hub if preset else model)
    if preset is None and not _is_folder(model) and (model.count("/") != 1 or model[0] in "./~"):
        raise UserError(
            f"no model '{model}'",
            where="--model",
            expected="a preset, a hub id `org/name` or a folder",
            todo=did_you_mean(model, catalog.names("preset")),
        )
    held = checkpoint_parts(str(path)) if path is not None else None
    adapter = values.get("adapter") or (preset.spec.adapter if preset else None)
    if adapter is None:
        adapter = adapter_for(held.backbone, revision=held.revision or values.get("revision")) if held else "encoder"
    adapter = ADAPTERS.check(str(adapter), where="--model_args adapter")
    knobs = Knobs(device_map=values.get("device_map"), tokenizer=values.get("tokenizer"), engine=dict(engine.knobs))
    fingerprint = None
    if held:
        path = held.backbone
        stated = preset.spec.revision if preset and not _is_folder(path) else None
        revision = held.revision or values.get("revision") or stated
        knobs = replace(knobs, path=path, checkpoint=held.checkpoint, revision=revision)
        if use_own_head and held.checkpoint is None and adapter in ("encoder", "decoder"):
            config = config_of(path, revision=revision) if preset else needed_config(path, revision=revision)
            adapter = "finetuned" if _has_own_head(config, adapter) else adapter
        fingerprint = _fingerprint(held.checkpoint or path, revision)
        if held.is_base:
            fingerprint += "+" + _fingerprint(path, revision)
    arguments = ModelArguments(
        adapter=adapter,
        fingerprint=fingerprint,
        tokenizer=_tokenizer_fingerprint(knobs.tokenizer),
        dtype=values.get("dtype", "auto"),
        attn_implementation=values.get("attn_implementation", "sdpa"),
        trust_remote_code=values.get("trust_remote_code", False),
        extra=adapter_arguments(values, adapter=adapter),
    )
    return Backbone(
        name=name,
        adapter=adapter,
        preset=preset,
        arguments=arguments,
        knobs=knobs,
        chat_format=_chat_format(str(knobs.tokenizer or knobs.checkpoint or path)),
        engine=engine,
        options={key: value for key, value in given.items() if key not in MODEL_ARGS},
        facts=_facts(preset, path, arguments, knobs),
    )


def _tokenizer_fingerprint(tokenizer: Any) -> str | None:
    """Another tokenizer gives other inputs: where it lies is a knob, what it is, is not."""
    if tokenizer is None:
        return None
    return _fingerprint(str(tokenizer), None, (*TOKENIZER, "chat_template*"))


def _is_folder(path: str) -> bool:
    return Path(path).expanduser().is_dir()


def _preset_of(model: str, catalog: Catalog) -> Entry[PresetSpec] | None:
    """The preset of that name, of that hub id, or of a local folder's name."""
    names = catalog.names("preset")
    if model in names and not _is_folder(model):
        return catalog.preset(model)
    for name in names:
        entry = catalog.preset(name)
        if entry.spec.hub == model or (_is_folder(model) and Path(model).resolve().name.lower() == name.lower()):
            return entry
    return None


def _fake(preset: Entry[PresetSpec], values: Mapping[str, Any]) -> Backbone:
    name, tokenizer = preset.spec.preset, values.get("tokenizer")
    arguments = ModelArguments(adapter="fake", fingerprint=f"fake:{name}", extra={"kind": name}, tokenizer=tokenizer)
    facts = {
        "path": name,
        "preset": name,
        "adapter": "fake",
        "fingerprint": arguments.fingerprint,
        "pitfalls": list(preset.spec.pitfalls),
    }
    options = {key: value for key, value in values.items() if key not in MODEL_ARGS}
    knobs = Knobs(tokenizer=tokenizer)
    return Backbone(name=name, adapter="fake", preset=preset, arguments=arguments, knobs=knobs, options=options, facts=facts)


def _has_own_head(config: Mapping[str, Any] | None, adapter: str) -> bool:
    """Whether a model was published with a head that answers a task."""
    if config is None:
        return adapter == "encoder"  # a preset that is not here yet: the adapter says what it found
    architectures: Sequence[str] = config.get("architectures") or []
    return any(name.endswith(HEAD_CLASSES) for name in architectures)


def _fingerprint(path: str, revision: str | None, patterns: Sequence[str] = WEIGHTS) -> str:
    """`file:<hash>` of a local folder's weights, configuration and tokenizer; `hub:<id>@<commit>` otherwise."""
    folder = Path(path).expanduser()
    if folder.is_dir():
        files = sorted({file for pattern in patterns for file in folder.rglob(pattern)})
        return files_fingerprint(files)
    return f"hub:{path}@{revision or commit_in_cache(path) or 'main'}"


def _chat_format(path: str) -> str:
    """Fingerprint of the files of a local folder that say how a conversation is written; empty where there are none."""
    files = sorted({file for pattern in CHAT_FORMAT for file in Path(path).expanduser().glob(pattern) if file.is_file()})
    return files_fingerprint(files) if files else ""


def _facts(preset: Entry[PresetSpec] | None, path: Any, arguments: ModelArguments, knobs: Knobs) -> dict[str, Any]:
    """What the board says of the model; sizes from the weights' headers where they are here, else from the preset."""
    spec = preset.spec if preset else None
    shown = os.path.basename(str(path).rstrip("/")) if path and _is_folder(str(path)) else path
    keys = ("parameters", "non_embedding_parameters", "layers", "hidden_size", "licence")
    facts: dict[str, Any] = spec.model_dump(include=set(keys)) if spec else dict.fromkeys(keys)
    if path and _is_folder(str(path)):
        facts |= read_sizes(Path(path).expanduser())
    held = covered(spec.languages) if spec else None
    return {
        "path": shown,
        "preset": spec.preset if spec else None,
        "family": spec.family if spec else "",
        "coverage": dataclasses.asdict(held) if held else None,
        "revision": knobs.revision,
        "adapter": arguments.adapter,
        "fingerprint": arguments.fingerprint,
        "dtype": arguments.dtype,
        "pitfalls": list(spec.pitfalls) if spec else [],
        **facts,
    }
