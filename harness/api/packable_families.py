"""Families of models whose sequences are packed: set side by side in one row of tokens, without padding.

family_packs({"model_type": "xlm-roberta"})                    # True
"""

from collections.abc import Mapping
from typing import Any

ENCODERS = {
    *("albert", "bert", "camembert", "distilbert", "electra", "eurobert", "gte", "jina_embeddings_v3"),
    *("modernbert", "nomic_bert", "roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl"),
}
CAUSAL = {
    *("apertus", "arcee", "cohere", "cohere2", "ernie4_5", "gemma", "gemma3_text", "glm", "glm4", "gpt_neox"),
    *("granite", "helium", "llama", "ministral", "ministral3", "mistral", "mixtral", "modernbert-decoder"),
    *("olmo", "olmo2", "olmo3", "phi", "phi3", "qwen2", "qwen3", "seed_oss", "smollm3", "starcoder2"),
}
"""Values of `model_type` for which packed passes have been compared with others (tests/models/test_packing.py does it again).
Others are padded: some do more with a mask than hand it to attention, or number positions in a way of their own."""
LAYER_TYPES = {"full_attention", "sliding_attention"}
"Kinds of layers that keep no state besides keys and values, and look no further back than a window."
BY_LONGEST = {"dynamic", "longrope"}
"Rotary positions whose angles depend on the longest sequence of a pass."


def family_packs(config: Mapping[str, Any]) -> bool:
    """Whether models with this config.json can be packed."""
    if config.get("model_type") not in ENCODERS | CAUSAL or not set(config.get("layer_types") or ()) <= LAYER_TYPES:
        return False
    rotary = config.get("rope_parameters") or config.get("rope_scaling") or {}
    kinds = [one for one in (rotary, *rotary.values()) if isinstance(one, Mapping)]
    return not any(one.get(name) in BY_LONGEST for one in kinds for name in ("rope_type", "type"))
