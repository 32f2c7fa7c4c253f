"""Adapters on disk: `adapters/0`, `adapters/1`, ... of a checkpoint, each an ordinary peft folder, one a phase.

adapter_folders(checkpoint)                                                         # in order; [] where it has none
save_adapters(trained, checkpoint, earlier=adapter_folders(parent), base=name)
combine_adapters(adapter_folders(checkpoint), folder)                               # one of all, for a server that takes one
"""

import json
import math
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from harness.api.errors import UserError
from harness.api.model_files import check_weights, read_model_json
from models.loading.divided import WeightUpdate
from models.low_rank.lora import OWN

CONFIG_FILE, WEIGHTS_FILE = "adapter_config.json", "adapter_model.safetensors"


def adapter_folders(checkpoint: Path | None) -> list[Path]:
    """The adapters of a checkpoint in order; empty where it has none."""
    if checkpoint is None or not (checkpoint / "adapters").is_dir():
        return []
    numbered = [folder for folder in (checkpoint / "adapters").iterdir() if folder.name.isdecimal()]
    return sorted(numbered, key=lambda folder: int(folder.name))


def adapter_changes(folders: Sequence[Path]) -> list[WeightUpdate]:
    """What merging adds to weights, for a model whose weights are read one by one; UserError for more than plain LoRA."""
    found = []
    for folder in folders:
        check_weights([folder / WEIGHTS_FILE])
        config, weights = read_model_json(folder / CONFIG_FILE), load_file(folder / WEIGHTS_FILE)
        if any(".lora_A." not in name and ".lora_B." not in name for name in weights):
            raise UserError(
                "only plain LoRA can be merged into a divided model", where=str(folder), todo="leave out --sharding full"
            )
        for name, down in sorted(weights.items()):
            if ".lora_A." in name:
                up = weights[name.replace(".lora_A.", ".lora_B.")]
                module = name.removeprefix("base_model.model.").partition(".lora_A.")[0]
                scale = _scale(config, name, rank=down.shape[0])
                found.append(WeightUpdate(f"{module}.weight", up, down, scale, bool(config.get("fan_in_fan_out"))))
    return found


def save_adapters(
    trained: nn.Module,
    target: Path,
    *,
    earlier: Sequence[Path],
    base: str,
    tensors: Iterable[tuple[str, torch.Tensor]] | None = None,
) -> None:
    """Write `adapters/`: copies of the earlier ones, then the trained one; the same weights give the same bytes.

    `tensors`: those of the model by name, where the model itself has parts of them.
    """
    from peft import get_peft_model_state_dict

    for number, folder in enumerate(earlier):
        copy = target / "adapters" / str(number)
        copy.mkdir(parents=True, exist_ok=True)
        for name in (CONFIG_FILE, WEIGHTS_FILE):
            shutil.copy(folder / name, copy / name)
    place = target / "adapters" / str(len(earlier))
    place.mkdir(parents=True, exist_ok=True)
    given = None if tensors is None else {f"base_model.model.{name}": tensor for name, tensor in tensors}
    state = get_peft_model_state_dict(trained, state_dict=given, adapter_name=OWN, save_embedding_layers=False)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    save_file(weights, place / WEIGHTS_FILE, metadata={"format": "pt"})
    config: dict[str, Any] = trained.peft_config[OWN].to_dict()  # type: ignore[union-attr, index]
    config |= {"inference_mode": True, "base_model_name_or_path": base}
    write_config(config, place)


def write_config(config: Mapping[str, Any], folder: Path) -> None:
    """Write adapter_config.json, its sets as sorted lists."""
    plain = {name: sorted(value) if isinstance(value, set) else value for name, value in config.items()}
    (folder / CONFIG_FILE).write_text(json.dumps(plain, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def check_servable(folder: Path) -> dict[str, Any]:
    """The configuration of an adapter that is no more than two matrices a layer; UserError for what a server cannot add."""
    config = read_model_json(folder / CONFIG_FILE)
    kind = "DoRA" if config.get("use_dora") else config.get("peft_type") if config.get("peft_type") != "LORA" else ""
    kind = kind or ("an adapter that brings whole layers" if config.get("modules_to_save") else "")
    if kind:
        raise UserError(
            "vLLM serves plain LoRA only",
            where=str(folder / CONFIG_FILE),
            found=str(kind),
            todo="leave engine=vllm out: transformers answers then",
        )
    return config


def combine_adapters(folders: Sequence[Path], target: Path) -> None:
    """Write one adapter whose update is the sum of those of several, for servers that take one: their ranks add up.

    UserError for DoRA and others, whose updates are no product of two matrices.
    """
    parts = [(check_servable(folder), load_file(folder / WEIGHTS_FILE)) for folder in folders]
    shapes = {name: tensor.shape for _, weights in parts for name, tensor in weights.items()}
    widths = [max(tensor.shape[0] for name, tensor in weights.items() if ".lora_A." in name) for _, weights in parts]
    combined: dict[str, torch.Tensor] = {}
    for name, shape in sorted(shapes.items()):
        is_down = ".lora_A." in name
        pieces = []
        for (config, weights), width in zip(parts, widths):
            found = weights.get(name)
            whole = torch.zeros(width, shape[1]) if is_down else torch.zeros(shape[0], width)
            if found is not None:
                # The scale goes into the second matrix: after it there is one for all.
                scaled = found if is_down else found * _scale(config, name, rank=found.shape[1])
                whole[: found.shape[0], : found.shape[1]] = scaled
            pieces.append(whole)
        combined[name] = torch.cat(pieces, dim=0 if is_down else 1).contiguous()
    rank = sum(widths)
    modules = {name.split(".lora_")[0].rpartition(".")[2] for name in shapes}
    config = {**parts[-1][0], "r": rank, "lora_alpha": rank, "target_modules": sorted(modules)}
    config |= {"use_rslora": False, "rank_pattern": {}, "alpha_pattern": {}}
    target.mkdir(parents=True, exist_ok=True)
    save_file(combined, target / WEIGHTS_FILE, metadata={"format": "pt"})
    write_config(config, target)


def _scale(config: Mapping[str, Any], name: str, *, rank: int) -> float:
    """What the update of a layer is multiplied by, as peft has it."""
    module = name.split(".lora_")[0].removeprefix("base_model.model.")
    patterns = config.get("alpha_pattern") or {}
    alpha = next((value for key, value in patterns.items() if re.match(rf"(.*\.)?({key})$", module)), config["lora_alpha"])
    return float(alpha) / (math.sqrt(rank) if config.get("use_rslora") else rank)
