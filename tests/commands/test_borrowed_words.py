"""What users of other harnesses type is read whole: nothing dropped, shown that is secret, or changed on the way."""

import json
import shlex

import pytest

import run_eval
from harness.commands._borrowed_flags import FLAGS, translate
from harness.planning.catalog.lm_eval_files.known_keys import TOKEN_LIMITS

USUAL = ["--model", "mini", "--tasks", "xnli"]
HF = ["--tasks", "xnli", "--model", "hf", "--model_args"]


def become(*words):
    """Our flags, and their values."""
    found = translate(words).words
    return {flag: value for flag, value in zip(found, [*found[1:], ""]) if flag.startswith("--")}


def refused(capsys, *words, command="plan"):
    """What is said of a command line that is refused."""
    assert run_eval.main([command, *words]) == 2
    return " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("program", ["hf", "vllm", "local-completions"])
def test_a_default_length_of_answers_is_not_taken_for_that_of_all(program, capsys):
    more = "pretrained=mini,base_url=http://h/v1,max_gen_toks=7"
    said = refused(capsys, "--tasks", "xnli", "--model", program, "--model_args", more)
    assert "--prompt_args max_new_tokens=7 for all tasks" in said
    assert "`generation_kwargs: {max_gen_toks: 7}`" in said


def test_a_length_with_the_prompt_is_no_length_of_answers(capsys):
    said = refused(capsys, *USUAL, "--gen_kwargs", "max_length=512")
    assert "counts the prompt too" in said
    assert "--prompt_args max_new_tokens=N" in said
    assert "--prompt_args max_length=512" in said


@pytest.mark.parametrize("first", range(len(TOKEN_LIMITS)))
def test_of_several_lengths_the_one_counts_that_counts_in_task_files(first):
    said = {key: 10 + place for place, key in enumerate(TOKEN_LIMITS) if place >= first}
    backwards = ",".join(f"{key}={value}" for key, value in reversed(said.items()))
    for words in ([backwards], backwards.split(","), [json.dumps({**said, "max_gen_toks": said.get("max_gen_toks")})]):
        assert become(*USUAL, "--gen_kwargs", *words)["--prompt_args"] == f"max_new_tokens={10 + first}"
    apart = [word for key, value in said.items() for word in ("--gen_kwargs", f"{key}={value}")]
    assert become(*USUAL, *apart)["--prompt_args"] == f"max_new_tokens={10 + first}"


def test_a_length_that_files_of_tasks_may_overrule_there_is_said_to_be_that_of_all():
    said = translate([*USUAL, "--gen_kwargs", "max_tokens=9"]).notes
    assert any("there, max_gen_toks or max_new_tokens in the file of a task counts before max_tokens" in note for note in said)
    assert not any("file of a task" in note for note in translate([*USUAL, "--gen_kwargs", "max_gen_toks=9"]).notes)


@pytest.mark.parametrize("flag", ["--hf_hub_log_args", "--wandb_args", "--wandb_config_args", "--trackio_args"])
@pytest.mark.parametrize(
    "value",
    [
        ["hub_results_org=me,token=hf_s3cret"],
        ["hub_results_org=me", "token=hf_s3cret"],
        ['{"hub_results_org": "me", "token": "hf_s3cret"}'],
        ['{"token": "hf_s3cret"'],
        ["hf_s3cret"],
    ],
)
def test_of_what_other_programs_are_told_only_the_names_are_shown(flag, value, capsys):
    said = refused(capsys, *USUAL, flag, *value)
    assert "s3cret" not in said
    if "org" in value[0]:
        assert "hub_results_org" in said


@pytest.mark.parametrize("words", [[*HF, "pretrained=mini,token=hf_s3cret"], [*HF, '{"pretrained": "mini", "api_key": "s3cret"}'],
                                   [*USUAL, "--num_fewshot", "2", "--model_args", "token=hf_s3cret"]])  # fmt: skip
def test_a_key_among_the_arguments_of_a_model_is_refused_unseen(words, capsys):
    assert run_eval.main(["plan", *words]) == 2
    out, err = capsys.readouterr()
    assert "s3cret" not in out + err
    assert "HF_TOKEN" in err


@pytest.mark.parametrize(
    ("words", "flag", "expected"),
    [
        ([*USUAL, "--dataset", "pawsx"], "--tasks", "xnli,pawsx"),
        ([*USUAL, "--dataset", "pawsx", "--dataset", "xnli"], "--tasks", "xnli,pawsx"),
        ([*USUAL, "--languages", "de", "--language", "sw", "-l", "ur"], "--languages", "de,sw,ur"),
        ([*USUAL, "--model", "random", "--language", "de"], "--model", "mini,random"),
        ([*USUAL, "--prompt_args", "seed=1", "--prompt_args", "num_fewshot=2"], "--prompt_args", "seed=1,num_fewshot=2"),
        ([*USUAL, "--model_args", "dtype=float32", "--model_args", "revision=a"], "--model_args", "dtype=float32,revision=a"),
        ([*USUAL, "--cache-dir", "a", "--output_path", "a"], "--output_path", "a"),
        ([*USUAL, "--num_fewshot", "2", "--prompt_args", "num_fewshot=2"], "--prompt_args", "num_fewshot=2"),
    ],
)
def test_what_is_said_by_several_flags_is_put_together(words, flag, expected):
    assert become(*words)[flag] == expected
    assert translate(words).words.count(flag) == 1


def test_of_our_own_flags_alone_the_last_counts():
    words = [*USUAL, "--tasks", "pawsx", "--model", "random", "--limit", "5", "--limit", "10"]
    assert translate(words).words == words
    assert translate(words).notes == []


@pytest.mark.parametrize(
    ("words", "both"),
    [
        ([*USUAL, "--cache-dir", "a", "--cache-dir", "b"], "a and b"),
        ([*USUAL, "--output_path", "b", "--cache-dir", "a"], "b and a"),
        ([*USUAL, "--seeds", "1,2", "--seed", "3"], "1,2 and 3"),
        ([*HF, "pretrained=mini,device=cpu", "--device", "cuda"], "cuda and cpu"),
        ([*HF, "pretrained=mini", "--model_args", "pretrained=other"], "pretrained=mini and pretrained=other"),
        ([*USUAL, "--num_fewshot", "2", "--prompt_args", "num_fewshot=3"], "num_fewshot=2 and num_fewshot=3"),
        ([*USUAL, "--num_fewshot", "2", "--zero-shot"], "num_fewshot=2 and num_fewshot=0"),
        ([*HF, "pretrained=mini", "--model", "vllm"], "hf,vllm"),
    ],
)
def test_two_values_of_which_one_can_count_are_refused(words, both, capsys):
    assert both in refused(capsys, *words)


def test_arguments_in_json_are_read_flag_by_flag():
    alone = ["--tasks", "xnli", "--model_args", '{"pretrained": "mini", "dtype": "float32", "revision": null}']
    assert become(*alone)["--model"] == "mini"
    assert become(*alone)["--model_args"] == "dtype=float32"
    two = [*alone, "--model_args", '{"trust_remote_code": true}', "--model_args", "revision=a"]
    assert become(*two)["--model_args"] == "dtype=float32,trust_remote_code=true,revision=a"
    assert become(*alone, '{"revision": "a"}')["--model_args"] == "dtype=float32,revision=a"
    ours = [*USUAL, "--model_args", '{"dtype": "float32"}']
    assert become(*ours)["--model_args"] == "dtype=float32"
    assert become(*ours, "--num_fewshot", "2")["--model_args"] == "dtype=float32"


@pytest.mark.parametrize("program", ["hf", "vllm", "gguf", "dummy", "local-completions"])
def test_a_folder_with_the_name_of_a_program(program, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / program).mkdir()
    words = ["--model", program, "--tasks", "xnli"]
    pretrained = ["--model_args", "pretrained=mini,base_url=http://h/v1"]
    if program in ("hf", "vllm"):
        assert f"--model ./{program}" in refused(capsys, *words)
    if program == "gguf":
        assert "names a program" in refused(capsys, *words, *pretrained)
    else:
        found = translate([*words, *pretrained])
        assert {"mini", "random"} & {*found.words}
        assert any(f"--model ./{program} is the folder" in note for note in found.notes)
    (tmp_path / program / "config.json").write_text("{}")
    assert translate(words) == (words, [])
    if program == "vllm":
        assert become(*words, *pretrained)["--model"] == "mini"


VALUED = (
    *("--num_fewshot", "--system_instruction", "--gen_kwargs", "--batch_size", "--batch-size", "--max_batch_size", "--seed"),
    *("--dataset", "--language", "--cache-dir", "--gpu-memory-utilization", "--model_args", "--prompt_args"),
)


@pytest.mark.parametrize("flag", VALUED)
def test_a_flag_without_its_value_is_named(flag, capsys):
    said = refused(capsys, *USUAL, flag, "--num-iterations", "3")
    assert f"{flag}: a value is missing" in said


@pytest.mark.parametrize("flag", FLAGS)
def test_no_flag_alone_becomes_none_as_a_text(flag, capsys):
    run_eval.main(["plan", *USUAL, flag, "--no_such_flag"])
    assert "None" not in "".join(capsys.readouterr())


@pytest.mark.parametrize("flag", ["--zero-shot", "--trust_remote_code", "--trust-remote-code", "--no-progress-bar"])
def test_a_switch_takes_no_value(flag, capsys):
    assert "takes no value" in refused(capsys, *USUAL, flag, "false")


@pytest.mark.parametrize(
    ("said", "drawn"),
    [
        ("top_p=0.9", False),
        ("top_k=5,min_p=0.1", False),
        ("do_sample=None,top_p=0.9", False),
        ("temperature=0,top_p=0.9", False),
        ("do_sample=False,temperature=0.7", False),
        ("temperature=0.7", True),
        ("do_sample=True", True),
        ("do_sample=true,top_p=0.9", True),
        ("do_sample=true,temperature=0", False),
    ],
)
def test_answers_are_drawn_where_a_temperature_or_do_sample_says_so(said, drawn, capsys):
    words = [*USUAL, "--gen_kwargs", said]
    if drawn:
        assert "at random answers are drawn" in refused(capsys, *words)
    else:
        assert any("written greedily" in note for note in translate(words).notes)


def test_words_of_the_user_are_no_placeholders(capsys):
    said = refused(capsys, *USUAL[:2], "--tasks", "a/RUNS", "--output_path", "my/TASKS/MODEL", "--force", "--download-only")
    assert "clean my/TASKS/MODEL --tasks a/RUNS --yes" in said
    assert "fetch --model mini --tasks a/RUNS" in said
    words = [*USUAL, "--output_path", "a{task}", "--system_instruction", "{runs} {show} {task}", "--log_samples", "--write_out"]
    read_as, *notes = translate(words).notes
    assert shlex.split(read_as.removeprefix("read as: ")) == translate(words).words
    assert "into 'a{task}'/predict" in notes[0]
    assert "system={runs} {show} {task}" in notes[1]
    left_out = translate([*HF, "pretrained=mini,backend={task}"]).notes
    assert any("backend={task} is left out" in note for note in left_out)


@pytest.mark.parametrize(
    ("words", "todo"),
    [
        (["--tasks", "pawsx"], "to do: run_eval.py validate pawsx"),
        (["--tasks=pawsx"], "to do: run_eval.py validate pawsx"),
        (["-t", "pawsx"], "to do: run_eval.py validate pawsx"),
        (["-t=pawsx"], "to do: run_eval.py validate pawsx"),
        (["-t", "pawsx", "mini/nli"], "to do: run_eval.py validate pawsx; run_eval.py validate mini/nli"),
        (["--include_path", "my dir", "--tasks", "a,b"], "validate a --include_path 'my dir'; run_eval.py validate b"),
        (["--tasks"], "to do: run_eval.py validate NAME"),
    ],
)
def test_validate_of_theirs_is_answered_in_each_of_its_forms(words, todo, capsys):
    assert todo in refused(capsys, *words, command="validate")
