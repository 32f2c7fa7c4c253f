"""Families of models whose sequences are packed: set side by side in one row of tokens, without padding.

family_packs("xlm-roberta", None)                    # True
"""

from collections.abc import Collection

FAMILIES = {
    *("albert", "bert", "camembert", "distilbert", "electra", "eurobert", "gte", "jina_embeddings_v3", "modernbert"),
    *("nomic_bert", "roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl"),
    *(
        "apertus",
        "arcee",
        "cohere",
        "cohere2",
        "ernie4_5",
        "gemma",
        "gemma3_text",
        "glm",
        "glm4",
        "gpt_neox",
        "granite",
        "helium",
    ),
    *("llama", "ministral", "ministral3", "mistral", "mixtral", "modernbert-decoder", "olmo", "olmo2", "olmo3", "phi", "phi3"),
    *("qwen2", "qwen3", "seed_oss", "smollm3", "starcoder2"),
}
"""Values of `model_type` for which packed passes have been compared with others (tests/models/test_packing.py does it again).
Others are padded: some do more with a mask than hand it to attention, or number positions in a way of their own."""
LAYER_TYPES = {"full_attention", "sliding_attention"}
"Kinds of layers that keep no state besides keys and values, and look no further back than a window."


def family_packs(model_type: str, layer_types: Collection[str] | None) -> bool:
    """Whether models of a family can be packed, whose layers are of some types."""
    return model_type in FAMILIES and set(layer_types or ()) <= LAYER_TYPES
