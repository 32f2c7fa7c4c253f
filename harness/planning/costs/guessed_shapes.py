"""The shape of a model whose config.json is not here, or whose architecture the planner does not know: from a few sizes.

shape = shape_by_sizes({"parameters": 10**9}, model_type="", causal=True)
shape.guess                  # what was made up
"""

from collections.abc import Mapping
from typing import Any

from harness.planning.costs.shapes import ModelShape

HEAD_WIDTH = 64
"Width of an attention head where nothing is known of it: that of most families."
_FAMILY_OF: Mapping[str, str] = {
    **dict.fromkeys(("bert", "roberta", "xlm-roberta", "camembert"), "bert"),
    "xlm-roberta-xl": "bert-pre",
    "rembert": "rembert",
    "deberta-v2": "deberta",
    "modernbert": "modernbert",
    **dict.fromkeys(("mt5", "umt5", "t5"), "mt5"),
    **dict.fromkeys(("llama", "mistral", "qwen2", "gemma2", "gemma", "smollm3", "eurobert"), "llama"),
    "qwen3": "qwen3",
    **dict.fromkeys(("gemma3_text", "gemma3"), "gemma3"),
    "xglm": "xglm",
    "bloom": "bloom",
}
"model_type -> family of harness/planning/costs/activations.py."


def shape_by_sizes(facts: Mapping[str, Any], *, model_type: str, causal: bool) -> ModelShape | None:
    """The shape of a usual model with these parameters, layers and width; None where one of them is not known.

    What is left of a layer's parameters beside attention (4 H^2) is its feed-forward part: of two matrices in BERT's kin, of
    three in Llama's.
    """
    total, inner, layers, hidden = (facts.get(key) for key in ("parameters", "non_embedding_parameters", "layers", "hidden_size"))
    if not total:
        return None
    if not (inner and layers and hidden):
        return _by_parameters(int(total), causal=causal)
    family = _FAMILY_OF.get(model_type, "llama" if causal else "bert")
    gates = 2 if family in ("bert", "bert-pre", "xglm", "bloom", "deberta", "rembert") else 3
    per_layer = inner // layers
    width = max(hidden, (per_layer - 4 * hidden * hidden) // (gates * hidden))
    rest = total - inner
    heads = max(1, hidden // HEAD_WIDTH)
    dropout = 0.1 if family in ("bert", "bert-pre", "deberta", "xglm", "mt5") else 0.0
    return ModelShape(
        family=family,
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=heads,
        head_width=hidden // heads,
        intermediate=width,
        vocab=max(1, rest // hidden),
        matrices_per_layer=per_layer,
        tables=rest,
        words_width=hidden,
        others=inner - per_layer * layers,
        attention_dropout=dropout,
        hidden_dropout=dropout,
        causal=causal,
        guess="its config.json is not here: widths are reckoned from the sizes that its preset states"
        if model_type in _FAMILY_OF
        else f"the architecture {model_type or '(not named)'} is not known to the planner: reckoned like {family}",
    )


def _by_parameters(total: int, *, causal: bool) -> ModelShape:
    """Of a model of which its size alone is known: 12 H^2 parameters a layer, a layer for each 64 of its width."""
    hidden = max(HEAD_WIDTH, round((total * HEAD_WIDTH / 12) ** (1 / 3)) // HEAD_WIDTH * HEAD_WIDTH)
    layers = hidden // HEAD_WIDTH
    per_layer = total // layers
    return ModelShape(
        family="llama" if causal else "bert",
        layers=layers,
        hidden=hidden,
        heads=layers,
        kv_heads=layers,
        head_width=HEAD_WIDTH,
        intermediate=4 * hidden,
        vocab=hidden,
        matrices_per_layer=per_layer,
        others=total - per_layer * layers,
        words_width=hidden,
        attention_dropout=0.1,
        hidden_dropout=0.1,
        causal=causal,
        guess="nothing is known of it but its number of parameters: the rest is made up",
    )
