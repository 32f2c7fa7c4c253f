"""What encoders and decoders with low-rank adapters share: loading them into a backbone, and what a checkpoint holds then.

    adapted = adapt(backbone, origin, low_rank_of(source.extra), seed=1, inference=False)
    adapted.trained                  # peft's view of the model where an adapter is trained; None where all or nothing is
    model = LowRankModel(network, tokenizer, heads=heads, device=device, adapted=adapted)
    model.save(folder)               # adapters/0, adapters/1, ... and base.json in place of backbone/

How the adapters of earlier phases come in is named by `lora_chain`: `merge` adds them to the weights (the rule on weights of 16
or 32 bits), `stack` leaves them beside (the rule on weights in few bits, where merging would quantise anew).
"""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from harness.api.errors import UserError
from harness.api.protocols import HeadSpec
from models.headed.network import HeadedModel, HeadedNetwork
from models.loading.divided import UnreadWeights
from models.loading.low_bit import is_low_bit, is_trainable
from models.loading.placement import is_offloaded
from models.low_rank.files import adapter_changes, save_adapters
from models.low_rank.foreign import adopt_adapter, told_of
from models.low_rank.fused import fuse
from models.low_rank.lora import LowRank, add_lora
from models.low_rank.merging import merge_adapters, stack_adapters
from models.low_rank.origin import Origin, write_base


@dataclass(frozen=True, kw_only=True)
class Adapted:
    """A backbone with its adapters."""

    origin: Origin
    earlier: Sequence[Path] = ()
    "The adapters that were trained before, in order."
    trained: nn.Module | None = None
    "Peft's view of the model where a low-rank adapter is trained."
    chain: str | None = None
    "How the adapters of the checkpoint that is saved are put together, where that is not the usual way."
    facts: Mapping[str, Any] = field(default_factory=dict)
    "How its adapters came in, and the rounding that it cost."
    unread: UnreadWeights | None = None
    "What of the backbone's weights is still to be read."


def adapt(
    model: PreTrainedModel,
    origin: Origin,
    low_rank: LowRank | None,
    *,
    seed: int,
    inference: bool,
    unread: UnreadWeights | None = None,
) -> Adapted:
    """Bring earlier adapters into a backbone, and a fresh one that is trained; UserError where that cannot be.

    `unread`: the weights are still to be read, and earlier adapters are added to them then.
    """
    low_bit = is_low_bit(model)
    if unread is None:
        _check_placed(model, origin.adapters or ([origin.foreign] if origin.foreign else []))
    usual = "stack" if low_bit else "merge"
    earlier = [adopt_adapter(origin.foreign, model)] if origin.foreign else list(origin.adapters)
    before = origin.chain or usual
    chain = (low_rank.chain if low_rank else None) or before
    if len(earlier) > 1 and chain != before:
        raise UserError(
            "these adapters were trained on each other in another way",
            where=str(origin.adapters[-1].parent),
            expected=f"lora_chain={before}",
            found=f"lora_chain={chain}",
        )
    if not inference:
        _check_trainable(model, origin, low_rank, low_bit=low_bit)
    # The newest was trained beside the weights: on weights in few bits it stays there, as nothing else is what was trained.
    last = 1 if inference and low_bit and chain == "merge" else 0
    wholly = chain == "merge" or (not inference and low_rank is None)  # what is trained as a whole has nothing beside it
    merged = earlier[: len(earlier) - last] if wholly else []
    beside = earlier[len(merged) :]
    facts: dict[str, Any] = {"chain": chain, "adapters": len(earlier)} if earlier else {}
    trained = None
    with told_of(origin.foreign):
        if unread:
            _check_dividable(model, origin, beside)
            unread.changes = adapter_changes(merged)
        elif merged:
            facts["rounding"] = merge_adapters(model, merged, apart=chain == "stack").facts()
        if low_rank is not None and not inference:
            trained = add_lora(model, low_rank, seed=seed, beside=beside)
            fuse(trained)
        else:
            stack_adapters(model, beside)
    other = chain if chain != usual else None
    about = {"adapters": facts} if facts else {}
    return Adapted(origin=origin, earlier=earlier, trained=trained, chain=other, facts=about, unread=unread)


def _check_dividable(model: PreTrainedModel, origin: Origin, beside: Sequence[Path]) -> None:
    """UserError for what is not divided among processes: weights in few bits, and adapters that stay beside the weights."""
    few_bits = origin.source.extra.get("quantization") or getattr(model.config, "quantization_config", None)
    found = "weights in few bits" if few_bits else "adapters that stay beside the weights (lora_chain=stack)" if beside else ""
    if found:
        raise UserError(f"{found} are not divided among processes", where=origin.source.path, todo="leave out --sharding full")


def _check_placed(model: PreTrainedModel, adapters: Sequence[Path]) -> None:
    """UserError for adapters whose layers lie in main memory or on the disk."""
    if adapters and is_offloaded(model):
        raise UserError(
            "adapters cannot be put into layers that lie in main memory or on the disk",
            where=str(adapters[0].parent),
            todo="leave device_map out, or give more with gpu_memory_gib and cpu_memory_gib",
        )


def _check_trainable(model: PreTrainedModel, origin: Origin, low_rank: LowRank | None, *, low_bit: bool) -> None:
    """UserError for weights in few bits that are to be trained themselves, or whose kind takes no adapters."""
    if not is_trainable(model, origin.source.path):
        raise UserError(
            "weights that were quantised elsewhere are not trained here",
            where=origin.source.path,
            todo="--no_train, or train on the full weights with --model_args lora_rank=16,quantization=nf4",
        )
    if low_bit and low_rank is None:
        raise UserError("weights in few bits cannot be trained themselves", todo="add --model_args lora_rank=16, or --no_train")


class LowRankModel(HeadedModel):
    """A backbone with heads whose weights may be trained by low-rank adapters: see `Adapter` in harness/api/protocols.py."""

    def __init__(
        self,
        module: HeadedNetwork,
        tokenizer: PreTrainedTokenizerFast,
        *,
        heads: Mapping[str, HeadSpec],
        device: torch.device,
        adapted: Adapted,
    ) -> None:
        """Takes the loaded parts."""
        super().__init__(module, tokenizer, heads=heads, device=device)
        self.adapted = adapted
        self.weight_facts = adapted.facts
        self.unread = adapted.unread

    def save_backbone(self, target: Path, *, tensors: Iterable[tuple[str, torch.Tensor]] | None) -> None:
        """Write `backbone/`, an ordinary model folder; where an adapter is trained, `adapters/` and where their base lies."""
        if self.adapted.trained is None:
            super().save_backbone(target, tensors=tensors)
            return
        origin = self.adapted.origin
        if origin.is_own:  # it goes along with what is trained on it
            shutil.copytree(origin.folder, target / "backbone")
        base = write_base(origin, target, chain=self.adapted.chain)
        save_adapters(self.adapted.trained, target, earlier=self.adapted.earlier, base=base, tensors=tensors)
