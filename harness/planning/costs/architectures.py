"""Shapes of the architectures that the planner knows, from their config.json alone.

    shape = shape_of({"model_type": "xlm-roberta", "hidden_size": 768, ...}, facts={}, causal=False)
    shape.parameters                         # exact: tests count them on torch's meta device

Imports neither torch nor transformers.  An architecture that is not known here is reckoned like one of its kind
(`shape_by_sizes`), from its parameters, layers and width; `shape.guess` says so.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from harness.api.packable_families import family_packs
from harness.planning.costs.guessed_shapes import shape_by_sizes
from harness.planning.costs.shapes import ModelShape

Config = Mapping[str, Any]


def shape_of(config: Config | None, *, facts: Mapping[str, Any], causal: bool) -> ModelShape | None:
    """The shape that a config.json gives, else that of the sizes among a backbone's facts; None where neither is known.

    `causal`: it is used as a causal language model, output matrix included.
    """
    if config is not None:
        inner = config.get("text_config") or config
        reader = _READERS.get(str(inner.get("model_type") or config.get("model_type")))
        if reader is not None:
            try:
                found = reader(inner)
            except (KeyError, TypeError, ValueError, ZeroDivisionError):
                found = None  # a configuration that says too little; the model itself will say what is wrong with it
            if found is not None:
                return replace(_as_used(found, causal=causal), packs=family_packs(inner))
    kind = str((config or {}).get("model_type") or facts.get("architecture") or "")
    return shape_by_sizes(facts, model_type=kind, causal=causal)


def _as_used(shape: ModelShape, *, causal: bool) -> ModelShape:
    """With the output matrix where the model is used with it."""
    return replace(shape, causal=causal, outputs=shape.outputs if causal else 0)


def _bert(c: Config) -> ModelShape:
    hidden, width = c["hidden_size"], c["intermediate_size"]
    kind = str(c.get("model_type"))
    words = c.get("embedding_size") or c.get("input_embedding_size") or hidden
    positions = c.get("max_position_embeddings", 512)
    types = c.get("type_vocab_size", 2)
    # A norm over the embeddings (XL models have it behind the last layer), and the step to the model's width.
    others = 2 * (words if kind == "rembert" else hidden)
    others += words * hidden + hidden if kind == "rembert" or words != hidden else 0
    dropout = 0.0 if kind == "rembert" else 0.1
    return ModelShape(
        family={"rembert": "rembert", "xlm-roberta-xl": "bert-pre"}.get(kind, "bert"),
        layers=c["num_hidden_layers"],
        hidden=hidden,
        heads=c["num_attention_heads"],
        kv_heads=c["num_attention_heads"],
        head_width=hidden // c["num_attention_heads"],
        intermediate=width,
        vocab=c["vocab_size"],
        matrices_per_layer=4 * hidden * hidden + 2 * hidden * width,
        vectors_per_layer=9 * hidden + width,
        tables=(c["vocab_size"] + positions + types) * words,
        others=others,
        words_width=words,
        attention_dropout=c.get("attention_probs_dropout_prob", dropout),
        hidden_dropout=c.get("hidden_dropout_prob", dropout),
    )


def _deberta(c: Config) -> ModelShape:
    shape = _bert({"type_vocab_size": 0, **c, "embedding_size": c.get("embedding_size") or c["hidden_size"]})
    hidden = shape.hidden
    relative = 0
    if c.get("relative_attention"):
        buckets = c.get("position_buckets", -1)
        longest = c.get("max_relative_positions", -1)
        longest = longest if longest >= 1 else c.get("max_position_embeddings", 512)
        relative = 2 * (buckets if buckets > 0 else longest)
    positions = c.get("max_position_embeddings", 512) if c.get("position_biased_input", True) else 0
    types = c.get("type_vocab_size", 0)
    others = 2 * hidden + (shape.words_width * hidden if shape.words_width != hidden else 0)
    others += relative * hidden + (2 * hidden if "layer_norm" in str(c.get("norm_rel_ebd", "none")) else 0)
    if c.get("conv_kernel_size", 0):
        others += hidden * hidden * c["conv_kernel_size"] + 3 * hidden
    own = 0 if c.get("share_att_key", False) or not relative else 2 * hidden * hidden
    return replace(
        shape,
        family="deberta",
        matrices_per_layer=shape.matrices_per_layer + own,
        vectors_per_layer=shape.vectors_per_layer + (2 * hidden if own else 0),
        tables=(shape.vocab + positions + types) * shape.words_width,
        others=others,
        relative_positions=relative,
    )


def _modernbert(c: Config) -> ModelShape:
    hidden, width = c["hidden_size"], c["intermediate_size"]
    return ModelShape(
        family="modernbert",
        layers=c["num_hidden_layers"],
        hidden=hidden,
        heads=c["num_attention_heads"],
        kv_heads=c["num_attention_heads"],
        head_width=hidden // c["num_attention_heads"],
        intermediate=width,
        vocab=c["vocab_size"],
        matrices_per_layer=4 * hidden * hidden + 3 * hidden * width,
        vectors_per_layer=2 * hidden
        + (4 * hidden if c.get("attention_bias") else 0)
        + (2 * width + hidden if c.get("mlp_bias") else 0),
        tables=c["vocab_size"] * hidden,
        others=hidden,  # embeddings' norm and the last one, less that which the first layer lacks
        words_width=hidden,
        attention_dropout=c.get("attention_dropout", 0.0),
        hidden_dropout=c.get("mlp_dropout", 0.0),
    )


def _t5(c: Config) -> ModelShape:
    """The encoder half."""
    hidden, width = c["d_model"], c["d_ff"]
    heads = c.get("num_heads", 8)
    inner = heads * c.get("d_kv", 64)
    gated = str(c.get("feed_forward_proj", "gated-gelu")).startswith("gated")
    buckets = c.get("relative_attention_num_buckets", 32) * heads
    layers = c.get("num_layers") or c["num_hidden_layers"]
    return ModelShape(
        family="mt5",
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=heads,
        head_width=c.get("d_kv", 64),
        intermediate=width,
        vocab=c["vocab_size"],
        matrices_per_layer=4 * hidden * inner + (3 if gated else 2) * hidden * width,
        vectors_per_layer=2 * hidden,
        tables=c["vocab_size"] * hidden,
        others=hidden + buckets * (layers if c.get("model_type") == "umt5" else 1),
        words_width=hidden,
        attention_dropout=c.get("dropout_rate", 0.1),
        hidden_dropout=c.get("dropout_rate", 0.1),
    )


def _llama(c: Config) -> ModelShape:
    """Llama and its kin: gated feed-forward parts, norms without biases, grouped heads."""
    kind = str(c["model_type"])
    hidden, width, layers = c["hidden_size"], c["intermediate_size"], c["num_hidden_layers"]
    heads = c["num_attention_heads"]
    kv_heads = c.get("num_key_value_heads") or (4 if kind == "gemma3_text" else heads)
    size = c.get("head_dim") or (128 if kind == "qwen3" else 256 if kind.startswith("gemma") else hidden // heads)
    queries, keys = heads * size, kv_heads * size
    biases = queries + 2 * keys if kind == "qwen2" or c.get("attention_bias") else 0
    biases += hidden if c.get("attention_bias") and kind != "qwen2" else 0
    biases += 2 * width + hidden if c.get("mlp_bias") else 0
    norms = hidden * (4 if kind in ("gemma2", "gemma3_text") else 2) + (2 * size if kind in ("qwen3", "gemma3_text") else 0)
    # mT5, BLOOM, Gemma and SmolLM3 tie by default, Llama, Mistral and Qwen do not.
    tied = c.get("tie_word_embeddings", kind.startswith("gemma") or kind == "smollm3")
    tied = True if tied is None else bool(tied)
    return ModelShape(
        family={"qwen3": "qwen3", "gemma3_text": "gemma3"}.get(kind, "llama"),
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads,
        head_width=size,
        intermediate=width,
        vocab=c["vocab_size"],
        matrices_per_layer=2 * hidden * queries + 2 * hidden * keys + 3 * hidden * width,
        vectors_per_layer=norms + biases,
        tables=c["vocab_size"] * hidden,
        outputs=0 if tied else c["vocab_size"] * hidden,
        others=hidden,
        words_width=hidden,
        attention_dropout=c.get("attention_dropout", 0.0),
        tied=tied,
    )


def _xglm(c: Config) -> ModelShape:
    hidden = c.get("d_model") or c["hidden_size"]
    heads = c.get("attention_heads") or c["num_attention_heads"]
    width = c["ffn_dim"]
    return ModelShape(
        family="xglm",
        layers=c.get("num_layers") or c["num_hidden_layers"],
        hidden=hidden,
        heads=heads,
        kv_heads=heads,
        head_width=hidden // heads,
        intermediate=width,
        vocab=c["vocab_size"],
        matrices_per_layer=4 * hidden * hidden + 2 * hidden * width,
        vectors_per_layer=9 * hidden + width,
        tables=c["vocab_size"] * hidden,
        others=2 * hidden,
        words_width=hidden,
        attention_dropout=c.get("attention_dropout", 0.1),
        hidden_dropout=c.get("dropout", 0.1),
    )


def _bloom(c: Config) -> ModelShape:
    hidden = c.get("hidden_size") or c["n_embed"]
    heads = c.get("n_head") or c["num_attention_heads"]
    return ModelShape(
        family="bloom",
        layers=c.get("n_layer") or c["num_hidden_layers"],
        hidden=hidden,
        heads=heads,
        kv_heads=heads,
        head_width=hidden // heads,
        intermediate=4 * hidden,
        vocab=c["vocab_size"],
        matrices_per_layer=12 * hidden * hidden,
        vectors_per_layer=13 * hidden,
        tables=c["vocab_size"] * hidden,
        others=4 * hidden,
        words_width=hidden,
        attention_dropout=c.get("attention_dropout", 0.0),
        hidden_dropout=c.get("hidden_dropout", 0.0),
    )


_READERS: Mapping[str, Callable[[Config], ModelShape]] = {
    **dict.fromkeys(("bert", "roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "rembert"), _bert),
    "deberta-v2": _deberta,
    "modernbert": _modernbert,
    **dict.fromkeys(("mt5", "umt5", "t5"), _t5),
    **dict.fromkeys(("llama", "mistral", "qwen2", "qwen3", "gemma3_text", "gemma2", "gemma", "smollm3", "eurobert"), _llama),
    "xglm": _xglm,
    "bloom": _bloom,
}
