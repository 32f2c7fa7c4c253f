"""The encoder adapter with a real model: multilingual-e5-small."""

import numpy as np
import pytest
import torch

from harness.api.model_source import ModelSource
from harness.api.protocols import Feature, HeadSpec, Pooling
from harness.prediction.batching import collate
from models.encoder import Encoder, load, read_sizes
from models.loading.pretrained import count_sizes

pytestmark = pytest.mark.real

SENTENCES = (
    "query: The weather is lovely today, let us go to the beach.",
    "query: Das Wetter ist heute herrlich, lass uns an den Strand gehen.",
    "query: Interest rates were raised by a quarter of a point.",
)


def opened(path, *, dtype: str, heads=None) -> Encoder:
    return load(ModelSource(path=str(path), dtype=dtype), heads=heads or {}, device="cpu", seed=1, inference=True)


def batch_for(model: Encoder, texts=SENTENCES):
    features = [
        Feature(example=number, input_ids=model.tokenizer(text)["input_ids"], labels=[-100, 5, -100])
        for number, text in enumerate(texts)
    ]
    return collate(features, pad_id=model.tokenizer.pad_token_id, device="cpu")


def cosines(vectors) -> np.ndarray:
    unit = np.stack(vectors)
    unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
    return unit @ unit.T


@pytest.fixture(scope="module")
def exact(e5) -> Encoder:
    return opened(e5, dtype="float32", heads={"mlm": HeadSpec(kind="mlm", num_outputs=0)})


def test_sizes_and_limits(e5, exact):
    sizes = count_sizes(exact.module.backbone, exact.module.body.config)
    assert sizes == read_sizes(str(e5))
    assert round(sizes["parameters"] / 1e6) == 118
    assert round(sizes["non_embedding_parameters"] / 1e6) == 21
    assert (sizes["layers"], sizes["hidden_size"], exact.max_positions) == (12, 384, 512)


def test_tokenizer_is_that_of_xlm_r_and_types_are_not_used(exact):
    assert exact.tokenizer("a", "b")["input_ids"][:1] == [0]
    assert exact.tokenizer.pad_token_id == 1
    assert not exact.module.type_ids


def test_translations_are_nearer_than_other_sentences(e5, exact):
    batch = batch_for(exact)
    found = cosines(exact.embed(batch, Pooling()))
    assert found[0, 1] > 0.9 > found[0, 2] > 0.6
    alone = [exact.embed(batch_for(exact, [text]), Pooling())[0] for text in SENTENCES]
    np.testing.assert_allclose(alone, exact.embed(batch, Pooling()), atol=1e-5)
    fast = opened(e5, dtype="bfloat16")
    assert {parameter.dtype for parameter in fast.module.parameters()} == {torch.bfloat16}
    for vector, near in zip(exact.embed(batch, Pooling()), fast.embed(batch, Pooling())):
        assert cosines([vector, near])[0, 1] > 0.999


def test_inner_layers_are_those_of_the_model(exact):
    batch = batch_for(exact)
    states = exact.module.backbone(input_ids=batch.input_ids, attention_mask=batch.attention_mask, output_hidden_states=True)
    for layer in (0, 7, 12):
        found, expected = exact.embed(batch, Pooling(method="first", layer=layer)), states.hidden_states[layer][:, 0]
        # The last layer is computed for the tokens that are read, in products of fewer rows.
        np.testing.assert_allclose(found, expected, atol=1e-6 if layer == 12 else 0, rtol=0)


def test_a_checkpoint_without_an_lm_head_gets_a_fresh_one(exact):
    outputs = exact.forward_head(batch_for(exact), "mlm")
    assert [output.shape for output in outputs] == [(1, 250037)] * 3
