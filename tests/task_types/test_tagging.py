"""Tagging: which subword carries a tag, where sentences are split, and that no word is lost."""

import random
from itertools import pairwise

import numpy as np
import pytest
import torch
from small_tokenizers import KINDS, byte_bpe, unigram, word_level, word_piece

from harness.api.errors import UserError
from harness.prediction.batching import collate
from harness.specs.task import TaskSpec
from harness.task_types import tagging

TASK = TaskSpec(
    task="t",
    type="tagging",
    description="d",
    fields={"tokens": "tokens", "tags": "tags"},
    labels=("A", "B"),
    label_values={"7": "B"},
)


def example(tokens, tags=None):
    row = {"tokens": tokens, "tags": tags}
    return tagging.build(row, task=TASK, lang="de", row_id="0")


def encode(examples, tokenizer, **options):
    return tagging.encode(examples, task=TASK, tokenizer=tokenizer, options=tagging.Options(**options), train=False)


def test_subwords_labels_and_pieces_by_hand():
    tokenizer = word_piece(["ab", "##c", "##d", "x"])  # ids 5, 6, 7, 8; a pair has 3 special tokens, so 2 count for a sentence
    sentence = example(["abc", "x", "abcd", "q", "x"], ["A", "B", "A", "B", 7])
    first = encode([sentence], tokenizer, max_length=6)
    assert [f.input_ids for f in first] == [[0, 5, 6, 8, 2], [0, 5, 6, 7, 3, 2], [0, 8, 2]]
    assert [f.labels for f in first] == [[-100, 0, -100, 1, -100], [-100, 0, -100, -100, 1, -100], [-100, 1, -100]]
    assert [f.info for f in first] == [[1, 3], [1, 4], [1]]
    assert [f.type_ids for f in first] == [[0] * 5, [0] * 6, [0] * 3]
    assert [(f.example, f.part) for f in first] == [(0, 0), (0, 1), (0, 2)]
    last = encode([sentence], tokenizer, max_length=6, label_subword="last")
    assert [f.input_ids for f in last] == [f.input_ids for f in first]
    assert [f.info for f in last] == [[2, 3], [3, 4], [1]]
    assert tagging.num_targets(first) == 5
    assert tagging.num_targets(encode([example(["x"])], tokenizer)) == 0


def test_xlmr_pieces_leave_room_for_three_special_tokens_as_in_xtreme():
    tokenizer = word_level(["a", "b"])
    assert [len(f.info) for f in encode([example(["a"] * 11)], tokenizer, max_length=8)] == [5, 5, 1]
    assert [len(f.info) for f in encode([example(["a"] * 300)], tokenizer)] == [125, 125, 50]
    bert = word_piece(["a"])
    assert [len(f.info) for f in encode([example(["a"] * 300)], bert)] == [126, 126, 48]


def test_words_without_subwords_or_too_long_become_the_unknown_token():
    tokenizer = word_piece(["a", "##b"])
    features = encode([example(["\u200b", "ab", "a" + "b" * 9, "a" + "b" * 3])], tokenizer, max_length=6)
    assert [f.input_ids for f in features] == [[0, 3, 5, 6, 3, 2], [0, 5, 6, 6, 6, 2]]
    assert [f.num_truncated for f in features] == [10, 0]


def test_a_tokenizer_without_unknown_token_uses_its_end_of_text():
    tokenizer = byte_bpe(prefix_space=True)
    assert encode([example(["", "x" * 99])], tokenizer, max_length=5)[0].input_ids == [tokenizer.eos_token_id] * 2
    tokenizer.eos_token = tokenizer.pad_token = None
    with pytest.raises(UserError, match="no unknown token"):
        encode([example([""])], tokenizer)


@pytest.mark.parametrize("kind", KINDS)
def test_words_are_spelled_as_in_running_text(kind):
    tokenizer = KINDS[kind]()
    words = ["the", "cat", "sat", "on", "berlin", "\u0643\u062a\u0628\u062a", "\u5317\u4eac"]
    (feature,) = encode([example(words)], tokenizer)
    assert feature.input_ids == tokenizer(" ".join(words))["input_ids"]


def test_a_prefix_space_is_only_put_where_words_need_it():
    bare, spaced = byte_bpe(prefix_space=False), byte_bpe(prefix_space=True)
    assert encode([example(["the", "cat"])], bare)[0].input_ids == bare("the cat")["input_ids"] != spaced("the cat")["input_ids"]
    assert encode([example(["the", "cat"])], spaced)[0].input_ids == spaced("the cat")["input_ids"]
    # The second piece begins inside the sentence, so its first word keeps its space.
    pieces = encode([example(["cat"] * 6)], bare, max_length=4)
    assert pieces[-1].input_ids[-1] == bare("a cat")["input_ids"][-1]


@pytest.mark.parametrize("kind", KINDS)
def test_long_sentences_are_split_and_glued(kind):
    tokenizer, rng = KINDS[kind](), random.Random(kind)
    for max_length in (6, 9, 128):
        sentences = []
        for _ in range(20):
            words = [rng.choice(["cat", "longerword" * 3, "\u200b", "\u4e2d\u6587", "a"]) for _ in range(rng.randrange(400))]
            sentences.append(example(words, [rng.choice("AB") for _ in words]))
        options = tagging.Options(max_length=max_length, label_subword=rng.choice(["first", "last"]))
        features = tagging.encode(sentences, task=TASK, tokenizer=tokenizer, options=options, train=True)
        assert all(len(f.input_ids) <= max_length for f in features)
        outputs = [tagging.oracle(f, sentences[f.example], task=TASK, options=options) for f in features]
        partials = [tagging.reduce(f, o, task=TASK, options=options) for f, o in zip(features, outputs, strict=True)]
        shuffled = list(zip(features, partials, strict=True))
        rng.shuffle(shuffled)
        predictions = tagging.decode(sentences, [f for f, _ in shuffled], [p for _, p in shuffled], task=TASK, options=options)
        assert [p.prediction for p in predictions] == [s.gold for s in sentences]
        assert [len(p.prediction) for p in predictions] == [len(s.tokens) for s in sentences]
        # Pieces are filled greedily: the first word of a piece did not fit into the one before.
        for before, after in pairwise(features):
            if before.example == after.example:
                size = (after.info[1] if len(after.info) > 1 else len(after.input_ids)) - after.info[0]
                if options.label_subword == "first" and len(after.info) > 1:
                    assert len(before.input_ids) + size > max_length - 1


def test_a_sentence_with_a_dropped_tag_is_left_out():
    task = TASK.model_copy(update={"label_values": {"_": "drop"}})
    assert tagging.build({"tokens": ["a", "b"], "tags": ["A", "_"]}, task=task, lang="de", row_id="0") is None


def test_loss_counts_tagged_subwords_only():
    features = encode([example(["cat", "xyz"], ["A", "B"]), example(["a"], ["B"])], unigram())
    batch = collate(features, pad_id=1)
    logits = torch.randn(*batch.input_ids.shape, 2, generator=torch.Generator().manual_seed(1))
    picked = [(0, features[0].info[0], 0), (0, features[0].info[1], 1), (1, features[1].info[0], 1)]
    expected = -sum(logits[row, position].log_softmax(-1)[label] for row, position, label in picked)
    assert tagging.loss(logits, batch, tagging.Options()).item() == pytest.approx(expected.item(), rel=1e-6)


def test_reduce_takes_the_lowest_tag_among_equals():
    (feature,) = encode([example(["a", "b"])], word_level(["a", "b"]))
    output = np.array([[9, 9], [1, 1], [0, 1], [9, 9]], dtype=np.float32)
    assert tagging.reduce(feature, output, task=TASK, options=tagging.Options()) == [0, 1]
