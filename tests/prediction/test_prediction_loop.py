"""The prediction loop: each cell once, the same answers however it is cut, and the fakes in the model's place."""

import json
import shutil

import numpy as np
import pytest
import torch
from small_runs import Project, contents

import harness.prediction.loop as predicting
from harness.api.errors import UserError
from harness.prediction.fakes import load_fake
from models.inference.prefix_tree import build_tree

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project.make(tmp_path_factory.mktemp("project"), max_steps=3)


@pytest.fixture
def asked(monkeypatch):
    """Languages and sizes of what the model is asked."""
    seen, ask = [], predicting._ask

    def spy(adapter, features, question, machine):
        seen.append([len(feature.input_ids) for feature in features])
        return ask(adapter, features, question, machine)

    monkeypatch.setattr(predicting, "_ask", spy)
    return seen


def lines(root, name="predictions.jsonl"):
    return {path.parent.name: path.read_text() for path in sorted(root.glob(f"predict/*/{name}"))}


def test_cells_of_a_checkpoint_share_batches_sorted_by_length(project, tmp_path, asked):
    project.with_machine(batch_tokens=100).run(tmp_path, tasks="nearest")
    widths = [max(batch) for batch in asked]
    assert widths == sorted(widths, reverse=True)
    assert all(len(batch) * max(batch) <= 100 for batch in asked)
    assert sum(map(len, asked)) == 2 * 2 * 30


def test_a_language_added_later_leaves_the_others_alone(project, tmp_path, asked):
    project.run(tmp_path, tasks="pairs", languages=("en",))
    before = contents(tmp_path)
    asked.clear()
    project.run(tmp_path, tasks="pairs", languages=("en", "de"))
    assert sum(map(len, asked)) == 30
    assert {name: content for name, content in contents(tmp_path).items() if name in before} == before


@pytest.mark.parametrize("num_fewshot", [0, 1])
def test_what_begins_alike_is_asked_together(project, tmp_path, monkeypatch, num_fewshot):
    """Rows of parallel data have the same solved examples in every language: then the languages of a row are neighbours."""
    asked, ask = [], predicting._ask

    def spy(adapter, features, *rest):
        asked.extend(tuple(feature.input_ids) for feature in features)
        return ask(adapter, features, *rest)

    def run(*languages):
        asked.clear()
        words = {"model": str(project.decoder), "route": "prompt", "prompt_args": f"num_fewshot={num_fewshot}"}
        project.run(tmp_path / "-".join(languages), tasks="pairs", languages=languages, limit=8, **words)
        return list(asked)

    monkeypatch.setattr(predicting, "_ask", spy)
    apart, together = [run("en"), run("de"), run("sw")], run("en", "de", "sw")
    assert together == [prompt for row in (zip(*apart) if num_fewshot else apart) for prompt in row]
    if num_fewshot:
        assert build_tree(together).num_tokens < 0.8 * sum(build_tree(row).num_tokens for row in apart)


def outputs(project, root, monkeypatch, *, limit=None, starved=None, **knobs):
    """All outputs of the model by feature, in the order of the cells' features."""
    found = {}
    from harness.task_types import classification

    reduce = classification.reduce

    def spy(feature, output, **rest):
        found[tuple(feature.input_ids)] = output
        return reduce(feature, output, **rest)

    def load(*args, **kwargs):
        from harness.runtime.loading import load_adapter

        adapter = load_adapter(*args, **kwargs)

        def check(module, args, kwargs):
            if limit and args[0].input_ids.numel() > limit:
                if starved is not None:
                    starved.append(args[0].input_ids.numel())
                raise torch.OutOfMemoryError("no more")

        adapter.module.register_forward_pre_hook(check, with_kwargs=True)
        return adapter

    with monkeypatch.context() as patch:
        patch.setattr(classification, "reduce", spy)
        patch.setattr(predicting, "load_adapter", load)
        report = project.with_machine(**knobs).run(root, tasks="pairs", model_args="dtype=float32")
    assert not report.failed, report.failed
    return found


def test_outputs_agree_whatever_the_batch_and_the_memory(project, tmp_path, monkeypatch):
    whole = outputs(project, tmp_path / "a", monkeypatch)
    for root in ("b", "c"):  # trained once: the knob of the batch rounds training too
        shutil.copytree(tmp_path / "a" / "train", tmp_path / root / "train")
    small = outputs(project, tmp_path / "b", monkeypatch, batch_tokens=40)
    starved = []
    poor = outputs(project, tmp_path / "c", monkeypatch, limit=200, starved=starved)
    assert small.keys() == poor.keys() < whole.keys(), "training has asked the validation rows too"
    for other in (small, poor):
        assert max(np.abs(whole[key] - other[key]).max() for key in other) < 1e-5
    assert lines(tmp_path / "a") == lines(tmp_path / "c")
    assert 1 <= len(starved) <= 5, "halving is remembered: it is not found out again with each batch"


def test_one_sequence_that_does_not_fit_fails_the_cells(project, tmp_path, monkeypatch):
    with pytest.raises(AssertionError, match="OutOfMemoryError"):
        outputs(project, tmp_path, monkeypatch, limit=2)
    assert len(list(tmp_path.glob("predict/*/error.txt"))) == 3


def test_lengths_save_encoding_finished_cells_again(project, tmp_path, monkeypatch):
    project.run(tmp_path, tasks="pairs", languages=("en", "de"))
    (cell,) = tmp_path.glob("predict/*-de-*")
    (cell / "done.json").unlink()
    read, load = [], predicting.Cell.examples.func
    monkeypatch.setattr(predicting.Cell.examples, "func", lambda cell: (read.append(cell.args["lang"]), load(cell))[1])
    project.run(tmp_path, tasks="pairs", languages=("en", "de"))
    assert set(read) == {"de"}


@pytest.mark.parametrize("tokenizer", [None, "model"])
def test_the_oracle_scores_100_everywhere(project, tmp_path, tokenizer):
    args = f"tokenizer={project.model}" if tokenizer else ""
    report = project.run(tmp_path, tasks="pairs,tags,quiz,nearest", model="oracle", model_args=args)
    assert not report.failed
    scores = {path.parent.name: json.loads(path.read_text())["score"]["value"] for path in tmp_path.glob("score/*/score.json")}
    assert len(scores) == 9
    assert set(scores.values()) == {100.0}


@pytest.mark.parametrize("kind", ["random", "constant"])
def test_the_other_fakes_know_nothing(project, tmp_path, kind):
    report = project.run(tmp_path, tasks="pairs,tags,quiz,nearest", model=kind)
    assert not report.failed
    scores = {path.parent.name: json.loads(path.read_text())["score"]["value"] for path in tmp_path.glob("score/*/score.json")}
    pairs = [score for name, score in scores.items() if "pairs" in name]
    assert 15 < np.mean(pairs) < 52
    assert max(scores.values()) < 60
    if kind == "constant":
        assert all(json.loads(p.read_text())["single_class"] for p in tmp_path.glob("score/*pairs*/score.json"))


def test_unknown_fakes_and_tokenizers_are_named():
    with pytest.raises(UserError, match="unknown fake 'oracel'") as caught:
        load_fake("oracel", tokenizer=None)
    assert "oracle" in str(caught.value)
    with pytest.raises(UserError, match="no tokenizer '/no/where'"):
        load_fake("oracle", tokenizer="/no/where")


@pytest.mark.parametrize("progress", [True, False])
def test_bars_are_on_stderr_and_only_if_wanted(project, tmp_path, capfd, monkeypatch, progress):
    from functools import partialmethod

    import tqdm

    monkeypatch.setattr(tqdm.tqdm, "__init__", partialmethod(tqdm.tqdm.__init__, mininterval=0))
    project.with_machine(progress=progress).run(tmp_path, tasks="pairs", languages=("de",))
    out, err = capfd.readouterr()
    assert out == ""
    assert progress or err == ""
