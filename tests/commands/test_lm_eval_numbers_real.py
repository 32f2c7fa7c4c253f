"""Side by side with the lm-eval package on a real model: whole texts in windows, perplexities, TER, a task's own code.

XLIFT_LM_EVAL_PYTHON=<python with lm-eval> pytest -m real tests/commands/test_lm_eval_numbers_real.py
"""

import json
import os
import subprocess
from pathlib import Path

import pytest
from datasets import Value
from small_lm_eval import write_split

import run_eval

pytestmark = [pytest.mark.real, pytest.mark.long]  # windows, metrics and code of tasks are held against the package elsewhere
ROOT = Path(__file__).resolve().parents[2]
MODEL, LONGEST = "SmolLM2-135M-Instruct", 512
DIRECTORIES = ("wikitext", "pile_10k", "lambada", "basque_bench", "afrobench/masakhaner/prompt_1", "squad_completion")
TEXT = Value("string")
STORY = (
    " = The mill = \n\n The mill was built in 1903 @-@ 04 by Ada Lund , who 's said to have owned it until 1911 . "
    "It had 3 @,@ 000 stones ; most of them are lost . \n\n = = Later years = = \n\n "
    "In spring it rains a lot , and the river rises . "
)
RUSSIAN = "Мельница была построена в 1903 году. Её построила Ада Лунд, и стояла она на холме. "
ROWS = {
    ("EleutherAI/wikitext_document_level/wikitext-2-raw-v1", "test"): [{"page": STORY * 12}, {"page": STORY[:90]}],
    ("NeelNanda/pile-10k", "train"): [{"text": RUSSIAN * 20}, {"text": "x"}, {"text": STORY}],
    ("EleutherAI/lambada_openai/default", "test"): [
        {"text": "The mill was built by Ada, and everybody in the village called it the mill of Ada"},
        {"text": "She opened the window and looked at the rain"},
        {"text": "One two three four five"},
    ],
    ("facebook/flores/all", "devtest"): [
        {"sentence_deu_Latn": "Die Mühle steht auf dem Hügel.", "sentence_eus_Latn": "Errota muinoan dago."},
        {"sentence_deu_Latn": "Es regnet viel im Frühling.", "sentence_eus_Latn": "Udaberrian euri asko egiten du."},
    ],
    ("hazyresearch/based-squad/default", "validation"): [
        {"text": "Ada built the mill in 1903. The mill was built by", "value": "Ada"},
        {"text": "The capital of France is ", "value": "paris"},
    ],
    ("masakhane/masakhaner-x/am", "test"): [
        {"text": "አዳ በኬንያ ትኖራለች", "target": "per: አዳ $ loc: በኬንያ"},
        {"text": "David visited New York", "target": "per: david $ loc: new york"},
    ],
}
TASKS = (
    "wikitext", "pile_10k", "lambada_openai", "basque_bench_flores_de-eu", "masakhaner_am_prompt_1", "squad_completion",
)  # fmt: skip
CLOSE = 1e-4


@pytest.fixture(scope="module")
def sides(lm_eval_python, real_models, tmp_path_factory):
    """(their results, their documents, our board, our predictions by task)."""
    folder = tmp_path_factory.mktemp("numbers")
    mirror, model = folder / "mirror", str(real_models / MODEL)
    for (path, split), rows in ROWS.items():
        for name in {split, "train", "validation", "dev"}:
            write_split(mirror / path, name, rows, dict.fromkeys(rows[0], TEXT))
    (tasks,) = lm_eval_python.parent.parent.glob("lib/python3*/site-packages/lm_eval/tasks")
    output = folder / "theirs.json"
    command = [str(lm_eval_python), str(ROOT / "benchmarks/lm_eval_driver.py"), "--model", model, "--mirror", str(mirror)]
    command += ["--directories", ",".join(DIRECTORIES), "--tasks", ",".join(TASKS), "--output", str(output)]
    theirs = subprocess.run(
        [*command, "--max_length", str(LONGEST)], capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert theirs.returncode == 0, theirs.stderr[-3000:]
    words = ["--model", model, "--model_args", "dtype=float32", "--data_dir", str(mirror), "--quiet", "--trust_task_code"]
    words += ["--tasks", ",".join(f"lm_eval/{name}" for name in TASKS), "--route", "prompt"]
    for name in DIRECTORIES:
        words += ["--include_path", str(tasks / name)]
    root = folder / "runs"
    assert run_eval.main([*words, "--output_path", str(root), "--prompt_args", f"max_length={LONGEST}"]) == 0
    found = json.loads(output.read_text(encoding="utf-8"))
    board = json.loads((root / "leaderboard.json").read_text(encoding="utf-8"))
    predicted = {}
    for row in board["rows"]:
        lines = (root / row["stages"]["predict"] / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
        predicted[row["task"].removeprefix("lm_eval/")] = [json.loads(line)["prediction"] for line in lines]
    return found["results"], found["tasks"], {row["task"].removeprefix("lm_eval/"): row for row in board["rows"]}, predicted


@pytest.mark.parametrize("name", TASKS)
def test_what_a_model_says_is_what_it_says_there(sides, name):
    _, documents, _, predicted = sides
    assert len(predicted[name]) == len(documents[name]) >= 2
    for said, document in zip(predicted[name], documents[name], strict=True):
        (response,) = document["responses"]
        if "text" in said:
            assert said["text"] == response
        else:
            likelihood = response if isinstance(response, float) else response[0]
            assert said["loglikelihoods"] == [pytest.approx(likelihood, rel=2e-6, abs=2e-4)]


@pytest.mark.parametrize("name", TASKS)
def test_the_numbers_are_those_of_lm_eval(sides, name):
    results, _, rows, _ = sides
    compared = 0
    for key, number in rows[name]["metrics"].items():
        family, _, rest = key.partition(":")
        metric, _, filter_name = rest.rpartition(".")[0].partition(",")
        theirs = results[name][f"{metric},{filter_name or 'none'}"]
        assert number["value"] == pytest.approx(theirs * (100 if family == "lm_eval_mean" else 1), rel=CLOSE, abs=1e-9), key
        compared += 1
    expected = {name for name in results[name] if "," in name and "stderr" not in name}
    assert compared == len(expected) >= 1


def test_the_long_texts_are_longer_than_what_the_model_was_given(sides, real_models):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(real_models / MODEL)
    longest = [max(len(tokenizer(text)["input_ids"]) for row in rows for text in row.values()) for rows in ROWS.values()]
    assert [length > LONGEST for length in longest][:2] == [True, True]
