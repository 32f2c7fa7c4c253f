"""Answers to lm-eval tasks are filtered and scored as lm-eval does it."""

import pytest
from small_lm_eval_parts import CODE, telling, write

from harness.api.errors import UserError
from harness.planning.catalog.lm_eval_files.conversion import convert
from harness.planning.catalog.lm_eval_files.yaml_reader import read_file
from harness.specs.lm_eval import Filter, LmEvalMetric, Step
from harness.task_types.lm_eval_harness.filters import apply_filter
from harness.task_types.lm_eval_harness.process_results import score
from harness.task_types.lm_eval_harness.task_code import TaskCode


def filtered(answers, *steps, rows=None):
    made = Filter(name="f", steps=tuple(Step(function=name, options=options) for name, options in steps))
    return apply_filter(made, answers, rows or [{}] * len(answers), code=CODE)


def test_filters_give_what_those_of_lm_eval_give():
    first = ("take_first", {})
    assert filtered([["a", "b"], ["c", "d"]], first) == ["a", "c"]
    assert filtered([[" A ", "b"]], ("remove_whitespace", {}), ("lowercase", {}), first) == ["a"]
    assert filtered([["a", "b", "b"]], ("majority_vote", {}), first) == ["b"]
    assert filtered([["a", "b", "c"]], ("take_first_k", {"k": 2})) == [["a", "b"]]
    assert filtered([["so #### 1,200."]], ("regex", {}), first) == ["1,200."]
    assert filtered([["x 1 or 2"]], ("regex", {"regex_pattern": "(\\d)|z", "group_select": -1}), first) == ["2"]
    assert filtered([["none"]], ("regex", {"regex_pattern": "\\d", "fallback": "?"}), first) == ["?"]
    assert filtered([["ja"], ["x"]], ("map", {"mapping_dict": {"ja": 1}, "default_value": -1}), first) == [1, -1]
    rows = [{"choices": ["Guilty", "Guilty of Romance"]}] * 4
    options = {"regex_pattern": "\\([A-Z]\\)", "ignore_case": True, "ignore_punctuation": True}
    answers = [["the answer is (B)"], ["guilty, of romance!"], ["It is: A"], ["nothing"]]
    assert filtered(answers, ("multi_choice_regex", options), first, rows=rows) == ["(B)", "(B)", "(A)", "[invalid]"]
    with pytest.raises(UserError, match="raise `repeats`"):
        filtered([["a"]], ("take_first_k", {"k": 2}))


def test_a_filter_may_be_a_class_of_the_task_s_own(tmp_path):
    write(
        tmp_path,
        t__yaml="""task: t
dataset_path: a/b
test_split: test
doc_to_text: q
doc_to_target: a
filter_list: [{name: own, filter: [{function: !function code.Longest, least: 2}, {function: take_first}]}]
metric_list: [{metric: exact_match}]
""",
        code__py="""class Longest:
    def __init__(self, least):
        self.least = least

    def apply(self, answers, rows):
        return [[max(own, key=len) if len(own) >= self.least else row["q"]] for own, row in zip(answers, rows)]
""",
    )
    spec = convert(read_file(tmp_path / "t.yaml"), name="t", overrides={}).spec
    assert [function.function for function in spec.lm_eval.functions()] == ["code.Longest"]
    code = TaskCode(folder=tmp_path, trusted=True)
    rows = [{"q": "?"}, {"q": "!"}]
    assert apply_filter(spec.lm_eval.filters[0], [["a", "bc"], ["d"]], rows, code=code) == ["bc", "!"]
    with pytest.raises(UserError, match="--trust_task_code"):
        apply_filter(spec.lm_eval.filters[0], [["a"]], rows, code=TaskCode(folder=tmp_path))


def test_choices_are_scored_by_sum_characters_and_bytes():
    made = telling(
        "gold",
        output_type="multiple_choice",
        doc_to_target="gold",
        doc_to_choice=["ab", "\u4e2d"],
        metrics=(LmEvalMetric(metric="acc"),),
    )
    said = [(-3.0, False), (-2.0, True)]
    values = score(made, {"gold": 0}, said, inputs=0, targets=0)
    assert {name: values[name] for name in ("acc", "acc_norm", "acc_bytes", "exact_match")} == {
        "acc": 0.0, "acc_norm": 1.0, "acc_bytes": 0.0, "exact_match": 0,
    }  # fmt: skip
    assert values["f1"] == [0, 1]
    assert score(made, {"gold": "\u4e2d"}, said, inputs=0, targets=0)["exact_match"] == 1
    assert score(made, {"gold": "missing"}, said, inputs=0, targets=0)["acc"] == 0.0
    several = score(made, {"gold": [0, 1, 7]}, said, inputs=0, targets=3)
    assert (several["acc"], several["exact_match"]) == (1.0, 1)


def test_texts_are_equal_but_for_what_is_ignored():
    def equal(given, gold, targets=0, **options):
        made = telling(
            "gold",
            doc_to_target="gold",
            output_type="generate_until",
            metrics=(LmEvalMetric(metric="exact_match", options=options),),
        )
        return score(made, {"gold": gold}, [given], inputs=0, targets=targets)["exact_match"]

    assert equal("Paris", "paris") == 0.0
    assert equal("Paris.", "paris", ignore_case=True, ignore_punctuation=True) == 1.0
    assert equal("$12", "12", regexes_to_ignore=["\\$", ","]) == 1.0
    assert equal("7", 7) == 1.0
    assert equal("b", ["a", "b"], targets=2) == 1.0
    assert equal("a1", "a2", ignore_numbers=True) == 1.0
