"""Side by side with the lm-eval package, which runs its own task files in a process of its own, with a real model in fp32.

XLIFT_LM_EVAL_PYTHON=<python with lm-eval> pytest -m real tests/commands/test_lm_eval_real.py       # or make lm-eval before

Prompts, continuations, gold and generated texts are the same; log-likelihoods agree to 1e-4; values of an example differ only
where two continuations are a tie.
"""

import json
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from small_lm_eval import DIRECTORIES, SHOTS, TASKS, copy_xnli, write_mirror
from transformers import AutoTokenizer

import run_eval
from harness.data.locations import DataPlace
from harness.planning.catalog.catalog import Catalog
from harness.planning.plan import make_plan
from harness.planning.request import RunRequest
from harness.prediction.cell import Cell
from harness.runtime.machine import Machine

pytestmark = pytest.mark.real
ROOT = Path(__file__).resolve().parents[2]
CLOSE = 1e-4
"Of a log-likelihood; two continuations that are no farther apart are a tie."
MODEL = "SmolLM2-135M-Instruct"
SHOWN = 2


@pytest.fixture(scope="module")
def sides(lm_eval_python, shared, real_models, tmp_path_factory) -> SimpleNamespace:
    """What both say of the same rows: theirs by shots, ours as folders of runs; lm-eval works while we do."""
    folder = tmp_path_factory.mktemp("side by side")
    mirror, model = write_mirror(folder / "mirror"), real_models / MODEL
    copy_xnli(shared / "hub", mirror)
    (tasks,) = lm_eval_python.parent.parent.glob("lib/python3*/site-packages/lm_eval/tasks")
    paths = [str(tasks / name) for name in DIRECTORIES]
    jobs = [
        {"tasks": list(TASKS), "batch_size": 8, "output": str(folder / "0.json")},
        {"tasks": list(SHOTS), "batch_size": 1, "num_fewshot": SHOWN, "output": str(folder / f"{SHOWN}.json")},
    ]
    command = [str(lm_eval_python), str(ROOT / "benchmarks/lm_eval_driver.py"), "--directories", ",".join(DIRECTORIES)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with (folder / "errors").open("w") as errors:
        theirs = subprocess.Popen(
            [*command, "--model", str(model), "--mirror", str(mirror)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env=environment,
            text=True,
        )
        try:
            assert theirs.stdin is not None
            theirs.stdin.write("".join(json.dumps(job) + "\n" for job in jobs))
            theirs.stdin.close()
            found = SimpleNamespace(mirror=mirror, model=str(model), paths=paths, runs={}, theirs={})
            for shots, names in ((0, TASKS), (SHOWN, tuple(SHOTS))):
                found.runs[shots] = folder / f"run {shots}"
                assert run_eval.main(words(found, names, shots)) == 0
            assert theirs.wait(timeout=300) == 0, (folder / "errors").read_text()[-2000:]
        finally:
            theirs.kill()
            theirs.wait()
    found.theirs = {shots: json.loads((folder / f"{shots}.json").read_text(encoding="utf-8")) for shots in found.runs}
    return found


def words(sides: SimpleNamespace, tasks: tuple[str, ...], shots: int) -> list[str]:
    """The command line of a run."""
    found = ["--model", sides.model, "--model_args", "dtype=float32", "--data_dir", str(sides.mirror), "--quiet"]
    for path in sides.paths:
        found += ["--include_path", path]
    found += ["--tasks", asked(tasks), "--trust_task_code", "--route", "prompt", "--output_path", str(sides.runs[shots])]
    return [*found, "--prompt_args", f"num_fewshot={shots}"] if shots else found


def asked(tasks: tuple[str, ...]) -> str:
    """Names as ours has them: lm-eval's are reachable behind its name whatever ours are called."""
    return ",".join(f"lm_eval/{name}" for name in tasks)


def predicted(folder: Path) -> dict[str, list[dict]]:
    """Our predictions by lm-eval's name of the task."""
    found = {}
    for path in folder.glob("predict/*/predictions.jsonl"):
        args = json.loads((path.parent / "args.json").read_text(encoding="utf-8"))["args"]
        found[args["task"].removeprefix("lm_eval/")] = [
            json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()
        ]
    return found


@pytest.mark.parametrize("shots", [0, SHOWN])
def test_prompts_continuations_and_gold_are_the_same(sides, shots, tmp_path):
    catalog = Catalog([Path(path) for path in sides.paths])
    place = DataPlace.resolve(sides.mirror, trust_task_code=True)
    request = RunRequest(
        model=sides.model,
        tasks=asked(tuple(sides.theirs[shots]["tasks"])),
        route="prompt",
        prompt_args=f"num_fewshot={shots}" if shots else "",
    )
    folders = {name: catalog.folder("task", name) for name in request.tasks.split(",")}
    machine = Machine(place=place, device_name="cpu", progress=False, task_folders=folders)
    tokenizer = AutoTokenizer.from_pretrained(sides.model)
    compared = set()
    for stage in make_plan(request, catalog=catalog, place=place).stages:
        if stage.verb != "predict":
            continue
        cell = Cell(stage=stage, folder=tmp_path, machine=machine, tokenizer=tokenizer)
        name = cell.spec.task.removeprefix("lm_eval/")
        documents = sides.theirs[shots]["tasks"][name]
        assert [example.id for example in cell.examples] == [str(document["doc_id"]) for document in documents]
        for example, document in zip(cell.examples, documents):
            requests = cell.module.requests(example, task=cell.spec.task, tokenizer=tokenizer)
            ours = [(one.context, one.continuation) for one in requests]
            written = [(context, None if isinstance(rest, dict) else rest) for context, rest in document["arguments"]]
            assert ours == written, (name, example.id)
            assert example.gold == document["target"], (name, example.id)
        compared.add(name)
    assert compared == set(sides.theirs[shots]["tasks"])


def is_tie(document: dict) -> bool:
    """Whether two continuations are so near to each other that rounding chooses between them."""
    if any(isinstance(response, str) for response in document["responses"]):
        return False
    first, second, *_ = sorted((likelihood for likelihood, _ in document["responses"]), reverse=True)
    return first - second < CLOSE


@pytest.mark.parametrize("shots", [0, SHOWN])
def test_likelihoods_texts_and_values_agree(sides, shots):
    ours = predicted(sides.runs[shots])
    assert set(ours) == set(sides.theirs[shots]["tasks"])
    for name, documents in sides.theirs[shots]["tasks"].items():
        for line, document in zip(ours[name], documents, strict=True):
            said, told = line["prediction"], document["responses"]
            if "text" in said:
                assert [said["text"]] == told, (name, line["id"])
            else:
                assert said["loglikelihoods"] == pytest.approx([one[0] for one in told], abs=CLOSE), (name, line["id"])
                assert said["greedy"] == [one[1] for one in told], (name, line["id"])
            values = {key: said["values"][key] for key in document["metrics"]}
            assert is_tie(document) or values == pytest.approx(document["metrics"], abs=CLOSE), (name, line["id"])


def test_the_board_has_the_scores_of_lm_eval(sides):
    for shots, theirs in sides.theirs.items():
        board = json.loads((sides.runs[shots] / "leaderboard.json").read_text(encoding="utf-8"))
        rows = {row["task"].removeprefix("lm_eval/"): row for row in board["rows"]}
        assert set(rows) == set(theirs["tasks"])
        ties = [name for name, documents in theirs["tasks"].items() if any(map(is_tie, documents))]
        assert ties == []  # the rows are chosen so; a tie would be compared by its likelihoods alone
        for name, row in rows.items():
            results = theirs["results"][name]
            for key, metric in row["metrics"].items():
                value = results[f"{key.partition(':')[2].rpartition('.')[0]},none"]
                assert metric["value"] == pytest.approx(100 * value, abs=100 * CLOSE), (name, key)
                assert metric["n"] == results["sample_len"], name
