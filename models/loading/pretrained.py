"""What every adapter on transformers needs: configuration, weights, and the limits and sizes they imply.

config = load_config(folder, source)
model = load_model(encoder_class(config), folder, config=config, source=source, dtype=torch.float32, device="cpu")
"""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from transformers import (
    AutoConfig,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from harness.api.errors import UserError
from harness.api.hardware import computes_bfloat16
from harness.api.model_files import read_model_json
from harness.api.model_source import ModelSource
from harness.api.protocols import Batch, Output, PendingOutputs
from models.loading.architectures import takes_pooling_layer
from models.loading.files import locate
from models.loading.low_bit import low_bit_arguments, quiet_progress, settle_low_bit
from models.loading.placement import is_offloaded, placement
from models.loading.read_ahead import read_ahead
from models.loading.remarks import first_line, quiet

UNLIMITED = 1 << 20
"max_positions of models that have no table of positions and state no limit (T5's relative positions)."


def load_config(folder: Path, source: ModelSource) -> PretrainedConfig:
    """Configuration of a model folder, `extra['model_type']` correcting a wrong model_type; UserError if it is not understood."""
    content = read_model_json(folder / "config.json")
    try:
        named = _label_names(content)
        if named is None:
            config = AutoConfig.from_pretrained(folder, trust_remote_code=source.trust_remote_code)
        else:
            config = AutoConfig.for_model(**{**content, "id2label": named, "label2id": {n: i for i, n in named.items()}})
        if "model_type" in source.extra:
            arguments = {name: value for name, value in config.to_dict().items() if name != "model_type"}
            config = AutoConfig.for_model(str(source.extra["model_type"]), **arguments)
    except Exception as error:  # of any kind, by the class that the file names: the file is what is wrong
        raise UserError(
            "cannot understand this model's configuration",
            where=str(folder / "config.json"),
            expected="JSON with a `model_type` that the installed transformers knows",
            found=first_line(error),
        ) from error
    return config


def _label_names(content: Mapping[str, Any]) -> dict[int, str] | None:
    """`id2label` with texts for names that are numbers, which some versions of transformers refuse; None if there are none."""
    names = content.get("id2label")
    if (
        not isinstance(names, dict)
        or "auto_map" in content
        or not any(isinstance(name, bool | int | float) for name in names.values())
    ):
        return None
    return {int(index): str(name) for index, name in names.items()}


def find_config(model: str | Mapping[str, Any]) -> PretrainedConfig:
    """Configuration of a model folder, a checkpoint or a hub id, or of settings with `model_type`; no weights are read."""
    if not isinstance(model, str):
        return AutoConfig.for_model(**model)
    folder = Path(model).expanduser()
    inner = folder / "backbone"
    return load_config(inner if inner.is_dir() else folder if folder.is_dir() else locate(model), ModelSource(path=model))


def choose_dtype(name: str, *, device: str, inference: bool) -> torch.dtype:
    """Type of the weights: fp32 for training; for inference the one asked, `auto` = bfloat16 where the hardware has it."""
    types = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if name not in (*types, "auto"):
        raise UserError(f"unknown dtype '{name}'", expected=", ".join((*types, "auto")))
    if not inference:
        return torch.float32
    return types[name] if name != "auto" else torch.bfloat16 if computes_bfloat16(device) else torch.float32


class TensorNames(NamedTuple):
    """What is to know of the names of the tensors in some files."""

    renames: Mapping[str, str] | None = None
    "Regular expressions for their beginnings -> what the model calls them."
    brought: tuple[str, ...] = ()
    "Beginnings of names whose weights the caller has from elsewhere."


def load_model(
    model_class: Any,
    folder: Path,
    *,
    config: PretrainedConfig,
    source: ModelSource,
    dtype: torch.dtype,
    device: str = "cpu",
    tensors: TensorNames | None = None,
) -> PreTrainedModel:
    """Weights of a folder in the model; UserError if any is missing, so that nothing stays random unseen.

    Each tensor goes from its file straight to where it is to lie (see placement.py), and what has its type already stays mapped.
    """
    arguments: dict[str, Any] = {"add_pooling_layer": False} if takes_pooling_layer(model_class) else {}
    known = tensors or TensorNames()
    if known.renames:
        arguments["key_mapping"] = dict(known.renames)
    place = placement(model_class, config=config, source=source, device=device, dtype=dtype)
    if place is not None:
        arguments["device_map"] = place
    if not issubclass(model_class, PreTrainedModel):
        arguments["trust_remote_code"] = source.trust_remote_code
    arguments |= low_bit_arguments(source, config=config, dtype=dtype)
    attention = source.attn_implementation
    if attention == "sdpa" and not getattr(model_class, "_supports_sdpa", True):
        attention = "eager"  # sdpa is the default of every source; DeBERTa and RemBERT have the plain computation only
    try:
        with quiet(), quiet_progress(source, config):
            model, report = model_class.from_pretrained(
                folder,
                config=config,
                dtype=dtype,
                attn_implementation=attention,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are refused below, by name
                **arguments,
            )
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # of any kind, by the class that the files name: the files are what is wrong
        raise UserError(f"cannot load {model_class.__name__}", where=str(folder), found=first_line(error)) from error
    missing = sorted(report["missing_keys"]) + sorted(str(key) for key in report["mismatched_keys"])
    missing = [name for name in missing if not known.brought or not name.startswith(known.brought)]
    if missing:
        raise UserError(
            f"the weights do not fit {model_class.__name__}",
            where=str(folder),
            found=f"{len(missing)} tensors missing or of another shape: {', '.join(missing[:4])}",
            todo="check that config.json belongs to these weights; `--model_args model_type=...` corrects a wrong model_type",
        )
    settle_low_bit(model)
    if is_offloaded(model):
        read_ahead(model)
    return model


def input_embeddings(model: PreTrainedModel) -> nn.Embedding:
    """The table of words."""
    table = model.get_input_embeddings()
    assert isinstance(table, nn.Embedding)
    return table


def position_limit(model: PreTrainedModel) -> int:
    """Longest input in tokens: rows of the position table less those below the first one, or what the configuration states."""
    for name, table in model.named_modules():
        if isinstance(table, nn.Embedding) and name.endswith("embeddings.position_embeddings"):
            # RoBERTa's families count positions from padding_idx + 1.
            return table.num_embeddings - (0 if table.padding_idx is None else table.padding_idx + 1)
    stated = getattr(model.config, "max_position_embeddings", None)
    return int(stated) if stated else UNLIMITED


def count_sizes(model: nn.Module, config: PretrainedConfig) -> dict[str, int]:
    """Parameters in all, without the tables of words, positions and types, layers and width; works on the meta device too.

    The matrix of a language model's outputs is a table of words, too, where it is not the one of its inputs.
    """
    tables = {
        id(module.weight)
        for name, module in model.named_modules()
        if isinstance(module, nn.Embedding) and not name.endswith(("relative_attention_bias", "rel_embeddings"))
    }
    outputs = model.get_output_embeddings() if isinstance(model, PreTrainedModel) else None
    if outputs is not None:
        tables.add(id(outputs.weight))
    counted = {id(parameter): parameter.numel() for parameter in model.parameters()}
    return {
        "parameters": sum(counted.values()),
        "non_embedding_parameters": sum(number for key, number in counted.items() if key not in tables),
        "layers": int(config.num_hidden_layers),
        "hidden_size": int(config.hidden_size),
    }


def accepts_type_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> bool:
    """Whether the tokenizer's token types mean anything to the model.

    They do not for XLM-R (one type), nor for BERT weights under XLM-R's tokenizer (Multilingual-MiniLM, multilingual-e5).
    """
    return (
        "token_type_ids" in tokenizer.model_input_names
        and "token_type_ids" in inspect.signature(model.forward).parameters
        and (getattr(model.config, "type_vocab_size", 0) or 0) > 1
    )


def model_inputs(batch: Batch, *, type_ids: bool) -> Mapping[str, torch.Tensor]:
    """Keyword arguments of a transformers model for a batch."""
    inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    if type_ids and batch.type_ids is not None:
        inputs["token_type_ids"] = batch.type_ids
    return inputs


def split_outputs(outputs: torch.Tensor, batch: Batch, *, kind: str, where: str) -> list[Output]:
    """Cut a batch's outputs into one fp32 array a feature, padding removed; UserError if the arithmetic overflowed."""
    values = outputs.detach().float().cpu().numpy()
    if kind in {"mlm", "lm"}:
        if batch.labels is None:
            raise ValueError(f"an {kind} head needs labels: they say which positions to predict")
        counts = (batch.labels != -100).sum(1).cpu().numpy()
        cut = np.split(values, np.cumsum(counts)[:-1])
    elif kind in {"token", "span"}:
        lengths = batch.attention_mask.sum(1).cpu().tolist()
        cut = [value[:length] for value, length in zip(values, lengths, strict=True)]
    else:
        cut = [np.asarray(value) for value in values]
    # What lies in the padding may be anything.
    if not np.isfinite(values).all() and not all(np.isfinite(value).all() for value in cut):
        raise UserError(
            "the model gives infinite or undefined outputs", where=where, todo="use --model_args dtype=bfloat16 or dtype=float32"
        )
    return cut


def pending_outputs(outputs: torch.Tensor, batch: Batch, *, kind: str, where: str) -> PendingOutputs:
    """The same, cut in whatever thread takes them.

    What a GPU computes is on its way to pinned memory behind the batch, whatever is begun after it.
    """
    if not outputs.is_cuda or outputs.device != batch.attention_mask.device:  # the layers of one model lie on several devices
        there = outputs.detach().float().cpu()  # here: a thread that makes numbers has others of torch's beside it
        return PendingOutputs(lambda: split_outputs(there, batch, kind=kind, where=where))
    host = outputs.detach().float().to("cpu", non_blocking=True)
    own = dataclasses.replace(
        batch,
        attention_mask=batch.attention_mask.to("cpu", non_blocking=True),
        labels=None if batch.labels is None else batch.labels.to("cpu", non_blocking=True),
    )
    return when_computed(lambda: split_outputs(host, own, kind=kind, where=where), device=outputs.device)


def when_computed(take: Callable[[], list[Output]], *, device: torch.device) -> PendingOutputs:
    """Outputs that `take` gives once a GPU has computed, and copied, all that was begun on it; of a CPU at once."""
    if device.type != "cuda":
        return PendingOutputs(take)
    event = torch.cuda.Event()
    event.record(torch.cuda.current_stream(device))
    return PendingOutputs(take, event.synchronize)
