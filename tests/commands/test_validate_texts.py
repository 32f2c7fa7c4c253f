"""What is told of templates and rows before anything is trained: single braces, nulls, and what a tokenizer makes of the rows."""

import json
import re

import pytest
import yaml
from small_tokenizers import word_level

import run_eval
from harness.data.examples import load_examples
from harness.data.locations import DataPlace
from harness.planning.catalog.catalog import Catalog
from models.encoder import init_scratch

WORDS = ["the", "cat", "sat", "on", "mat", "dog"]
ROWS = [{"text": "the cat sat", "pair": "the mat", "label": "a"}, {"text": "the dog", "pair": "on mat", "label": "b"}] * 2


@pytest.fixture
def put(tmp_path):
    """Writes a classification task with its rows, and returns its folder."""

    def write(rows=ROWS, **changes):
        spec = {
            "task": "own",
            "type": "classification",
            "description": "d",
            "languages": ["en"],
            "data": {split: {"files": {"rows": "rows.jsonl"}, "reader": "jsonl"} for split in ("train", "test")},
            "fields": {"text": "text", "text_pair": "pair", "label": "label"},
            "labels": ["a", "b"],
            "metrics": ["accuracy"],
        }
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        (tmp_path / "own.yaml").write_text(yaml.safe_dump(spec | changes), encoding="utf-8")
        return tmp_path

    return write


@pytest.fixture
def model(tmp_path_factory):
    """A folder with random weights and the tokenizer of a few words."""
    folder = tmp_path_factory.mktemp("model")
    config = {"model_type": "bert", "architectures": ["BertModel"], "vocab_size": 64, "hidden_size": 8}
    config |= {"num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    init_scratch(config, tokenizer=word_level(WORDS), folder=folder, seed=1)
    return folder


def test_single_braces_where_columns_exist_are_told_with_file_and_line(put, capsys):
    prompt = {"context": "{text} =>", "continuations": {"a": "A {text_pair}", "b": "B {other} {{ text }}"}}
    folder = put(fields={"text": {"template": "Premise: {text} {pair} {nothing}"}, "label": "label"}, prompt=prompt)
    assert run_eval.main(["validate", str(folder)]) == 0
    err = capsys.readouterr().err
    lines = (folder / "own.yaml").read_text(encoding="utf-8").splitlines()
    at = lines.index("  text:") + 1
    assert f"own.yaml:{at} fields.text: {{text}}, {{pair}}: single braces write themselves" in err
    assert "prompt: {text}, {text_pair}: single braces write themselves" in err
    assert "{nothing}" not in err
    assert "{other}" not in err


@pytest.mark.parametrize("template", ["{{ text }}", "{ {{ text }} }", "{'text': 1} {{{ text }}}", "{% if text %}{}{% endif %}"])
def test_other_braces_are_not_told(put, capsys, template):
    folder = put(fields={"text": {"template": template}, "label": "label"})
    assert run_eval.main(["validate", str(folder)]) in (0, 2)
    assert "single braces" not in capsys.readouterr().err


THEIRS = {
    "task": "theirs",
    "dataset_path": "json",
    "dataset_kwargs": {"data_files": {"test": "theirs.jsonl"}},
    "test_split": "test",
    "output_type": "multiple_choice",
    "doc_to_text": "Premise: {p}\nHypothesis: {{ h }}\nAnswer:",
    "doc_to_choice": ["yes", "no"],
    "doc_to_target": "label",
}


def _theirs(folder, rows):
    (folder / "theirs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / "theirs.yaml").write_text(yaml.safe_dump(THEIRS, sort_keys=False), encoding="utf-8")


def test_lm_evals_files_keep_their_texts_and_are_told_of(tmp_path, capsys):
    _theirs(tmp_path, [{"p": "a b", "h": "a", "label": 0}, {"p": "c", "h": None, "label": 1}])
    assert run_eval.main(["validate", str(tmp_path)]) == 0
    err = capsys.readouterr().err
    assert "theirs.yaml:8 doc_to_text: {p}: single braces write themselves" in err
    assert "1 of 2 rows have a null that is written as the word None, as lm-eval does" in err
    assert run_eval.main(["show", "theirs", "--include_path", str(tmp_path)]) == 0
    assert "Premise: {p}\\nHypothesis: a\\nAnswer:" in capsys.readouterr().out


def test_a_run_says_it_too_and_the_board_counts_the_rows_with_a_null(tmp_path, capsys):
    (tmp_path / "tasks").mkdir()
    _theirs(
        tmp_path / "tasks", [{"p": "a", "h": "a", "label": 0}, {"p": "c", "h": None, "label": 1}, {"p": "c", "h": "", "label": 1}]
    )
    words = ["--include_path", str(tmp_path / "tasks"), "--tasks", "theirs", "--model", "constant", "--quiet"]
    assert run_eval.main([*words, "--output_path", str(tmp_path / "runs")]) == 0
    capsys.readouterr()
    assert run_eval.main(["leaderboard", str(tmp_path / "runs")]) == 0
    said = capsys.readouterr()
    assert re.search(r"lm_eval/theirs, of 3 examples: .*null 1", said.out)


def test_a_null_that_our_template_writes_is_an_error_with_its_row(put, capsys):
    rows = [*ROWS, {"text": "the cat", "pair": None, "label": "a"}]
    folder = put(rows, fields={"text": {"template": "{{ text }} {{ pair }}"}, "label": "label"})
    assert run_eval.main(["validate", str(folder)]) == 2
    err = capsys.readouterr().err
    assert "rows.jsonl, row 5" in err
    assert "the template of field 'text' writes a value that is null" in err
    assert "null in pair" in err
    put(rows, fields={"text": {"template": "{{ text }} {{ pair or '' }}"}, "label": "label"})
    found = load_examples(Catalog([folder]).task("own").spec, split="test", langs=["en"], place=DataPlace(), task_folder=folder)
    assert found.examples[-1].text.strip() == "the cat"


def test_a_template_that_does_too_much_is_told_with_file_and_line_or_with_its_row(put, capsys):
    folder = put(fields={"text": {"template": "{{ 'a' * 10**10 }}"}, "label": "label"})
    assert run_eval.main(["validate", str(folder), "--specs_only"]) == 2
    lines = (folder / "own.yaml").read_text(encoding="utf-8").splitlines()
    assert f"own.yaml:{lines.index('  text:') + 1} fields.text: the template of field 'text' does more" in capsys.readouterr().err
    put(
        [*ROWS, {"text": "x", "pair": "9" * 9, "label": "a"}],
        fields={"text": {"template": "{{ text * (pair|int) }}"}, "label": "label"},
    )
    assert run_eval.main(["validate", str(folder)]) == 2
    err = capsys.readouterr().err
    assert f"own.yaml:{lines.index('  text:') + 1} fields.text: task 'own', language en, rows.jsonl, row 5" in err.replace(
        f"{folder}/", ""
    )
    assert "does more than a template may" in err


@pytest.mark.parametrize("command", ["validate", "plan"])
def test_a_prompt_that_does_too_much_on_a_row_is_told_with_file_line_and_row(put, capsys, tmp_path, command):
    rows = [*ROWS, {"text": "9" * 9, "pair": "x", "label": "a"}]
    folder = put(rows, prompt={"context": "{{ 'a' * (text|int) }}", "continuations": {"a": "A", "b": "B"}})
    line = (folder / "own.yaml").read_text(encoding="utf-8").splitlines().index("  context: '{{ ''a'' * (text|int) }}'") + 1
    plan = ["plan", "--include_path", str(folder), "--tasks", "own", "--model", "constant", "--route", "prompt"]
    words = ["validate", str(folder)] if command == "validate" else [*plan, "--output_path", str(tmp_path / "runs")]
    assert run_eval.main(words) == 2
    said = "".join(capsys.readouterr())
    assert f"own.yaml:{line} prompt.context" in said
    assert "row 5" in said
    assert "does more than a template may" in said


def test_with_a_model_the_rows_are_tokenised_as_they_would_be_trained(put, model, capsys):
    rows = [*ROWS, {"text": "", "pair": "", "label": "a"}, {"text": "the cat " * 40, "pair": "on mat", "label": "b"}]
    folder = put(rows, options={"max_length": 32})
    assert run_eval.main(["validate", str(folder), "--model", str(model)]) == 0
    said = capsys.readouterr()
    assert "0: 9 tokens: <s> the cat sat </s> </s> the mat </s>" in said.out
    assert "own train en: 1 of 6 inputs have no text after tokenisation" in said.err
    assert "own train en: 1 of 6 rows are longer than max_length 32 and lose text, '5' for one" in said.err


def test_with_a_model_that_does_not_know_the_language_of_the_rows_training_would_find_it_and_so_does_validate(put, model, capsys):
    folder = put([{"text": "cat nothing known here", "pair": "und auch nicht hier", "label": "a"}] * 3)
    assert run_eval.main(["validate", str(folder), "--model", str(model)]) == 2
    said = capsys.readouterr().err
    assert "the tokenizer does not know most English words" in said
    assert "own.yaml" in said
    assert "of the tokens are unknown to the tokenizer" in said


@pytest.mark.parametrize(("model", "said"), [("mini", "has no tokenizer before it is made"), ("no/such", "nothing is known of")])
def test_a_model_without_a_tokenizer_is_a_mistake(put, capsys, model, said, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert run_eval.main(["validate", str(put()), "--model", model]) == 2
    assert said in capsys.readouterr().err


def test_plan_says_which_choice_begins_another_one(put, model, capsys, tmp_path):
    prompt = {"context": "{{ text }}", "continuations": {"a": "no", "b": "no idea"}}
    folder = put(prompt=prompt)
    words = [
        "plan",
        "--include_path",
        str(folder),
        "--tasks",
        "own",
        "--model",
        "constant",
        "--output_path",
        str(tmp_path / "runs"),
    ]
    assert run_eval.main([*words, "--route", "prompt"]) == 0
    assert "task 'own': b ('no idea') can hardly be chosen (en), for a ('no') is how it begins" in capsys.readouterr().out
    assert run_eval.main([*words, "--route", "prompt", "--prompt_args", "normalise=per_token"]) == 0
    assert "hardly be chosen" not in capsys.readouterr().out
    put(prompt={"context": "{{ text }}", "continuations": {"a": "no", "b": "nobody"}})
    assert run_eval.main([*words, "--route", "prompt"]) == 0
    assert "hardly be chosen" not in capsys.readouterr().out


@pytest.mark.parametrize("choices", ["{{ 3 }}", "{{ 'a' }}", "{{ {'a': 1} }}", "{{ p }}"])
def test_choices_of_lm_evals_files_that_are_no_list_are_a_mistake(tmp_path, capsys, choices):
    _theirs(tmp_path, [{"p": "7", "h": "a", "label": 0}])
    path = tmp_path / "theirs.yaml"
    path.write_text(yaml.safe_dump(THEIRS | {"doc_to_choice": choices}), encoding="utf-8")
    assert run_eval.main(["validate", str(tmp_path)]) == 2
    assert "list" in capsys.readouterr().err
