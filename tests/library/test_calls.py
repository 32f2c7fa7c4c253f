"""What `import xlift` gives: the results, errors and lines of the commands, with nothing printed and nothing ended."""

import json
import os
import subprocess
import sys

import pytest
import xlift
from small_tasks import write_tasks
from written_runs import nli

import run_eval
from harness.api.registry import ROOT

FAKE = {"languages": ["en", "de"], "limit": 20}


def typed(capsys, *words):
    """(exit code, stdout, lines of stderr) of a command line."""
    code = run_eval.main([str(word) for word in words])
    said = capsys.readouterr()
    return code, said.out, said.err.splitlines()


def test_evaluate_gives_the_board_that_the_command_writes_and_the_text_that_it_prints(tmp_path, capsys):
    root = tmp_path / "runs"
    done = xlift.evaluate("oracle", ["mini/nli", "mini/retrieval"], output_path=root, **FAKE)
    assert capsys.readouterr() == ("", "")
    written = json.loads((root / "leaderboard.json").read_text(encoding="utf-8"))
    words = ["--model", "oracle", "--tasks", "mini/nli,mini/retrieval", "--languages", "en,de", "--limit", 20]
    code, out, err = typed(capsys, *words, "--output_path", root, "--quiet")
    assert (code, done.is_complete) == (0, True)
    assert out == str(done.board) + "\n"
    assert json.loads(json.dumps(done.board.document)) == written
    # The second time all stages are done already; all else that is said is the same.
    assert [line.partition(":")[0] for line in err] == [line.partition(":")[0] for line in done.notes] != []
    assert [(cell.task, cell.lang, cell.score.value) for cell in done.board.cells] == [
        ("mini/nli", "en", 100),
        ("mini/nli", "de", 100),
        ("mini/retrieval", "de", 100),
    ]
    assert [(mean.task, mean.score.value) for mean in done.board.task_means] == [("mini/nli", 100), ("mini/retrieval", 100)]
    assert {row["lang"] for row in done.board.table()} == {"en", "de"}


def test_what_is_missing_is_said_in_the_words_of_the_command(tmp_path, capsys):
    folder = write_tasks(tmp_path)
    options = {"include_path": [folder], "data_dir": folder, "recipe": "short", "output_path": tmp_path / "runs"}
    done = xlift.evaluate("oracle", "left", **options)
    assert capsys.readouterr() == ("", "")
    assert not done.is_complete
    words = ["--include_path", folder, "--data_dir", folder, "--recipe", "short", "--output_path", tmp_path / "runs", "--quiet"]
    code, out, err = typed(capsys, "--model", "oracle", "--tasks", "left", *words)
    assert (code, out) == (1, str(done.board) + "\n")
    missing = [line for line in err if line.startswith("missing:")]
    assert missing
    assert [line for note in done.notes for line in note.splitlines() if line.startswith("missing:")] == missing
    assert [(cell.lang, cell.score is None) for cell in done.board.cells] == [("en", False), ("de", False), ("fr", True)]


def test_a_run_without_a_single_score_has_no_board(tmp_path):
    folder = write_tasks(tmp_path)
    for path in folder.glob("bare-*.jsonl"):
        path.unlink()
    done = xlift.evaluate("oracle", "bare", include_path=folder, data_dir=folder, output_path=tmp_path / "runs")
    assert (done.board, done.is_complete) == (None, False)
    assert "missing" in str(done)


def test_plan_gives_stages_costs_and_the_text_that_the_command_prints(tmp_path, capsys):
    folder = write_tasks(tmp_path)
    options = {"include_path": [folder], "data_dir": folder, "recipe": "short", "intermediate": ["none", "warm"], "seeds": [1, 2]}
    found = xlift.plan(folder / "model", ["right", "left"], output_path=tmp_path / "runs", price=2.5, **options)
    assert capsys.readouterr() == ("", "")
    words = ["--model", folder / "model", "--tasks", "right,left", "--include_path", folder, "--data_dir", folder]
    words += ["--recipe", "short", "--intermediate", "none,warm", "--seeds", "1,2", "--output_path", tmp_path / "runs"]
    code, out, _ = typed(capsys, "plan", *words, "--price", "2.5")
    assert (code, out) == (found.exit_code, str(found) + "\n") == (1, out)
    _, out, _ = typed(capsys, "plan", *words, "--price", "2.5", "--json")
    assert json.loads(json.dumps(found.models[0].costs)) == json.loads(out)
    verbs = [stage.verb for stage in found.models[0].stages]
    assert {verb: verbs.count(verb) for verb in set(verbs)}["train"] == 6
    assert not any(stage.is_done for stage in found.models[0].stages)
    assert "fr" in found.models[0].missing[0]
    assert not (tmp_path / "runs").exists()


def test_leaderboard_and_compare_give_what_their_commands_print_and_write(tmp_path, capsys):
    run = nli(tmp_path / "x").write()
    board = xlift.leaderboard(run, by=["family", "covered"], output=tmp_path / "b.json", csv=tmp_path / "csv")
    comparison = xlift.compare(run, by="language", samples=100)
    assert capsys.readouterr() == ("", "")
    code, out, err = typed(
        capsys, "leaderboard", run, "--by", "family,covered", "--output", tmp_path / "b.json", "--csv", tmp_path / "csv"
    )
    assert (code, out, err) == (0, str(board) + "\n", list(board.notes))
    assert json.loads((tmp_path / "b.json").read_text(encoding="utf-8")) == json.loads(json.dumps(board.document))
    code, out, _ = typed(capsys, "compare", run, "--by", "language", "--samples", 100)
    assert (code, out) == (0, str(comparison) + "\n")
    assert [row.group for row in comparison.rows][:2] == [entry["group"] for entry in comparison.document["rows"]][:2]
    assert comparison.rows[0].difference.value == pytest.approx(comparison.rows[0].score_b - comparison.rows[0].score_a)
    assert board._repr_markdown_() == board.text


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: xlift.plan("oracle", "xnly"), ["plan", "--model", "oracle", "--tasks", "xnly"]),
        (lambda: xlift.plan("oracl", "xnli"), ["plan", "--model", "oracl", "--tasks", "xnli"]),
        (lambda: xlift.plan("oracle", "xnli", seeds="1,x"), ["plan", "--model", "oracle", "--tasks", "xnli", "--seeds", "1,x"]),
        (
            lambda: xlift.evaluate("a/b", "xnli", model_args={"dtpe": "x", "lora_rank": "x"}),
            ["--model", "a/b", "--tasks", "xnli", "--model_args", "dtpe=x,lora_rank=x"],
        ),
        (
            lambda: xlift.evaluate("oracle", "xnli", save_every=0, offload="cpu"),
            ["--model", "oracle", "--tasks", "xnli", "--save_every", "0", "--offload", "cpu"],
        ),
        (lambda: xlift.leaderboard("/nowhere"), ["leaderboard", "/nowhere"]),
        (lambda: xlift.compare("/nowhere"), ["compare", "/nowhere"]),
    ],
)
def test_mistakes_are_user_errors_with_the_words_of_the_command(capsys, call, words):
    with pytest.raises(xlift.UserError) as caught:
        call()
    assert capsys.readouterr() == ("", "")
    code, out, err = typed(capsys, *words)
    assert (code, out) == (2, "")
    assert err == f"error: {caught.value}".splitlines()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"limitt": 3}, "did you mean --limit?"),
        ({"batch_tokens": "few"}, "argument --batch_tokens: invalid int value: 'few'"),
        ({"route": "hed"}, "invalid choice: 'hed'"),
        ({"no_train": "yes"}, "argument --no_train"),
        ({"dry_run": 3}, "argument --dry_run"),
    ],
)
def test_a_keyword_or_value_that_no_flag_takes_is_a_user_error_and_ends_nothing(options, said):
    with pytest.raises(xlift.UserError, match=r"run_eval\.py run --help") as caught:
        xlift.evaluate("oracle", "mini/nli", **options)
    assert said in str(caught.value)


def test_what_was_said_before_a_failure_comes_with_it(tmp_path):
    with pytest.raises(xlift.UserError) as caught:
        xlift.plan("oracle", "xnly", num_fewshot=3, output_path=tmp_path)
    assert [note for note in caught.value.__notes__ if note.startswith("note: read as:")]


def test_a_call_that_is_not_quiet_says_what_the_command_says(tmp_path, capsys):
    done = xlift.evaluate("oracle", "mini/nli", output_path=tmp_path / "a", quiet=False, **FAKE)
    said = capsys.readouterr()
    assert (said.out, done.notes) == ("", ())
    assert said.err.startswith(f"oracle: 2 scores, 4 stages: 0 done, 4 to do, in {tmp_path / 'a'}\n")


PROBE = """
import sys
{first}
import xlift
assert "torch" not in sys.modules
import models, harness.commands.run
print(models.__file__); print(harness.__file__)
"""


def in_another_folder(folder, first=""):
    """Imports in a folder that has a package `models` of its own; (exit code, stdout, stderr)."""
    (folder / "models").mkdir(exist_ok=True)
    (folder / "models" / "__init__.py").write_text("OWN = 1\n")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "harness" / "library")}
    ran = subprocess.run(
        [sys.executable, "-c", PROBE.format(first=first)], cwd=folder, env=environment, capture_output=True, text=True
    )
    return ran.returncode, ran.stdout.split(), ran.stderr


def test_the_rooms_are_found_beside_a_folder_of_the_same_name(tmp_path):
    code, found, err = in_another_folder(tmp_path)
    assert (code, found) == (0, [str(ROOT / "models" / "__init__.py"), str(ROOT / "harness" / "__init__.py")]), err


def test_another_package_of_the_same_name_that_is_imported_already_is_told(tmp_path):
    code, _, err = in_another_folder(tmp_path, first="import models; assert models.OWN")
    assert code == 1
    assert "ImportError: xlift has a package 'models', and another of this name is imported already:" in err
    assert str(tmp_path / "models" / "__init__.py") in err
