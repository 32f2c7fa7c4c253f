"""Low-rank adapters on a frozen backbone (LoRA, arXiv 2106.09685), by peft.

    low_rank = low_rank_of(source.extra)                                # None: everything is trained
    merge_adapters(lm, adapter_folders(checkpoint))                         # those of earlier phases
    trained = add_lora(lm, low_rank, seed=1)
    save_adapters(trained, checkpoint, earlier=adapter_folders(parent), base=name)      # adapters/0, adapters/1, ...
    combine_adapters(adapter_folders(checkpoint), folder)                   # one of all, for a server

Each `adapters/<number>` is an ordinary peft folder.  A phase trains a fresh one on the backbone with all earlier ones merged
into it, so the weights of a checkpoint are its base and the sum of its adapters, in order.
"""

import copy
import json
import shutil
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import PreTrainedModel

from harness.api.errors import UserError
from harness.api.model_files import check_weights
from harness.api.randomness import torch_seed
from models.loading.divided import Change

CONFIG_FILE, WEIGHTS_FILE = "adapter_config.json", "adapter_model.safetensors"


@contextmanager
def _old_names() -> Iterator[None]:
    """Silence transformers' remark on an attribute's old name, by which peft 0.21 still asks."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
        yield


@contextmanager
def _with_values() -> Iterator[None]:
    """Give fresh adapters of a model that is only described the values that are drawn for them: peft puts them where it is."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    owner: Any = BaseTunerLayer
    put = owner._move_adapter_to_device_of_base_layer
    drawn: list[tuple[Any, str, Any]] = []

    def keep(layer: Any, name: str, device: torch.device | None = None) -> None:
        put(layer, name, torch.device("cpu"))  # rounds them as the weights are
        for attribute in (*layer.adapter_layer_names, *layer.other_param_names):
            holder = getattr(layer, attribute, None)
            if isinstance(holder, nn.ModuleDict | nn.ParameterDict) and name in holder:
                drawn.append((holder, name, copy.deepcopy(holder[name])))

    owner._move_adapter_to_device_of_base_layer = keep
    try:
        yield
    finally:
        owner._move_adapter_to_device_of_base_layer = put
    for holder, name, values in drawn:
        holder[name] = nn.Parameter(values.float()) if isinstance(values, nn.Parameter) else values.float()


@dataclass(frozen=True, kw_only=True)
class LowRank:
    """The low-rank adapter that is trained in place of the backbone."""

    rank: int
    alpha: float
    "Updates are multiplied by alpha / rank."
    dropout: float = 0.0
    targets: tuple[str, ...] = ("all-linear",)
    "Ends of module names; all-linear = every linear layer but the LM head."


def low_rank_of(extra: Mapping[str, Any]) -> LowRank | None:
    """Settings from `ModelSource.extra['lora']`; None without them."""
    given = extra.get("lora")
    if not given:
        return None
    return LowRank(**{**given, "targets": tuple(given.get("targets", LowRank.targets))})


def add_lora(model: PreTrainedModel, low_rank: LowRank, *, seed: int) -> nn.Module:
    """Freeze a model and put fresh fp32 adapters into it, which change nothing yet; returns peft's view of the same model.

    UserError for targets that the model does not have.
    """
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=low_rank.rank,
        lora_alpha=low_rank.alpha,  # type: ignore[arg-type]
        lora_dropout=low_rank.dropout,
        target_modules="all-linear" if low_rank.targets == ("all-linear",) else list(low_rank.targets),
    )
    # peft draws from the global generator; what it held is put back.
    with torch.random.fork_rng(devices=[]), _old_names():
        torch.manual_seed(torch_seed("lora", seed=seed))
        try:
            with _with_values() if any(one.is_meta for one in model.parameters()) else nullcontext():
                return get_peft_model(model, config)
        except ValueError as error:
            linear = sorted({name.rpartition(".")[2] for name, part in model.named_modules() if isinstance(part, nn.Linear)})
            raise UserError(
                "LoRA cannot be put into these modules",
                where="lora_targets",
                expected="all-linear, or some of " + ", ".join(linear),
                found="|".join(low_rank.targets),
            ) from error


def save_trained_only(network: nn.Module) -> None:
    """Let `state_dict` hold the trained parameters only, and `load_state_dict` ask for no others: the base is never written."""

    def drop(module: nn.Module, state: dict[str, Any], prefix: str, metadata: dict[str, Any]) -> None:
        trained = {prefix + name for name, parameter in module.named_parameters() if parameter.requires_grad}
        for name in set(state) - trained:
            del state[name]

    def forgive(module: nn.Module, problems: Any) -> None:
        trained = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
        problems.missing_keys[:] = [name for name in problems.missing_keys if name in trained]

    network.register_state_dict_post_hook(drop)
    network.register_load_state_dict_post_hook(forgive)


def merge_adapters(model: PreTrainedModel, folders: Sequence[Path]) -> None:
    """Add the updates of trained adapters to the weights of a model, in order; UserError if one does not fit."""
    from peft import PeftModel

    for folder in folders:
        check_weights([folder / WEIGHTS_FILE])
        try:
            with _old_names():
                PeftModel.from_pretrained(model, str(folder)).merge_and_unload()
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # of any kind, by what adapter_config.json says: the files are what is wrong
            raise UserError(
                "the adapter does not fit the model",
                where=str(folder),
                expected="the model it was trained on",
                found=f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}",
            ) from error
        model.requires_grad_()  # peft has frozen it
        # peft leaves a note of itself, and would warn of a second adapter.
        if hasattr(model, "peft_config"):
            del model.peft_config


def adapter_folders(checkpoint: Path | None) -> list[Path]:
    """The adapters of a checkpoint in order; empty where it has none."""
    if checkpoint is None or not (checkpoint / "adapters").is_dir():
        return []
    numbered = [folder for folder in (checkpoint / "adapters").iterdir() if folder.name.isdecimal()]
    return sorted(numbered, key=lambda folder: int(folder.name))


def adapter_changes(folders: Sequence[Path]) -> list[Change]:
    """What `merge_adapters` adds to weights, for a model whose weights are read one by one; UserError for more than LoRA."""
    found = []
    for folder in folders:
        check_weights([folder / WEIGHTS_FILE])
        config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        weights = load_file(folder / WEIGHTS_FILE)
        if any(".lora_A." not in name and ".lora_B." not in name for name in weights) or config.get("alpha_pattern"):
            raise UserError(
                "only plain LoRA can be merged into a divided model", where=str(folder), todo="leave out --sharding full"
            )
        scale = config["lora_alpha"] / (config["r"] ** 0.5 if config.get("use_rslora") else config["r"])
        for name, down in sorted(weights.items()):
            if ".lora_A." in name:
                up = weights[name.replace(".lora_A.", ".lora_B.")]
                module = name.removeprefix("base_model.model.").partition(".lora_A.")[0]
                found.append(Change(f"{module}.weight", up, down, scale, bool(config.get("fan_in_fan_out"))))
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
        shutil.copytree(folder, target / "adapters" / str(number), dirs_exist_ok=True)
    place = target / "adapters" / str(len(earlier))
    place.mkdir(parents=True, exist_ok=True)
    given = None if tensors is None else {f"base_model.model.{name}": tensor for name, tensor in tensors}
    state = get_peft_model_state_dict(trained, state_dict=given, save_embedding_layers=False)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    save_file(weights, place / WEIGHTS_FILE, metadata={"format": "pt"})
    config: dict[str, Any] = trained.peft_config["default"].to_dict()  # type: ignore[union-attr, index]
    config |= {"inference_mode": True, "base_model_name_or_path": base}
    plain = {name: sorted(value) if isinstance(value, set) else value for name, value in config.items()}
    (place / CONFIG_FILE).write_text(json.dumps(plain, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def combine_adapters(folders: Sequence[Path], target: Path) -> None:
    """Write one adapter whose update is the sum of those of several, for servers that take one: their ranks add up."""
    configs = [json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8")) for folder in folders]
    parts = list(zip(configs, (load_file(folder / WEIGHTS_FILE) for folder in folders)))
    shapes = {name: tensor.shape for _, weights in parts for name, tensor in weights.items()}
    combined: dict[str, torch.Tensor] = {}
    for name, shape in sorted(shapes.items()):
        is_down = ".lora_A." in name
        pieces = []
        for config, weights in parts:
            empty = torch.zeros(config["r"], shape[1]) if is_down else torch.zeros(shape[0], config["r"])
            # The scale goes into the second matrix: after it there is one for all.
            pieces.append(weights.get(name, empty) * (1 if is_down else config["lora_alpha"] / config["r"]))
        combined[name] = torch.cat(pieces, dim=0 if is_down else 1).contiguous()
    rank = sum(config["r"] for config in configs)
    modules = {name.split(".lora_")[0].rpartition(".")[2] for name in shapes}
    config = {**configs[-1], "r": rank, "lora_alpha": rank, "target_modules": sorted(modules)}
    target.mkdir(parents=True, exist_ok=True)
    save_file(combined, target / WEIGHTS_FILE, metadata={"format": "pt"})
    (target / CONFIG_FILE).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
