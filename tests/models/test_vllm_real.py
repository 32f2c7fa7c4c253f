"""vLLM itself, on a real small model and real rows, in fp32: what it says is what transformers says.

XLIFT_VLLM_PYTHON=/path/to/python python -m pytest tests/models/test_vllm_real.py      # or after `make vllm`
"""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import run_eval
from harness.api.model_source import EngineHost, ModelSource
from harness.api.protocols import Pooling
from harness.data.locations import DataPlace
from harness.planning.catalog.catalog import Catalog
from harness.planning.plan import make_plan
from harness.planning.request import RunRequest
from harness.prediction.batching import collate
from harness.prediction.cell import Cell
from harness.runtime.engines import versions
from harness.runtime.machine import Machine
from harness.runtime.stages import read_json
from models import decoder, vllm

pytestmark = pytest.mark.real
TIED = 1e-3
"Margin under which two answers may change places."
TASKS, LANGUAGES, LIMIT = "xnli,xquad", "en,de", "3"


@pytest.fixture(scope="module")
def smol(real_models):
    return str(real_models / "SmolLM2-135M-Instruct")


def asked(smol, shared, root, *, engine):
    """A command line."""
    what = ["--model", smol, "--tasks", TASKS, "--languages", LANGUAGES, "--limit", LIMIT, "--data_dir", str(shared / "hub")]
    how = ["--route", "prompt", "--model_args", f"dtype=float32,engine={engine}"]
    return [*what, *how, "--output_path", str(root), "--quiet", "--device", "cpu"]


def predictions(root, engine):
    """task and language -> the lines of predictions.jsonl of an engine."""
    found = {}
    for folder in (root / "predict").iterdir():
        args = read_json(folder / "args.json")["args"]
        if args["model"].get("engine", "transformers") == engine:
            lines = (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
            found[args["task"], args["lang"]] = [json.loads(line) for line in lines]
    return found


def test_one_command_gives_what_transformers_gives(vllm_interpreter, smol, shared, tmp_path, capsys):
    """Likelihoods within 1e-3, the same predictions but for ties, the same texts; both engines on one board."""
    for engine in ("transformers", "vllm"):
        assert run_eval.main(asked(smol, shared, tmp_path, engine=engine)) == 0
    board = capsys.readouterr().out
    assert "none (prompt zero-shot)" in board
    assert "none (prompt zero-shot, engine vllm)" in board
    mine, theirs = predictions(tmp_path, "vllm"), predictions(tmp_path, "transformers")
    assert len(mine) == len(theirs) == 4
    ties = []
    for key, lines in mine.items():
        for one, other in zip(lines, theirs[key], strict=True):
            if "scores" in other:
                np.testing.assert_allclose(one.pop("scores"), other["scores"], atol=1e-3, rtol=0)
                best, second = sorted(other.pop("scores"))[::-1][:2]
                if one != other and best - second < TIED:
                    ties.append((*key, one["id"]))
                    continue
            assert one == other, key
    sys.stdout.write(f"ties: {ties}\n")
    served = [
        folder for folder in (tmp_path / "predict").iterdir() if "engine" in read_json(folder / "args.json")["args"]["model"]
    ]
    made_with = read_json(served[0] / "done.json")["versions"]
    assert {**made_with, **versions(vllm_interpreter)} == made_with
    assert "vllm" in made_with
    # One start for all of it.
    (log,) = (tmp_path / "logs").iterdir()
    assert log.read_text(encoding="utf-8").count("Initializing a V1 LLM engine") == 1


@pytest.fixture(scope="module")
def adapted(smol, tmp_path_factory):
    """A checkpoint of two low-rank adapters, one a phase, that change what the model says."""
    folder = None
    for phase in (1, 2):
        source = ModelSource(
            path=smol, adapter="decoder", dtype="float32", checkpoint=folder, extra={"lora": {"rank": 4, "alpha": 8}}
        )
        model = decoder.load(source, heads={}, device="cpu", seed=phase, inference=False)
        with torch.no_grad():
            for name, parameter in model.module.named_parameters():
                if "lora_B" in name:
                    torch.nn.init.normal_(parameter, std=0.03, generator=torch.Generator().manual_seed(phase))
        folder = str(tmp_path_factory.mktemp("phase") / "checkpoint")
        model.save(folder)
    return folder


def cell_of(smol, shared, task, root, **asked):
    """A task in German, with its features."""
    request = RunRequest(model=smol, tasks=task, languages=("de",), limit=3, **asked)
    place = DataPlace.resolve(str(shared / "hub"))
    plan = make_plan(request, catalog=Catalog([]), place=place)
    tokenizer = decoder.load_tokenizer(Path(smol), ModelSource(path=smol), vocab_size=49152, pads_with_end=True)
    (stage,) = (stage for stage in plan.stages if stage.verb == "predict")
    machine = Machine(place=place, device_name="cpu", progress=False)
    return Cell(stage=stage, folder=stage.folder(root), machine=machine, tokenizer=tokenizer)


def test_adapters_are_served_as_transformers_merges_them(vllm_interpreter, smol, shared, adapted, tmp_path):
    """Likelihoods, texts (held to entities of the sentence, too) and vectors of low-rank adapters beside their base."""
    host = EngineHost(python=vllm_interpreter, versions=versions(vllm_interpreter), log=str(tmp_path / "vllm.log"))
    source = ModelSource(path=smol, adapter="decoder", dtype="float32", checkpoint=adapted, engine=host)
    merged = decoder.load(source, heads={}, device="cpu", seed=0, inference=True)
    plain = decoder.load(ModelSource(path=smol, dtype="float32"), heads={}, device="cpu", seed=0, inference=True)
    served = vllm.load(source, heads={}, device="cpu", seed=0, inference=True)
    try:
        asked = cell_of(smol, shared, "xnli", tmp_path, route="prompt").features
        mine, theirs = (np.concatenate(model.loglikelihood(asked)) for model in (served, merged))
        np.testing.assert_allclose(mine, theirs, atol=1e-3, rtol=0)
        assert np.abs(np.concatenate(plain.loglikelihood(asked[:1])) - theirs[: len(asked[0].continuations)]).max() > 0.1
        free = cell_of(smol, shared, "panx", tmp_path, route="prompt")
        held = cell_of(smol, shared, "panx", tmp_path, route="prompt", model_args="engine=vllm", prompt_args="guided=true")
        texts = served.generate([*free.features, *held.features])
        assert texts[:3] == merged.generate(free.features)
        notes = [
            cell.module.decode(cell.examples, cell.features, part, task=cell.spec, options=cell.options)
            for cell, part in ((free, texts[:3]), (held, texts[3:]))
        ]
        assert any(prediction.notes for prediction in notes[0])
        assert not any(prediction.notes for prediction in notes[1])
        vectors = cell_of(smol, shared, "tatoeba", tmp_path).features
        batch = collate(vectors[:12], pad_id=merged.tokenizer.pad_token_id)
        for method in ("mean", "mean_no_first", "last"):
            pairs = zip(served.embed(batch, Pooling(method=method)), merged.embed(batch, Pooling(method=method)), strict=True)
            assert min(one @ other / np.linalg.norm(one) / np.linalg.norm(other) for one, other in pairs) > 0.9999
    finally:
        served.close()
