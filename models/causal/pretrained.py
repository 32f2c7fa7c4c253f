"""Causal language models: their weights, the token that comes before a text, and attention in both directions.

config = causal_config(load_config(folder, source), bidirectional=False)
lm = load_causal(folder, config=config, source=source, dtype=torch.float32)     # ...ForCausalLM, or its body alone
lm.base_model                                                                   # the body: what makes hidden states
check_bidirectional(lm, place=torch.device("cpu"))
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

from harness.api.errors import UserError
from harness.api.model_source import ModelSource
from models.loading.architectures import decoder_class
from models.loading.divided import UnreadWeights, describe_model
from models.loading.files import tensor_names
from models.loading.gguf import gguf_tensor_names
from models.loading.pretrained import TensorNames, input_embeddings, load_model
from models.loading.tokenizer import adds_first_token

LM_HEADS = ("lm_head.weight", "embed_out.weight", "output.weight")
"How the names of output matrices end in files."
TEXT_HALF = {r"^(model\.)?language_model\.lm_head": "lm_head", r"^(model\.)?language_model\.(model\.)?": "model."}
"Where models of text and images (Gemma 3 from 4B on) keep their language model."
ALIBI = ("bloom", "falcon", "mpt")
"Model types whose attention prefers near tokens by a term that counts from the left: nearest to it is what comes last."
SEPARATOR = "<|endoftext|>"
"What stands between documents in the pretraining of GPT-2's, Qwen's and SmolLM2's kin, also where chat tuning renamed eos."


def causal_config(config: PretrainedConfig, *, bidirectional: bool) -> PretrainedConfig:
    """The configuration of the language model alone, with full attention if asked; UserError where that makes no sense."""
    text = config.get_text_config()
    decoder_class(text)
    if not bidirectional:
        return text
    if text.model_type in ALIBI or getattr(text, "alibi", False):
        raise UserError(
            f"model type '{text.model_type}' cannot attend to later tokens",
            where="bidirectional",
            expected="positions that mean the same in both directions",
            found="ALiBi, whose bias grows from left to right",
            todo="leave out bidirectional=true",
        )
    if hasattr(text, "use_bidirectional_attention"):
        # Made anew: Gemma 3 halves its window then, so that as many tokens are seen.
        arguments = {name: value for name, value in text.to_dict().items() if name != "model_type"}
        return type(text)(**{**arguments, "use_bidirectional_attention": True})
    text.is_causal = False
    return text


def is_bidirectional(config: PretrainedConfig) -> bool:
    """Whether a configuration asks for attention to later tokens."""
    return bool(getattr(config, "use_bidirectional_attention", False)) or not getattr(config, "is_causal", True)


def load_causal(
    folder: Path, *, config: PretrainedConfig, source: ModelSource, dtype: torch.dtype, device: str = "cpu"
) -> PreTrainedModel:
    """Weights of a folder in the causal language model; in its body alone where the files hold no output matrix."""
    kind, renames = _class_of(folder, config, source)
    lm = load_model(kind, folder, config=config, source=source, dtype=dtype, device=device, tensors=TensorNames(renames))
    if is_bidirectional(config):
        _look_both_ways(lm)
    return lm


def describe_causal(folder: Path, *, config: PretrainedConfig, source: ModelSource, dtype: torch.dtype) -> UnreadWeights:
    """The same without its weights, which are read once they are divided among processes."""
    kind, renames = _class_of(folder, config, source)
    unread = describe_model(kind, folder, config=config, source=source, dtype=dtype, renames=renames)
    if is_bidirectional(config):
        _look_both_ways(unread.model)
    return unread


def _class_of(folder: Path, config: PretrainedConfig, source: ModelSource) -> tuple[Any, Mapping[str, str] | None]:
    """The class that a folder's weights fill, and what they are called otherwise in it."""
    names = gguf_tensor_names(source.path) or tensor_names(folder)
    tied = getattr(config, "tie_word_embeddings", True)
    lm_head = tied or any(name.endswith(LM_HEADS) for name in names)
    return decoder_class(config, lm_head=lm_head), TEXT_HALF if any("language_model." in name for name in names) else None


def _look_both_ways(lm: PreTrainedModel) -> None:
    """Without padding there is no mask, and attention goes by this flag of each layer."""
    for module in lm.modules():
        if getattr(module, "is_causal", None) is True:
            module.is_causal = False  # type: ignore[assignment]


def check_bidirectional(
    lm: PreTrainedModel, *, place: torch.device, first: Callable[[Tensor, Tensor], Tensor] | None = None
) -> None:
    """Try whether a later token changes what is said of an earlier one; UserError if the architecture does not let it.

    `place`: where batches go.  `first(ids, mask)` gives the hidden states of the first tokens, where the model cannot be called
    by itself.
    """
    size = input_embeddings(lm).num_embeddings
    # 2 rows: without padding, and with, for masks are made in different ways.
    ids = torch.tensor([[1, 2, 3 % size, 1], [1, 2, 4 % size, 2]], device=place)
    training = lm.training
    lm.eval()
    try:
        with torch.no_grad():
            for kept in (4, 3):
                mask = torch.tensor([[1, 1, 1, kept == 4]] * 2, dtype=torch.long, device=place)
                states = first(ids, mask) if first else _first_states(lm, ids, mask)
                if torch.equal(states[0], states[1]):
                    raise UserError(
                        f"model type '{lm.config.model_type}' cannot attend to later tokens",
                        where="bidirectional",
                        expected="an architecture whose mask can be left out, such as llama, qwen2, qwen3, gemma3, xglm",
                        todo="leave out bidirectional=true",
                    )
    finally:
        lm.train(training)


def _first_states(lm: PreTrainedModel, ids: Tensor, mask: Tensor) -> Tensor:
    states: Tensor = lm.base_model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state[:, 0]
    return states


def check_language_model(lm: PreTrainedModel) -> PreTrainedModel:
    """The model, if it can say what comes next; UserError if it has no LM head, or sees what it is to predict."""
    if lm.get_output_embeddings() is None:
        raise UserError(
            f"{type(lm).__name__} has no language model head",
            expected="a causal language model",
            found="weights without lm_head",
            todo="ask its heads or its embeddings, or take the model it was made of",
        )
    if is_bidirectional(lm.config):
        raise UserError(
            "a model that attends to later tokens sees what it is to predict",
            where="bidirectional",
            todo="leave out bidirectional=true, or ask its heads or its embeddings",
        )
    return lm


def first_token(tokenizer: PreTrainedTokenizerFast, *, vocab_size: int) -> int | None:
    """The token to put before a text where the tokenizer puts none; None where it does, or has none that could be put.

    A token beyond the rows of the embeddings (`vocab_size`), which some tokenizers add, is none.

    Causal models use whatever comes first as a resting place of attention, and what they hold of it is not what it says:
    in SmolLM2-135M the inner states of the first token are a hundred times longer than others (norm 23,700 to 196 in layer
    17).  Without a token of its own in that place, the first word of a text would be lost, and any mean be that of one token.
    """
    if adds_first_token(tokenizer):
        return None
    known = tokenizer.get_vocab().get(SEPARATOR)
    found = (known, tokenizer.eos_token_id, tokenizer.bos_token_id)
    return next((int(token) for token in found if token is not None and token < vocab_size), None)
