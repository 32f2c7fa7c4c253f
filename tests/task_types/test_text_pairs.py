"""Pairs of texts are cut as the tokenizer itself cuts them, and parted where it puts nothing between."""

import random

import pytest
from small_texts import random_text
from small_tokenizers import KINDS, byte_bpe, word_level

from harness.prediction.fakes import character_tokenizer
from harness.task_types.tokens.sequences import fit_pairs, longest_first, separator, special_frame


@pytest.fixture(scope="module", params=[*KINDS, "characters"])
def tokenizer(request):
    return character_tokenizer() if request.param == "characters" else KINDS[request.param]()


def test_pairs_are_cut_as_the_tokenizer_cuts_them(tokenizer):
    rng = random.Random(5)
    for number in range(200):
        pair = number > 0 and rng.random() < 0.6
        first, second = random_text(rng) if number else "", random_text(rng) if pair else None
        max_length = rng.randrange(6, 40)
        (ours,) = fit_pairs([first], [second], tokenizer=tokenizer, max_length=max_length)
        # Where the tokenizer puts nothing between two texts, a line break stands.
        gap = separator(tokenizer) if pair and not tokenizer.num_special_tokens_to_add(pair=True) else []
        room = max_length - len(gap)
        both = ([first], [second] if pair else None)  # in lists: an empty text by itself would be taken for none
        (theirs,) = tokenizer(*both, truncation="longest_first", max_length=room).encodings
        if not theirs.ids and not gap:
            assert ours.sequence.input_ids == [special_frame(tokenizer, pair=pair).filler]
            continue
        end = theirs.sequence_ids.count(0) if gap else 0
        assert ours.sequence.input_ids == [*theirs.ids[:end], *gap, *theirs.ids[end:]]
        if "token_type_ids" in tokenizer.model_input_names:
            assert ours.sequence.type_ids == theirs.type_ids
        else:
            assert ours.sequence.type_ids is None
        (full,) = tokenizer(*both, verbose=False).encodings
        assert ours.num_truncated == len(full.ids) - len(theirs.ids)


def test_a_line_break_parts_two_texts_where_the_tokenizer_puts_nothing():
    bare, words = byte_bpe(prefix_space=False), word_level()
    (pair,) = fit_pairs(["the cat"], ["sat"], tokenizer=bare, max_length=20)
    assert bare.decode(pair.sequence.input_ids) == "the cat\nsat"
    assert pair.sequence.input_ids[pair.sequence.second_at :] == bare("sat")["input_ids"]
    assert separator(words) == [words.unk_token_id]  # it has no line break
    assert special_frame(words, pair=True).between == [words.sep_token_id] * 2  # what it puts itself stays as it is


@pytest.mark.parametrize(
    ("first", "second", "left", "kept"),
    [
        (3, 3, 6, (3, 3)),
        (9, 2, 6, (4, 2)),
        (2, 9, 6, (2, 4)),
        (9, 8, 7, (4, 3)),
        (8, 9, 7, (3, 4)),
        (9, 9, 7, (3, 4)),
        (9, 0, 7, (7, 0)),
    ],
)
def test_longest_first(first, second, left, kept):
    assert longest_first(first, second, left) == kept
