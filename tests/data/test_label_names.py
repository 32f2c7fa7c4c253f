"""Class numbers of the data become the task's labels by name, and a class that has no name is an error."""

import pytest
from small_mirrors import NLI, NliMirror, labelled, nli_task, pair

from harness.api.errors import UserError
from harness.data.examples import load_examples
from harness.data.label_names import label_name, label_names


@pytest.fixture
def mirror(tmp_path):
    return NliMirror(tmp_path / "mirror")


def golds(task, mirror):
    return [e.gold for e in load_examples(task, split="test", langs=["de"], place=mirror.place).examples]


def test_class_numbers_take_the_names_of_the_data_whatever_the_order_of_the_task(mirror):
    mirror("de/test-0.parquet", [pair(0, 0), pair(1, 1), pair(2, 2)], labelled())
    assert golds(nli_task(), mirror) == NLI


def test_class_numbers_without_names_are_places_in_the_tasks_labels(mirror):
    mirror("de/test-0.parquet", [pair(0, 0), pair(1, 1), pair(2, 2)])
    assert golds(nli_task(), mirror) == ["neutral", "contradiction", "entailment"]


def test_label_values_name_numbers_and_names(mirror):
    mirror("de/test-0.parquet", [pair(0, 0), pair(1, 1), pair(2, 2)], labelled(["e", "neutral", "c"]))
    values = {"e": "entailment", "2": "neutral", "neutral": "drop"}
    assert golds(nli_task(label_values=values), mirror) == ["entailment", "neutral"]


def test_rows_without_a_label_are_dropped_and_counted(mirror):
    mirror("de/test-0.parquet", [pair(0, -1), pair(1, 1)], labelled())
    found = load_examples(nli_task(), split="test", langs=["de"], place=mirror.place)
    assert ([e.id for e in found.examples], found.num_rows, found.num_dropped) == (["1"], 2, 1)


def test_a_class_that_is_no_label_of_the_task_names_both_lists(mirror):
    mirror("de/test-0.parquet", [pair(0, 0)], labelled(["other", "neutral", "contradiction"]))
    with pytest.raises(UserError) as error:
        golds(nli_task(), mirror)
    assert "de/test-0.parquet, row 1: the data's class 'other' is no label" in str(error.value)
    assert "classes of the data: other, neutral, contradiction" in str(error.value)
    assert "labels of the task: neutral, contradiction, entailment" in str(error.value)


def test_a_class_number_out_of_range_is_an_error(mirror):
    mirror("de/test-0.parquet", [pair(0, 3)], labelled())
    with pytest.raises(UserError, match="class number 3 has no name"):
        golds(nli_task(), mirror)


def test_tags_are_mapped_one_by_one(mirror):
    tags = {"tags": {"_type": "Sequence", "feature": {"_type": "ClassLabel", "names": ["O", "B-LOC"]}}}
    mirror("de/test-0.parquet", [{"tokens": ["in", "Rom"], "tags": [0, 1]}], tags)
    task = nli_task(type="tagging", fields={"tokens": "tokens", "tags": "tags"}, labels=["B-LOC", "O"])
    assert golds(task, mirror) == [["O", "B-LOC"]]


def test_many_values_are_what_each_of_them_is():
    task = nli_task(label_values={"1": "neutral", "true": "entailment", "x": "drop"})
    for _ in range(2):  # what was looked up before stays what it was
        for values in (["neutral", "1", "True"], [1, True, "neutral"], ["entailment", 1.0], []):
            assert label_names(values, task) == [label_name(value, task) for value in values]
        assert label_names(["neutral", "x"], task) is None
    with pytest.raises(UserError, match="cannot be compared"):
        label_names(["neutral", ["1"]], task)
    other = nli_task(label_values={"1": "contradiction"})
    assert label_names(["1", "neutral"], other) == ["contradiction", "neutral"]


def test_tags_whose_numbers_came_before_are_mapped_alike(mirror):
    tags = {"tags": {"_type": "Sequence", "feature": {"_type": "ClassLabel", "names": ["O", "B-LOC"]}}}
    mirror("de/test-0.parquet", [{"tokens": ["in", "Rom"], "tags": [0, 1]}, {"tokens": ["Rom"], "tags": [1]}], tags)
    task = nli_task(type="tagging", fields={"tokens": "tokens", "tags": "tags"}, labels=["B-LOC", "O"])
    assert golds(task, mirror) == [["O", "B-LOC"], ["B-LOC"]]
