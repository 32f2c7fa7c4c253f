"""What other harnesses are told is said here: the table of docs/coming_from.md, line by line."""

import re
import shlex
from pathlib import Path

import pytest

import run_eval
from harness.api.registry import COMMANDS
from harness.commands._borrowed_answers import ANSWERED
from harness.commands._borrowed_flags import FLAGS, translate
from harness.commands._borrowed_models import SERVERS
from harness.commands._parser import parser_of

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
    found = {key: value for key, value in vars(run_eval.parse(words)).items() if key != "run"}
    lists = {key: sorted((found[key] or "").split(",")) for key in ("model_args", "prompt_args") if key in found}
    return {**found, **lists}


def usual(words: list[str]) -> list[str]:
    """Words with the usual model and task where they name none."""
    has_model = {"--model", "-m"} & {*words} or any("pretrained" in word for word in words)
    has_task = {"--tasks", "-t", "--dataset"} & {*words}
    return [*([] if has_model else USUAL[:2]), *([] if has_task else USUAL[2:]), *words]


def theirs() -> list[tuple[str, str]]:
    """A command line or flag of another harness, and what is said of it."""
    own = ("`lm_eval", "`lm-eval", "`--")
    return [
        (text, right) for left, right in rows() if left.startswith(own) for text in code(left) if text.startswith(("lm", "--"))
    ]


def with_becoming(which: str) -> list[tuple[str, str]]:
    """Those that become flags of ours, are left out, or refused."""
    kinds = {"refused": "refused", "nothing": "nothing"}
    return [(text, right) for text, right in theirs() if kinds.get(re.match(r"\w*", right)[0], "ours") == which]


def words_of(text: str) -> list[str]:
    """What a user of theirs types behind the name of the program."""
    words = shlex.split(text)
    return words if words[0].startswith("--") else words[1:]


@pytest.mark.parametrize("right", [right for _, right in rows()])
def test_what_is_said_here_exists(right, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HARNESS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    known = {flag for name in COMMANDS.names() for action in parser_of(name).actions() for flag in action.option_strings}
    for text in code(right):
        words = shlex.split(text)
        assert {word for word in words if word.startswith("--")} <= known, text
        if words[0] == "run_eval.py" and words[1].startswith("--"):
            more = ["--output_path", str(tmp_path / "runs"), "--limit", "2", "--languages", "de"]
            assert run_eval.main(["plan", *words[1:], *more]) == 1, capsys.readouterr().err  # the data are not here
        elif words[0] == "run_eval.py":
            parsed(words[1:])
        elif text.startswith("--") and (len(words) > 1 or text in ("--quiet", "--verify", "--dry_run", "--trust_task_code")):
            parsed(["run", *usual([word.replace("X", "mini") for word in words])])


@pytest.mark.parametrize(("left", "right"), with_becoming("ours"))
def test_their_command_lines_become_ours(left, right):
    said, words = code(right)[0], words_of(left)
    if not words[0].startswith("--"):  # a command of the same name
        assert parsed(words) == parsed(shlex.split(said)[1:])
        return
    own = translate(usual(words))
    if said.startswith("run_eval.py") and not said.startswith("run_eval.py --"):
        assert parsed(["plan", *own.words]) == parsed(["plan", *usual([])])
        assert any(f"`{said}" in note for note in own.notes)
        return
    assert parsed(["plan", *own.words]) == parsed(["plan", *usual(shlex.split(said.removeprefix("run_eval.py ")))])


@pytest.mark.parametrize(("left", "right"), with_becoming("nothing"))
def test_what_is_not_needed_changes_nothing_and_says_so(left, right):
    own = translate(usual(words_of(left)))
    assert parsed(["plan", *own.words]) == parsed(["plan", *usual([])])
    assert len(own.notes) == 2  # how it is read, and why the flag says nothing


@pytest.mark.parametrize(("left", "right"), with_becoming("refused"))
def test_what_needs_another_command_or_a_decision_says_which(left, right, capsys):
    words = words_of(left)
    assert run_eval.main(words if words[0] == "validate" else ["plan", *usual(words)]) == 2
    said = " ".join(capsys.readouterr().err.split())
    for text in code(right):
        assert text.replace("runs/x", "runs").replace("xlm-roberta-base", USUAL[1]) in said


def test_every_line_of_the_tables_is_tried():
    kinds = {kind: len(with_becoming(kind)) for kind in ("ours", "nothing", "refused")}
    assert sum(kinds.values()) == len(theirs())
    assert min(kinds.values()) > 10
    tables = (ROOT / "docs" / "coming_from.md").read_text(encoding="utf-8")
    for flag in [*FLAGS, *ANSWERED, *(f"--model {name}" for name in ("hf", "vllm", *SERVERS[:2], "dummy"))]:
        assert f"{flag}`" in tables or f"{flag} " in tables, flag


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "hf", "--tasks", "xnli"], "names a program, no model"),
        (["--model", "sglang", "--model_args", "pretrained=X", "--tasks", "xnli"], "engine=server,base_url="),
        (["--model", "local-completions", "--model_args", "base_url=http://h/v1", "--tasks", "xnli"], "add model=NAME"),
        ([*USUAL, "--gen_kwargs", "num_beams=4"], "no such argument"),
        ([*USUAL, "--seed", "x"], "whole number"),
        ([*USUAL, "--seed", "1,2"], "those of Python, numpy, torch"),
        ([*USUAL, "--batch_size", "many"], "no size of batches"),
        ([*USUAL, "--num_fewshot", "--limit", "2"], "value is missing"),
        ([*USUAL, "--apply_chat_template", "rag"], "none is chosen by name"),
        ([*USUAL, "--apply_chat_template", "--fewshot_as_multiturn", "false"], "turns of their own"),
        ([*USUAL, "--system_instruction", "'a' or \"b\", then"], "both kinds of quotation marks"),
        ([*USUAL, "--samples", "{}", "--metadata", "{}"], "2 errors"),
    ],
)
def test_what_cannot_be_read_is_one_clear_error(words, message, capsys):
    assert run_eval.main(words) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["-M", "hf", "-a", "pretrained=mini", "-t", "xnli", "-f", "2", "-b", "auto"], "--prompt_args num_fewshot=2"),
        (["--model_args", "pretrained=mini", "dtype=float32", "--tasks", "xnli", "pawsx"], "--tasks xnli,pawsx"),
        (["--model", "hf", "--model_args", '{"pretrained": "mini", "dtype": "float32"}', "--tasks", "xnli"], "dtype=float32"),
        ([*USUAL, "--gen_kwargs", '{"max_gen_toks": 7, "do_sample": false}'], "max_new_tokens=7"),
        ([*USUAL, "--gen_kwargs", "temperature=0.0", "max_gen_toks=7"], "max_new_tokens=7"),
        ([*USUAL, "--system_instruction", 'Say "yes", then'], """'system='"'"'Say "yes", then'"'"''"""),
        ([*USUAL, "--num_fewshot=3", "--seed=0,None,None,7"], "num_fewshot=3,seed=7"),
        ([*USUAL, "--prompt_args", "sft=true", "--num_fewshot", "2", "--seed", "4"], "--seeds 4"),
        (["--model", "vllm", "--model_args", "pretrained=mini,lora_local_path=A,device=cpu", "--tasks", "xnli"], "base=mini"),
    ],
)
def test_other_forms_of_the_same_flags_are_read(words, expected):
    own = translate(words).words
    assert expected in shlex.join(own)
    assert parsed(["plan", *own])


def test_our_own_flags_stay_as_they_are_and_may_come_twice():
    words = [*USUAL, "--include_path", "a", "--include_path=b", "--limit", "3", "--quiet"]
    assert translate(words).words == words
    assert translate(words).notes == []
    mixed = translate([*words, "--num_fewshot", "2", "--prompt_args", "seed=5"]).words
    assert mixed[mixed.index("--prompt_args") + 1] == "num_fewshot=2,seed=5"
    assert [mixed[n + 1] for n, word in enumerate(mixed) if word == "--include_path"] == ["a", "b"]


def test_answers_name_the_command_to_type_and_no_secret(capsys):
    more = ["--output_path", "my runs", "--tasks", "xquad,xnli", "--model", "a/b", "--force", "--download-only"]
    assert run_eval.main(["plan", *more, "--api-key", "s3cret"]) == 2
    err = capsys.readouterr().err
    assert "run_eval.py clean 'my runs' --tasks xquad,xnli --yes" in err
    assert "run_eval.py fetch --model a/b --tasks xquad,xnli" in err
    assert "s3cret" not in err
    assert run_eval.main(["plan", "--model", "hf", "--model_args", "pretrained=a/b", "--tasks", "xnli", "--download-only"]) == 2
    assert "fetch --model MODEL --tasks xnli" in capsys.readouterr().err


def test_a_limit_of_theirs_is_told_to_take_other_rows():
    theirs_too = ["--model", "hf", "--model_args", "pretrained=mini", "--tasks", "xnli", "--limit"]
    assert any("first:20 takes the rows that lm-eval takes" in note for note in translate([*theirs_too, "20"]).notes)
    assert not any("takes the rows" in note for note in translate([*theirs_too, "first:20"]).notes)
    assert translate([*USUAL, "--limit", "20"]).notes == []


def test_adapters_and_bits_have_our_names():
    words = translate(
        ["--model", "hf", "--model_args", "pretrained=B,peft=A,load_in_4bit=True,add_bos_token=True", "--tasks", "xnli"]
    )
    assert dict(zip(words.words[::2], words.words[1::2]))["--model"] == "A"
    assert "base=B" in " ".join(words.words)
    assert "quantization=nf4" in " ".join(words.words)
    assert any("add_bos_token" in note for note in words.notes)
