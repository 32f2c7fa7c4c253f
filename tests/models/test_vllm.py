"""engine=vllm without vLLM: what is asked of it, which stages it changes, what is said where it is missing or dies."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from small_decoders import loaded
from small_engines import vllm_in
from small_models import make_folder

import run_eval
from harness.api.errors import UserError
from harness.api.protocols import Feature
from harness.api.registry import ENGINES, ROOT
from harness.data.locations import DataPlace
from harness.planning.catalog.catalog import Catalog
from harness.planning.plan import make_plan
from harness.planning.request import RunRequest
from harness.runtime import engines
from harness.specs.prompt import Generate
from harness.task_types.prompting.guided_regex import answer_regex
from harness.task_types.prompting.tag_text import entities_text, word_tags_text
from models.decoder import Decoder
from models.vllm.likelihood import MOST_NEXT, Scores
from models.vllm.process import Worker

VLLM = "engine=vllm"


@pytest.fixture
def has_vllm(monkeypatch, tmp_path):
    """An environment that says it has vLLM: nothing is started."""
    monkeypatch.setenv(engines.VARIABLE, vllm_in(tmp_path))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_folder("llama", tmp_path_factory.mktemp("llama"))


def plan_of(model, model_args="", prompt_args="", *, tasks="mini/xnli,mini/retrieval", route="prompt", **more):
    asked = {"model_args": model_args, "prompt_args": prompt_args, "tasks": tasks, "route": route, "recipe": "mini", **more}
    return make_plan(RunRequest(model=model, languages=("de",), **asked), catalog=Catalog([]), place=DataPlace.resolve(None))


# --- the request


def test_the_engine_is_part_of_what_it_answers_and_of_nothing_else(model, has_vllm, capsys):
    asked = {"tasks": "mini/xnli,mini/retrieval,mini/panx", "intermediate": "none,mini/paraphrase", "route": ""}
    usual, served = plan_of(model, **asked), plan_of(model, VLLM, **asked)
    changed = {stage.name for stage in served.stages} ^ {stage.name for stage in usual.stages}
    assert {(name.split("/")[0], "retrieval" in name) for name in changed} == {("predict", True), ("score", True)}
    with_engine = {stage.args.task for stage in served.stages if stage.verb == "predict" and stage.args.model.engine}
    assert with_engine == {"mini/retrieval"}
    flags = {"--intermediate": asked["intermediate"], "--tasks": asked["tasks"], "--model_args": VLLM, "--recipe": "mini"}
    words = [word for flag in flags.items() for word in flag]
    assert run_eval.main(["plan", "--model", model, "--languages", "de", *words]) == 0
    assert "vllm answers mini/retrieval; mini/xnli, mini/panx: heads are transformers'" in capsys.readouterr().out
    prompted = plan_of(model, VLLM)
    assert {s.args.model.engine for s in prompted.stages if s.verb == "predict"} == {"vllm"}


def test_how_much_of_the_machine_it_gets_is_in_no_key(model, has_vllm):
    knobs = "tensor_parallel_size=2,pipeline_parallel_size=2,data_parallel_size=2,gpu_memory_utilization=0.5"
    plain, sized = plan_of(model, VLLM), plan_of(model, f"{VLLM},{knobs},max_num_seqs=8,kv_cache_gib=2.5")
    assert [stage.key for stage in plain.stages] == [stage.key for stage in sized.stages]
    assert sized.stages[0].knobs.engine["kv_cache_gib"] == 2.5
    assert plan_of(model, "engine=transformers").stages[0].key == plan_of(model).stages[0].key


def test_guided_answers_are_another_prediction(model, has_vllm):
    tasks = {"tasks": "mini/panx"}
    free, held = plan_of(model, VLLM, **tasks), plan_of(model, VLLM, "guided=true", **tasks)
    assert not {s.key for s in free.stages} & {s.key for s in held.stages}
    assert plan_of(model, VLLM, "guided=false", **tasks).stages[0].key == free.stages[0].key


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"model_args": "engine=vlm"}, ["engine: input should be 'transformers', 'vllm' or 'server'", "did you mean 'vllm'?"]),
        ({"model_args": "max_num_seqs=8"}, ["max_num_seqs say nothing to transformers", "add engine=vllm"]),
        ({"model_args": f"{VLLM},tensor_parallel_size=0"}, ["tensor_parallel_size: input should be greater than or equal to 1"]),
        ({"model_args": f"{VLLM},gpu_memory_utilization=2"}, ["gpu_memory_utilization: input should be less than or equal to 1"]),
        ({"model_args": f"{VLLM},kv_cache_gib=no"}, ["kv_cache_gib: input should be a valid number"]),
        ({"model_args": VLLM, "tasks": "mini/tagging", "route": ""}, ["asks for neither", "add --route prompt"]),
        ({"model_args": f"{VLLM},layer=1"}, ["the last layer only", "mini/retrieval' layer (--model_args)", "layer=-1"]),
        ({"model_args": f"{VLLM},bidirectional=true", "tasks": "mini/retrieval", "route": ""}, ["cannot serve this"]),
        ({"prompt_args": "guided=true", "tasks": "mini/panx"}, ["cannot be guided", "engine=vllm"]),
        ({"model_args": VLLM, "prompt_args": "guided=true"}, ["no task of this run has a closed set", "entities, word_tags"]),
        ({"model_args": "adapter=vllm"}, ["unknown adapter 'vllm'"]),
    ],
)
def test_what_cannot_be_had_is_said_at_once(model, has_vllm, arguments, said):
    with pytest.raises(UserError) as error:
        plan_of(model, **arguments)
    assert [words for words in said if words not in str(error.value)] == []


def test_an_encoder_is_not_served(tmp_path, has_vllm):
    with pytest.raises(UserError, match="a causal language model"):
        plan_of(make_folder("xlm-roberta", tmp_path / "m"), VLLM, tasks="mini/retrieval", route="")


@pytest.mark.skipif(bool(engines.importlib.util.find_spec("vllm")), reason="vLLM is in this environment")
def test_without_vllm_the_command_that_brings_it_is_said(model, monkeypatch, tmp_path):
    monkeypatch.setattr(engines, "OWN", tmp_path / ".venv-vllm" / "bin" / "python")
    monkeypatch.delenv(engines.VARIABLE, raising=False)
    with pytest.raises(UserError, match=r"(?s)\.venv-vllm/bin/python is not there.*make vllm"):
        plan_of(model, VLLM)
    monkeypatch.setenv(engines.VARIABLE, sys.executable)  # an interpreter, but without vLLM
    with pytest.raises(UserError, match="has no vLLM"):
        plan_of(model, VLLM)


@pytest.mark.parametrize("engine", ENGINES)
def test_what_an_engine_declares_is_in_its_code(engine):
    module = __import__(f"models.{engine}", fromlist=["load"])
    kind = module.load.__annotations__["return"]
    assert set(module.CAPABILITIES) == {
        name for name in ("loglikelihood", "generate", "embed", "forward_head") if hasattr(kind, name)
    }
    assert set(module.CAPABILITIES) <= {name for name in dir(Decoder) if not name.startswith("_")}


# --- likelihoods


def answered_by(decoder, requests):
    """What vLLM would say, by one forward pass a request."""
    answers = []
    for one in requests:
        with torch.no_grad():
            logits = decoder.module.backbone(input_ids=torch.tensor([one.ids])).logits[0].float()
        logprobs = logits.log_softmax(dim=-1)
        places = range(len(one.ids) - one.rows - 1, len(one.ids) - 1)
        rows = [(logprobs[at, one.ids[at + 1]].item(), logits[at].argmax().item() == one.ids[at + 1]) for at in places]
        answers.append(
            {"next": logprobs[-1, list(one.next)].tolist(), "top": logits[-1].argmax().item(), "rows": [list(r) for r in rows]}
        )
    return answers


def test_likelihoods_are_those_of_transformers(model):
    """Of continuations that are empty, of one id, that begin alike, that are the beginning of others; of shared contexts."""
    decoder = loaded(model)
    rng = np.random.default_rng(3)
    size = decoder.module.backbone.config.vocab_size
    ids = rng.integers(5, size, 40).tolist()
    several = [[], [7], [8], [8, 9], [8, 9, 10], [8, 9, 10, 11, 12], [8, 9, 10, 11, 13], [7]]
    features = [
        Feature(example=0, input_ids=ids[:12], continuations=several),
        Feature(example=1, input_ids=ids[:12], continuations=[[8, 9], *([n] for n in range(size))]),
        Feature(example=2, input_ids=[*ids[:12], 8], continuations=[[9, 10, 11, 13, 14], [6]]),
        Feature(example=3, input_ids=ids[:3], continuations=[]),
    ]
    scores = Scores(features)
    asked = [tuple(one.ids) for one in scores.requests]
    assert asked == sorted(asked)
    assert len(set(asked)) == 5  # the first context with 0, 1, 2, 4 and 5 ids behind it: the third context is one of them
    found = scores.outputs(answered_by(decoder, scores.requests))
    for mine, theirs in zip(found, decoder.loglikelihood(features), strict=True):
        assert mine.shape == theirs.shape
        np.testing.assert_allclose(mine, theirs, atol=2e-5)


def test_one_request_gives_no_more_ids_than_vllm_takes():
    scores = Scores([Feature(example=0, input_ids=[1, 2], continuations=[[n] for n in range(2 * MOST_NEXT + 5)])])
    assert [len(one.next) for one in scores.requests] == [MOST_NEXT, MOST_NEXT, 5]


# --- the process


@pytest.fixture
def worker(tmp_path):
    """A worker in this environment."""
    worker = Worker(sys.executable, log=tmp_path / "logs" / "vllm.log", folder=tmp_path / "needed", environment={})
    yield worker
    worker.close()


@pytest.mark.skipif(bool(engines.importlib.util.find_spec("vllm")), reason="vLLM is in this environment")
def test_what_fails_in_the_worker_is_one_error(worker):
    for _ in range(2):  # the worker goes on
        worker.post({"do": "start", "llm_args": {}, "adapter": "", "share": [0, 1]})
        with pytest.raises(UserError, match="No module named 'vllm'") as error:
            worker.wait()
    assert error.value.where == str(worker.log)
    assert "Traceback" in worker.log.read_text()


def test_a_worker_that_dies_is_one_error(worker):
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(UserError, match=r"has ended \(killed by SIGKILL; the machine may be out of memory\)"):
        worker.wait()
    with pytest.raises(UserError, match="has ended"):
        worker.post({"do": "score", "requests": []})


def is_running(pid):
    """Whether a process is there and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


PARENT = """
import sys, time
from pathlib import Path
from models.vllm.process import Worker
folder = Path(sys.argv[1])
folder.mkdir()
worker = Worker(sys.executable, log=folder.with_suffix(".log"), folder=folder, environment={})
print(worker.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc")
def test_a_worker_ends_with_its_parent_however_that_ends(tmp_path):
    folder = tmp_path / "needed"
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(folder)], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    pid = int(parent.stdout.readline())
    until = time.monotonic() + 60
    while "vllm/worker" not in Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8"):
        assert time.monotonic() < until
        time.sleep(0.02)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    while (is_running(pid) or folder.exists()) and time.monotonic() < until:
        time.sleep(0.05)
    assert (is_running(pid), folder.exists()) == (False, False)


# --- answers that can be read


WORDS = ["Ada", "Lovelace", "(", "1.5", "a*b|c", "in", "東京", "C:\\x", "$$"]
TAGS = ["B-PER", "I-PER", "O", "O", "O", "O", "B-LOC", "O", "O"]


@pytest.mark.parametrize("form", ["word_tags", "entities"])
def test_right_answers_are_allowed_and_others_are_not(form):
    generate = Generate(form=form, stop=("\n",))
    labels = ["B-PER", "I-PER", "B-LOC", "I-LOC", "O"]
    regex = re.compile(answer_regex(SimpleNamespace(tokens=WORDS), generate=generate, labels=labels, delimiter=" "))
    if form == "word_tags":
        right = [word_tags_text(WORDS, TAGS), word_tags_text(WORDS, ["O"] * len(WORDS))]
        wrong = [right[0][:-1], right[0].replace("_O", "_X", 1), right[0].replace("Ada", "Eda"), right[0] + " a_O"]
    else:
        right = [entities_text(WORDS, TAGS, nothing="none"), "none", "PER: Ada", "LOC: " + " ".join(WORDS)]
        wrong = ["ORG: Ada", "PER: Eda", "PER: Ada (", "PER: ", "none $$ PER: Ada", "PER: Ada LOC: 東京", ""]
    for text in right:
        assert all(regex.fullmatch(before + text + after) for before in ("", " ") for after in ("", "\n")), text
    assert [text for text in wrong if regex.fullmatch(text)] == []
