"""Span QA: windows, which window may start an answer, offsets, and the search for the best span, against plain loops."""

import random

import numpy as np
import pytest
import torch
from small_tokenizers import KINDS, byte_bpe, word_level, word_piece
from tokenizers import Regex, normalizers

from harness.prediction.batching import collate
from harness.specs.task import TaskSpec
from harness.task_types import span_qa
from harness.task_types.tokens.windows import Window, locate, tokenize_contexts, windows

TASK = TaskSpec(task="t", type="span_qa", description="d", fields={name: name for name in span_qa.FIELDS})


def example(context, *answers, question="who"):
    texts, starts = [text for text, _ in answers], [start for _, start in answers]
    row = {"question": question, "context": context, "answer_texts": texts, "answer_starts": starts}
    return span_qa.build(row, task=TASK, lang="de", row_id="0")


def encode(examples, tokenizer, train=False, **options):
    return span_qa.encode(examples, task=TASK, tokenizer=tokenizer, options=span_qa.Options(**options), train=train)


def predict(sample, features, outputs, **options):
    options = span_qa.Options(**options)
    partials = [span_qa.reduce(f, o, task=TASK, options=options) for f, o in zip(features, outputs, strict=True)]
    return span_qa.decode([sample], features, partials, task=TASK, options=options)[0]


def by_oracle(sample, features, **options):
    return predict(
        sample, features, [span_qa.oracle(f, sample, task=TASK, options=span_qa.Options()) for f in features], **options
    )


def plain_windows(num_tokens, room, step):
    """run_squad: windows every `step` tokens until one reaches the end; a token belongs to that with the most context."""
    spans, start = [], 0
    while True:
        spans.append((start, min(room, num_tokens - start)))
        if start + room >= num_tokens:
            break
        start += step
    owners = []
    for token in range(num_tokens):
        best = None
        for number, (begin, length) in enumerate(spans):
            if begin <= token < begin + length:
                score = min(token - begin, begin + length - 1 - token) + 0.01 * length
                if best is None or score > best[0]:
                    best = (score, number)
        owners.append(best[1])
    return spans, owners


def test_windows_are_those_of_run_squad():
    rng = random.Random(0)
    cases = [(rng.randrange(1, 40), rng.randrange(1, 200)) for _ in range(300)]
    for room, num_tokens, step in [(r, n, rng.randrange(1, r + 1)) for r, n in cases] + [(316, 1000, 128), (377, 900, 128)]:
        spans, owners = plain_windows(num_tokens, room, step)
        found = windows(num_tokens, room=room, step=step)
        assert [(w.begin, w.end - w.begin) for w in found] == spans
        scored = [number for number, w in enumerate(found) for _ in range(w.scored_begin, w.scored_end)]
        assert scored == owners  # each token once, in order: the tokens of a window are one range


def test_windows_by_hand():
    assert windows(0, room=5, step=2) == [Window(0, 0, 0, 0)]
    assert windows(5, room=5, step=2) == [Window(0, 5, 0, 5)]
    assert windows(6, room=5, step=2) == [Window(0, 5, 0, 4), Window(2, 6, 4, 6)]
    assert [w.begin for w in windows(10, room=3, step=50)] == [0, 3, 6, 9]  # a stride beyond the window skips nothing


def test_windows_and_labels_by_hand():
    tokenizer = word_level(["who", "is", "it", *"abcdefg"])  # who=5 ... a=8 ... g=14; 4 special tokens
    sample = example("a b  c d e f g", ("e f", 9), question="who is it who")
    features = encode([sample], tokenizer, max_length=10, doc_stride=2, max_query_length=2)
    assert [f.input_ids for f in features] == [
        [0, 5, 6, 2, 2, 8, 9, 10, 11, 2],
        [0, 5, 6, 2, 2, 10, 11, 12, 13, 2],
        [0, 5, 6, 2, 2, 12, 13, 14, 2],
    ]
    assert [f.labels for f in features] == [(0, 0), (7, 8), (5, 6)]
    assert [f.num_truncated for f in features] == [2, 0, 0]
    assert features[0].info == {"at": 5, "starts": [0, 2, 5, 7], "ends": [1, 3, 6, 8], "scored": [0, 3], "notes": []}
    assert [f.info["scored"] for f in features] == [[0, 3], [1, 3], [1, 3]]
    assert by_oracle(sample, features).prediction == "e f"
    assert span_qa.num_targets(features) == 3


def test_token_types_and_single_separator():
    tokenizer = word_piece(["who", "a", "##b"])
    (feature,) = encode([example("ab a", ("a", 3))], tokenizer)
    assert feature.input_ids == [0, 5, 2, 6, 7, 6, 2]
    assert feature.type_ids == [0, 0, 0, 1, 1, 1, 1]
    assert feature.labels == (5, 5)


@pytest.mark.parametrize(
    ("context", "answer"),
    [
        ("one two three", ("three", 8)),
        ("one two three", ("one", 0)),
        ("  one \n two", ("two", 8)),
        ("x \U0001f469\u200d\U0001f467 two \U0001f600", ("\U0001f600", 10)),
        (
            "\u0643\u062a\u0628\u062a \u0644\u064a\u0644\u0649 \u0627\u0644\u0643\u062a\u0627\u0628",
            ("\u0644\u064a\u0644\u0649", 5),
        ),
        ("e\u0301t\u00e9 one \u00e9", ("one", 5)),
        ("\ufb01ne one", ("one", 4)),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_cut_out_by_characters(kind, context, answer):
    text, start = answer
    assert context[start : start + len(text)] == text
    sample = example(context, answer)
    assert by_oracle(sample, encode([sample], KINDS[kind]())).prediction == text


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_anywhere_in_a_long_context_is_found(kind):
    tokenizer = KINDS[kind]()
    for place in [*range(0, 300, 7), 299]:
        words = ["cat"] * 300
        words[place] = "berlin"
        context = " ".join(words)
        sample = example(context, ("berlin", context.index("berlin")))
        features = encode([sample], tokenizer, max_length=64, doc_stride=16)
        assert len(features) > 10
        assert by_oracle(sample, features).prediction == "berlin"


def test_answers_are_looked_up_again_where_the_offset_is_wrong():
    assert locate("one two one two one", "one", 8) == 8
    assert locate("one two one two one", "one", 9) == 8
    assert locate("one two one two one", "one", 13) == 16
    assert locate("one two", "three", 0) is None
    assert locate("one two", "one", -7) == 0
    assert locate("one", "", 0) is None
    assert locate("aaa", "aa", 1) == 1


def test_a_row_without_its_answer_is_scored_but_not_trained_on():
    rows = [example("a b", ("zzz", 0)), example("a b", ("b", 2))]
    tokenizer = word_level(["a", "b", "who"])
    assert [f.example for f in encode(rows, tokenizer, train=True)] == [1]
    lost, found = encode(rows, tokenizer)
    assert (lost.labels, found.labels) == (None, (5, 5))
    prediction = by_oracle(rows[0], [lost])
    assert prediction.notes == ("answer_not_in_context",)
    assert prediction.gold == ["zzz"]
    assert prediction.prediction


def test_answers_out_of_reach_are_noted():
    tokenizer = word_level(["who", "a", "b", "abc"])
    assert encode([example("a b a b", ("a b a", 0))], tokenizer, max_answer_length=2)[0].info["notes"] == [
        "answer_longer_than_limit"
    ]
    assert encode([example("abc b", ("bc", 1))], tokenizer)[0].info["notes"] == ["answer_off_token_boundaries"]
    both = example("a b a b", ("a b a", 0), ("b", 6))
    (feature,) = encode([both], tokenizer, max_answer_length=2)
    assert feature.info["notes"] == []
    assert feature.labels == (7, 7)  # the answer within the limit


def test_unanswerable_questions_need_allow_empty():
    sample = example("a b")
    assert sample.gold == [""]
    tokenizer = word_level(["who", "a", "b"])
    assert encode([sample], tokenizer, train=True) == []
    (feature,) = encode([sample], tokenizer, train=True, allow_empty=True)
    assert feature.labels == (0, 0)
    assert by_oracle(sample, [feature], allow_empty=True).prediction == {"text": "a", "null_odds": 2.0}
    assert by_oracle(sample, [feature]).prediction == "a"
    unlabelled = span_qa.build({"question": "q", "context": "c"}, task=TASK, lang="de", row_id="0")
    assert unlabelled.gold is None


def test_a_context_without_tokens_has_no_prediction():
    sample = example(" \n ", ("x", 0))
    features = encode([sample], word_level(["who"]))
    assert len(features) == 1
    assert by_oracle(sample, features).prediction is None
    assert by_oracle(sample, features, allow_empty=True).prediction == {"text": "", "null_odds": 0.0}


def test_whitespace_is_never_part_of_an_answer():
    tokenizer = byte_bpe(prefix_space=False)
    context = "cat   \n cat  "
    (found,) = tokenize_contexts(tokenizer, [context])
    assert all(context[s:e] == context[s:e].strip() for s, e in zip(found.starts, found.ends, strict=True))
    sample = example(context, ("cat", 8))
    (feature,) = encode([sample], tokenizer)
    rng = np.random.default_rng(0)
    for _ in range(50):
        prediction = predict(sample, [feature], [rng.standard_normal((len(feature.input_ids), 2))]).prediction
        assert prediction
        assert prediction == prediction.strip()


def test_joiners_that_no_token_has_end_the_word_before():
    word, joined = "\u0c17\u0c4d\u0c35\u0c3e\u0c32\u0c4d", "\u0c17\u0c4d\u0c35\u0c3e\u0c32\u0c4d\u200c"
    dropping = word_level([word])
    dropping.backend_tokenizer.normalizer = normalizers.Replace(Regex("[\u200b\u200c]"), "")
    for context in (f"{joined} {word}", f"{word} {joined}"):
        (found,) = tokenize_contexts(dropping, [context])
        assert [context[s:e] for s, e in zip(found.starts, found.ends, strict=True)] == context.split()
    (found,) = tokenize_contexts(dropping, [f"{word}\u200b."])  # a zero width space is no letter
    assert found.ends[0] != len(word) + 1
    tokenizer = byte_bpe(prefix_space=False)  # has tokens for the bytes of a joiner
    (found,) = tokenize_contexts(tokenizer, [f"cat{joined[-1]}"])
    assert found.ends[0] <= 3 < found.ends[-1]


def plain_best(feature, output, options):
    """The best span by run_squad's loops over the n_best starts and ends."""
    info = feature.info
    count = len(info["starts"])

    def ranked(column):
        return sorted(range(len(output)), key=lambda i: (-output[i, column], i))[: options.n_best]

    best = None
    for start in ranked(0):
        for end in ranked(1):
            first, last = start - info["at"], end - info["at"]
            if not (0 <= first < count and 0 <= last < count and first <= last):
                continue
            if last - first + 1 > options.max_answer_length or not info["scored"][0] <= first < info["scored"][1]:
                continue
            score = float(output[start, 0]) + float(output[end, 1])
            if best is None or score > best[0]:
                best = (score, info["starts"][first], info["ends"][last])
    return best


@pytest.mark.parametrize("seed", range(30))
def test_the_best_span_is_that_of_plain_loops(seed):
    rng = np.random.default_rng(seed)
    sample = example(" ".join(["a", "b"] * 40), ("a", 0))
    options = span_qa.Options(
        max_length=40, doc_stride=9, n_best=int(rng.integers(1, 21)), max_answer_length=int(rng.integers(1, 9))
    )
    features = span_qa.encode([sample], task=TASK, tokenizer=word_level(["who", "a", "b"]), options=options, train=False)
    outputs = [rng.integers(0, 6, (len(f.input_ids), 2)).astype(np.float32) for f in features]  # with many equals
    plain = [plain_best(f, o, options) for f, o in zip(features, outputs, strict=True)]
    for feature, output, best in zip(features, outputs, plain, strict=True):
        found = span_qa.reduce(feature, output, task=TASK, options=options)
        assert found[3] == output[0].sum()
        if best is not None:
            assert tuple(found[:3]) == best
        else:  # nothing among the n_best: every position was tried
            assert found[0] is not None
    if None not in plain:
        winner = max(plain, key=lambda span: span[0])
        assert predict(sample, features, outputs, **options.model_dump()).prediction == sample.context[winner[1] : winner[2]]


def test_null_odds_are_the_lowest_null_score_of_the_windows_minus_the_best_span():
    sample = example("a b a b a b", ("a", 0))
    tokenizer = word_level(["who", "a", "b"])
    options = {"max_length": 8, "doc_stride": 1, "allow_empty": True}
    features = encode([sample], tokenizer, **options)
    outputs = [np.zeros((len(f.input_ids), 2), dtype=np.float32) for f in features]
    outputs[1][5, 0] = 3
    for output in outputs:
        output[0] = 2
    best = predict(sample, features, outputs, **{**options, "allow_empty": False}).prediction
    assert best in ("a", "b", "a b")
    assert predict(sample, features, outputs, **options).prediction == {"text": best, "null_odds": 4.0 - 3.0}
    outputs[2][0] = [1, 0.5]
    assert predict(sample, features, outputs, **options).prediction == {"text": best, "null_odds": 1.5 - 3.0}


def test_without_allow_empty_there_is_always_an_answer():
    sample = example("a b a b a b", ("a", 0))
    features = encode([sample], word_level(["who", "a", "b"]), max_length=8, doc_stride=1)
    outputs = [np.zeros((len(f.input_ids), 2), dtype=np.float32) for f in features]
    for output in outputs:
        output[0] = 99  # as a model that learnt SQuAD 2.0 says "no answer"
    prediction = predict(sample, features, outputs).prediction
    assert isinstance(prediction, str)
    assert prediction in ("a", "b", "a b", "b a")


def test_loss_is_the_mean_of_start_and_end_over_real_positions():
    tokenizer = word_level(["who", "a", "b"])
    samples = [example("a b", ("b", 2)), example("a b a b a", ("a", 0)), example("a", ("zzz", 0))]
    features = encode(samples, tokenizer)
    batch = collate(features, pad_id=1)
    logits = torch.randn(*batch.input_ids.shape, 2, generator=torch.Generator().manual_seed(0))
    expected = 0.0
    for row, feature in enumerate(features[:2]):
        own = logits[row, : len(feature.input_ids)].log_softmax(0)
        expected -= (own[feature.labels[0], 0] + own[feature.labels[1], 1]).item() / 2
    assert span_qa.loss(logits, batch, span_qa.Options()).item() == pytest.approx(expected, rel=1e-6)
    assert span_qa.num_targets(features) == 2
