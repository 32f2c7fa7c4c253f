"""Every task type with every kind of tokenizer: samples through the whole type, properties, and hand-made features."""

import dataclasses
import inspect
import json
import math
import random

import numpy as np
import pytest
import torch
from small_tokenizers import KINDS, byte_bpe, word_level, word_piece

from harness.api.errors import UserError
from harness.api.protocols import TaskType
from harness.api.registry import TASK_TYPES
from harness.prediction.batching import collate
from harness.prediction.fakes import character_tokenizer
from harness.specs.task import TaskSpec
from harness.task_types import classification, masked_lm, multiple_choice, retrieval, span_qa, tagging
from harness.task_types.tokens.sequences import fit_pairs, longest_first, separator, special_frame

TYPES = {
    "classification": classification,
    "multiple_choice": multiple_choice,
    "tagging": tagging,
    "span_qa": span_qa,
    "retrieval": retrieval,
    "masked_lm": masked_lm,
}
LABELS = {
    "classification": ("contradiction", "entailment", "neutral"),
    "multiple_choice": ("A", "B", "C", "D"),
    "tagging": ("PROPN", "PUNCT", "VERB", "X"),
}
NASTY = [
    "",
    " ",
    "\n",
    "\u200b",
    "\u200f",
    "\u0301",
    "\U0001f469\u200d\U0001f467",
    "\ufdfa",
    "<s>",
    "a\u00a0b",
    "\u0e01\u0e33",
    "the cat",
]


@pytest.fixture(scope="module", params=[*KINDS, "characters"])
def tokenizer(request):
    return character_tokenizer() if request.param == "characters" else KINDS[request.param]()


def spec(kind: str, **changes) -> TaskSpec:
    fields = {name.rstrip("?"): name.rstrip("?") for name in TYPES[kind].FIELDS}
    return TaskSpec(task="t", type=kind, description="d", fields=fields, labels=LABELS.get(kind, ()), **changes)


def examples_of(kind: str, rows, **changes):
    task = spec(kind, **changes)
    built = [TYPES[kind].build(row, task=task, lang="de", row_id=str(i)) for i, row in enumerate(rows)]
    return task, [example for example in built if example is not None]


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


def test_all_types_are_registered():
    assert set(TYPES) <= set(TASK_TYPES.names())


@pytest.mark.parametrize("kind", TYPES)
def test_modules_keep_the_contract(kind):
    module = TYPES[kind]
    for name, member in vars(TaskType).items():
        if inspect.isfunction(member) and not name.startswith("_"):
            wanted = [(p.name, p.kind) for p in inspect.signature(member).parameters.values()][1:]  # without self
            assert [(p.name, p.kind) for p in inspect.signature(getattr(module, name)).parameters.values()] == wanted
    for name in set(TaskType.__annotations__) - {"Options"}:
        assert getattr(module, name) is not None
    assert all(field.description for field in module.Options.model_fields.values())
    assert module.ROUTES
    assert all({key.rstrip("?") for key in module.FIELDS} >= set(row) for row in module.SAMPLES)


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


def random_text(rng, words=30):
    return " ".join(
        rng.choice([*NASTY, "cat", "word\u4e2d\u6587", "\u0643\u062a\u0628\u062a", "x" * 9]) for _ in range(rng.randrange(words))
    )


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
    return row | {"text": random_text(rng), "text_pair": random_text(rng) if rng.random() < 0.5 else None}


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


@pytest.mark.parametrize("kind", ["classification", "multiple_choice", "tagging", "span_qa", "retrieval", "masked_lm"])
def test_too_small_max_length_is_a_user_error(kind):
    module = TYPES[kind]
    task, examples = examples_of(kind, module.SAMPLES)
    with pytest.raises(UserError, match="max_length=2 leaves no room"):
        module.encode(examples, task=task, tokenizer=word_level(), options=module.Options(max_length=2), train=False)


def test_pairs_are_cut_as_the_tokenizer_cuts_them(tokenizer):
    rng = random.Random(5)
    for _ in range(60):
        pair = rng.random() < 0.6
        first, second = random_text(rng), random_text(rng) if pair else None
        max_length = rng.randrange(6, 40)
        (ours,) = fit_pairs([first], [second], tokenizer=tokenizer, max_length=max_length)
        # Where the tokenizer puts nothing between two texts, a line break stands.
        gap = separator(tokenizer) if pair and not tokenizer.num_special_tokens_to_add(pair=True) else []
        room = max_length - len(gap)
        theirs = tokenizer(first, second, truncation="longest_first", max_length=room, return_token_type_ids=True)
        if not theirs["input_ids"] and not gap:
            assert ours.sequence.input_ids == [special_frame(tokenizer, pair=pair).filler]
            continue
        end = theirs.sequence_ids().count(0) if gap else 0
        assert ours.sequence.input_ids == [*theirs["input_ids"][:end], *gap, *theirs["input_ids"][end:]]
        if "token_type_ids" in tokenizer.model_input_names:
            assert ours.sequence.type_ids == theirs["token_type_ids"]
        else:
            assert ours.sequence.type_ids is None
        full = tokenizer(first, second, verbose=False)["input_ids"]
        assert ours.num_truncated == len(full) - len(theirs["input_ids"])


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


def test_classification_features_by_hand():
    tokenizer = word_piece(["new", "old", "##er", "all"])  # ids 5, 6, 7, 8
    rows = [
        {"id": 7, "text": "all new", "text_pair": "older", "label": "entailment"},
        {"text": "newer all all all", "text_pair": "old old", "label": 2},
        {"text": "all", "label": None},
        {"text": "all", "label": -1},
    ]
    values = {"2": "neutral", "-1": "drop"}
    task, examples = examples_of("classification", rows, label_values=values)
    features = classification.encode(
        examples, task=task, tokenizer=tokenizer, options=classification.Options(max_length=8), train=True
    )
    assert [(e.id, e.gold) for e in examples] == [("7", "entailment"), ("1", "neutral"), ("2", None)]
    assert [f.input_ids for f in features] == [[0, 8, 5, 2, 6, 7, 2], [0, 5, 7, 8, 2, 6, 6, 2], [0, 8, 2]]
    assert [f.type_ids for f in features] == [[0, 0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 0, 1, 1, 1], [0, 0, 0]]
    assert [f.labels for f in features] == [1, 2, None]
    assert [f.num_truncated for f in features] == [0, 2, 0]
    assert classification.num_targets(features) == 2


def test_classification_loss_is_the_sum_over_examples():
    task, examples = examples_of("classification", [{"text": "a", "label": label} for label in LABELS["classification"]])
    features = classification.encode(examples, task=task, tokenizer=word_level(), options=classification.Options(), train=True)
    batch = collate(features, pad_id=1)
    assert classification.loss(torch.zeros(3, 3), batch, classification.Options()).item() == pytest.approx(3 * math.log(3))


@pytest.mark.parametrize(
    ("kind", "row", "message"),
    [
        ("classification", {"text": "a", "label": "entailmnt"}, "did you mean 'entailment'"),
        ("classification", {"text": None, "label": "neutral"}, "'text' has no value"),
        ("classification", {"text": 3, "label": "neutral"}, "found: int 3"),
        ("tagging", {"tokens": ["a", "b"], "tags": ["X"]}, "expected: 2 tags"),
        ("tagging", {"tokens": ["a", None], "tags": ["X", "X"]}, "a list of str"),
        ("tagging", {"tokens": "ab", "tags": ["X", "X"]}, "a list of str"),
        ("tagging", {"tokens": ["a"], "tags": [5]}, "the raw value 5"),
        ("span_qa", {"question": "q", "context": "c", "answer_texts": ["c"], "answer_starts": []}, "differ in number"),
        ("span_qa", {"question": "q", "context": "c", "answer_texts": ["c"], "answer_starts": ["0"]}, "a list of int"),
        ("retrieval", {"source": "a"}, "'target' has no value"),
        ("masked_lm", {"text": ["a"]}, "'text' is no text"),
    ],
)
def test_rows_that_do_not_fit_are_user_errors(kind, row, message):
    with pytest.raises(UserError, match=message):
        examples_of(kind, [row])


def test_texts_say_which_rows_are_the_same_item():
    _, (pair, single) = examples_of("classification", [{"text": "a", "text_pair": "b"}, {"text": "a"}])
    assert (classification.texts(pair), classification.texts(single)) == (("a", "b"), ("a",))
    _, (sentence,) = examples_of("tagging", [{"tokens": ["a", "b"]}])
    assert tagging.texts(sentence) == ("a b",)
    _, (question,) = examples_of("span_qa", [{"question": "q", "context": "c"}])
    assert span_qa.texts(question) == ("q", "c")


def test_retrieval_asks_in_english_and_searches_all_foreign_sentences():
    rows = [{"id": name, "source": f"{name}s\n", "target": f"{name}t"} for name in "abc"]
    task, examples = examples_of("retrieval", rows)
    examples[1] = dataclasses.replace(examples[1], query=False)
    options = retrieval.Options(prefix="query: ", layer=0.583)
    tokenizer = word_level(["query:", "as", "at", "bs", "bt", "cs", "ct"])
    features = retrieval.encode(examples, task=task, tokenizer=tokenizer, options=options, train=False)
    assert [(f.example, f.part, f.input_ids) for f in features] == [
        (0, 0, [0, 5, 6, 2]),
        (0, 1, [0, 5, 7, 2]),
        (1, 0, [0, 5, 8, 2]),
        (2, 0, [0, 5, 10, 2]),
        (2, 1, [0, 5, 11, 2]),
    ]
    assert len(retrieval.encode(examples, task=task, tokenizer=tokenizer, options=options, train=True)) == 6
    assert retrieval.pools(options).layer == 0.583
    # Lengths differ so that the inner product and the cosine disagree; source b is the nearest of query a.
    vectors = [[9, 9], [0, 2], [0.1, 1], [3, 0], [1, 0.2]]
    partials = [retrieval.reduce(f, np.array(v), task=task, options=options) for f, v in zip(features, vectors, strict=True)]
    predictions = retrieval.decode(examples, features, partials, task=task, options=options)
    assert [(p.id, p.prediction, p.gold) for p in predictions] == [("a", "b", "a"), ("c", "c", "c")]
    silent = [dataclasses.replace(example, query=False) for example in examples]
    assert retrieval.decode(silent, features, partials, task=task, options=options) == []


def test_retrieval_loss_ranks_translations_in_both_directions():
    task, examples = examples_of("retrieval", [{"source": "a", "target": "b"}, {"source": "c", "target": "d"}])
    options = retrieval.Options(temperature=0.5)
    features = retrieval.encode(examples, task=task, tokenizer=word_level(), options=options, train=True)
    shuffled = [features[i] for i in (3, 0, 2, 1)]  # a device may order features by length
    source, target = torch.tensor([[2.0, 0], [0, 1]]), torch.tensor([[1.0, 0], [1, 1]])
    outputs = torch.stack([target[1], source[0], source[1], target[0]])
    half = math.sqrt(0.5)
    cosines = torch.tensor([[1, 0], [half, half]]) / 0.5  # targets x sources
    expected = -(cosines.log_softmax(1).diag().sum() + cosines.log_softmax(0).diag().sum()) / 2
    assert retrieval.loss(outputs, collate(shuffled, pad_id=1), options).item() == pytest.approx(expected.item(), rel=1e-6)
    assert retrieval.num_targets(features) == 2
    assert retrieval.head(task, options) is None


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
