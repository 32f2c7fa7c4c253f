"""Every task type keeps the contract of its protocol, and refuses rows and lengths that do not fit."""

import pytest
from small_task_types import TYPES, assert_keeps_contract, examples_of
from small_tokenizers import word_level

from harness.api.errors import UserError
from harness.api.registry import TASK_TYPES
from harness.task_types import classification, span_qa, tagging


def test_all_types_are_registered():
    assert set(TYPES) <= set(TASK_TYPES.names())


@pytest.mark.parametrize("kind", TASK_TYPES.names())
def test_modules_keep_the_contract(kind):
    assert_keeps_contract(TASK_TYPES.load(kind))


@pytest.mark.parametrize("kind", ["classification", "multiple_choice", "tagging", "span_qa", "retrieval", "masked_lm"])
def test_too_small_max_length_is_a_user_error(kind):
    module = TYPES[kind]
    task, examples = examples_of(kind, module.SAMPLES)
    with pytest.raises(UserError, match="max_length=2 leaves no room"):
        module.encode(examples, task=task, tokenizer=word_level(), options=module.Options(max_length=2), train=False)


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
