"""Trained adapters put into the weights of a model or beside them, and how much rounding that costs.

    rounding = merge_adapters(model, adapter_folders(checkpoint))       # W <- round(W + update), layer by layer
    rounding.facts()                                                    # {'adapters': 2, 'largest': 3.9e-03, ...}
    stack_adapters(model, folders)                                      # W stays, updates are added to what it gives

A sum is computed in fp32 and rounded once, to the type of the weights, however many adapters there are: rounded after each, or
with an update that has been rounded itself, bf16 weights would be further off (benchmarks/adapter_rounding.py compares).  Weights
in few bits are dequantised, summed and quantised again, adapter by adapter, as they were trained on each other.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from harness.api.errors import UserError
from harness.api.model_files import check_weights
from models.loading.low_bit import dense_weight, is_low_bit, settle_low_bit
from models.loading.remarks import first_line
from models.low_rank.files import WEIGHTS_FILE
from models.low_rank.lora import beside_name, put_beside, quiet_peft


@dataclass(kw_only=True)
class Rounding:
    """What is lost where adapters are merged into weights of few digits."""

    adapters: int = 0
    largest: float = 0.0
    "Of the differences between a merged weight and the sum that it stands for."
    squares: float = 0.0
    "Sum of the squares of these differences."
    squares_of_sums: float = 0.0
    squares_of_updates: float = 0.0

    def add(self, *, before: torch.Tensor, exact: torch.Tensor, merged: torch.Tensor) -> None:
        """Take in a layer: its weight before, the exact sum, and what it has become."""
        lost = merged.float() - exact.float()
        self.largest = max(self.largest, float(lost.abs().max()))
        self.squares += float(lost.square().sum(dtype=torch.float64))
        self.squares_of_sums += float(exact.float().square().sum(dtype=torch.float64))
        self.squares_of_updates += float((exact.float() - before.float()).square().sum(dtype=torch.float64))

    def facts(self) -> dict[str, Any]:
        """What a stage writes down: rounding relative to the weights, and to the updates that are to be kept."""
        return {
            "adapters": self.adapters,
            "largest": _digits(self.largest),
            "relative": _digits(math.sqrt(self.squares / self.squares_of_sums)) if self.squares_of_sums else 0.0,
            "of_updates": _digits(math.sqrt(self.squares / self.squares_of_updates)) if self.squares_of_updates else 0.0,
        }


def _digits(value: float) -> float:
    return float(f"{value:.3g}")


def merge_adapters(model: PreTrainedModel, folders: Sequence[Path], *, apart: bool = False) -> Rounding:
    """Add the updates of trained adapters to the weights of a model, in order; UserError if one does not fit.

    `apart`: each was trained beside the weights as they are now, not on those that the ones before it are merged into (the
    updates of DoRA hang on them).
    """
    rounding = Rounding(adapters=len(folders))
    if not folders:
        return rounding
    low_bit = is_low_bit(model)
    adapted = _opened(model, folders)
    names = [beside_name(number) for number in range(len(folders))]
    with quiet_peft(), torch.no_grad():
        for layer in [part for part in adapted.modules() if _merges(part)]:
            for several in [[name] for name in names] if low_bit else [names]:
                _merge(layer, several, rounding, apart=apart)
            layer.merged_adapters.extend(names)  # type: ignore[union-attr, operator]
        adapted.merge_and_unload(adapter_names=names)  # type: ignore[operator]
    settle_low_bit(model)
    _forget(model, trains=not low_bit)
    return rounding


def stack_adapters(model: PreTrainedModel, folders: Sequence[Path]) -> None:
    """Put trained adapters beside the weights of a model, which they are added to; UserError if one does not fit."""
    if folders:
        _opened(model, folders)


def _opened(model: PreTrainedModel, folders: Sequence[Path]) -> nn.Module:
    """Peft's view of a model with adapters in it, named by their numbers."""
    from peft import PeftModel

    current = folders[0]
    try:
        with quiet_peft(), torch.random.fork_rng(devices=[]):
            for current in folders:
                check_weights([current / WEIGHTS_FILE])
            current = folders[0]
            adapted = PeftModel.from_pretrained(model, str(current), adapter_name=beside_name(0))
            for number, current in enumerate(folders[1:], 1):
                put_beside(adapted, [current], first=number)
    except torch.OutOfMemoryError:
        raise
    except UserError:
        raise
    except Exception as error:  # of any kind, by what adapter_config.json says: the files are what is wrong
        raise UserError(
            "the adapter does not fit the model",
            where=str(current),
            expected="the model it was trained on",
            found=first_line(error),
        ) from error
    return adapted


def _merges(part: nn.Module) -> bool:
    """Whether a part of the model is a layer with adapters and a weight of its own."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    return isinstance(part, BaseTunerLayer) and isinstance(getattr(part.get_base_layer(), "weight", None), torch.Tensor)


def _merge(layer: Any, names: Sequence[str], rounding: Rounding, *, apart: bool) -> None:
    """Merge adapters into a layer, the sum in fp32."""
    inner = layer.get_base_layer()
    weight = inner.weight
    if type(weight).__name__ in ("Params4bit", "Int8Params"):
        before = dense_weight(inner).float()
        exact = _sum(layer, names[0], before)
        layer.merge(adapter_names=list(names))
        layer.merged_adapters.clear()
        settle_low_bit(inner)
        merged = dense_weight(inner)
    else:
        before, dtype = weight.data, weight.dtype
        weight.data = before.float().clone()
        # What peft merges at once counts as trained beside the same weights.
        for several in [list(names)] if apart else [[name] for name in names]:
            layer.merge(adapter_names=several)
            layer.merged_adapters.clear()
        exact = weight.data
        weight.data = merged = exact.to(dtype)
    rounding.add(before=before, exact=exact, merged=merged)


def _sum(layer: Any, name: str, weight: torch.Tensor) -> torch.Tensor:
    """A weight with the update of an adapter, in fp32."""
    variant = getattr(layer, "lora_variant", {}).get(name)
    if variant is not None:
        found: torch.Tensor = variant.merge_safe(layer, name, weight)
        return found
    return weight + layer.get_delta_weight(name).to(weight.dtype)


def _forget(model: PreTrainedModel, *, trains: bool) -> None:
    """Remove the traces of peft, which would warn of a second adapter and has frozen the model."""
    if trains:
        model.requires_grad_()
    if hasattr(model, "peft_config"):
        del model.peft_config
