"""The shell completes what the command line takes: asked of a real bash."""

import shutil
import subprocess

import pytest

import run_eval
from harness.commands.completion import WORDS


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """The script as a file."""
    import contextlib
    import io

    with contextlib.redirect_stdout(io.StringIO()) as said:
        assert run_eval.main(["completion", "bash"]) == 0
    path = tmp_path_factory.mktemp("completion") / "xlift.bash"
    path.write_text(said.getvalue(), encoding="utf-8")
    return path


def completed(script, *words):
    """What bash offers for the last of some words."""
    typed = " ".join(f"'{word}'" for word in words)
    ask = f'source {script}; COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}; _xlift; printf "%s\\n" "${{COMPREPLY[@]}}"'
    return subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("xlift", "lea"), ["leaderboard"]),
        (("xlift", "--mo"), ["--model", "--model_args"]),
        (("xlift", "--tasks", "xn"), ["xnli"]),
        (("xlift", "--model", "x", "--tasks", "xnli,pan"), ["xnli,panx"]),
        (("xlift", "plan", "--keep", ""), ["none", "best", "all"]),
        (("xlift", "run", "--recipe", "phang"), ["phang2020"]),
        (("xlift", "plan", "--on", "h100-p"), ["h100-pcie-80gb"]),
        (("xlift", "show", "phang"), ["phang2020"]),
        (("xlift", "ls", "ta"), ["tasks"]),
        (("xlift", "schema", "st"), ["study"]),
        (("xlift", "ls", "--fa"), ["--family"]),
        (("xlift", "leaderboard", "runs/"), []),
    ],
)
def test_bash_completes_commands_flags_values_and_names(script, words, expected):
    if not shutil.which("bash"):
        pytest.skip("no bash here")
    assert completed(script, *words) == expected


def test_bash_knows_the_function_for_each_way_of_calling(script):
    shown = subprocess.run(["bash", "-c", f"source {script}; complete -p"], capture_output=True, text=True, check=True).stdout
    assert {line.split()[-1] for line in shown.splitlines() if "_xlift" in line} == {"xlift", "run_eval.py", "./run_eval.py"}


@pytest.mark.parametrize("what", WORDS["what"])
def test_what_is_offered_for_lists_is_a_list(what, capsys):
    assert run_eval.main(["ls", what]) == 0


def test_names_of_ones_own_tasks_are_offered_too(tmp_path, capsys):
    from small_tasks import write_tasks

    write_tasks(tmp_path)
    assert run_eval.main(["completion", "bash", "--include_path", str(tmp_path)]) == 0
    assert " warm " in capsys.readouterr().out


def test_zsh_reads_the_same_and_another_shell_is_refused(script, capsys):
    assert run_eval.main(["completion", "zsh"]) == 0
    text = capsys.readouterr().out
    assert text.endswith(script.read_text(encoding="utf-8"))
    assert text.startswith("autoload")
    assert run_eval.main(["completion", "fish"]) == 2
    assert "bash or zsh" in capsys.readouterr().err
