"""Low-rank adapters on a frozen backbone (LoRA, arXiv 2106.09685; DoRA, arXiv 2402.09353), by peft.

    low_rank = low_rank_of(source.extra)                                # None: everything is trained
    trained = add_lora(model, low_rank, seed=1, beside=())              # a fresh one, which changes nothing yet
    save_trained_only(network)

On weights in few bits (models/loading/low_bit.py) the same is QLoRA.  Adapters of earlier phases are merged into the backbone
beforehand (merging.py), or stay beside it, frozen.
"""

import copy
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from transformers import PreTrainedModel

from harness.api.errors import UserError
from harness.api.randomness import torch_seed

OWN = "default"
"What peft calls the adapter that is trained."


def beside_name(number: int) -> str:
    """What peft calls an adapter that was trained before: no number alone, which it would take for that of a layer."""
    return f"earlier{number}"


@contextmanager
def quiet_peft() -> Iterator[None]:
    """Silence what peft remarks on in the course of things; weights that an adapter does not have are an error."""
    with warnings.catch_warnings():
        # An attribute's old name, by which peft 0.21 still asks.
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
        # Merging into few bits rounds: how much is measured.  What has been merged by hand is said to be merged.
        warnings.filterwarnings("ignore", message=".*may get different generations due to rounding")
        warnings.filterwarnings("ignore", message=".*[Aa]lready merged|.*Already following adapters were merged")
        warnings.filterwarnings("ignore", message=".*second time|.*multiple adapters|.*`peft_config` attribute")
        warnings.filterwarnings("error", message=".*missing adapter keys")
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
    variant: Literal["lora", "dora"] = "lora"
    "dora: the length of each row of a weight is trained apart from its direction."
    chain: Literal["merge", "stack"] | None = None
    "What becomes of the adapters of earlier phases; None = they are merged, or on weights in few bits stay beside the backbone."


def low_rank_of(extra: Mapping[str, Any]) -> LowRank | None:
    """Settings from `ModelSource.extra['lora']`; None without them."""
    given = extra.get("lora")
    if not given:
        return None
    return LowRank(**{**given, "targets": tuple(given.get("targets", LowRank.targets))})


def add_lora(model: PreTrainedModel, low_rank: LowRank, *, seed: int, beside: Sequence[Path] = ()) -> nn.Module:
    """Freeze a model and put fresh fp32 adapters into it, which change nothing yet; returns peft's view of the same model.

    `beside` are the folders of trained ones that stay as they are, and are added as well.  UserError for targets that the model
    does not have.
    """
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=low_rank.rank,
        lora_alpha=low_rank.alpha,  # type: ignore[arg-type]
        lora_dropout=low_rank.dropout,
        target_modules="all-linear" if low_rank.targets == ("all-linear",) else list(low_rank.targets),
        use_dora=low_rank.variant == "dora",
    )
    if low_rank.variant == "dora" and beside and low_rank.dropout:
        raise UserError(
            "DoRA beside other adapters cannot be trained with dropout: peft would compute it otherwise in training and after it",
            where="lora_dropout",
            todo="lora_dropout=0, or lora_chain=merge",
        )
    # peft draws from the global generator; what it held is put back.
    with torch.random.fork_rng(devices=[]), quiet_peft():
        torch.manual_seed(torch_seed("lora", seed=seed))
        try:
            with _with_values() if any(one.is_meta for one in model.parameters()) else nullcontext():
                trained = get_peft_model(model, config)
        except ValueError as error:
            linear = sorted({name.rpartition(".")[2] for name, part in model.named_modules() if isinstance(part, nn.Linear)})
            raise UserError(
                "LoRA cannot be put into these modules",
                where="lora_targets",
                expected="all-linear, or some of " + ", ".join(linear),
                found="|".join(low_rank.targets),
            ) from error
        # After the fresh one: what it is put into is looked for among the modules of the model.
        put_beside(trained, beside)
    return trained


def put_beside(adapted: nn.Module, folders: Sequence[Path], *, first: int = 0) -> None:
    """Load trained adapters into peft's view of a model, to be added as they are: frozen, and without their dropout."""
    names = [beside_name(number) for number in range(first, first + len(folders))]
    for name, folder in zip(names, folders):
        adapted.load_adapter(str(folder), adapter_name=name)  # type: ignore[operator]
    if not names:
        return
    known = [*adapted.peft_config]  # type: ignore[misc]
    adapted.base_model.set_adapter(sorted(known, key=lambda name: name == OWN))  # type: ignore[union-attr, operator]
    for name, parameter in adapted.named_parameters():
        parameter.requires_grad_(f".{OWN}." in name or name.endswith(f".{OWN}"))
    for layer in adapted.modules():
        dropouts = getattr(layer, "lora_dropout", None)
        if isinstance(dropouts, nn.ModuleDict):
            dropouts.update({name: nn.Identity() for name in names if name in dropouts})


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
