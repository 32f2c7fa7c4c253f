"""The command that asks lm-eval and xlift the same: what it finds on three tasks, and that it tells what differs.

XLIFT_LM_EVAL_PYTHON=<python with lm-eval> pytest -m real tests/commands/test_lm_eval_side_by_side.py
"""

import copy
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TASKS = ("winogrande", "arc_challenge_chat", "pile_wikipedia")
"Choices in the context, an answer that the prompt begins, whole texts."


@pytest.fixture(scope="module")
def side():
    """The command as a module."""
    spec = importlib.util.spec_from_file_location("lm_eval_side_by_side", ROOT / "benchmarks/lm_eval_side_by_side.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


RATED = {
    "doc_id": 0, "filter": "none", "target": 1, "arguments": [["It rains.", " yes"], ["It rains.", " no"]],
    "responses": [[-1.5, False], [-0.25, True]],
}  # fmt: skip
WRITTEN = {
    "doc_id": 0, "filter": "none", "target": "wet", "arguments": [["It rains, so it is", {"until": ["\n"], "do_sample": False}]],
    "responses": ["wet"],
}  # fmt: skip


def compared(side, document, **changes):
    """What is told where lm-eval has a document, and we have the same with changes."""
    ours = copy.deepcopy(document) | changes
    contexts = [(context, None if isinstance(rest, dict) else rest) for context, rest in ours["arguments"]]
    answers = [{"max_new_tokens": 256, "stop": rest["until"]} for _, rest in ours["arguments"] if isinstance(rest, dict)]
    written = ours["responses"] if isinstance(ours["responses"][0], str) else None
    said = {"text": written[0]} if written else {"loglikelihoods": [one[0] for one in ours["responses"]]}
    line = side.Line(task="copa", mode=side.MODES[0], output_type="multiple_choice")
    question = side.Question(str(ours["doc_id"]), ours["target"], contexts, answers)
    side.compare(line, [question], [{"prediction": said, "gold": ours["target"]}], [document])
    return line


@pytest.mark.parametrize(
    ("document", "changes", "kind"),
    [
        (RATED, {"arguments": [["It rains.", " yes"], ["It rains.", "no"]]}, "prompt"),
        (RATED, {"arguments": RATED["arguments"][:1], "responses": RATED["responses"]}, "prompt"),
        (RATED, {"responses": [[-1.5, False], [-0.2503, True]]}, "log-likelihoods"),
        (RATED, {"target": 0}, "gold"),
        (RATED, {"doc_id": 1}, "gold"),
        (WRITTEN, {"arguments": [["It rains, so it is", {"until": ["\n", "."]}]]}, "prompt"),
        (WRITTEN, {"responses": ["wet "]}, "text"),
    ],
)
def test_each_difference_is_told(side, document, changes, kind):
    assert compared(side, document).wrong == []
    assert [one.partition(" of ")[0] for one in compared(side, document, **changes).wrong] == [kind]


def test_numbers_and_missing_lines_count_as_well(side, capsys):
    line = compared(side, RATED, responses=[[-1.5, False], [-0.2501, True]])
    assert (line.wrong, line.farthest) == ([], pytest.approx(1e-4))
    results = {"acc,none": 0.5, "acc_stderr,none": 0.1, "sample_len": 2}
    side.compare_numbers(line, results, {"lm_eval_mean:acc.mean": {"value": 50.0}})
    assert (line.wrong, line.metric, line.ours) == ([], "acc", 0.5)
    assert side.finish([line], ["copa"]) == 1  # three of its four lines are missing
    assert "1 of 4 lines without a difference" in capsys.readouterr().out
    side.compare_numbers(line, results, {"lm_eval_mean:acc.mean": {"value": 50.1}})
    side.compare_numbers(line, results, {"lm_eval_mean:acc_norm.mean": {"value": 50.0}})
    assert [one.split()[0] for one in line.wrong] == ["number", "numbers:"]


@pytest.mark.real
def test_three_tasks_are_the_same_in_all_four_ways(lm_eval_python, shared, real_models):
    command = [
        sys.executable,
        str(ROOT / "benchmarks/lm_eval_side_by_side.py"),
        "--model",
        str(real_models / "SmolLM2-135M-Instruct"),
    ]
    command += ["--hub", str(shared / "hub"), "--lm_eval_python", str(lm_eval_python), "--tasks", ",".join(TASKS), "--rows", "1"]
    answer = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": ""})
    assert answer.returncode == 0, answer.stdout[-3000:] + answer.stderr[-2000:]
    assert "12 of 12 lines without a difference: 3 tasks of 3 datasets" in answer.stdout
    assert "generate_until, loglikelihood_rolling, multiple_choice" in answer.stdout
    assert answer.stdout.count("| equal |") >= 12
