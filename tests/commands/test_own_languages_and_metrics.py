"""Languages and metrics of the user's own, from --include_path to boards that are made without it."""

import subprocess
import sys

import pytest
from own_files import LANGUAGES, forget_own, write_languages, write_own

import run_eval
from harness.api.registry import ROOT


@pytest.fixture(autouse=True)
def _clean():
    forget_own()
    yield
    forget_own()


def call(capsys, *words):
    code = run_eval.main([str(word) for word in words])
    said = capsys.readouterr()
    return code, said.out, said.err


def alone(*words):
    """(exit code, stdout, stderr) of a command in a process of its own, which knows nothing of the ones before."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "run_eval.py"), *map(str, words)], capture_output=True, text=True, check=False, cwd=ROOT
    )
    return done.returncode, done.stdout, done.stderr


def keys(root, verb):
    """The stages of a verb in a run folder."""
    return {path.parent.name for path in (root / verb).glob("*/done.json")}


def test_a_board_groups_by_languages_of_the_users_own_without_their_file(tmp_path, capsys):
    own, root = write_own(tmp_path / "own", metrics="[accuracy]"), tmp_path / "runs"
    assert call(capsys, "--model", "oracle", "--tasks", "moods", "--include_path", own, "--output_path", root)[0] == 0
    code, board, _ = alone("leaderboard", root, "--by", "family")
    assert code == 0
    assert "Afro-Asiatic: am; Elvish: qya; constructed: tlh." in board


def test_a_stage_has_the_facts_of_its_languages_in_its_key(tmp_path, capsys):
    own, root = write_own(tmp_path / "own", metrics="[accuracy]"), tmp_path / "runs"
    command = ("--model", "oracle", "--tasks", "moods", "--include_path", own, "--output_path", root, "--languages", "tlh")
    assert call(capsys, *command)[0] == 0
    before = keys(root, "predict")
    assert call(capsys, *command)[0] == 0
    assert keys(root, "predict") == before
    write_languages(own, **{**LANGUAGES, "tlh": LANGUAGES["tlh"].replace("name: Klingon", "name: Tlhingan")})
    (own / "moods.Klingon.jsonl").rename(own / "moods.Tlhingan.jsonl")
    assert call(capsys, *command)[0] == 0
    assert len(before) == 1
    assert len(keys(root, "predict") - before) == 1


def test_lists_and_checks_know_languages_of_the_users_own(tmp_path, capsys):
    own = write_own(tmp_path / "own", metrics="[accuracy]")
    code, listed, _ = call(capsys, "ls", "languages", "--include_path", own)
    assert code == 0
    assert "Klingon" in listed
    assert "more languages that no task here tests" in listed
    assert "Warlpiri" not in listed
    assert "Warlpiri" in call(capsys, "ls", "languages", "--languages", "all")[1]
    assert call(capsys, "validate", own, "--specs_only")[:2] == (0, "3 files checked, 0 errors\n")
    assert "tlh" in call(capsys, "ls", "tasks", "--include_path", own, "--languages", "tlh")[1]


def test_an_unknown_language_or_metric_says_where_a_new_one_goes(tmp_path, capsys):
    own = write_own(tmp_path / "own", metrics="[length_mach]")
    (own / "languages.yaml").unlink()
    code, _, said = call(capsys, "validate", own, "--specs_only")
    assert code == 2
    assert "unknown language 'tlh'" in said
    assert "A language of your own goes into languages.yaml in a folder of --include_path." in said
    assert "unknown metric 'length_mach'" in said
    assert "did you mean 'length_match'?" in said
    assert "metrics/length_mach.py in a folder of --include_path" in said


def test_languages_are_not_written_into_a_task_by_hand(tmp_path, capsys):
    own = write_own(tmp_path / "own", metrics="[accuracy]")
    with (own / "moods.yaml").open("a") as file:
        file.write("own_languages: {xx: {iso3: xxx, name: X, family: f, script: Latn}}\n")
    code, _, said = call(capsys, "validate", own, "--specs_only")
    assert (code, "'own_languages' is not written by hand" in said) == (2, True)


@pytest.mark.parametrize("command", ["run", "plan"])
def test_code_of_a_metric_runs_only_where_the_user_names_the_trust(tmp_path, capsys, command):
    own, root = write_own(tmp_path / "own"), tmp_path / "runs"
    with (own / "metrics/length_match.py").open("a") as file:
        file.write(f"\n__import__('pathlib').Path({str(tmp_path / 'ran')!r}).touch()\n")
    words = (command, "--model", "oracle", "--tasks", "moods", "--include_path", own, "--output_path", root)
    code, _, said = call(capsys, *words)
    assert code == 2
    assert "length_match: Python code of the user's own would score" in said
    assert "--trust_metric_code" in said
    for reading in (("ls", "metrics"), ("show", "length_match"), ("show", "moods"), ("ls", "tasks")):
        assert call(capsys, *reading, "--include_path", own)[0] == 0
    assert call(capsys, "validate", own, "--specs_only")[0] == 0
    assert not (tmp_path / "ran").exists()
    assert call(capsys, *words, "--trust_metric_code")[0] == 0
    assert (tmp_path / "ran").exists()


@pytest.mark.slow
def test_scores_of_ones_own_metric_are_read_again_with_its_code_and_not_with_another(tmp_path, capsys):
    own, root = write_own(tmp_path / "own"), tmp_path / "runs"
    include = ("--include_path", own, "--trust_metric_code")
    assert call(capsys, "--model", "oracle,random", "--tasks", "moods", *include, "--output_path", root)[0] == 0
    code, _, said = alone("leaderboard", root)
    assert code == 2
    assert "these scores are of a metric of the user's own, 'length_match'" in said
    code, _, said = alone("leaderboard", root, "--include_path", own)
    assert (code, "allow it with --trust_metric_code" in said) == (2, True)
    assert alone("leaderboard", root, *include)[0] == 0
    code, compared, _ = alone("compare", root, "--a", "model=random", "--b", "model=oracle", *include)
    assert (code, "100.0" in compared) == (0, True)
    (own / "metrics/_letters.py").write_text("def letters(text):\n    return len(str(text)) + 0\n")
    code, _, said = alone("leaderboard", root, *include)
    assert (code, "the code of metric 'length_match' is not the code that scored" in said) == (2, True)
    before = keys(root, "score"), keys(root, "predict")
    assert call(capsys, "--model", "oracle,random", "--tasks", "moods", *include, "--output_path", root)[0] == 0
    assert len(keys(root, "score") - before[0]) == 6
    assert keys(root, "predict") == before[1]
    assert alone("leaderboard", root, *include)[0] == 0
