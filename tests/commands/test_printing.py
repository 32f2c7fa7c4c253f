"""Names and values that a file brings are shown on the terminal, which obeys none of them."""

import pytest
from small_tasks import pairs, rows, write

import run_eval

HOSTILE = "\x1b[31mred\x07\u202egnp\x9b2J"


@pytest.mark.parametrize("command", ["validate", "show", "plan", "ls"])
def test_no_command_prints_what_a_terminal_obeys(tmp_path, capfd, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "500")
    spec = pairs("told", description=HOSTILE, notes=[HOSTILE], labels=["no", "yes", HOSTILE], licence=HOSTILE, train=False)
    path = write(tmp_path, spec)
    rows(tmp_path, "told", "en", "de")
    (tmp_path / "told-de.jsonl").write_text('{"a": "\\u001b[31mred", "label": "\\u001b[2J"}\n')
    words = {
        "validate": [str(path)],
        "show": ["told", "--include_path", str(path)],
        "plan": ["--model", "constant", "--tasks", "told", "--recipe", "mini", "--include_path", str(path)],
        "ls": ["tasks", "--include_path", str(path)],
    }
    assert run_eval.main([command, *words[command]]) == {"validate": 2, "show": 0, "plan": 2, "ls": 0}[command]
    said = "".join(capfd.readouterr())
    assert r"\x1b[" in said
    assert not [letter for letter in "\x1b\x07\u202e\x9b" if letter in said]
