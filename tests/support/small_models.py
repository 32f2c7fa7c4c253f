"""Small random-weight models of every supported architecture, each of its own class, made on the spot.

make_folder("modernbert", folder) writes an ordinary model folder; batch_of(tokenizer, TEXTS) is a padded batch for it.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast

from harness.api.protocols import Batch, Feature, HeadSpec
from harness.prediction.batching import collate
from models.encoder import init_scratch, train_tokenizer

_BERT = {
    "num_hidden_layers": 3,
    "hidden_size": 32,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 40,
}
_T5 = {"num_layers": 3, "d_model": 32, "num_heads": 4, "d_ff": 64, "d_kv": 8, "relative_attention_num_buckets": 8}
CONFIGS: dict[str, dict[str, Any]] = {
    "xlm-roberta": {**_BERT, "type_vocab_size": 1},
    "xlm-roberta-xl": {**_BERT, "type_vocab_size": 1},
    "bert": _BERT,
    "deberta-v2": {
        **_BERT,
        "relative_attention": True,
        "position_buckets": 8,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_biased_input": False,
        "type_vocab_size": 0,
    },
    # A window shorter than the padding: the padded end sees no token at all.
    "modernbert": {**_BERT, "local_attention": 4, "global_attn_every_n_layers": 3},
    "rembert": {**_BERT, "input_embedding_size": 16, "output_embedding_size": 48},
    "eurobert": {**_BERT, "num_key_value_heads": 2},
    "mt5": _T5,
    "umt5": _T5,
}
_LLAMA = {
    "num_hidden_layers": 3,
    "hidden_size": 32,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 80,
}
DECODERS: dict[str, dict[str, Any]] = {
    "xglm": {"num_layers": 3, "d_model": 32, "attention_heads": 4, "ffn_dim": 64, "max_position_embeddings": 80},
    "bloom": {"n_layer": 3, "hidden_size": 32, "n_head": 4},
    "qwen2": {**_LLAMA, "tie_word_embeddings": False},
    "qwen3": {**_LLAMA, "head_dim": 16},
    "llama": {**_LLAMA, "tie_word_embeddings": True},  # SmolLM2 and Llama 3.2; EuroLLM has its output matrix for itself
    # A window shorter than the texts; the last layer sees all of them.
    "gemma3_text": {
        **_LLAMA,
        "head_dim": 8,
        "sliding_window": 8,
        "query_pre_attn_scalar": 8,
        "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
    },
}
TEXTS = (
    "a cat sat on the mat , and the old dog ran far away from the red house by the sea .",
    "Anna liest .",
    "zwei Hunde laufen schnell nach Hause",
)
HEADS = {
    "nli": HeadSpec(kind="sequence", num_outputs=3),
    "pick": HeadSpec(kind="choice", num_outputs=1),
    "xtreme/tags.v1": HeadSpec(kind="token", num_outputs=5),
    "qa": HeadSpec(kind="span", num_outputs=2),
    "mlm": HeadSpec(kind="mlm", num_outputs=0),
}


@cache
def tokenizer() -> PreTrainedTokenizerFast:
    """Word-level tokenizer that knows every word of TEXTS."""
    return train_tokenizer(TEXTS, vocab_size=100)


def make_folder(model_type: str, folder: Path, *, seed: int = 1, own: PreTrainedTokenizerFast | None = None) -> str:
    """Write a random model of an architecture, with a tokenizer of its own if given; returns the folder as text."""
    config = {"model_type": model_type, **(CONFIGS | DECODERS)[model_type]}
    init_scratch(config, tokenizer=own or tokenizer(), folder=folder, seed=seed)
    return str(folder)


def features_of(texts: Sequence[str]) -> list[Feature]:
    """One feature a text, with mlm labels at its second and last but one token."""
    made = []
    for number, text in enumerate(texts):
        ids = tokenizer()(text)["input_ids"]
        labels = [token if position in {1, len(ids) - 2} else -100 for position, token in enumerate(ids)]
        made.append(Feature(example=number, input_ids=ids, labels=labels))
    return made


def batch_of(texts: Sequence[str] = TEXTS) -> Batch:
    """A padded batch on the CPU."""
    return collate(features_of(texts), pad_id=tokenizer().pad_token_id, device="cpu")
