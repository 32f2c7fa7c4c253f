"""What a task type encodes comes back through the oracle: with every tokenizer, for any text at any length."""

import dataclasses
import json
import random

import numpy as np
import pytest
from small_task_types import LABELS, TYPES, examples_of
from small_texts import NASTY, random_text
from small_tokenizers import KINDS

from harness.prediction.fakes import character_tokenizer
from harness.task_types import span_qa


@pytest.fixture(scope="module", params=[*KINDS, "characters"])
def tokenizer(request):
    return character_tokenizer() if request.param == "characters" else KINDS[request.param]()


def run_oracle(kind: str, tokenizer, examples, task, **options):
    module = TYPES[kind]
    options = module.Options(**options)
    features = module.encode(examples, task=task, tokenizer=tokenizer, options=options, train=False)
    check_features(features, options, len(examples))
    partials = []
    for feature in features:
        output = module.oracle(feature, examples[feature.example], task=task, options=options)
        assert output.dtype == np.float32
        partials.append(module.reduce(feature, output, task=task, options=options))
    if kind != "retrieval":
        partials = json.loads(json.dumps(partials))
    bare = [dataclasses.replace(feature, input_ids=[]) for feature in features]
    return features, module.decode(examples, bare, partials, task=task, options=options)


def check_features(features, options, num_examples):
    assert [(f.example, f.part) for f in features] == sorted((f.example, f.part) for f in features)
    assert {f.example for f in features} == set(range(num_examples))
    for feature in features:
        assert 1 <= len(feature.input_ids) <= options.max_length
        assert feature.type_ids is None or len(feature.type_ids) == len(feature.input_ids)
        assert not isinstance(feature.labels, list) or len(feature.labels) == len(feature.input_ids)
        assert json.loads(json.dumps(feature.info)) == feature.info
        assert feature.num_truncated >= 0


@pytest.mark.parametrize("kind", TYPES)
def test_samples_come_back_from_the_oracle(kind, tokenizer):
    task, examples = examples_of(kind, TYPES[kind].SAMPLES)
    assert len(examples) == len(TYPES[kind].SAMPLES)
    _, predictions = run_oracle(kind, tokenizer, examples, task)
    assert [p.id for p in predictions] == [e.id for e in examples]
    for example, prediction in zip(examples, predictions, strict=True):
        assert prediction.lang == "de"
        if kind == "span_qa":
            if "answer_off_token_boundaries" not in prediction.notes:
                assert prediction.prediction in prediction.gold
        else:
            assert prediction.prediction == prediction.gold
        assert kind == "masked_lm" or prediction.gold == example.gold
        json.dumps(dataclasses.asdict(prediction))


def test_span_samples_are_reachable_with_words(tokenizer):
    task, examples = examples_of("span_qa", span_qa.SAMPLES)
    _, predictions = run_oracle("span_qa", tokenizer, examples, task)
    reachable = sum("answer_off_token_boundaries" not in p.notes for p in predictions)
    assert reachable >= 4  # whole words with punctuation are one token of the word-level kind: "here", "home", ... are free of it


@pytest.mark.parametrize("kind", TYPES)
def test_encoding_does_not_depend_on_the_chunk(kind, tokenizer):
    module = TYPES[kind]
    task, examples = examples_of(kind, module.SAMPLES)
    together = module.encode(examples, task=task, tokenizer=tokenizer, options=module.Options(), train=False)
    alone = [
        dataclasses.replace(feature, example=index)
        for index, example in enumerate(examples)
        for feature in module.encode([example], task=task, tokenizer=tokenizer, options=module.Options(), train=False)
    ]
    assert together == alone
    assert module.encode([], task=task, tokenizer=tokenizer, options=module.Options(), train=True) == []


def random_row(kind, rng, number):
    row = {"id": f"r{number}"}
    if kind == "classification":
        pair = random_text(rng) if rng.random() < 0.5 else None
        return row | {"text": random_text(rng), "text_pair": pair, "label": rng.choice(LABELS[kind])}
    if kind == "tagging":
        tokens = [rng.choice([*NASTY, "cat", "x" * 40, "\u4e2d\u6587"]) for _ in range(rng.randrange(60))]
        return row | {"tokens": tokens, "tags": [rng.choice(LABELS[kind]) for _ in tokens]}
    if kind == "span_qa":
        context = random_text(rng, 80) + "the cat"
        start = rng.randrange(len(context))
        text = context[start : start + rng.randrange(1, 12)]
        return row | {"question": random_text(rng), "context": context, "answer_texts": [text], "answer_starts": [start]}
    if kind == "retrieval":
        return row | {"source": random_text(rng), "target": random_text(rng)}
    if kind == "multiple_choice":
        options = [random_text(rng) for _ in range(rng.randrange(1, 5))]
        return row | {"prompt": random_text(rng), "options": options, "label": rng.choice(LABELS[kind][: len(options)])}
    if kind == "masked_lm":
        return row | {"text": random_text(rng), "text_pair": random_text(rng) if rng.random() < 0.5 else None}
    return row | dict(rng.choice(TYPES[kind].SAMPLES))


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("seed", range(4))
def test_any_text_at_any_length(kind, seed, tokenizer):
    rng = random.Random(f"{kind} {seed}")
    task, examples = examples_of(kind, [random_row(kind, rng, i) for i in range(20)])
    options = {"max_length": rng.choice([7, 8, 11, 20, 64])}
    if kind == "span_qa":
        options |= {
            "doc_stride": rng.choice([1, 3, 8]),
            "max_query_length": rng.choice([1, 5, 64]),
            "n_best": rng.choice([1, 20]),
        }
    features, predictions = run_oracle(kind, tokenizer, examples, task, **options)
    assert len(predictions) == len(examples)
    for index, (example, prediction) in enumerate(zip(examples, predictions, strict=True)):
        own = [f for f in features if f.example == index]
        if kind != "span_qa":
            assert prediction.prediction == prediction.gold
        elif any(f.info["starts"] for f in own):
            assert bool(prediction.prediction) == bool(example.context.strip())
            assert prediction.prediction in example.context
            if len(own) == 1 and not prediction.notes:
                assert prediction.prediction == example.gold[0].strip()


@pytest.mark.parametrize("kind", TYPES)
def test_random_outputs_decode_and_constant_ones_take_the_first(kind, tokenizer):
    module = TYPES[kind]
    task, examples = examples_of(kind, module.SAMPLES)
    options = module.Options()
    features = module.encode(examples, task=task, tokenizer=tokenizer, options=options, train=False)
    rng = np.random.default_rng(0)
    for make in (lambda shape: rng.standard_normal(shape, dtype=np.float32), lambda shape: np.ones(shape, dtype=np.float32)):
        outputs = [make(module.oracle(f, examples[f.example], task=task, options=options).shape) for f in features]
        partials = [module.reduce(f, o, task=task, options=options) for f, o in zip(features, outputs, strict=True)]
        predictions = module.decode(examples, features, partials, task=task, options=options)
        assert len(predictions) == len(examples)
    if kind in ("classification", "multiple_choice"):  # constant: the lowest index among equals
        assert {p.prediction for p in predictions} == {task.labels[0]}
    if kind == "tagging":
        assert {tag for p in predictions for tag in p.prediction} == {task.labels[0]}
    if kind == "retrieval":
        assert {p.prediction for p in predictions} == {examples[0].id}
