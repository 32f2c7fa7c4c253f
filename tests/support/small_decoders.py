"""Small causal language models through their adapter: loading, outputs, comparison.

model = loaded(make_folder("qwen3", folder), inference=False, extra=LORA)
same(outputs_of(model), outputs_of(again))
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from small_models import HEADS, TEXTS, features_of
from transformers import PreTrainedTokenizerFast

from harness.api.model_source import ModelSource
from harness.api.protocols import Batch, Feature, HeadSpec, Pooling
from harness.prediction.batching import collate
from models.decoder import Decoder, load

OWN = {name: spec for name, spec in HEADS.items() if spec.kind != "mlm"} | {"say": HeadSpec(kind="lm", num_outputs=0)}
LORA = {"lora": {"rank": 4, "alpha": 8}}


def loaded(
    path: str,
    *,
    inference: bool = True,
    heads: Mapping[str, HeadSpec] = OWN,
    seed: int = 1,
    keep: Iterable[str] = (),
    **source: Any,
) -> Decoder:
    """The adapter on the CPU in fp32; `keep` names the heads that come from a checkpoint."""
    settings: dict[str, Any] = {"dtype": "float32", **source}
    kept = {name: name for name in keep}
    return load(ModelSource(path=path, **settings), heads=heads, keep_heads=kept, device="cpu", seed=seed, inference=inference)


def batch_of(texts: Sequence[str] = TEXTS, tokenizer: PreTrainedTokenizerFast | None = None) -> Batch:
    if tokenizer is None:
        return collate(features_of(texts), pad_id=1)
    made = [Feature(example=number, input_ids=tokenizer(text)["input_ids"]) for number, text in enumerate(texts)]
    return collate(made, pad_id=tokenizer.pad_token_id)


def outputs_of(model: Decoder, texts: Sequence[str] = TEXTS) -> dict[str, list[np.ndarray]]:
    """Outputs of all heads, and vectors."""
    batch = batch_of(texts)
    return {name: model.forward_head(batch, name) for name in model.heads} | {"vectors": model.embed(batch, Pooling())}


def everything(model: Decoder, texts: Sequence[str] = TEXTS) -> dict[str, list[np.ndarray]]:
    """Outputs of all heads, and vectors of all kinds."""
    batch, found = batch_of(texts), outputs_of(model, texts)
    for method in ("mean_no_first", "first", "last"):
        found |= {f"{method} {layer}": model.embed(batch, Pooling(method=method, layer=layer)) for layer in (0, 2, -1)}
    return found


def same(left: Mapping[str, Any], right: Mapping[str, Any], *, atol: float = 0.0) -> None:
    assert left.keys() == right.keys()
    for name, values in left.items():
        for one, other in zip(values, right[name], strict=True):
            np.testing.assert_allclose(one, other, atol=atol, rtol=0, err_msg=name)
