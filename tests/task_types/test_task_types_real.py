"""Task types on real rows with a real tokenizer: what is out of reach is known, and nothing is lost."""

from collections import Counter

import pyarrow.parquet as pq
import pytest
from transformers import AutoTokenizer

from harness.specs.task import TaskSpec
from harness.task_types import span_qa, tagging

pytestmark = pytest.mark.real
LANGUAGES = ("Arabic", "Chinese", "Finnish", "German", "Hindi", "Japanese", "Korean", "Tamil", "Thai", "Yoruba")
WIKIANN = ("ar", "ja", "ka", "my", "ta", "yo", "zh")


@pytest.fixture(scope="module")
def tokenizer(e5):
    return AutoTokenizer.from_pretrained(e5)


def rows(shared, config, split, limit=None):
    (path,) = (shared / "hub" / "google" / "xtreme" / config).glob(f"{split}-*.parquet")
    return pq.read_table(path).slice(0, limit).to_pylist()


def task_of(kind, labels=()):
    return TaskSpec(task="t", type=kind, description="d", fields={}, labels=labels)


def questions(shared, config, limit=None):
    task = task_of("span_qa")
    mapped = [
        {
            "id": row["id"],
            "question": row["question"],
            "context": row["context"],
            "answer_texts": row["answers"]["text"],
            "answer_starts": row["answers"]["answer_start"],
        }
        for row in rows(shared, config, "validation", limit)
    ]
    return task, [span_qa.build(row, task=task, lang="xx", row_id=str(i)) for i, row in enumerate(mapped)]


# Answers that XLM-R's tokens cannot give exactly, of 1,190: too long for 30 tokens, not at token boundaries.
@pytest.mark.parametrize(("lang", "too_long", "off"), [("zh", 4, 16), ("ar", 5, 35), ("hi", 8, 11), ("th", 6, 18)])
def test_every_xquad_answer_within_the_limits_is_reached(shared, tokenizer, lang, too_long, off):
    task, examples = questions(shared, f"XQuAD.{lang}")
    predictions = oracle_predictions(task, examples, tokenizer)
    assert len(predictions) == 1190
    assert Counter(note for p in predictions for note in p.notes) == {
        "answer_longer_than_limit": too_long,
        "answer_off_token_boundaries": off,
    }
    for prediction in predictions:
        assert (prediction.prediction in prediction.gold) == (not prediction.notes)


def test_every_tydiqa_answer_within_the_limits_is_reached(shared, tokenizer):
    task, examples = questions(shared, "tydiqa")
    examples = examples[::5]
    predictions = oracle_predictions(task, examples, tokenizer)
    assert sum(p.prediction in p.gold for p in predictions) > 0.85 * len(predictions)
    for prediction in predictions:
        if not prediction.notes:
            assert prediction.prediction in prediction.gold
        if prediction.notes == ("answer_off_token_boundaries",):
            assert any(answer.strip() in prediction.prediction for answer in prediction.gold)


def oracle_predictions(task, examples, tokenizer):
    options = span_qa.Options()
    features = span_qa.encode(examples, task=task, tokenizer=tokenizer, options=options, train=False)
    assert all(len(f.input_ids) <= 384 for f in features)
    assert max(f.part for f in features) > 0
    outputs = [span_qa.oracle(f, examples[f.example], task=task, options=options) for f in features]
    partials = [span_qa.reduce(f, o, task=task, options=options) for f, o in zip(features, outputs, strict=True)]
    return span_qa.decode(examples, features, partials, task=task, options=options)


def sentences(shared, config, column):
    found = rows(shared, config, "test", 400)
    labels = tuple(sorted({str(tag) for row in found for tag in row[column]}))
    task = task_of("tagging", labels)
    mapped = [{"tokens": row["tokens"], "tags": row[column]} for row in found]
    return task, [tagging.build(row, task=task, lang="xx", row_id=str(i)) for i, row in enumerate(mapped)]


CONFIGS = [(f"udpos.{name}", "pos_tags") for name in LANGUAGES] + [(f"PAN-X.{code}", "ner_tags") for code in WIKIANN]


@pytest.mark.parametrize("max_length", [128, 24])
@pytest.mark.parametrize(("config", "column"), CONFIGS)
def test_every_token_gets_a_tag(shared, tokenizer, config, column, max_length):
    task, examples = sentences(shared, config, column)
    options = tagging.Options(max_length=max_length)
    features = tagging.encode(examples, task=task, tokenizer=tokenizer, options=options, train=False)
    assert all(len(f.input_ids) <= max_length - 1 for f in features)
    outputs = [tagging.oracle(f, examples[f.example], task=task, options=options) for f in features]
    partials = [tagging.reduce(f, o, task=task, options=options) for f, o in zip(features, outputs, strict=True)]
    predictions = tagging.decode(examples, features, partials, task=task, options=options)
    assert [p.prediction for p in predictions] == [example.gold for example in examples]
    assert tagging.num_targets(features) == sum(len(example.tokens) for example in examples)
    # Word by word is how running text is tokenized: short sentences without unknown words have the tokenizer's own ids.
    whole = [f for f in features if len(f.info) == len(examples[f.example].tokens) and tokenizer.unk_token_id not in f.input_ids]
    own = tokenizer([" ".join(examples[f.example].tokens) for f in whole])["input_ids"]
    same = sum(f.input_ids == ids for f, ids in zip(whole, own, strict=True))
    assert same >= 0.99 * len(whole)


def test_words_without_subwords_are_real(shared, tokenizer):
    empty = [
        (config, word)
        for config in (
            "PAN-X.fa",
            "PAN-X.my",
            "PAN-X.ml",
            "PAN-X.he",
            "PAN-X.ar",
            "PAN-X.bn",
            "udpos.Persian",
            "udpos.Vietnamese",
        )
        for row in rows(shared, config, "test")
        for word in row["tokens"]
        if word and not word.isascii() and not word.isalpha() and not tokenizer(word, add_special_tokens=False)["input_ids"]
    ]
    assert empty
    task = task_of("tagging", ("A",))
    for _, word in empty[:20]:
        example = tagging.build({"tokens": ["a", word, "a"], "tags": ["A"] * 3}, task=task, lang="xx", row_id="0")
        (feature,) = tagging.encode([example], task=task, tokenizer=tokenizer, options=tagging.Options(), train=False)
        assert feature.input_ids[feature.info[1]] == tokenizer.unk_token_id
