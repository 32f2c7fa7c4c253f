"""--limit in its forms, from the command line to the board, and back to what is done already."""

import json

import pytest
from small_lm_eval_tasks import write_folder

import run_eval


@pytest.fixture
def command(tmp_path):
    words = ["--include_path", str(write_folder(tmp_path / "theirs")), "--tasks", "nli_de", "--model", "oracle", "--quiet"]
    return [*words, "--output_path", str(tmp_path / "runs")]


def test_the_board_says_which_rows_were_taken_and_what_is_done_stays_done(command, tmp_path, capsys):
    said = {
        "first:2": (2, "the first 2 test rows of a language"),
        "34%": (2, "a seeded sample of 34% of a language's test rows"),
        "2": (2, "a seeded sample of at most 2 test rows a language"),
        "first:1%": (1, "the first 1% of a language's test rows"),
    }
    ids = {}
    for limit, (number, words) in said.items():
        assert run_eval.main([*command, "--limit", limit]) == 0
        printed = capsys.readouterr()
        assert f"‡ a part of the test rows ({words})" in " ".join(printed.out.split())
        assert "2 stages: 0 done, 2 to do" in printed.err
        assert run_eval.main([*command, "--limit", limit]) == 0
        assert "2 done, 0 to do" in capsys.readouterr().err
        board = json.loads((tmp_path / "runs" / "leaderboard.json").read_text(encoding="utf-8"))
        row = next(row for row in board["rows"] if str(row["limit"]) == limit)
        assert (row["counts"]["examples"], row["partial"]) == (number, True)
        lines = (tmp_path / "runs" / row["stages"]["predict"] / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
        ids[limit] = [json.loads(line)["id"] for line in lines]
    assert ids["first:2"] == ["0", "1"]
    assert ids["34%"] == ids["2"]
    assert ids["first:1%"] == ["0"]
    both = tmp_path / "both.json"
    assert run_eval.main(["leaderboard", str(tmp_path / "runs"), "--output", str(both)]) == 0
    rows = json.loads(both.read_text(encoding="utf-8"))["rows"]
    assert [row["limit"] for row in rows] == ["first:1%", 2, "first:2", "34%"]


@pytest.mark.parametrize(("limit", "answer"), [("0.1", "--limit first:10%"), ("last:3", "first:20"), ("0", "at least 1")])
def test_what_is_no_limit_is_answered_before_anything_runs(command, tmp_path, capsys, limit, answer):
    assert run_eval.main([*command, "--limit", limit]) == 2
    assert answer in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_lm_evals_draw_is_for_its_own_tasks(capsys, tmp_path):
    words = ["plan", "--model", "oracle", "--tasks", "mini/nli", "--route", "prompt", "--output_path", str(tmp_path / "runs")]
    assert run_eval.main([*words, "--prompt_args", "num_fewshot=2,fewshot_sampler=lm_eval"]) == 2
    said = capsys.readouterr().err
    assert "lm-eval draws only for tasks of its own files" in said
    assert "fewshot_sampler=per_question" in said
