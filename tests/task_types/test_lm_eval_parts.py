"""The parts that read, tell and score tasks of lm-evaluation-harness, each by itself."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from small_tokenizers import KINDS, byte_bpe
from tokenizers import processors

from harness.api.errors import UserError
from harness.api.registry import METRICS, ROOT
from harness.planning.catalog.catalog import Catalog
from harness.planning.catalog.lm_eval_files.conversion import convert
from harness.planning.catalog.lm_eval_files.index import Index, is_lm_eval_file, yaml_files
from harness.planning.catalog.lm_eval_files.languages import language_of
from harness.planning.catalog.lm_eval_files.yaml_reader import read_file
from harness.scoring.metrics._task_values import ValueMetric
from harness.specs.lm_eval import Filter, LmEvalMetric, LmEvalTask, Shots, Step
from harness.specs.prompt import PromptSettings
from harness.task_types.lm_eval_harness.filters import apply_filter
from harness.task_types.lm_eval_harness.import_shims import compute_exact, compute_f1, general_detokenize, weighted_f1_score
from harness.task_types.lm_eval_harness.process_results import score
from harness.task_types.lm_eval_harness.prompts import requests
from harness.task_types.lm_eval_harness.route import LmEvalRoute
from harness.task_types.lm_eval_harness.task_code import TaskCode
from harness.task_types.lm_eval_harness.templates import RowRenderer

CODE = TaskCode(folder=Path("."))


def write(folder, **files):
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text, encoding="utf-8")
    return folder


def renderer(*columns, **values):
    return RowRenderer(config=LmEvalTask(**values), code=CODE, columns=frozenset(columns))


# Files


def test_includes_replace_whole_values_and_later_ones_win(tmp_path):
    write(
        tmp_path,
        root="metadata: {version: 1, kept: no}\ntest_split: test\ndescription: root\n",
        left="include: root\ndescription: left\nmetadata: {version: 2}\ntask_list: [x]\n",
        right="include: root\nrepeats: 3\n",
        task__yaml="include: [left, right]\ntask: t\ntest_split: null\n",
    )
    document = read_file(tmp_path / "task.yaml").document
    assert document.values == {
        "metadata": {"version": 1, "kept": False},  # `right` brings that of its own base, whole: the base is reached twice
        "test_split": None,
        "description": "root",
        "repeats": 3,
        "task": "t",
    }
    assert (document.mark(("repeats",)).line, Path(document.mark(("repeats",)).file).name) == (2, "right")
    assert document.mark(("test_split",)).line == 3


def test_files_that_include_each_other_are_named_in_a_chain(tmp_path):
    write(tmp_path, a__yaml="include: b.yaml\ntask: a\n", b__yaml="include: c\n", c="include: a.yaml\n")
    with pytest.raises(UserError, match=r"(?s)circle.*a\.yaml -> .*b\.yaml -> .*c -> .*a\.yaml"):
        read_file(tmp_path / "a.yaml")
    write(tmp_path, d__yaml="include: basee\ntask: d\n", base_yaml="task: null\n")
    with pytest.raises(UserError, match=r"d\.yaml:1: included file 'basee' does not exist"):
        read_file(tmp_path / "d.yaml")
    write(tmp_path, e__yaml="task: e\nbad: [1\n")
    with pytest.raises(UserError, match=r"e\.yaml:3: not valid YAML"):
        read_file(tmp_path / "e.yaml")


def test_names_are_listed_without_parsing_and_the_first_file_of_a_folder_counts(tmp_path):
    write(
        tmp_path,
        a__yaml="task: one\ndataset_path: x\ntag: [left, right]\n",
        b__yaml="task: one\ndataset_path: y\n",
        _c__yaml='"group": "many"\ntask:\n  - one\n',
        d__yaml="include: base\ntask: two\n",
        base="tag: left\ntask: null\ndataset_path: z\n",
        ours__yaml="task: mine\ntype: classification\ndescription: d\nfields: {}\n",
    )
    lm_eval_paths = [path for path in yaml_files(tmp_path) if is_lm_eval_file(path)]
    assert [path.name for path in lm_eval_paths] == ["_c.yaml", "a.yaml", "b.yaml", "d.yaml"]
    index = Index()
    index.add(lm_eval_paths)
    assert {name: listed.path.name for name, listed in index.tasks.items()} == {"one": "a.yaml", "two": "d.yaml"}
    assert index.tags == {"left": ["one", "two"], "right": ["one"]}
    assert list(index.groups) == ["many"]
    assert len(index.remarks) == 1


def test_a_group_changes_tasks_that_a_group_below_it_has_changed_already(tmp_path):
    write(
        tmp_path,
        t__yaml="task: one\ndataset_path: x\ndoc_to_text: q\ndoc_to_target: a\ntest_split: test\n",
        g__yaml="group: inner\ntask: [one]\nnum_fewshot: 3\ntarget_delimiter: '-'\n",
        h__yaml="group: outer\ntask: [inner]\nnum_fewshot: 5\n",
    )
    catalog = Catalog([tmp_path])
    (task,) = catalog.group_tasks("lm_eval/outer")
    assert task == "lm_eval/outer::inner::one"
    spec = catalog.task(task).spec.lm_eval
    assert (spec.num_fewshot, spec.target_delimiter) == (5, "-")


@pytest.mark.parametrize(
    ("name", "dataset", "lang"),
    [
        ("xnli_de", "de", "de"),
        ("mlqa_zh_zh", "mlqa.zh.zh", "zh"),
        ("mlqa_ar_de", "mlqa.ar.de", "und"),
        ("belebele_deu_Latn", "deu_Latn", "de"),
        ("belebele_hin_Latn", "hin_Latn", "und"),
        ("belebele_zho_Hant", "zho_Hant", "zh"),
        ("flores_deu_Latn-eng_Latn", None, "und"),
        ("truthfulqa_vi_mc1", "vi", "vi"),
        ("paws_ko", None, "ko"),
        ("hellaswag", None, "und"),
        ("task_xx", "xx", "und"),
    ],
)
def test_a_language_is_a_code_in_a_name_and_never_a_guess(name, dataset, lang):
    assert language_of(name=name, dataset_name=dataset) == lang


def test_files_of_rows_are_those_of_the_split(tmp_path):
    text = "task: t\ndataset_path: {}\ndoc_to_text: q\ndoc_to_target: a\ntest_split: test\ndataset_kwargs: {}\n"

    def source(path, kwargs):
        write(tmp_path, t__yaml=text.format(path, kwargs))
        found = convert(read_file(tmp_path / "t.yaml"), name="t", overrides={})
        return found.spec.data.test[0] if found.spec else str(found.errors[0])

    made = source("csv", "{data_files: {test: [a.csv, b.csv]}, sep: ';', trust_remote_code: true}")
    assert made.files == {"rows": ("a.csv", "b.csv")}
    assert made.reader_options == {"builder": "csv", "arguments": {"sep": ";"}}
    assert source("org/set", "{data_files: {test: part/x.jsonl}}").files == {"rows": "org/set/part/x.jsonl"}
    assert source("org/set", "{revision: abc}").revision == "abc"
    assert "names no file for the split 'test'" in source("json", "{data_files: a.jsonl}")
    assert "'features' is not supported" in source("org/set", "{features: 1}")


# RowRenderer


def test_columns_come_before_templates_and_digits_are_numbers():
    made = renderer("q", "4", doc_to_text="4", doc_to_target="{{a}}", doc_to_choice=["x", "y"])
    row = {"q": "?", "4": "a column", "a": "1"}
    assert (made.text(row), made.target(row), made.choices(row)) == ("a column", 1, ["x", "y"])
    assert renderer("q", doc_to_text="q", doc_to_target="{{a}}").target(row) == "1"
    assert renderer(doc_to_text="q", doc_to_target="[{{a}}, 'b']").target(row) == [1, "b"]
    assert renderer(doc_to_text="q", doc_to_target="[{{q}}]").target(row) == "[?]"
    assert renderer(doc_to_text="{{a}}", doc_to_target=0, doc_to_choice={"k": "x", "l": "y"}).text(row) == 1
    assert renderer(doc_to_choice="{{[q, a + '\\n']}}").choices(row) == ["?", "1\n"]
    assert renderer(doc_to_text="{{ q | regex_replace('[?]', '!') }}\n").text(row) == "!\n"
    with pytest.raises(UserError, match="'absent' is undefined"):
        renderer(doc_to_text="{{absent}}").text(row)
    with pytest.raises(UserError, match="should give a Python list"):
        renderer(doc_to_choice="{{q}}").choices(row)


def test_what_an_answer_begins_with_and_chats_decide_the_delimiters():
    shots = Shots(doc_to_text="Q {{q}}", doc_to_target="{{a}}", gen_prefix="A:", target_delimiter=" ", fewshot_delimiter="\n\n")
    made = renderer(
        "q", "a", doc_to_text="Q {{q}}", doc_to_target="{{a}}", doc_to_choice=["x", " y"], output_type="multiple_choice",
        description="Told. ", gen_prefix="A:", shots=shots,
    )  # fmt: skip
    row, shot = {"q": "1", "a": "x"}, {"q": "2", "a": "y"}
    asked = requests(made, row, shots=[shot], chat=None, system="S", inputs=0)
    assert [tuple(one) for one in asked] == [("S\n\nTold. Q 2 A: y\n\nQ 1 A:", " x"), ("S\n\nTold. Q 2 A: y\n\nQ 1 A:", "  y")]
    said = []

    def chat(messages, opened):
        said.append((messages, opened))
        return "chat"

    assert [tuple(one) for one in requests(made, row, shots=[shot], chat=chat, system="", inputs=0)] == [
        ("chat", " x"),
        ("chat", "  y"),
    ]
    assert said == [
        (
            [
                {"role": "system", "content": "Told. "},
                {"role": "user", "content": "Q 2"},
                {"role": "assistant", "content": "A: y"},
                {"role": "user", "content": "Q 1"},
                {"role": "assistant", "content": "A:"},
            ],
            False,
        )
    ]


FIRST = "<mask>"
CONTEXTS = ["", "Das Buch", "Das Buch ", "the cat\n\n", "\u0643\u062a\u0628", "a 12"]
CONTINUATIONS = [" ist neu", "", "x", "\u4e2d\u6587", " \U0001f469\u200d\U0001f467"]


def cut_by_length(tokenizer, context, continuation, longest):
    """lm-eval's way, written down again: what follows as many tokens as the context has, and the last `longest` + 1 of both."""
    first = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    if context == "":
        before, after = [first], tokenizer.encode(continuation, add_special_tokens=False)
    else:
        moved = context[len(context.rstrip()) :]
        context = context.rstrip()
        before = tokenizer.encode(context)
        after = tokenizer.encode(context + moved + continuation)[len(before) :]
    kept = (before + after)[-(longest + 1) :]
    return kept[: len(kept) - len(after)], after


@pytest.mark.parametrize("longest", [100, 6])
@pytest.mark.parametrize("with_first", [False, True])
def test_tokens_are_cut_as_lm_eval_cuts_them(with_first, longest):
    tokenizer = byte_bpe(prefix_space=False)
    if with_first:
        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{FIRST} $A", pair=f"{FIRST} $A $B", special_tokens=[(FIRST, tokenizer.convert_tokens_to_ids(FIRST))]
        )
        tokenizer.bos_token = FIRST
    config = LmEvalTask(output_type="multiple_choice", doc_to_text="q", doc_to_target=0, doc_to_choice="c")
    route = LmEvalRoute(config=config, code=CODE, settings=PromptSettings(max_length=longest))
    for context in CONTEXTS:
        wanted = [cut_by_length(tokenizer, context, f" {text}", longest) for text in CONTINUATIONS]
        if any(len(after) >= longest or not before for before, after in wanted):
            continue  # lm-eval stops there
        example = SimpleNamespace(id="0", row={"q": context, "c": CONTINUATIONS}, columns=frozenset("qc"), inputs=0)
        features = route.encode([example], task=SimpleNamespace(task="t"), tokenizer=tokenizer, options=None, train=False)
        found = [(feature.input_ids, ids) for feature in features for ids in feature.continuations]
        assert found == wanted
        assert [number for feature in features for number in feature.info] == [0, 1, 2, 3, 4]


# Scoring


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
    made = renderer(
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
        made = renderer(
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


def test_values_of_a_task_are_averaged_by_name():
    mean = METRICS.load("lm_eval_mean:acc,strict")
    assert isinstance(mean, ValueMetric)
    assert mean.stats({"values": {"acc,strict": True}}, 0, lang="de") == (1.0, 1.0)
    assert mean.stats({"values": {"acc,strict": float("nan")}}, 0, lang="de") == (0.0, 0.0)
    with pytest.raises(UserError, match=r"(?s)gives no 'acc,strict'.*did you mean 'acc,strikt'"):
        mean.settle([{"values": {"acc,strikt": 1.0}}], [0], lang="de")
    with pytest.raises(UserError, match="'acc,strict' is no number"):
        mean.stats({"values": {"acc,strict": "x"}}, 0, lang="de")
    import numpy as np

    assert METRICS.load("lm_eval_mean:bleu_max").combine(np.array([30.0, 2.0])) == {"mean": 15.0}
    with pytest.raises(UserError, match="for two classes"):
        METRICS.load("lm_eval_f1:f1").stats({"values": {"f1": [2, 1]}}, 0, lang="de")


# Code


def test_what_task_code_imports_is_there_while_it_runs_and_gone_afterwards(tmp_path):
    folder = tmp_path / "lm_eval" / "tasks" / "one"
    folder.mkdir(parents=True)
    write(folder, other__py="WORD = 'from a file beside'\n")
    write(
        folder,
        code__py="""import evaluate
import transformers.data.metrics.squad_metrics as squad_metrics
from lm_eval.tasks.one.other import WORD
from lm_eval.utils import general_detokenize


def f(text):
    from lm_eval.utils import weighted_f1_score

    return general_detokenize(text), squad_metrics.compute_f1("x b", "the b"), WORD, weighted_f1_score([(0, 0), (1, 0)])


def g():
    return evaluate.load("x")


def h():
    raise ValueError("inside")
""",
    )
    # In a process of its own: what is imported here must not be what the code finds.
    lines = f"""
import sys
from pathlib import Path
from harness.api.errors import UserError
from harness.task_types.lm_eval_harness.task_code import TaskCode
from harness.specs.lm_eval import Function
code = TaskCode(folder=Path({str(folder)!r}), trusted=True, task="t")
print(code.function(Function(function="code.f"))('a ( b ) does n\\'t .'))
for name in ("g", "h", "nothing"):
    try:
        code.function(Function(function="code." + name))()
    except UserError as error:
        print(str(error).replace("\\n", " "))
print([name for name in sys.modules if name.split(".")[0] in ("lm_eval", "evaluate") or "data.metrics" in name])
"""
    found = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True, cwd=ROOT)
    first, unusable, raised, absent, left = found.stdout.splitlines()
    assert first == str(("a (b) doesn't.", 2 / 3, "from a file beside", 1 / 3))
    assert "task code uses the package 'evaluate'" in unusable
    assert "code.py h: the code of task 't' failed" in raised
    assert "ValueError: inside" in raised
    assert "has no 'nothing'" in absent
    assert left == "[]"


def test_stand_ins_compute_what_they_stand_for():
    assert general_detokenize('he said " yes " , is n\'t it ( no ) .') == 'he said"yes", isn\'t it (no).'
    assert (compute_f1("", ""), compute_f1("a the", "x"), compute_f1("the cat sat", "cat sat down")) == (1.0, 0.0, 0.8)
    assert (compute_exact("The cat.", "cat"), compute_exact("a", "b")) == (1, 0)
    # F1 of 2/3, 1/2 and 4/5 for labels that are gold 2, 1 and 3 times.
    assert weighted_f1_score([(0, 0), (0, 1), (1, 1), (2, 1), (2, 2), (2, 2)]) == pytest.approx((4 / 3 + 1 / 2 + 12 / 5) / 6)


def test_every_tokenizer_has_a_first_token_for_an_empty_context():
    config = LmEvalTask(output_type="multiple_choice", doc_to_text="q", doc_to_target=0, doc_to_choice=["the cat", "a"])
    for make in KINDS.values():
        tokenizer = make()
        example = SimpleNamespace(id="0", row={"q": ""}, columns=frozenset("q"), inputs=0)
        route = LmEvalRoute(config=config, code=CODE, settings=PromptSettings())
        (feature,) = route.encode([example], task=SimpleNamespace(task="t"), tokenizer=tokenizer, options=None, train=False)
        first = tokenizer.bos_token_id
        assert feature.input_ids == [tokenizer.eos_token_id if first is None else first]
