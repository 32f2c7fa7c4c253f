"""What no path can be, given to any flag or argument that takes one: one error, exit code 2, no traceback."""

import pytest

import run_eval

PLAN = ["plan", "--model", "oracle", "--tasks", "mini/nli", "--languages", "de"]
COMMANDS = [
    [*PLAN, "--include_path"],
    [*PLAN, "--data_dir"],
    [*PLAN, "--allow_path"],
    [*PLAN, "--output_path"],
    ["ls", "tasks", "--include_path"],
    ["validate"],
    ["validate", "mini/nli", "--model"],
    ["show", "xnli", "--model"],
    ["fetch", "--tasks", "mini/nli", "--model"],
    ["leaderboard"],
    ["leaderboard", "runs", "--csv"],
    ["leaderboard", "runs", "--figures"],
    ["errors", "--task", "x"],
    ["compare"],
    ["compare", "a=b"],
    ["clean", "--tasks", "x"],
    ["submission", "export", "--output", "new"],
    ["submission", "score", "a"],
]
NAMES = ["x" * 300, "d/" * 3000, "a\0b", "\udce4x", "~nobody-of-this-name/x", "", "\x1b[31mred", "file/below"]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[1:12])
@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: " ".join(words[:1] + words[-1:]))
def test_a_name_that_no_path_can_have_is_one_error(command, name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("no folder")
    try:
        code = run_eval.main([*command, name])
    except SystemExit as end:  # words that no flag takes
        code = int(str(end.code))
    told = capsys.readouterr().err
    if command[-1] in ("--data_dir", "--model") and not name:
        assert code == 0  # as if the flag were not there: what is not needed is empty in scripts
    elif command[-1] == "--output_path" and name in NAMES[3:5] + NAMES[6:7]:
        assert code == 0  # odd, and new: a folder may be called so
    else:
        assert (code, told.count("error: ")) == (2, 1), told
    assert "\x1b" not in told
