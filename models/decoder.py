"""Adapter for any causal language model of transformers: heads that the project owns, pooled vectors, likelihoods, generation.

    source = ModelSource(path="Qwen/Qwen3-0.6B-Base", adapter="decoder", extra={"lora": {"rank": 16, "alpha": 32}})
    decoder = load(source, heads={"xnli": HeadSpec(kind="sequence", num_outputs=3)}, device="cpu", seed=1, inference=False)
    logits = decoder.forward_head(batch, "xnli")                 # one array [3] a feature, read at its last token
    vectors = decoder.embed(batch, Pooling(method="mean_no_first", layer=0.583))
    decoder.save("runs/.../checkpoint")

Batches are padded on the right and read by their attention mask: which token pads, and whether a text ends in it, decides
nothing.  What comes first in a text is where causal models rest their attention: where a tokenizer puts no token of its own there
(Qwen, BLOOM, SmolLM2), heads and vectors are computed behind one that is put there and left out again, so that `mean_no_first`
leaves out a beginning-of-text token for every model, and no word for any.  Likelihoods and generation see the tokens as given.

A token sees what comes before it only: taggers read a word at its last subword, and a span head does not know the answer's
end at its start.  Keys of `ModelSource.extra`:
    bidirectional   True: tokens see those that come after them, too, where the architecture can (not with ALiBi: BLOOM)
    lora            rank, alpha, dropout, targets, variant, chain: low-rank adapters are trained, not the backbone (low_rank/)
    quantization    nf4 or int8: the weights are in few bits, and only adapters beside them are trained (loading/low_bit.py)
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from harness.api.errors import UserError
from harness.api.model_files import read_model_json
from harness.api.model_source import ModelSource
from harness.api.protocols import Batch, Feature, HeadSpec, Output, PendingOutputs, Pooling
from models.causal.network import DecoderNetwork
from models.causal.pretrained import (
    causal_config,
    check_bidirectional,
    check_language_model,
    describe_causal,
    first_token,
    is_bidirectional,
    load_causal,
)
from models.headed.checkpoint import checkpoint_folder, head_shape, load_heads
from models.headed.network import place_network
from models.inference.likelihood import begin_loglikelihood, generate, loglikelihood
from models.loading.architectures import make_model
from models.loading.placement import first_device
from models.loading.pretrained import (
    UNLIMITED,
    choose_dtype,
    count_sizes,
    find_config,
    input_embeddings,
    load_config,
)
from models.loading.scratch import init_scratch, train_tokenizer
from models.loading.tokenizer import load_tokenizer
from models.low_rank.lora import low_rank_of, save_trained_only
from models.low_rank.model import Adapted, LowRankModel, adapt
from models.low_rank.origin import find_origin

__all__ = ["CAPABILITIES", "Decoder", "init_scratch", "load", "read_sizes", "train_tokenizer"]

CAPABILITIES = ("fit", "forward_head", "embed", "loglikelihood", "generate")
CAUSAL = True
"Its tokens see those before them only, unless asked otherwise."
ARGUMENTS = (
    "bidirectional",
    "quantization",
    "lora_rank",
    "lora_alpha",
    "lora_dropout",
    "lora_targets",
    "lora_variant",
    "lora_chain",
)
"Keys of --model_args that this adapter knows beyond those of all."
MODEL_TYPES = (
    "bloom", "cohere", "cohere2", "falcon", "gemma", "gemma2", "gemma3", "gemma3_text", "glm4", "gpt2", "gpt_neo", "gpt_neox",
    "granite", "llama", "mistral", "mixtral", "mpt", "olmo", "olmo2", "opt", "phi", "phi3", "qwen2", "qwen3", "smollm3",
    "stablelm", "starcoder2", "xglm",
)  # fmt: skip
"Folders of these types get this adapter by themselves, as do all others that say they are causal language models."
TASK_OPTIONS = {
    "tagging": {"label_subword": "last"},
    "retrieval": {"pooling": "mean_no_first"},
    "bitext_mining": {"pooling": "mean_no_first"},
}
"Per task type: options that suit every model of this adapter; a preset's own outrank them."
ATTENTION_FILE = "decoder.json"
"Says whether a checkpoint was trained with attention in both directions."


class Decoder(LowRankModel):
    """The adapter: see `Adapter` in harness/api/protocols.py."""

    module: DecoderNetwork
    "What is trained."

    def __init__(
        self,
        module: DecoderNetwork,
        tokenizer: PreTrainedTokenizerFast,
        *,
        heads: Mapping[str, HeadSpec],
        device: torch.device,
        adapted: Adapted,
    ) -> None:
        """Takes the loaded parts."""
        super().__init__(module, tokenizer, heads=heads, device=device, adapted=adapted)
        if module.first is not None and self.max_positions < UNLIMITED:
            self.max_positions -= 1

    def read_weights(self, *, offloaded: bool = False) -> None:
        """Read what was left unread, and try whether attention goes both ways where it is to."""
        is_unread = self.unread is not None
        super().read_weights(offloaded=offloaded)
        if is_unread and is_bidirectional(self.module.body.config):
            check_bidirectional(self.module.backbone, place=self.device, first=self._first_states)

    def _first_states(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        ids, mask = ids.to(self.device), mask.to(self.device)
        batch = Batch(features=[], input_ids=ids, attention_mask=mask, type_ids=None, labels=None, groups=torch.arange(len(ids)))
        vectors: torch.Tensor = self.module(batch, pooling=Pooling(method="first"))
        return vectors

    def loglikelihood(self, features: Sequence[Feature], *, max_tokens: int = 4096) -> list[Output]:
        """For each continuation [N, 3] of each feature: sum of log-probabilities, tokens, 1.0 if each is the likeliest."""
        model = check_language_model(self.module.backbone)
        return loglikelihood(model, features, device=self.device, max_tokens=max_tokens)

    def begin_loglikelihood(self, features: Sequence[Feature], *, max_tokens: int = 4096) -> PendingOutputs:
        """The same, of which a GPU may still be computing all."""
        model = check_language_model(self.module.backbone)
        return begin_loglikelihood(model, features, device=self.device, max_tokens=max_tokens)

    def generate(self, features: Sequence[Feature], *, max_tokens: int = 4096) -> list[str]:
        """What the model writes after each feature's tokens, greedily, until its `generate` says stop."""
        model = check_language_model(self.module.backbone)
        return generate(model, features, tokenizer=self.tokenizer, device=self.device, max_tokens=max_tokens)

    def save_backbone(self, target: Path, *, tensors: Iterable[tuple[str, torch.Tensor]] | None) -> None:
        """Write `backbone/`, an ordinary folder of a causal language model; with LoRA `adapters/` and where their base lies."""
        facts = {"bidirectional": is_bidirectional(self.module.body.config)}
        (target / ATTENTION_FILE).write_text(json.dumps(facts) + "\n", encoding="utf-8")
        super().save_backbone(target, tensors=tensors)


def load(
    source: ModelSource,
    *,
    heads: Mapping[str, HeadSpec],
    keep_heads: Mapping[str, str] | None = None,
    device: str,
    seed: int,
    inference: bool,
) -> Decoder:
    """Load a causal language model and its heads: those in `keep_heads` from the checkpoint, the others fresh from `seed`.

    Inference loads in `source.dtype`, with all adapters of a checkpoint merged; training in fp32, with LoRA fp32 adapters on a
    base in `source.dtype`.  Raises UserError for what is no model folder or no decoder, lacks weights, a fast tokenizer or a
    head that is to be kept, or cannot attend in both directions where it is asked to.
    """
    checkpoint = checkpoint_folder(source, with_base=True)
    origin = find_origin(source, checkpoint)
    source = origin.source
    lora = None if inference else low_rank_of(source.extra)
    both_ways = bool(source.extra.get("bidirectional")) or _was_bidirectional(checkpoint)
    config = causal_config(load_config(origin.folder, source), bidirectional=both_ways)
    dtype = choose_dtype(source.dtype, device=device, inference=inference or lora is not None)
    unread = describe_causal(origin.folder, config=config, source=source, dtype=dtype) if source.empty else None
    lm = unread.model if unread else load_causal(origin.folder, config=config, source=source, dtype=dtype, device=device)
    if is_bidirectional(config) and not unread:
        check_bidirectional(lm, place=first_device(lm))
    _check_heads(heads, lm)
    embeddings = input_embeddings(lm)
    tokenizer = load_tokenizer(checkpoint or origin.folder, source, vocab_size=embeddings.num_embeddings, pads_with_end=True)
    adapted = adapt(lm, origin, lora, seed=seed, inference=inference, unread=unread)
    shape = head_shape(lm, pooling="last")
    modules = load_heads(heads, keep_heads or {}, checkpoint=checkpoint, shape=shape, seed=seed)
    network = DecoderNetwork(lm, modules, first=first_token(tokenizer, vocab_size=embeddings.num_embeddings))
    place = place_network(network, device=torch.device(device) if unread else None, inference=inference)
    if adapted.trained is not None:
        save_trained_only(network)
    return Decoder(network, tokenizer, heads=heads, device=place, adapted=adapted)


def read_sizes(model: str | Mapping[str, Any]) -> dict[str, int]:
    """Sizes of a model folder or hub id (its config.json alone), or of a configuration with `model_type`; no weights are made."""
    config = causal_config(find_config(model), bidirectional=False)
    with torch.device("meta"):
        return count_sizes(make_model(config), config)


def _was_bidirectional(checkpoint: Path | None) -> bool:
    """Whether a checkpoint was trained with attention in both directions."""
    file = checkpoint / ATTENTION_FILE if checkpoint else None
    return file is not None and file.is_file() and bool(read_model_json(file).get("bidirectional"))


def _check_heads(heads: Mapping[str, HeadSpec], lm: PreTrainedModel) -> None:
    """Refuse heads that the model's attention makes senseless."""
    for name, spec in heads.items():
        if spec.kind == "lm":
            check_language_model(lm)
        elif spec.kind == "mlm" and not is_bidirectional(lm.config):
            raise UserError(
                "a masked word cannot be told from what comes before it alone",
                where=f"head '{name}'",
                expected="attention in both directions",
                todo="--model_args bidirectional=true, or an encoder",
            )
