"""A model whose arithmetic overflows fails with one error, whatever it is asked for: it is never scored on what is left.

An answer that is chosen among numbers of which some are nan is an answer like any other to a metric, and lowers a score unseen.
"""

import json
from itertools import combinations
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_decoders import batch_of, loaded
from small_models import make_folder
from small_runs import Project

import run_eval
from harness.api.errors import UserError
from harness.api.protocols import Feature, Pooling
from models.inference.generation import generate

UNDEFINED = "infinite or undefined"


def spoil(folder: str | Path, name: str) -> None:
    """Make one number of a tensor of a model folder no number."""
    (path,) = Path(folder).rglob("model.safetensors")
    tensors = load_file(path)
    (key,) = [key for key in tensors if key.endswith(name)]
    tensors[key] = tensors[key].clone()
    tensors[key].view(-1)[0] = float("nan")
    save_file(tensors, path, metadata={"format": "pt"})


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    path = make_folder("llama", folder)
    spoil(path, "layers.0.mlp.down_proj.weight")
    return loaded(path)


def test_heads_and_vectors_are_refused(model):
    heads = [name for name, spec in model.heads.items() if spec.kind != "lm"]
    assert len(heads) > 2
    for name in heads:
        with pytest.raises(UserError, match=UNDEFINED):
            model.forward_head(batch_of(), name)
    with pytest.raises(UserError, match=UNDEFINED):
        model.embed(batch_of(), Pooling())


def test_likelihoods_and_written_answers_are_refused(model):
    with pytest.raises(UserError, match=UNDEFINED):
        model.loglikelihood([Feature(example=0, input_ids=[5, 6], continuations=[[7], [8]])], max_tokens=100)
    for sampling in ({}, {"sampling": {"temperature": 0.7, "top_p": 1.0, "top_k": 0, "seed": 1}}):
        asked = Feature(example=0, input_ids=[5, 6], generate={"max_new_tokens": 3, "stop": [], **sampling})
        with pytest.raises(UserError, match=UNDEFINED):
            generate(model.module.backbone, [asked], tokenizer=model.tokenizer, device=torch.device("cpu"), max_tokens=100)


@pytest.mark.parametrize("sampling", [{}, {"sampling": {"temperature": 0.7, "top_p": 1.0, "top_k": 0, "seed": 1}}])
def test_an_answer_that_is_finished_fails_nobody_afterwards(sampling, tmp_path):
    model = loaded(make_folder("qwen2", tmp_path))  # whose output matrix is one of its own
    backbone = model.module.backbone

    def written(*asked):
        """What is written behind a token, up to a number of tokens, all in one batch."""
        how = {"stop": [], **sampling}
        features = [Feature(example=0, input_ids=[5, at], generate={"max_new_tokens": most, **how}) for at, most in asked]
        return generate(backbone, features, tokenizer=model.tokenizer, device=torch.device("cpu"), max_tokens=1000)

    tokens = range(6, len(model.tokenizer))
    words = {at: written((at, 1))[0] for at in tokens}
    known = {at: text for at in tokens if len(text := written((at, 6))[0]) > 12}  # of several words
    ids = {at: model.tokenizer.convert_tokens_to_ids(word) for at, word in words.items() if word}
    ended, first, second = next(
        (at, one, other)
        for at in ids
        for one, other in combinations(known, 2)
        if words[at] not in known[one] + known[other] and ids[at] not in (5, at, one, other)
    )
    with torch.no_grad():
        backbone.get_input_embeddings().weight[ids[ended]] = float("nan")
    # The first row ends after one token and stays, for two of three go on: what comes behind that token is no number.
    together = written((ended, 1), (first, 6), (second, 6))
    assert together == [words[ended], known[first], known[second]]
    with pytest.raises(UserError, match=UNDEFINED):
        written((ended, 2), (first, 6), (second, 6))


@pytest.mark.parametrize(("task", "route"), [("pairs", "head"), ("tags", "head"), ("pairs", "prompt"), ("tags", "prompt")])
def test_a_run_has_no_score_of_it_and_says_so(task, route, tmp_path, capsys):
    project = Project.make(tmp_path / "project", tasks=task, max_steps=1)
    spoil(project.decoder, "layers.0.mlp.down_proj.weight")
    flags = ["--model", str(project.decoder), "--tasks", task, "--languages", "de", "--route", route, "--quiet"]
    flags += ["--include_path", str(project.folder), "--recipe", "tiny", "--output_path", str(tmp_path / "runs")]
    assert run_eval.main(flags) == 1
    err = capsys.readouterr().err
    assert UNDEFINED in err or "the loss became nan" in err
    assert not list((tmp_path / "runs").glob("score/*/done.json"))
    requests = [json.loads(path.read_text()) for path in (tmp_path / "runs" / "requests").glob("*.json")]
    assert len(requests) == 1
