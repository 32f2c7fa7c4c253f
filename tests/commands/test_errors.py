"""`errors` prints wrong answers with their rows, and refuses names that no cell has with the nearest right one."""

import json

import pytest
from test_cli import call

from harness.commands._answer_text import answer_lines
from harness.commands._table import width
from harness.report.answers.answers import AnswerEntry, CellAnswers
from harness.report.record.newest import CellKey

WORDS = ["--tasks", "mini/xnli,mini/translation_to_en", "--languages", "de,sw", "--limit", "20", "--quiet"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    import run_eval

    root = tmp_path_factory.mktemp("runs")
    assert run_eval.main(["--model", "random", *WORDS, "--output_path", str(root)]) == 0
    return root


def test_wrong_answers_are_printed_with_row_gold_prediction_and_scores(root, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = call(capsys, "errors", str(root), "--task", "mini/xnli", "--languages", "de", "-n", "2", "--setting", "none")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "## mini/xnli de: random + none (limit 20)"
    assert lines[1].endswith("of 20 wrong; 2 here, most confident first")
    for name in ("text", "text_pair", "gold", "prediction", "scores"):
        assert sum(line.split()[:1] == [name] for line in lines) == 2
    assert sum(line.startswith(("1. ", "2. ")) for line in lines) == 2
    assert max(map(width, lines)) <= 80
    code, out, _ = call(capsys, "errors", str(root), "--task", "mini/xnli", "--right", "-n", "0")
    assert code == 0
    assert ": wrong" not in out
    assert out.count("## ") == 2
    right = [int(line.split()[0]) for line in out.splitlines() if " wrong; " in line]
    assert out.count(": right") == 40 - sum(right)


def test_the_prompt_is_printed_as_it_was_sent(root, capsys):
    code, out, _ = call(capsys, "errors", str(root), "--task", "mini/trans*", "--languages", "sw", "-n", "1", "--draw", "3")
    assert code == 0
    assert "drawn by seed 3" in out
    assert (
        "prompt     Translate from Swahili into English." in " ".join(out.split("   "))[:5000] or "Translate from Swahili" in out
    )
    assert "English:" in out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--task", "mini/xnly"], "did you mean 'mini/xnli'?"),
        (["--task", "mini/xnli", "--languages", "dee"], "did you mean 'de'?"),
        (["--task", "mini/xnli", "--setting", "nome"], "did you mean 'none'?"),
        (["--task", "mini/xnli", "--model", "randon"], "did you mean 'random'?"),
        (["--task", "mini/xnli", "--seed", "7"], "no cell has the seed '7'"),
        (["--task", "mini/xnli", "-n", "-1"], "-n"),
        (["--task", "mini/xnli", "--all", "--right"], "not allowed with"),
        ([], "required: --task"),
    ],
)
def test_a_name_that_no_cell_has_is_code_2_with_the_nearest_one(root, capsys, words, expected):
    code, out, err = call(capsys, "errors", str(root), *words)
    assert (code, out) == (2, "")
    assert expected in err


def test_a_folder_that_is_no_run_is_code_2(tmp_path, capsys):
    code, _, err = call(capsys, "errors", str(tmp_path), "--task", "xnli")
    assert (code, "no run here" in err) == (2, True)


def test_a_cell_that_is_not_finished_or_was_edited_is_said_to_be(root, tmp_path, capsys):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    (predict,) = copy.glob("predict/*mini-xnli-de-*")
    path = predict / "predictions.jsonl"
    path.write_text(path.read_text().replace("neutral", "neutraI", 1))
    code, _, err = call(capsys, "errors", str(copy), "--task", "mini/xnli", "--languages", "de")
    assert code == 2
    assert "predictions.jsonl" in err
    (predict / "done.json").unlink()
    (score,) = copy.glob("score/*mini-xnli-de-*")
    (score / "done.json").unlink()
    code, out, err = call(capsys, "errors", str(copy), "--task", "mini/xnli", "-n", "1")
    assert code == 1
    assert "no answers of random + none, mini/xnli de: not finished" in err
    assert "## mini/xnli sw" in out


def test_what_a_row_holds_is_wrapped_by_columns_and_acts_on_no_terminal():
    entry = AnswerEntry(
        id="7\x1b[31m",
        is_right=False,
        score=0.0,
        confidence=0.5,
        fields={"text": "中文" * 60, "other": "a word " * 40 + "\nsecond line", "a_very_long_name": "short", "empty": ""},
        gold=("yes",),
        prediction=("no",),
        differences=(),
        scores={"yes": None, "no": -1.0},
        answer=None,
        prompts=(),
        continuations=(),
        num_truncated=3,
        notes=("unparsed",),
    )
    key = CellKey("m", "none", "t", "de", 1, "quick", "head", None)
    found = CellAnswers(key=key, num_examples=2, num_wrong=1, order="drawn by seed 1", note="", entries=(entry,))
    lines = list(answer_lines(found, columns=60))
    assert max(map(width, lines)) <= 60
    assert sum(line.count("中文") for line in lines) in range(55, 61)
    assert "".join(lines).count("中") == 60
    assert "\x1b" not in "".join(lines)
    told = [line.split() for line in lines]
    assert ["a_very_long_name", "short"] in told
    assert ["second", "line"] in told
    assert ["cut", "3", "tokens", "did", "not", "fit", "and", "were", "not", "seen"] in told
    assert ["scores", "no", "100.0", "%", "(-1.00),", "yes", "–"] in told
    assert json.dumps(found.json())


def test_the_command_needs_no_torch(root):
    from test_cli import modules_of

    code, names = modules_of("errors", str(root), "--task", "mini/xnli", "--languages", "de", "-n", "1")
    assert code == 0
    assert names & {"torch", "transformers", "datasets"} == set()
