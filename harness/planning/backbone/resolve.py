"""Settles --model and --model_args: a preset, a hub id or a local folder, with what stages must know of it.

    backbone = resolve("xlm-roberta-base", "dtype=float32", catalog=catalog, use_own_head=False)
    backbone.arguments      # hashed into stage keys: adapter, fingerprint, dtype, ...
    backbone.knobs          # where it lies on this machine

Imports neither torch nor transformers.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.api.errors import UserError, collecting, did_you_mean, raise_all
from harness.api.model_files import local_folder
from harness.api.quantization import StoredQuantization, gguf_file, stored_quantization
from harness.api.registry import ADAPTERS
from harness.planning.backbone.facts import board_facts
from harness.planning.backbone.file_identity import chat_fingerprint, tokenizer_fingerprint, weights_fingerprint
from harness.planning.backbone.folder_checks import check_checkpoint, check_folder, check_tokenizer
from harness.planning.backbone.folders import (
    CheckpointParts,
    adapter_for,
    checkpoint_parts,
    config_of,
    folder_name,
    needed_config,
)
from harness.planning.backbone.gguf_files import check_gguf, gguf_quantization
from harness.planning.backbone.hub_ids import is_hub_id
from harness.planning.backbone.model_args import WHERE, GivenArgs, adapter_arguments, check_said, parse_model_args, settled
from harness.planning.backbone.peft_folders import peft_fingerprint
from harness.planning.backbone.served_models import served_arguments
from harness.planning.backbone.sizes import Limits, limits_of
from harness.planning.catalog.catalog import Catalog, Entry
from harness.runtime.arguments import ModelArguments
from harness.runtime.engines import REMOTE_CAPABILITIES, SERVER, Engine, engine_of
from harness.runtime.knobs import Knobs
from harness.specs.key_values import shown
from harness.specs.model_args import ModelArgs
from harness.specs.preset import PresetSpec

FAKE_CAPABILITIES = ("forward_head", "embed", "loglikelihood", "generate")
EXPECTED = "a preset, a hub id `org/name` or a folder"
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
    stored: StoredQuantization | None = None
    "How its files hold weights in few bits, if they do."
    limits: Limits = field(default_factory=Limits)
    "Layers and positions, as far as its configuration is here."
    config: Mapping[str, Any] | None = None
    "config.json, as far as it is here, or the settings of a backbone that the run makes."
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
        """What its adapter offers, or a server."""
        if self.engine.is_remote:
            return REMOTE_CAPABILITIES
        return FAKE_CAPABILITIES if self.is_fake else tuple(ADAPTERS.constant(self.adapter, "CAPABILITIES"))


def resolve(model: str, model_args: str, *, catalog: Catalog, use_own_head: bool) -> Backbone:
    """The backbone that --model names; `use_own_head` asks for the fine-tuned head of the checkpoint (--no_train)."""
    errors: list[UserError] = []
    preset = None
    with collecting(errors):
        preset = _preset_of(_named(model), catalog)
    given, engine = GivenArgs(ModelArgs(), {}), Engine()
    with collecting(errors):
        given = parse_model_args(model_args, preset=preset.spec.model_args if preset else None)
        engine = engine_of(given.model)
    with collecting(errors):
        if preset is None and model.strip() and model.isprintable() and given.model.engine != SERVER:
            _check_place(model, catalog)
    with collecting(errors):
        check_said(given.model)
    raise_all(errors)
    if preset and preset.spec.adapter == "fake":
        _check_files(None, given.model)
        return _fake(preset, given)
    if engine.is_remote:
        return _served(model, preset, given, engine=engine)
    return _real(model, preset, given, engine=engine, use_own_head=use_own_head, catalog=catalog)


def _named(model: str) -> str:
    """--model, if it can be a name at all."""
    if not model.strip() or not model.isprintable():
        raise UserError("this is no name", where="--model", expected=EXPECTED, found=shown(model))
    return model


def _check_place(model: str, catalog: Catalog) -> None:
    """UserError for what is neither a folder nor a hub id."""
    is_file = _names_a_file(model)
    if local_folder(model) or gguf_file(model) or (is_hub_id(model) and not is_file):
        return
    raise UserError(
        f"no model '{shown(model, quoted=False)}'",
        where="--model",
        expected=EXPECTED,
        found="a file" if is_file else "",
        todo="give the folder that it lies in; a file by itself is a model only as GGUF (.gguf)"
        if is_file
        else did_you_mean(model, catalog.names("preset")),
    )


def _names_a_file(text: str) -> bool:
    return os.path.isfile(os.path.expanduser(text))


def _real(
    model: str, preset: Entry[PresetSpec] | None, given: GivenArgs, *, engine: Engine, use_own_head: bool, catalog: Catalog
) -> Backbone:
    """A backbone whose weights lie somewhere, or are made by this run."""
    said = given.model
    is_here = local_folder(model) or gguf_file(model)
    path = said.path or (model if is_here else preset.spec.hub if preset else model)
    where = "--model" if said.path is None else f"{WHERE} path"
    if said.path is not None and not local_folder(said.path) and not gguf_file(said.path) and not is_hub_id(said.path):
        found = "a file" if _names_a_file(said.path) else shown(said.path)
        raise UserError("no such model", where=where, expected="a hub id `org/name`, a folder or a .gguf file", found=found)
    held = checkpoint_parts(path, where=where, base=said.base) if path is not None else None
    said = settled(said, held)
    _check_files(held, said)
    name = preset.spec.preset if preset else folder_name(model)
    if held and held.peft and preset is None:
        preset = _preset_of(held.backbone, catalog)  # what suits the base suits it with an adapter
    adapter = said.adapter or (preset.spec.adapter if preset else None)
    if adapter is None:
        adapter = adapter_for(held.backbone, revision=held.revision or said.revision) if held else "encoder"
    knobs = Knobs(
        device_map=said.device_map,
        cpu_memory_gib=said.cpu_memory_gib,
        gpu_memory_gib=said.gpu_memory_gib,
        tokenizer=said.tokenizer,
        engine=dict(engine.knobs),
    )
    fingerprint, config, stored = None, None, None
    if held:
        path = held.backbone
        revision = held.revision or said.revision or (preset.spec.revision if preset and not local_folder(path) else None)
        peft = held.peft
        knobs = replace(knobs, path=path, checkpoint=held.checkpoint, revision=revision, peft=str(peft.folder) if peft else None)
        config = config_of(path, revision=revision)
        if use_own_head and held.checkpoint is None and adapter in ("encoder", "decoder"):
            config = config if preset else needed_config(path, revision=revision)
            adapter = "finetuned" if (peft.head if peft else _has_own_head(config, adapter)) else adapter
        fingerprint = weights_fingerprint(held.checkpoint or path, revision)
        if held.is_base:
            fingerprint += "+" + weights_fingerprint(path, revision)
        if peft:
            fingerprint += "+" + peft_fingerprint(peft.folder)
        stored = gguf_quantization(path) or (stored_quantization(config, where=path) if config else None)
        if stored and said.quantization:
            todo = "leave quantization out"
            raise UserError("these weights are in few bits already", where=f"{WHERE} quantization", found=stored.label, todo=todo)
    arguments = ModelArguments(
        adapter=adapter,
        fingerprint=fingerprint,
        tokenizer=tokenizer_fingerprint(knobs.tokenizer),
        dtype=said.dtype,
        attn_implementation=said.attn_implementation,
        trust_remote_code=said.trust_remote_code,
        extra=adapter_arguments(said, adapter=adapter, stored=stored),
    )
    return Backbone(
        name=name,
        adapter=adapter,
        preset=preset,
        arguments=arguments,
        knobs=knobs,
        chat_format=chat_fingerprint(str(knobs.tokenizer or knobs.checkpoint or path)),
        engine=engine,
        options=given.options,
        stored=stored,
        limits=limits_of(config, layers=preset.spec.layers if preset else None),
        config=config or _made(preset),
        facts=board_facts(preset, path, arguments, knobs),
    )


def _served(model: str, preset: Entry[PresetSpec] | None, given: GivenArgs, *, engine: Engine) -> Backbone:
    """A model that a server answers for."""
    beforehand = preset.spec.model_args.model_fields_set if preset else frozenset[str]()
    arguments, knobs = served_arguments(preset.spec.hub or model if preset else model, given.model, beforehand=beforehand)
    knobs = replace(knobs, engine=dict(engine.knobs))
    return Backbone(
        name=preset.spec.preset if preset else folder_name(model),
        adapter=arguments.adapter,
        preset=preset,
        arguments=arguments,
        knobs=knobs,
        chat_format=chat_fingerprint(str(knobs.tokenizer)),
        engine=engine,
        options=given.options,
        facts={**board_facts(preset, knobs.path, arguments, knobs), "adapter": engine.name, "dtype": ""},
    )


def _made(preset: Entry[PresetSpec] | None) -> dict[str, Any] | None:
    """The configuration of a backbone that the run makes."""
    scratch = preset.spec.scratch if preset else None
    return {"vocab_size": scratch.vocab_size, **scratch.config} if scratch else None


def _check_files(held: CheckpointParts | None, said: ModelArgs) -> None:
    """Raise all that is wrong with the folders that a model comes from."""
    errors: list[UserError] = []
    checkpoint, path = (held.checkpoint, held.backbone) if held else (None, "")
    file = gguf_file(path)
    if file:
        with collecting(errors):
            check_gguf(file)
        path = ""
    backbone, tokenizer = local_folder(path), local_folder(said.tokenizer or checkpoint or path)
    with collecting(errors):
        if backbone:
            check_folder(backbone, trusts_code=said.trust_remote_code, model_type=said.model_type)
    with collecting(errors):
        if checkpoint:
            check_checkpoint(Path(checkpoint))
    with collecting(errors):
        if tokenizer:
            check_tokenizer(tokenizer, trusts_code=said.trust_remote_code)
    raise_all(errors)


def _preset_of(model: str, catalog: Catalog) -> Entry[PresetSpec] | None:
    """The preset of that name, of that hub id, or of a local folder's name."""
    names = catalog.names("preset")
    folder = local_folder(model)
    if model in names and not folder:
        return catalog.preset(model)
    for name in names:
        entry = catalog.preset(name)
        if entry.spec.hub == model or (folder and folder_name(model).lower() == name.lower()):
            return entry
    return None


def _fake(preset: Entry[PresetSpec], given: GivenArgs) -> Backbone:
    name, tokenizer = preset.spec.preset, given.model.tokenizer
    words = tokenizer_fingerprint(tokenizer)
    arguments = ModelArguments(adapter="fake", fingerprint=f"fake:{name}", extra={"kind": name}, tokenizer=words)
    facts = {
        "path": name,
        "preset": name,
        "adapter": "fake",
        "fingerprint": arguments.fingerprint,
        "pitfalls": list(preset.spec.pitfalls),
    }
    knobs = Knobs(tokenizer=tokenizer)
    return Backbone(
        name=name, adapter="fake", preset=preset, arguments=arguments, knobs=knobs, options=given.options, facts=facts
    )


def _has_own_head(config: Mapping[str, Any] | None, adapter: str) -> bool:
    """Whether a model was published with a head that answers a task."""
    if config is None:
        return adapter == "encoder"  # a preset that is not here yet: the adapter says what it found
    architectures: Sequence[str] = config.get("architectures") or []
    return any(name.endswith(HEAD_CLASSES) for name in architectures)
