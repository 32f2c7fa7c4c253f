"""What other harnesses are told is said here: the table of docs/coming_from.md, line by line."""

import re
import shlex
from pathlib import Path

import pytest

import run_eval
from harness.api.errors import UserError
from harness.commands._borrowed_flags import translate

ROOT = Path(__file__).resolve().parents[2]
USUAL = ["--model", "smollm2-135m-instruct", "--tasks", "xnli"]


def rows() -> list[tuple[str, str]]:
    """What stands left and right in the tables."""
    lines = (ROOT / "docs" / "coming_from.md").read_text(encoding="utf-8").splitlines()
    cells = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    return [(left, right) for left, right in cells if left != "there"]


def code(cell: str) -> list[str]:
    """What stands in code in a cell."""
    return re.findall(r"`([^`]+)`", cell)


def parsed(words: list[str]) -> dict:
    """Flags and values of a command line, sorted."""
    return {key: value for key, value in vars(run_eval.parse(words)).items() if key != "run"}


@pytest.mark.parametrize("right", [right for _, right in rows()])
def test_what_is_said_here_exists(right, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HARNESS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    for text in code(right):
        words = shlex.split(text)
        if words[0] == "run_eval.py" and words[1].startswith("--"):
            more = ["--output_path", str(tmp_path / "runs"), "--limit", "2", "--languages", "de"]
            assert run_eval.main(["plan", *words[1:], *more]) == 1, capsys.readouterr().err  # the data are not here
        elif words[0] == "run_eval.py":
            parsed(words[1:])
        elif text.startswith("--"):
            given = [word.replace("X", "mini") for word in words]
            parsed(["run", *([] if "--model" in given else USUAL[:2]), *USUAL[2:], *given])


@pytest.mark.parametrize(("left", "right"), [row for row in rows() if row[0].startswith(("`lm_eval", "`--"))][:14])
def test_flags_of_lm_eval_become_those_beside_them(left, right):
    (theirs, *_), ours = code(left), code(right)
    words = shlex.split(theirs.removeprefix("lm_eval "))
    given = words if "--model" in words else [*USUAL, *words]
    own = translate([*given, *([] if "--tasks" in given else ["--tasks", "xnli"])]).words
    said = [
        word
        for text in ours
        if text.startswith(("--", "run_eval.py --"))
        for word in shlex.split(text.removeprefix("run_eval.py "))
    ]
    if right.startswith("nothing"):
        said = []
    expected = ["plan", *([] if "--model" in said else USUAL[:2]), *([] if "--tasks" in said else USUAL[2:]), *said]
    if "--seed" in theirs:
        expected = expected[: expected.index("--prompt_args")]
    found, wanted = parsed(["plan", *own]), parsed(expected)
    if not any(text.startswith("run_eval.py show") for text in ours):
        assert {**found, "model_args": sorted(found["model_args"].split(","))} == {
            **wanted,
            "model_args": sorted(wanted["model_args"].split(",")),
        }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "hf", "--tasks", "xnli"], "names a program, no model"),
        ([*USUAL, "--gen_kwargs", "temperature=0"], "stands in its file"),
        ([*USUAL, "--few-shot"], "how many"),
        ([*USUAL, "--seed", "x"], "whole number"),
        (["--model", "mini", "--tasks", "list"], "ls tasks"),
    ],
)
def test_what_needs_a_decision_says_which(words, message, capsys):
    with pytest.raises(UserError, match=message):
        translate(words)
    assert run_eval.main(words) == 2
    assert message.split()[0] in capsys.readouterr().err


def test_our_own_flags_stay_as_they_are_and_may_come_twice():
    words = [*USUAL, "--include_path", "a", "--include_path=b", "--limit", "3", "--quiet"]
    assert translate(words).words == words
    assert translate(words).notes == []
    mixed = translate([*words, "--num_fewshot", "2", "--prompt_args", "seed=5"]).words
    assert mixed[mixed.index("--prompt_args") + 1] == "num_fewshot=2,seed=5"
    assert [mixed[n + 1] for n, word in enumerate(mixed) if word == "--include_path"] == ["a", "b"]


def test_adapters_and_bits_have_our_names():
    words = translate(
        ["--model", "hf", "--model_args", "pretrained=B,peft=A,load_in_4bit=True,add_bos_token=True", "--tasks", "xnli"]
    )
    assert dict(zip(words.words[::2], words.words[1::2]))["--model"] == "A"
    assert "base=B" in " ".join(words.words)
    assert "quantization=nf4" in " ".join(words.words)
    assert any("add_bos_token" in note for note in words.notes)
