"""A key of a task file of lm-eval takes one kind of value; another is told with its line, and nothing else stumbles over it."""

import re

import pytest
from small_lm_eval_tasks import write_folder

import run_eval
from harness.planning.catalog.catalog import Catalog

WRONG = {
    "dataset_kwargs": "x", "generation_kwargs": "[a]", "fewshot_config": "5", "metric_list": "5", "filter_list": "x",
    "num_fewshot": "-1", "repeats": "x", "dataset_name": "no", "dataset_path": "[json]", "output_type": "{}",
    "doc_to_text": "{a: 1}", "doc_to_choice": "[]", "process_docs": "x", "validation_split": "1",
    "description": "!function utils.f", "target_delimiter": "3", "gen_prefix": "[a]",
}  # fmt: skip


def mistakes(folder, more):
    path = write_folder(folder) / "ask" / "ask.yaml"
    text = path.read_text()
    for key, value in more.items():
        text = re.sub(rf"^{key}:.*\n(?: .*\n)*", "", text, flags=re.MULTILINE) + f"{key}: {value}\n"
    path.write_text(text)
    return Catalog([folder]).check("task", "lm_eval/ask_deu_Latn")[1], len(path.read_text().splitlines())


@pytest.mark.parametrize(("key", "value"), WRONG.items())
def test_a_value_of_another_kind_is_told_once_with_its_line(tmp_path, key, value):
    errors, last = mistakes(tmp_path, {key: value})
    assert [str(error).split("\n")[0].rpartition("/")[2] for error in errors if "another kind" in str(error)] == [
        f"ask.yaml:{last} {key}: '{key}' is of another kind"
    ]
    assert not [str(error) for error in errors if "missing" in str(error)]


@pytest.mark.parametrize("inner", ["temperature: x", "max_gen_toks: '8'", "until: 5", "do_sample: maybe", "num_beams: [1]"])
def test_values_below_a_key_are_looked_at_as_well(tmp_path, inner):
    (error,), _ = mistakes(tmp_path, {"generation_kwargs": f"{{{inner}}}"})
    assert f"generation_kwargs.{inner.split(':')[0]}: " in str(error)


@pytest.mark.parametrize("files", ["[]", "''", "['']", "{train: []}", "{train: [1]}", "5"])
def test_files_that_name_none_are_told(tmp_path, files):
    (error, *_), _ = mistakes(tmp_path, {"dataset_kwargs": f"{{data_files: {files}}}"})
    assert "data_files names no file for the split 'train'" in str(error)


def test_a_row_without_choices_is_told(tmp_path, capsys):
    path = write_folder(tmp_path) / "cloze" / "cloze.yaml"
    path.write_text(path.read_text().replace('["{{premise}}", "Nein"]', '"{{ [] }}"').replace("_text: label", "_text: premise"))
    assert run_eval.main(["validate", str(tmp_path / "cloze")]) == 2
    assert "row 1: a row without choices" in capsys.readouterr().err


def test_numbers_are_names_of_configurations(tmp_path):
    assert mistakes(tmp_path, {"dataset_name": "2016"})[0] == []


@pytest.mark.parametrize("name", ["x" * 201, "é" * 101, r'"\e[31mred"', r'"a\nb"'])
def test_a_name_that_no_folder_should_have_is_refused(tmp_path, name):
    path = write_folder(tmp_path) / "ask" / "ask.yaml"
    path.write_text(path.read_text().replace("task: ask_deu_Latn", f"task: {name}"))
    (error,) = Catalog([tmp_path]).lm_eval.index.errors
    assert "ask.yaml: '" in str(error)
    assert "cannot be the name of a task" in str(error)
