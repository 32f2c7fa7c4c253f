"""The command line: flags, exit codes, what goes where, and what is not imported."""

import json
import os
import re
import subprocess
import sys

import pytest
from small_tasks import RECIPE, pairs, rows, write, write_tasks

import run_eval
from harness.api.registry import COMMANDS, ROOT

INCLUDE = {"--include_path", "--trust_metric_code"}
CATALOG = INCLUDE | {"--data_dir", "--allow_path"}
TRUST = {"--trust_task_code", "--trust_evaluate_metrics", "--trust_generated_code"}
REQUEST = CATALOG | {"--model", "--model_args", "--tasks", "--intermediate", "--recipe", "--seeds", "--languages", "--limit"}
REQUEST |= {"--no_train", "--remove_overlap", "--output_path", "--route", "--prompt_args"}
MACHINE = {
    "--device",
    "--batch_tokens",
    "--save_every",
    "--keep",
    "--quiet",
    "--unrepeatable",
    "--sharding",
    "--offload",
    "--retry_in_float32",
    "--track",
}
EXECUTOR = {"--executor", "--address", "--retries", "--cpus_per_stage", "--processes_per_stage", "--copy_to"}
COSTS = {"--on", "--price"}
STUDY = {
    "--output_path",
    "--backbones",
    "--seeds",
    "--dry_run",
    "--watch",
    "--report_only",
    "--no_look",
    "--replace_degenerate",
    "--verify",
}
FLAGS = {
    "run": TRUST
    | REQUEST
    | MACHINE
    | COSTS
    | EXECUTOR
    | {"--dry_run", "--references", "--replace_degenerate", "--verify", "--ignore_memory"},
    "plan": TRUST | REQUEST | MACHINE | COSTS | {"--json"},
    "calibrate": {"--device"},
    "completion": INCLUDE,
    "doctor": CATALOG | {"--output_path", "--json"},
    "schema": {"--output"},
    "ls": CATALOG | {"--languages", "--type", "--family"},
    "show": TRUST | CATALOG | {"--model", "--model_args", "--recipe", "--prompt_args", "--languages"},
    "validate": TRUST | CATALOG | {"--specs_only", "--languages", "--model", "--model_args"},
    "fetch": CATALOG | {"--model", "--model_args", "--tasks", "--intermediate", "--languages"},
    "leaderboard": CATALOG
    | {
        "--output",
        "--by",
        "--references",
        "--older",
        "--csv",
        "--latex",
        "--figures",
        "--html",
        "--examples",
        "--export",
        "--push_card",
        "--answers",
    },
    "study": TRUST | CATALOG | MACHINE | COSTS | EXECUTOR | STUDY | {"--ignore_memory"},
    "clean": {"--tasks", "--languages", "--older", "--yes"},
    "compare": INCLUDE | {"--a", "--b", "--by", "--tasks", "--languages", "--samples", "--seed", "--output"},
    "errors": TRUST | CATALOG | {"--task", "--languages", "--setting", "--model", "--seed", "-n", "--all", "--right", "--draw"},
    "submission": CATALOG | {"--output", "--gold", "--model", "--intermediate", "--recipe", "--seed", "--partial"},
}


def call(capsys, *words):
    """(exit code, stdout, stderr) of a command line in this process."""
    try:
        code = run_eval.main(list(words))
    except SystemExit as left:
        code = left.code
    said = capsys.readouterr()
    return code, said.out, said.err


def test_flags_are_these_and_no_others(capsys):
    found = {}
    for name in COMMANDS.names():
        code, out, _ = call(capsys, name, "--help")
        assert code == 0
        listed = re.findall(r"^  (-.*?)(?:  |$)", out, re.MULTILINE)  # `--seeds SEEDS`, before what it means
        found[name] = {word for flag in listed for word in re.findall(r"--?[a-z_0-9]+", flag)} - {"-h", "--help"}
    assert found == FLAGS


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--modle", "x", "--taks=xnli"], ["did you mean --model?", "did you mean --tasks?"]),
        (["run", "--model", "x", "--tasks", "xnli", "--dryrun"], ["did you mean --dry_run?"]),
        (["--model", "x", "--tasks", "xnli", "--limi", "3"], ["did you mean --limit?"]),
        (["lst"], ["unknown command 'lst'", "did you mean 'ls'?"]),
        (["ls", "task"], ["did you mean 'tasks'?"]),
        (["show", "xnly"], ["did you mean 'xnli'?"]),
        (["plan", "--model", "oracle", "--tasks", "xnly"], ["did you mean 'xnli'?"]),
        (["plan", "--model", "oracl", "--tasks", "bare"], ["did you mean 'oracle'?"]),
        (["plan", "--model", "oracle", "--tasks", "xnli", "--languages", "german"], ["did you mean 'de'?"]),
        (["plan", "--model", "a/b", "--tasks", "xnli", "--model_args", "dtpe=x"], ["did you mean 'dtype'?"]),
        (["plan", "--model", "oracle", "--tasks", "xnli", "--seeds", "1,x"], ["--seeds", "1,2,3"]),
        (["plan", "--model", "oracle", "--tasks", "xnli", "--save_every", "0"], ["--save_every"]),
        (["plan", "--model", "oracle"], ["required: --tasks"]),
        (["leaderboard", "/nowhere"], ["is no run folder"]),
        (["validate", "/nowhere"], ["/nowhere does not exist"]),
        (["ls", "--include_path", "/nowhere"], ["/nowhere does not exist"]),
    ],
)
def test_a_wrong_word_is_code_2_with_the_nearest_right_one_on_stderr(capsys, words, expected):
    code, out, err = call(capsys, *words)
    assert (code, out) == (2, "")
    assert [word for word in expected if word not in err] == [], err
    assert "Traceback" not in err


def test_help_lists_every_command(capsys):
    code, out, _ = call(capsys, "--help")
    assert code == 0
    assert [name for name in COMMANDS.names() if f"\n  {name} " not in out] == []


def test_plan_is_a_result_and_its_code_says_whether_data_are_missing(tmp_path, capsys):
    folder = write_tasks(tmp_path)
    words = [
        "plan",
        "--include_path",
        str(folder),
        "--data_dir",
        str(folder),
        "--model",
        str(folder / "model"),
        "--recipe",
        "short",
    ]
    words += ["--output_path", str(tmp_path / "runs"), "--quiet"]
    code, out, err = call(capsys, *words, "--tasks", "right,bare", "--intermediate", "none,warm", "--seeds", "1,2")
    assert (code, err) == (0, "")
    for text in (
        "14 scores",
        "intermediate  warm",
        "2 to do",
        "max_steps 2",
        "no preset describes",
        "right bare",
        "no seeds for bare",
    ):
        assert text in out, out
    assert not (tmp_path / "runs").exists()
    code, out, _ = call(capsys, *words, "--tasks", "left")
    assert code == 1
    assert "task 'left' lacks test rows of fr; 1 scores wait for them" in out
    run = ["run", *words[1:], "--tasks", "left", "--dry_run"]
    assert call(capsys, *run)[:2] == (1, out)


def test_plan_prints_the_pitfalls_of_a_preset(tmp_path, capsys):
    write_tasks(tmp_path)
    preset = {"preset": "model", "hub": "a/b", "parameters": 10**9, "pitfalls": ["It bites."]}
    write(tmp_path, preset)
    words = ["--include_path", str(tmp_path), "--data_dir", str(tmp_path), "--recipe", "short", "--tasks", "bare"]
    code, out, _ = call(capsys, "plan", "--model", "model", *words)
    assert code == 0
    assert "note on model: It bites." in out
    assert "its number of parameters" in out


def test_validate_says_every_mistake_and_renders_rows(tmp_path, capsys):
    folder = write_tasks(tmp_path)
    rows(folder, "left", "fr")
    code, out, err = call(capsys, "validate", str(folder), "--data_dir", str(folder))
    assert (code, err) == (0, "")
    assert "6 files checked, 0 errors" in out
    assert "text='en 0'" in out
    write(folder, pairs("bad", metrics=["acuracy"], languages=["xx"]))
    write(folder, {**RECIPE, "recipe": "worse", "target": {"epoch": 1}})
    code, out, err = call(capsys, "validate", str(folder), "--specs_only")
    assert code == 2
    assert out == "8 files checked, 3 errors\n"
    for text in ("'accuracy'", "unknown language 'xx'", "worse.yaml:"):
        assert text in err


def test_show_says_where_each_value_stands_and_who_set_each_option(capsys):
    code, out, _ = call(
        capsys, "show", "xquad", "--model", "multilingual-e5-small", "--recipe", "xtreme_2020", "--model_args", "max_length=99"
    )
    assert code == 0
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert any(line.startswith("type tasks/_squad_columns.yaml:") and line.endswith(" span_qa") for line in lines)
    assert "task tasks/xtreme/xquad.yaml:2 xquad" in lines
    assert any(line.startswith("max_length 99 --model_args") for line in lines)
    assert any(line.startswith("learning_rate 3e-05 recipe xtreme_2020 tasks.target/squad_v1") for line in lines)


def test_show_prints_the_prompts_that_a_model_reads(capsys):
    code, out, _ = call(capsys, "show", "mini/xnli", "--prompt_args", "num_fewshot=2", "--languages", "de,sw")
    assert code == 0
    told = out[out.index("prompt 2-shot: the first test row") :].splitlines()
    prompts = [json.loads(line.partition("prompt: ")[2]) for line in told if line.startswith("  prompt: ")]
    assert [prompt.count("\n\n") for prompt in prompts] == [2, 2]
    shown = {prompt.rpartition("\n\n")[0] for prompt in prompts}
    assert len(shown) == 1  # the same English examples before the same row in every language
    assert sum(line.startswith('  then: ", right? ') for line in told) == 6
    code, _, err = call(capsys, "show", "mini/xnli", "--prompt_args", "chat_template=true")
    assert code == 2
    assert "add --model" in err


PROBE = "import sys, run_eval; code = run_eval.main(sys.argv[1:]); print(code, *sorted(sys.modules), file=sys.stderr)"


def modules_of(*words):
    """Exit code and top-level packages after a command in a process of its own."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    ran = subprocess.run(
        [sys.executable, "-c", PROBE, *words], cwd=ROOT, capture_output=True, text=True, env=environment, check=True
    )
    code, *names = ran.stderr.splitlines()[-1].split()
    return int(code), {name.split(".")[0] for name in names}


@pytest.mark.parametrize(
    "words",
    [["ls", what] for what in ("tasks", "models", "metrics", "groups", "recipes", "types", "languages", "references")]
    + [["show", "xnli"], ["show", "phang2020"], ["show", "chunk_f1"], ["validate", "--specs_only"]],
    ids=" ".join,
)
def test_what_reads_only_specs_imports_neither_torch_nor_datasets(words, tmp_path):
    files = ["--include_path", str(tmp_path)] if words[0] == "ls" else []  # not from what was listed before
    code, names = modules_of(*words, *files)
    assert code == 0
    assert names & {"torch", "transformers", "datasets", "accelerate", "tokenizers"} == set()
    if words[0] == "ls" and words[1] != "types":  # a list is there at once: it reads no rows, and plans nothing
        assert "pyarrow" not in names


def test_a_list_of_tasks_loads_neither_templates_nor_arrays_once_the_files_are_known_to_be_good(tmp_path, monkeypatch):
    monkeypatch.setenv("XLIFT_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "own").mkdir()
    words = ["ls", "tasks", "--include_path", str(tmp_path / "own")]
    code, names = modules_of(*words)
    assert code == 0
    assert names >= {"jinja2", "numpy"}  # to check them
    code, names = modules_of(*words)
    assert code == 0
    assert names & {"jinja2", "numpy", "scipy", "pandas", "tqdm", "yaml"} == {"yaml"}


def test_plan_imports_no_torch(tmp_path):
    folder = write_tasks(tmp_path)
    words = ["--include_path", str(folder), "--data_dir", str(folder), "--recipe", "short", "--model", str(folder / "model")]
    code, names = modules_of("plan", *words, "--tasks", "left,right,bare", "--intermediate", "none,warm")
    assert code == 1
    assert names & {"torch", "transformers", "datasets", "accelerate"} == set()


def test_scoring_and_leaderboard_import_no_torch(tmp_path):
    from written_runs import nli

    nli(tmp_path / "x").write()
    code, names = modules_of("leaderboard", str(tmp_path / "x"), "--output", str(tmp_path / "board.json"))
    assert code == 0
    assert json.loads((tmp_path / "board.json").read_text(encoding="utf-8"))["rows"]
    assert names & {"torch", "transformers", "datasets", "accelerate"} == set()
    assert (
        names & {"pyarrow", "jinja2", "pandas", "scipy", "tqdm"} == set()
    )  # what reads rows, which a board shows only on request
    line = {"id": "0", "prediction": "a", "gold": "a", "notes": [], "num_truncated": 0}
    probe = f"import sys; from harness.scoring.score import score_cell; score_cell([{line}], metrics=['accuracy'], score=[], "
    probe += "lang='de', num_expected=1); print(*sorted(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not set(ran.stdout.split()) & {"torch", "transformers", "datasets"}


@pytest.mark.parametrize("words", [["doctor"], ["ls", "tasks"], ["--model", "oracle", "--tasks", "mini"]])
def test_a_python_without_the_packages_is_told_which_one_has_them(words):
    bare = [sys.executable, "-S", str(ROOT / "run_eval.py"), *words]  # without site-packages
    done = subprocess.run(bare, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.search(r"^error: this Python has no package '\w+', which xlift needs\n", done.stderr), done.stderr
    assert "to do: .venv/bin/python run_eval.py" in done.stderr
