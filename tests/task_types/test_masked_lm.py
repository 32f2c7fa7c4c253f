"""Masking follows BERT's shares, is fixed for prediction, new in each epoch of training, and keeps off special tokens."""

import numpy as np
import pytest
import torch
from small_task_types import examples_of
from small_tokenizers import byte_bpe, word_level

from harness.api.errors import UserError
from harness.prediction.batching import collate
from harness.task_types import masked_lm


def masked(text, *, id="a", train=False, tokenizer=None, **options):
    task, examples = examples_of("masked_lm", [{"id": id, "text": text}])
    tokenizer = tokenizer or word_level()
    (feature,) = masked_lm.encode(examples, task=task, tokenizer=tokenizer, options=masked_lm.Options(**options), train=train)
    return feature


def test_masks_are_fixed_by_the_id_for_prediction_and_new_each_time_for_training():
    text = "the cat sat on the mat and the dog ran far away home " * 5
    assert masked(text, id="a") == masked(text, id="a")
    assert masked(text, id="a") != masked(text, id="b")
    raw = masked(text, train=True)
    assert raw.labels[1:-1] == raw.input_ids[1:-1]
    assert (raw.labels[0], raw.labels[-1]) == (-100, -100)
    rng, tokenizer = np.random.default_rng(0), word_level()
    two = [masked_lm.augment(raw, rng=rng, tokenizer=tokenizer, options=masked_lm.Options()) for _ in range(2)]
    assert two[0].labels != two[1].labels
    assert raw == masked(text, train=True)


def test_masking_follows_80_10_10_of_15_percent():
    tokenizer = word_level()
    raw = masked("the cat sat on the mat and the dog ran " * 100, train=True, max_length=1002)
    rng = np.random.default_rng(1)
    counts = dict.fromkeys(("chosen", "mask", "kept", "other"), 0)
    for _ in range(20):
        feature = masked_lm.augment(raw, rng=rng, tokenizer=tokenizer, options=masked_lm.Options())
        for before, after, label in zip(raw.input_ids, feature.input_ids, feature.labels, strict=True):
            if label == -100:
                assert before == after
                continue
            assert label == before
            assert after not in tokenizer.all_special_ids or after == tokenizer.mask_token_id
            counts["chosen"] += 1
            counts["mask" if after == tokenizer.mask_token_id else "kept" if after == before else "other"] += 1
    assert counts["chosen"] / 20000 == pytest.approx(0.15, abs=0.01)
    assert counts["mask"] / counts["chosen"] == pytest.approx(0.8, abs=0.03)
    assert counts["other"] / counts["chosen"] == pytest.approx(0.1, abs=0.03)
    assert masked_lm.num_targets([feature]) == sum(label != -100 for label in feature.labels)


def test_masking_keeps_off_special_tokens_and_guesses_at_least_one():
    for name in "abcdefgh":
        feature = masked("cat <mask> </s>", id=name, mask_probability=0.01)
        assert [label != -100 for label in feature.labels] == [False, True, False, False, False]
    assert masked("").labels is None
    tokenizer = byte_bpe(prefix_space=False)
    tokenizer.mask_token = None
    with pytest.raises(UserError, match="no mask token"):
        masked("cat", tokenizer=tokenizer)


def test_mlm_loss_takes_outputs_of_all_positions_or_of_the_masked_ones():
    features = [masked("the cat sat on the mat", id=name, mask_probability=0.5) for name in "abc"]
    batch = collate(features, pad_id=1)
    outputs = torch.randn(*batch.input_ids.shape, 41, generator=torch.Generator().manual_seed(0))
    whole = masked_lm.loss(outputs, batch, masked_lm.Options())
    picked = masked_lm.loss(outputs[batch.labels != -100], batch, masked_lm.Options())
    chosen = batch.labels != -100
    expected = -outputs[chosen].log_softmax(-1).gather(1, batch.labels[chosen][:, None]).sum()
    assert whole.item() == pytest.approx(expected.item(), rel=1e-5)
    assert picked.item() == pytest.approx(expected.item(), rel=1e-5)
